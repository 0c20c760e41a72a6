# SPDX-License-Identifier: Apache-2.0
"""Variables and templates of a project. Secrets go in and never come out.

Refused: two values that could apply equally well (A38), a template under a name in use (A34), a value of the wrong type,
and a template in a remote project, whose templates are its owner's.
"""

from collections.abc import Sequence
from dataclasses import replace

from waybill.app import access, ids, lookup, secrets
from waybill.app.revisions import check_revision
from waybill.domain.access import Caller, Permission
from waybill.domain.projects import Project
from waybill.domain.releases import Release, SnapshotValue
from waybill.domain.resolution import check_variable_name, find_tie
from waybill.domain.spaces import Tenant
from waybill.domain.values import check_template, check_value, is_sealed
from waybill.domain.variables import Scope, Template, ValueType, Variable
from waybill.errors import ConflictError, FormatError, NotFoundError
from waybill.ports import Ports, Work

MAX_VARIABLES = 10_000


def set_variable(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    project: str,
    name: str,
    type: ValueType,  # noqa: A002 - the word of the format
    scope: Scope = Scope(),
    value: str | None = None,
    template: Template | None = None,
    if_revision: int | None = None,
) -> Variable:
    """The variable of this name and scope, created, or replaced at ``if_revision``.

    Args:
        scope: environments and tenants are ids, slugs or names; a remote environment also as ``Space: Environment``.
        value: at most 64 KiB; exactly one of ``value`` and ``template`` is given.
    Returns:
        The row, with ``sealed`` emptied: not even the wrapped secret leaves.
    Raises:
        FormatError: variable.invalid; template.value_invalid; limit.exceeded.
        ConflictError: record.conflict, when it exists and ``if_revision`` is not given; record.stale; record.read_only; variable.tie.
    """
    access.require(caller, space_id, Permission.VARIABLE_EDIT)
    check_variable_name(name)
    if (value is None) == (template is None):
        raise FormatError(
            "variable.invalid", "a variable has a value or is a template", field="value", expected="one of value and template"
        )
    with ports.ledger.write(space_id) as work:
        owner = lookup.find_project(work, project)
        own_scope = _resolve_scope(work, scope)
        rows = work.of(Variable).where(project_id=owner.id)
        if template is not None:
            _check_new_template(owner, rows, name, type, own_scope, template)
        else:
            asked = _template_for(work, owner, rows, name)
            _check_typed(type, value or "", asked)
        current = next((row for row in rows if (row.name, row.scope, row.template is None) == (name, own_scope, template is None)), None)
        row = _row(ports, current, owner, name, type, own_scope, value, template)
        if template is None:
            others = [one for one in rows if one.template is None and one.id != row.id]
            _refuse_tie([*others, row], work.of(Tenant).where())
        saved = _save(work, current, row, if_revision, count=len(rows))
        action = "variable.changed" if current else "variable.created"
        work.audit(at=ports.clock.now(), actor=caller.name, action=action, subject=saved.id, detail=f"{owner.name}/{name}")
        return shown(saved)


def delete_variable(ports: Ports, caller: Caller, *, space_id: str, project: str, variable_id: str, if_revision: int) -> None:
    """The variable is gone; releases that were frozen with it keep what they have. Raises ConflictError record.stale."""
    access.require(caller, space_id, Permission.VARIABLE_EDIT)
    with ports.ledger.write(space_id) as work:
        owner = lookup.find_project(work, project)
        row = work.of(Variable).get(variable_id)
        if row.project_id != owner.id:
            raise NotFoundError("record.absent", "there is no such variable here", field="variable", found=variable_id[:60])
        check_revision(row, if_revision)
        work.of(Variable).remove(row)
        work.audit(at=ports.clock.now(), actor=caller.name, action="variable.deleted", subject=row.id, detail=f"{owner.name}/{row.name}")


def list_variables(ports: Ports, caller: Caller, *, space_id: str, project: str) -> list[Variable]:
    """Variables by name, templates first; ``sealed`` is emptied, so that not even the wrapped secret leaves."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        rows = work.of(Variable).where(project_id=lookup.find_project(work, project).id)
    return sorted((shown(row) for row in rows), key=lambda row: (row.name.casefold(), row.template is None, row.id))


def shown(variable: Variable) -> Variable:
    """The variable as it may be shown: a set secret is ``sealed == b""``."""
    return variable if variable.sealed is None else replace(variable, sealed=b"")


def _resolve_scope(work: Work, scope: Scope) -> Scope:
    def distinct(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(set(values)))

    return Scope(
        environments=distinct([lookup.find_environment(work, one).id for one in scope.environments]),
        tenants=distinct([lookup.find_tenant(work, one).id for one in scope.tenants]),
        tenant_tags=distinct(scope.tenant_tags),
        channels=distinct(scope.channels),
        actions=distinct(scope.actions),
    )


def _check_new_template(owner: Project, rows: Sequence[Variable], name: str, kind: ValueType, scope: Scope, template: Template) -> None:
    if owner.is_remote:
        raise ConflictError("record.read_only", "the templates of a remote project are its owner's", field="template", found=owner.name)
    check_template(kind, template, field="template")
    if scope.environments or scope.tenants or scope.tenant_tags:
        # A template asks for a value in every environment; naming some would carry names across, or ask nobody.
        raise FormatError("variable.invalid", "a template asks everywhere", field="scope", expected="channels and actions only")
    if any(row.name.casefold() == name.casefold() and row.template is None for row in rows):
        raise ConflictError("record.conflict", "a variable of that name exists", field="name", found=name)


def _template_for(work: Work, owner: Project, rows: Sequence[Variable], name: str) -> tuple[ValueType, Template] | None:
    """Type and template that ask for ``name``: here, or in the newest release of a remote project."""
    for row in rows:
        if row.name == name and row.template is not None:
            return row.type, row.template
    if not owner.is_remote:
        return None
    newest = work.of(Release).where(project_id=owner.id, newest_first=True, limit=1)
    asked = [one for release in newest for one in work.of(SnapshotValue).where(release_row_id=release.id, name=name)]
    return next(((one.type, one.template) for one in asked if one.template is not None), None)


def _check_typed(kind: ValueType, value: str, asked: tuple[ValueType, Template] | None) -> None:
    if asked is not None and asked[0] is not kind:
        raise FormatError(
            "template.value_invalid", "the template asks for another type", field="type", expected=asked[0].value, found=kind.value
        )
    check_value(kind, value, field="value", choices=asked[1].choices if asked else ())


def _row(
    ports: Ports,
    current: Variable | None,
    owner: Project,
    name: str,
    kind: ValueType,
    scope: Scope,
    value: str | None,
    template: Template | None,
) -> Variable:
    row_id = current.id if current else ids.fresh(ports, "var")
    sealed = None
    if value is not None and is_sealed(kind):
        sealed = secrets.seal_variable(ports, value, row_id=row_id, space_id=owner.space_id)
        value = None
    return Variable(
        id=row_id,
        space_id=owner.space_id,
        project_id=owner.id,
        name=name,
        type=kind,
        scope=scope,
        value=value,
        sealed=sealed,
        template=template,
        revision=current.revision if current else 1,
    )


def _save(work: Work, current: Variable | None, row: Variable, if_revision: int | None, *, count: int) -> Variable:
    if current is None:
        if count >= MAX_VARIABLES:
            raise FormatError("limit.exceeded", "the project has too many variables", field="project", expected=f"at most {MAX_VARIABLES}")
        return work.of(Variable).add(row)
    if if_revision is None:
        raise ConflictError("record.conflict", "the variable exists with this scope", field="if_revision", expected=current.revision)
    check_revision(current, if_revision)
    return work.of(Variable).replace(row)


def _refuse_tie(values: Sequence[Variable], tenants: Sequence[Tenant]) -> None:
    name = values[-1].name
    tie = find_tie([one for one in values if one.name == name], tenants)
    if tie is not None:
        raise ConflictError(
            "variable.tie",
            f"two values of {name} would apply equally well",
            field="scope",
            expected="scopes that cannot meet",
            found=tie[0].id,
        )
