# SPDX-License-Identifier: Apache-2.0
"""A received bundle compared with the release that was imported before it: only what changed needs to be reviewed again."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields

from waybill.app.preview_lines import ActionLine, PackageLine, StepPackageLine, VariableLine
from waybill.app.template_needs import match_environments, own_environments
from waybill.domain.deploying import EnvironmentIds, skip_reason
from waybill.domain.projects import Action
from waybill.domain.releases import SnapshotValue
from waybill.domain.variables import Scope, ValueType
from waybill.formats.release import ReleaseDoc
from waybill.ports import Work
from waybill.trust.verify import VerifiedBundle

ADDED, CHANGED, UNCHANGED, REMOVED, UNKNOWN = "added", "changed", "unchanged", "removed", "unknown"


def package_lines(release: ReleaseDoc, before: ReleaseDoc | None, missing: Collection[str]) -> tuple[PackageLine, ...]:
    """Every package of the manifest, then those that the release before had in addition. ``missing``: digests that are not here."""
    old = {one.package_id: one for one in before.packages} if before else {}
    kept = {one.package_id for one in release.packages}
    lines = [
        PackageLine(
            ref_names=one.ref_names,
            package_id=one.package_id,
            version=one.version,
            size_bytes=one.size_bytes,
            sha256=one.sha256,
            present=one.sha256 not in missing,
            change=_change(one.package_id in old, one.package_id in old and old[one.package_id].sha256 == one.sha256),
            previous_version=old[one.package_id].version if one.package_id in old else None,
        )
        for one in release.packages
    ]
    lines += [
        PackageLine(
            ref_names=one.ref_names,
            package_id=one.package_id,
            version=one.version,
            size_bytes=one.size_bytes,
            sha256=one.sha256,
            present=True,
            change=REMOVED,
            previous_version=one.version,
        )
        for one in old.values()
        if one.package_id not in kept
    ]
    return tuple(lines)


def step_package_lines(release: ReleaseDoc, before: ReleaseDoc | None, missing: Collection[str]) -> tuple[StepPackageLine, ...]:
    """Every step package of the closure."""
    old_ids = {one.package_id for one in before.step_packages} if before else set()
    old_digests = {one.sha256 for one in before.step_packages} if before else set()
    return tuple(
        StepPackageLine(
            package_id=one.package_id,
            version=one.version,
            size_bytes=one.size_bytes,
            sha256=one.sha256,
            present=one.sha256 not in missing,
            change=_change(one.package_id in old_ids, one.sha256 in old_digests),
        )
        for one in release.step_packages
    )


def action_lines(work: Work, verified: VerifiedBundle, before: ReleaseDoc | None) -> tuple[ActionLine, ...]:
    """Every action, where it would run here, and what of it changed."""
    ids = EnvironmentIds(mapped=dict(match_environments(work, verified.delivery)))
    here = own_environments(work)
    old = {one.id: one for one in before.actions} if before else {}
    lines = []
    for position, action in enumerate(verified.release.actions):
        skipped = [row.name for row in here if skip_reason(action, ids, row, None, verified.release.channel_name) is not None]
        changed = _changed_fields(old[action.id], action) if action.id in old else ()
        lines.append(
            ActionLine(
                action_id=action.id,
                name=action.name,
                position=position,
                step_package_id=action.step.package_id,
                step_version=action.step.version,
                change=_change(action.id in old, not changed),
                changed_fields=changed,
                runs_in=tuple(row.name for row in here if row.name not in skipped),
                skipped_in=tuple(skipped),
            )
        )
    return tuple(lines)


def variable_lines(verified: VerifiedBundle, before: ReleaseDoc | None, values_before: Sequence[SnapshotValue]) -> tuple[VariableLine, ...]:
    """Every value that travels, in the release and in the delivery; templates are listed apart."""
    names = {one.id: one.name for one in verified.delivery.environments}
    old = {**_of_release(before), **_of_snapshot(values_before)}
    lines = []
    for variable_id, facts in _travelling(verified).items():
        name, kind, scope, origin, value = facts
        known = old.get(variable_id)
        is_secret = value is None
        same = known is not None and known[:3] == (name, kind, scope) and known[3] == value
        change = UNKNOWN if is_secret and known is not None and same else _change(known is not None, same)
        lines.append(
            VariableLine(
                variable_id=variable_id,
                name=name,
                type=kind.value,
                scope=_shown(scope, names),
                origin=origin,
                is_secret=is_secret,
                value=value,
                change=change,
            )
        )
    return tuple(lines)


def removed(
    verified: VerifiedBundle, before: ReleaseDoc | None, values_before: Sequence[SnapshotValue]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the actions and of the values that the release before had in addition."""
    actions = {one.id for one in verified.release.actions}
    values = _travelling(verified)
    old = {**_of_release(before), **_of_snapshot(values_before)}
    gone_actions = tuple(one.name for one in before.actions if one.id not in actions) if before else ()
    return gone_actions, tuple(facts[0] for variable_id, facts in old.items() if variable_id not in values)


_Facts = tuple[str, ValueType, Scope, str | None]


def _travelling(verified: VerifiedBundle) -> dict[str, tuple[str, ValueType, Scope, str, str | None]]:
    """Name, type, scope, origin and value (None: a secret) by variable id. A secret that the release only marks comes with the delivery."""
    found: dict[str, tuple[str, ValueType, Scope, str, str | None]] = {
        one.id: (one.name, one.type, one.scope, "release", one.value) for one in verified.release.variables if one.template is None
    }
    for value in verified.delivery.values:
        if value.template is None:
            found[value.variable_id] = (value.name, value.type, value.scope, "delivery", value.value)
    return found


def _of_release(before: ReleaseDoc | None) -> dict[str, _Facts]:
    if before is None:
        return {}
    return {one.id: (one.name, one.type, one.scope, one.value) for one in before.variables if one.template is None}


def _of_snapshot(rows: Iterable[SnapshotValue]) -> dict[str, _Facts]:
    return {row.variable_id: (row.name, row.type, row.scope, row.value) for row in rows if row.template is None}


def _change(was_there: bool, same: bool) -> str:
    if not was_there:
        return ADDED
    return UNCHANGED if same else CHANGED


def _changed_fields(old: Action, new: Action) -> tuple[str, ...]:
    return tuple(one.name for one in fields(Action) if getattr(old, one.name) != getattr(new, one.name))


def _shown(scope: Scope, names: dict[str, str]) -> tuple[str, ...]:
    """The scope in words; environments that belong to others stay random ids and are only counted."""
    known = tuple(names[one] for one in scope.environments if one in names)
    others = len(scope.environments) - len(known)
    words = (*known, *scope.tenant_tags, *scope.channels, *scope.actions)
    return (*words, f"{others} environments elsewhere") if others else words
