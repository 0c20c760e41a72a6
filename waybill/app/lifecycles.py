# SPDX-License-Identifier: Apache-2.0
"""Lifecycles: ordered phases of environments and Remote Spaces (A27, A32).

Refused: empty phases, a minimum above the member count, a member twice, a Remote Space without a trust.
"""

from collections.abc import Sequence
from dataclasses import replace

from waybill.app import access, ids, lookup
from waybill.app.revisions import check_revision
from waybill.domain.access import Caller, Permission
from waybill.domain.lifecycles import Lifecycle, Phase
from waybill.domain.names import check_name, free_slug
from waybill.domain.projects import Project
from waybill.domain.trusts import TrustState
from waybill.errors import ConflictError, FormatError, NotFoundError
from waybill.ports import Ports, Work

MAX_PHASES = 50
MAX_MEMBERS = 1000


def save_lifecycle(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    name: str,
    phases: Sequence[Phase],
    lifecycle: str | None = None,
    if_revision: int | None = None,
) -> Lifecycle:
    """A new lifecycle, or ``lifecycle`` replaced at ``if_revision``.

    Args:
        phases: members are ids, slugs or names of environments (``Space: Environment`` for remote ones) and of trusts.
    Raises:
        FormatError: lifecycle.invalid, with the phase and member named.
        ConflictError: record.conflict, record.stale.
    """
    access.require(caller, space_id, Permission.SPACE_EDIT)
    checked = check_name(name, field="name")
    with ports.ledger.write(space_id) as work:
        resolved = _resolve(work, phases)
        rows = work.of(Lifecycle).where()
        current = lookup.find_lifecycle(work, lifecycle) if lifecycle is not None else None
        if any(row.name.casefold() == checked.casefold() and (current is None or row.id != current.id) for row in rows):
            raise ConflictError("record.conflict", "a lifecycle of that name exists", field="name", found=checked)
        action = "lifecycle.created" if current is None else "lifecycle.changed"
        if current is None:
            slug = free_slug(checked, {row.slug for row in rows})
            row = Lifecycle(id=ids.fresh(ports, "lfc"), space_id=space_id, slug=slug, name=checked, phases=resolved)
            saved = work.of(Lifecycle).add(row)
        else:
            check_revision(current, if_revision or 0)
            saved = work.of(Lifecycle).replace(replace(current, name=checked, phases=resolved))
        work.audit(at=ports.clock.now(), actor=caller.name, action=action, subject=saved.id, detail=checked)
        return saved


def list_lifecycles(ports: Ports, caller: Caller, *, space_id: str) -> list[Lifecycle]:
    """All lifecycles by name."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return sorted(work.of(Lifecycle).where(), key=lambda row: row.name.casefold())


def get_lifecycle(ports: Ports, caller: Caller, *, space_id: str, lifecycle: str) -> Lifecycle:
    """One lifecycle by id, slug or name. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return lookup.find_lifecycle(work, lifecycle)


def delete_lifecycle(ports: Ports, caller: Caller, *, space_id: str, lifecycle: str, if_revision: int) -> None:
    """The lifecycle is gone. Raises ConflictError record.in_use while a project uses it, record.stale."""
    access.require(caller, space_id, Permission.SPACE_EDIT)
    with ports.ledger.write(space_id) as work:
        row = lookup.find_lifecycle(work, lifecycle)
        check_revision(row, if_revision)
        users = work.of(Project).where(lifecycle_id=row.id)
        if users:
            names = ", ".join(project.name for project in users[:10])
            raise ConflictError("record.in_use", "projects use this lifecycle", field="lifecycle", found=names)
        work.of(Lifecycle).remove(row)
        work.audit(at=ports.clock.now(), actor=caller.name, action="lifecycle.deleted", subject=row.id, detail=row.name)


def _resolve(work: Work, phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """The phases with ids for members. Raises FormatError lifecycle.invalid."""
    if not 1 <= len(phases) <= MAX_PHASES:
        raise _invalid("phases", f"1 to {MAX_PHASES} phases", len(phases))
    seen: set[str] = set()
    names: set[str] = set()
    resolved = []
    for number, phase in enumerate(phases):
        field = f"phases/{number}"
        name = check_name(phase.name, field=f"{field}/name")
        if name.casefold() in names:
            raise _invalid(f"{field}/name", "a name that no other phase has", name)
        names.add(name.casefold())
        if not 1 <= len(phase.members) <= MAX_MEMBERS:
            raise _invalid(f"{field}/members", f"1 to {MAX_MEMBERS} members", len(phase.members))
        if not 0 <= phase.minimum <= len(phase.members):
            raise _invalid(f"{field}/minimum", f"0 to {len(phase.members)}", phase.minimum)
        members = tuple(_member(work, member, field=f"{field}/members/{place}") for place, member in enumerate(phase.members))
        for place, member in enumerate(members):
            if member in seen:
                raise _invalid(f"{field}/members/{place}", "each member in one phase only", phase.members[place])
            seen.add(member)
        resolved.append(replace(phase, name=name, members=members))
    return tuple(resolved)


def _member(work: Work, text: str, *, field: str) -> str:
    """The id of an environment or a trust. An environment wins over a trust of the same name."""
    try:
        return lookup.find_environment(work, text).id
    except NotFoundError:
        pass
    try:
        trust = lookup.find_trust(work, text)
    except NotFoundError:
        raise _invalid(field, "an environment, or a Remote Space with which there is a trust", text) from None
    if trust.state is TrustState.RETIRED:
        raise _invalid(field, "a Remote Space whose trust has not been ended", trust.name)
    return trust.id


def _invalid(field: str, expected: str, found: object) -> FormatError:
    return FormatError("lifecycle.invalid", "the lifecycle cannot be saved", field=field, expected=expected, found=found)
