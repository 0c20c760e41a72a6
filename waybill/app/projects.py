# SPDX-License-Identifier: Apache-2.0
"""Projects and their processes. Remote projects are read-only here but for their lifecycle (A68, A72).

Refused: names too alike, another Space's lifecycle, any change of what a remote project's owner decides.
"""

from collections.abc import Sequence
from dataclasses import replace

from waybill.app import access, ids, lookup, process_rules
from waybill.app.revisions import check_revision
from waybill.domain.access import Caller, Permission
from waybill.domain.names import check_name, free_slug
from waybill.domain.packages import StepPackage
from waybill.domain.projects import Action, Process, Project
from waybill.errors import ConflictError
from waybill.ports import Ports, Work


def create_project(ports: Ports, caller: Caller, *, space_id: str, name: str, lifecycle: str | None = None, group: str = "") -> Project:
    """An own project with an empty process.

    Raises:
        ConflictError: record.conflict, when an own project has that name.
        FormatError: request.invalid. NotFoundError: record.absent, for an unknown lifecycle.
    """
    access.require(caller, space_id, Permission.PROJECT_EDIT)
    checked = check_name(name, field="name")
    checked_group = check_name(group, field="group") if group else ""
    with ports.ledger.write(space_id) as work:
        _free_name(work, checked, except_id=None)
        project = Project(
            id=ids.fresh(ports, "prj"),
            space_id=space_id,
            slug=free_slug(checked, {row.slug for row in work.of(Project).where()}),
            name=checked,
            group=checked_group,
            lifecycle_id=lookup.find_lifecycle(work, lifecycle).id if lifecycle else None,
            created_at=ports.clock.now(),
        )
        work.of(Project).add(project)
        work.of(Process).add(Process(id=project.id, space_id=space_id, actions=()))
        _audit(ports, work, caller, "project.created", project)
        return project


def get_project(ports: Ports, caller: Caller, *, space_id: str, project: str) -> Project:
    """One project by id, slug or name (a remote one as ``Space: Project`` too). Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return lookup.find_project(work, project)


def list_projects(ports: Ports, caller: Caller, *, space_id: str) -> list[Project]:
    """All projects by the name under which they are shown, remote ones too."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return sorted(work.of(Project).where(), key=lambda row: lookup.shown_project(row).casefold())


def change_project(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    project: str,
    if_revision: int,
    name: str | None = None,
    group: str | None = None,
    lifecycle: str | None = None,
) -> Project:
    """The project with what is given changed; its id and slug stay.

    Raises:
        ConflictError: record.read_only, for anything but the lifecycle of a remote project; record.stale; record.conflict.
        NotFoundError: record.absent, for a lifecycle that this Space does not have (A70).
    """
    access.require(caller, space_id, Permission.PROJECT_EDIT)
    with ports.ledger.write(space_id) as work:
        row = lookup.find_project(work, project)
        check_revision(row, if_revision)
        if row.is_remote and (name is not None or group is not None):
            raise _read_only(row, "name" if name is not None else "group")
        changed = row
        if name is not None:
            changed = replace(changed, name=check_name(name, field="name"))
            _free_name(work, changed.name, except_id=row.id)
        if group is not None:
            changed = replace(changed, group=check_name(group, field="group") if group else "")
        if lifecycle is not None:
            changed = replace(changed, lifecycle_id=lookup.find_lifecycle(work, lifecycle).id)
        _audit(ports, work, caller, "project.changed", changed)
        return work.of(Project).replace(changed)


def save_process(ports: Ports, caller: Caller, *, space_id: str, project: str, actions: Sequence[Action], if_revision: int) -> Process:
    """The process as given; an action with an empty ``id`` gets a new one; environments in scopes may be slugs or names.

    Raises:
        FormatError: process.invalid, process.unsupported, bundle.secret_in_clear, each with the field named.
        ConflictError: record.read_only, for a remote project; record.stale.
    """
    access.require(caller, space_id, Permission.PROJECT_EDIT)
    with ports.ledger.write(space_id) as work:
        row = lookup.find_project(work, project)
        if row.is_remote:
            raise _read_only(row, "process")
        process = work.of(Process).get(row.id)
        check_revision(process, if_revision)
        resolved = tuple(_resolved(ports, work, action) for action in actions)
        process_rules.check_process(resolved, step_packages=work.of(StepPackage).where())
        work.audit(at=ports.clock.now(), actor=caller.name, action="process.changed", subject=row.id, detail=row.name)
        return work.of(Process).replace(replace(process, actions=resolved))


def get_process(ports: Ports, caller: Caller, *, space_id: str, project: str) -> Process:
    """The process as it is edited now; empty for a remote project, whose process stands in its releases."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        row = lookup.find_project(work, project)
        return work.of(Process).find(row.id) or Process(id=row.id, space_id=space_id, actions=())


def _resolved(ports: Ports, work: Work, action: Action) -> Action:
    environments = tuple(dict.fromkeys(lookup.find_environment(work, one).id for one in action.scopes.environments))
    return replace(action, id=action.id or ids.fresh(ports, "act"), scopes=replace(action.scopes, environments=environments))


def _free_name(work: Work, name: str, *, except_id: str | None) -> None:
    for row in work.of(Project).where(owner_space_id=None):
        if row.id != except_id and row.name.casefold() == name.casefold():
            raise ConflictError("record.conflict", "a project of that name exists", field="name", found=row.name)


def _read_only(project: Project, field: str) -> ConflictError:
    return ConflictError("record.read_only", f"{project.owner_name} owns this project", field=field, found=lookup.shown_project(project))


def _audit(ports: Ports, work: Work, caller: Caller, action: str, project: Project) -> None:
    work.audit(at=ports.clock.now(), actor=caller.name, action=action, subject=project.id, detail=project.name)
