# SPDX-License-Identifier: Apache-2.0
"""Every value that a deployment of a release could get, gathered from its document, its snapshot and what was set here.

Own and imported releases differ in one thing only: the environment ids of an imported one are translated, and its project may be
customised here. A value for another Space is never among them.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from waybill.app import secrets
from waybill.domain.deploying import EnvironmentIds, environment_ids
from waybill.domain.projects import Project
from waybill.domain.readiness import HeldValue, text_of
from waybill.domain.releases import Release, SnapshotValue
from waybill.domain.variables import Scope, Variable
from waybill.formats.release import PromptedVariable, ReleaseDoc, ReleaseVariable
from waybill.ports import Ports, Work


def held_values(work: Work, *, project: Project, release: Release, doc: ReleaseDoc) -> tuple[HeldValue, ...]:
    """The values and templates of ``release`` with what this Space adds, all scopes in our own ids."""
    ids = environment_ids(release.environment_map, is_imported=release.trust_id is not None)
    rows = work.of(SnapshotValue).where(release_row_id=release.id)
    known = {row.variable_id for row in rows}  # what has a row is not taken from the document a second time
    frozen = (
        *_translated((_of_snapshot(row) for row in rows if row.trust_id is None), ids),
        *(one for one in of_document(doc, ids) if one.variable_id not in known),
    )
    asked = {one.name for one in frozen if one.template is not None}
    return (*set_here(work, project=project, asked=asked), *frozen)


def set_here(work: Work, *, project: Project | None, asked: Collection[str]) -> tuple[HeldValue, ...]:
    """What counts beside the frozen values: the values of templates, and for a remote project whatever was set over its values.

    Args:
        project: None when nothing was imported yet.
        asked: names of the templates; their values are given late by their nature, so they are not frozen with the release (A37).
    """
    if project is None:
        return ()
    rows = [row for row in work.of(Variable).where(project_id=project.id) if row.template is None]
    return tuple(_of_variable(row) for row in rows if project.is_remote or row.name in asked)


def of_document(doc: ReleaseDoc, ids: EnvironmentIds) -> tuple[HeldValue, ...]:
    """The clear values and the templates that the signed Release itself holds."""
    variables = _translated((_of_document(one) for one in doc.variables if not one.sensitive), ids)
    return (*variables, *(_of_prompted(one) for one in doc.prompted))


def open_value(ports: Ports, found: HeldValue, *, space_id: str) -> str | None:
    """The value in clear, a secret opened for exactly the use at hand; None for a template without a default."""
    if found.sealed is None:
        return text_of(found)
    return secrets.open_local(ports, found.sealed, table=found.table, column="sealed", row_id=found.row_id, space_id=space_id)


def translate(scope: Scope, ids: EnvironmentIds) -> Scope | None:
    """``scope`` in our ids; None when it names environments and none of them is here: then it holds nowhere."""
    local = ids.local(scope.environments)
    if scope.environments and not local:
        return None
    return replace(scope, environments=local)


def _translated(values: Iterable[HeldValue], ids: EnvironmentIds) -> tuple[HeldValue, ...]:
    found = ((one, translate(one.scope, ids)) for one in values)
    return tuple(replace(one, scope=scope) for one, scope in found if scope is not None)


def _of_variable(row: Variable) -> HeldValue:
    return HeldValue(
        layer="here",
        variable_id=row.id,
        name=row.name,
        type=row.type,
        scope=row.scope,
        value=row.value,
        sealed=row.sealed,
        table=secrets.VARIABLES,
        row_id=row.id,
    )


def _of_snapshot(row: SnapshotValue) -> HeldValue:
    return HeldValue(
        layer="release",
        variable_id=row.variable_id,
        name=row.name,
        type=row.type,
        scope=row.scope,
        value=row.value,
        sealed=row.sealed,
        template=row.template,
        table=secrets.SNAPSHOTS,
        row_id=row.id,
    )


def _of_document(one: ReleaseVariable) -> HeldValue:
    return HeldValue(
        layer="release", variable_id=one.id, name=one.name, type=one.type, scope=one.scope, value=one.value, template=one.template
    )


def _of_prompted(one: PromptedVariable) -> HeldValue:
    return HeldValue(layer="release", variable_id=one.id, name=one.name, type=one.type, scope=Scope(), template=one.template)
