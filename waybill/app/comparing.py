# SPDX-License-Identifier: Apache-2.0
"""Two frozen releases side by side: actions, variables, packages and step packages (A78).

Secrets are compared in clear inside a call and told as changed or not; when one of them is not here the answer is ``unknown``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from waybill.app import snapshots
from waybill.domain.projects import Action
from waybill.domain.releases import SnapshotValue
from waybill.domain.values import is_sealed
from waybill.domain.variables import Scope
from waybill.formats.release import ReleaseDoc
from waybill.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference.

    ``kind``: ``action | variable | package | step_package``; ``how``: ``added | removed | changed | moved | unknown``;
    ``fields`` name what changed. ``before`` and ``after`` are short texts for people, never a secret.
    """

    kind: str
    name: str
    how: str
    before: str | None = None
    after: str | None = None
    fields: tuple[str, ...] = ()


Side = tuple[ReleaseDoc, Sequence[SnapshotValue]]
"""A release as compared: its document and its snapshot."""


def compare(ports: Ports, before: Side, after: Side) -> tuple[Change, ...]:
    """Every difference, actions first; empty when the releases say the same."""
    return (
        *_actions(before[0].actions, after[0].actions),
        *_variables(ports, before, after),
        *_versions("package", _packages(before[0]), _packages(after[0])),
        *_versions("step_package", _steps(before[0]), _steps(after[0])),
    )


def _actions(before: Sequence[Action], after: Sequence[Action]) -> list[Change]:
    old, new = {one.id: one for one in before}, {one.id: one for one in after}
    changes = [Change(kind="action", name=one.name, how="removed") for one in before if one.id not in new]
    changes += [Change(kind="action", name=one.name, how="added") for one in after if one.id not in old]
    for action in after:
        known = old.get(action.id)
        if known is None or known == action:
            continue
        changed = tuple(field.name for field in fields(Action) if getattr(known, field.name) != getattr(action, field.name))
        changes.append(Change(kind="action", name=action.name, how="changed", before=known.name, after=action.name, fields=changed))
    stayed_before = [one.id for one in before if one.id in new]
    stayed_after = [one.id for one in after if one.id in old]
    for action_id in stayed_after:
        was, now = stayed_before.index(action_id), stayed_after.index(action_id)
        if was != now:
            changes.append(Change(kind="action", name=new[action_id].name, how="moved", before=str(was + 1), after=str(now + 1)))
    return changes


_Key = tuple[str, Scope, bool]


def _variables(ports: Ports, before: Side, after: Side) -> list[Change]:
    old, new = _by_key(before), _by_key(after)
    changes = [Change(kind="variable", name=key[0], how="removed") for key in old if key not in new]
    for key, row in new.items():
        known = old.get(key)
        if key not in old:
            changes.append(Change(kind="variable", name=key[0], how="added"))
        elif known is None or row is None:
            changes.append(Change(kind="variable", name=key[0], how="unknown"))
        elif not _same(ports, known, row):
            is_secret = is_sealed(row.type) or row.sealed is not None
            shown = (None, None) if is_secret else (known.value, row.value)
            changes.append(
                Change(kind="variable", name=key[0], how="changed", before=shown[0], after=shown[1], fields=_changed(known, row))
            )
    return changes


def _by_key(side: Side) -> dict[_Key, SnapshotValue | None]:
    """The rows by name and scope; None for a secret that the document names and that is not here."""
    found: dict[_Key, SnapshotValue | None] = {(row.name, row.scope, row.template is not None): row for row in side[1]}
    for one in side[0].variables:
        if one.sensitive:
            found.setdefault((one.name, one.scope, False), None)
    return found


def _same(ports: Ports, one: SnapshotValue, other: SnapshotValue) -> bool:
    return (one.type, one.value, one.template) == (other.type, other.value, other.template) and snapshots.same_secret(ports, one, other)


def _changed(one: SnapshotValue, other: SnapshotValue) -> tuple[str, ...]:
    pairs = (("type", one.type, other.type), ("value", one.value, other.value), ("template", one.template, other.template))
    changed = tuple(name for name, old, new in pairs if old != new)
    return changed or ("value",)


def _packages(doc: ReleaseDoc) -> dict[str, tuple[str, str]]:
    return {one.package_id: (one.version, one.sha256) for one in doc.packages}


def _steps(doc: ReleaseDoc) -> dict[str, tuple[str, str]]:
    """Step packages by id; several versions of one id are told by their major."""
    ids = [one.package_id for one in doc.step_packages]
    return {
        one.package_id if ids.count(one.package_id) == 1 else f"{one.package_id} {one.version.partition('.')[0]}": (one.version, one.sha256)
        for one in doc.step_packages
    }


def _versions(kind: str, before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]) -> list[Change]:
    changes = [Change(kind=kind, name=name, how="removed", before=old[0]) for name, old in before.items() if name not in after]
    for name, new in after.items():
        known = before.get(name)
        if known is None:
            changes.append(Change(kind=kind, name=name, how="added", after=new[0]))
        elif known != new:
            changed = tuple(field for field, one, other in zip(("version", "sha256"), known, new, strict=True) if one != other)
            changes.append(Change(kind=kind, name=name, how="changed", before=known[0], after=new[0], fields=changed))
    return changes
