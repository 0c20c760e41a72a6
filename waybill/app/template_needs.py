# SPDX-License-Identifier: Apache-2.0
"""What a received bundle asks this Space for, before it is imported: every template in every place where it would be needed.

Only names and whether there is a value; a value itself never leaves this module.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from waybill.app import held_values, secrets
from waybill.domain.bundles import Answer, InboxBundle
from waybill.domain.deploying import EnvironmentIds
from waybill.domain.lifecycles import Lifecycle
from waybill.domain.projects import Project
from waybill.domain.readiness import HeldValue, Place, answer_state, templates_at
from waybill.domain.spaces import Environment, Tenant
from waybill.domain.variables import Scope
from waybill.formats.delivery import DeliveryDoc, DeliveryValue
from waybill.formats.release import ReleaseDoc
from waybill.ports import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One template in one place. ``state``: ``missing | answered | default | optional``."""

    template: HeldValue
    environment: Environment
    tenant: Tenant | None
    state: str


def match_environments(work: Work, delivery: DeliveryDoc) -> tuple[tuple[str, str], ...]:
    """The sender's environment ids with ours of equal name (case ignored); what nothing here matches is left out (A42)."""
    own = {row.name.casefold(): row.id for row in own_environments(work)}
    return tuple((one.id, own[one.name.casefold()]) for one in delivery.environments if one.name.casefold() in own)


def own_environments(work: Work, lifecycle: Lifecycle | None = None) -> list[Environment]:
    """Environments of this Space, those of ``lifecycle`` only when given, in their sort order."""
    rows = sorted((row for row in work.of(Environment).where() if not row.is_remote), key=lambda row: (row.sort_order, row.name))
    if lifecycle is None:
        return rows
    members = {member for phase in lifecycle.phases for member in phase.members}
    return [row for row in rows if row.id in members]


def bundle_values(
    work: Work, *, project: Project | None, inbox: InboxBundle, delivery: DeliveryDoc, release: ReleaseDoc
) -> tuple[HeldValue, ...]:
    """What a deployment would have to choose from if the bundle were imported now, with the answers given so far."""
    ids = EnvironmentIds(mapped=dict(match_environments(work, delivery)))
    scoped = ((one, held_values.translate(one.scope, ids)) for one in delivery.values)
    travelling = (
        *(_of_delivery(one, scope) for one, scope in scoped if scope is not None),
        *held_values.of_document(release, ids),
    )
    answers = list(_answers(work, inbox, travelling))
    here = held_values.set_here(work, project=project, asked=())
    return (*answers, *(one for one in here if not _is_answered(one, answers)), *travelling)


def list_asks(work: Work, values: Sequence[HeldValue], *, channel: str, lifecycle: Lifecycle | None) -> Iterator[Ask]:
    """Every template in every environment (of the lifecycle), per tenant where it says so."""
    tenants = sorted(work.of(Tenant).where(), key=lambda row: row.name)
    for environment in own_environments(work, lifecycle):
        for template in (one for one in values if one.template is not None):
            per_tenant = template.template is not None and template.template.per == "tenant_environment"
            whom: Sequence[Tenant | None] = tenants if per_tenant and tenants else (None,)
            for tenant in whom:
                place = Place(environment=environment, tenant=tenant, channel=channel)
                if template in templates_at([template], place):
                    state = answer_state(values, template, place)
                    yield Ask(template=template, environment=environment, tenant=tenant, state=state)


def find_project(work: Work, release: ReleaseDoc) -> Project | None:
    """The remote project that earlier imports of this owner's project made, or None."""
    return work.of(Project).first(owner_space_id=release.owner.space_id, remote_project_id=release.project.id)


def lifecycle_of(work: Work, project: Project | None) -> Lifecycle | None:
    """The lifecycle that needs no asking: the one that the project uses, or the only one of the Space (A71)."""
    if project is not None and project.lifecycle_id is not None:
        return work.of(Lifecycle).find(project.lifecycle_id)
    every = work.of(Lifecycle).where(limit=2)
    return every[0] if len(every) == 1 else None


def missing_names(work: Work, *, inbox: InboxBundle, delivery: DeliveryDoc, release: ReleaseDoc) -> tuple[str, ...]:
    """Names of mandatory templates that lack a value somewhere, as the source defined them, each once, sorted."""
    project = find_project(work, release)
    values = bundle_values(work, project=project, inbox=inbox, delivery=delivery, release=release)
    asks = list_asks(work, values, channel=release.channel_name, lifecycle=lifecycle_of(work, project))
    return tuple(sorted({ask.template.name for ask in asks if ask.state == "missing"}))


def _answers(work: Work, inbox: InboxBundle, templates: Sequence[HeldValue]) -> Iterator[HeldValue]:
    """The answers given so far, under the names of their templates; one whose template is gone counts for nothing."""
    asked = {one.variable_id: one for one in templates if one.template is not None}
    for row in work.of(Answer).where(inbox_id=inbox.id):
        template = asked.get(row.variable_id)
        if template is not None:
            scope = Scope(environments=(row.environment_id,), tenants=(row.tenant_id,) if row.tenant_id else ())
            yield HeldValue(
                layer="here",
                variable_id=row.variable_id,
                name=template.name,
                type=template.type,
                scope=scope,
                value=row.value,
                sealed=row.sealed,
                table=secrets.ANSWERS,
                row_id=row.id,
            )


def _is_answered(one: HeldValue, answers: Sequence[HeldValue]) -> bool:
    """True when an answer will replace this value at the import: same name, same scope."""
    return any(one.name == answer.name and one.scope == answer.scope for answer in answers)


def _of_delivery(one: DeliveryValue, scope: Scope) -> HeldValue:
    return HeldValue(
        layer="release",
        variable_id=one.variable_id,
        name=one.name,
        type=one.type,
        scope=scope,
        value=one.value,
        # Still sealed to our encryption key, not by the key store: it counts as a value and is never opened from here.
        sealed=one.sealed,
        template=one.template,
        table=secrets.SNAPSHOTS,
    )
