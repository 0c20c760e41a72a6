# SPDX-License-Identifier: Apache-2.0
"""Everything that a deployment of one release to one environment depends on, read once, and what of it is missing.

Reads only. Whether a caller may deploy is ``waybill.app.deploy``'s to check.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from waybill.app import releases
from waybill.app.held_values import held_values
from waybill.app.progress import completed_members
from waybill.domain import progression
from waybill.domain.bundles import Need
from waybill.domain.deploying import EnvironmentIds, choose_machines, environment_ids, skip_reason
from waybill.domain.deployments import Deployment, DeploymentState
from waybill.domain.lifecycles import Lifecycle
from waybill.domain.packages import Blob
from waybill.domain.projects import Action, Project
from waybill.domain.readiness import HeldValue, Place, missing_at
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment, Machine, Tenant
from waybill.formats.release import ReleaseDoc
from waybill.ports import Ports, Work

OPEN_STATES = (DeploymentState.QUEUED, DeploymentState.RUNNING, DeploymentState.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """One thing that keeps a deployment from starting. ``code`` as in ``waybill.errors``; names only, never a value."""

    code: str
    subject: str
    message: str
    environment: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One release, one environment, perhaps one tenant, and what stands around them."""

    release: Release
    project: Project
    environment: Environment
    tenant: Tenant | None
    doc: ReleaseDoc
    values: tuple[HeldValue, ...]
    machines: tuple[Machine, ...]
    lifecycle: Lifecycle | None
    completed: frozenset[str]

    @property
    def ids(self) -> EnvironmentIds:
        """The translation of the release's environment ids into ours."""
        return environment_ids(self.release.environment_map, is_imported=self.release.trust_id is not None)

    @property
    def place(self) -> Place:
        """Where values are looked for, before any one action is meant."""
        return Place(environment=self.environment, tenant=self.tenant, channel=self.release.channel)

    def skip_reason(self, action: Action) -> str | None:
        """Why ``action`` does not run here, or None."""
        return skip_reason(action, self.ids, self.environment, self.tenant, self.release.channel)

    def machines_for(self, action: Action) -> tuple[Machine, ...]:
        """The machines on which ``action`` runs here."""
        return choose_machines(action, self.machines, self.environment.id)


def read_situation(ports: Ports, work: Work, *, release: Release, environment: Environment, tenant: Tenant | None) -> Situation:
    """What the ledger says now. Raises what ``releases.read_doc`` raises."""
    project = work.of(Project).get(release.project_id)
    doc = releases.read_doc(ports, work, release)
    lifecycle = None if project.lifecycle_id is None else work.of(Lifecycle).find(project.lifecycle_id)
    return Situation(
        release=release,
        project=project,
        environment=environment,
        tenant=tenant,
        doc=doc,
        values=held_values(work, project=project, release=release, doc=doc),
        machines=tuple(work.of(Machine).where()),
        lifecycle=lifecycle,
        completed=frozenset() if lifecycle is None else completed_members(work, release, lifecycle),
    )


def needs_of(doc: ReleaseDoc) -> tuple[Need, ...]:
    """Every blob that a release needs, each digest once, in the order of the manifest."""
    needs = [
        Need(sha256=one.sha256, size_bytes=one.size_bytes, role="package", name=f"{one.package_id} {one.version}") for one in doc.packages
    ]
    needs += [
        Need(sha256=one.sha256, size_bytes=one.size_bytes, role="step_package", name=f"{one.package_id} {one.version}")
        for one in doc.step_packages
    ]
    needs += [Need(sha256=one.sha256, size_bytes=one.size_bytes, role="attachment", name=one.name) for one in doc.attachments]
    return tuple({need.sha256: need for need in reversed(needs)}[sha256] for sha256 in dict.fromkeys(need.sha256 for need in needs))


def lacking(work: Work, needs: Collection[Need]) -> tuple[Need, ...]:
    """Those of ``needs`` whose bytes this site has not re-read and hashed, in order."""
    held = {blob.id for blob in work.of(Blob).among("id", [need.sha256 for need in needs])}
    return tuple(need for need in needs if need.sha256 not in held)


def find_blockers(work: Work, situation: Situation) -> tuple[Blocker, ...]:
    """Everything that keeps the deployment from starting, most fundamental first."""
    return (
        *_blocked(situation),
        *_held_back(situation),
        *_unvalued(situation),
        *_without_bytes(work, situation),
        *_without_machine(situation),
        *_busy(work, situation),
    )


def _blocked(situation: Situation) -> Iterator[Blocker]:
    release, environment = situation.release, situation.environment
    if release.blocked_reason is not None:
        yield Blocker(
            code="deployment.blocked", subject=release.release_version, message=f"the release is blocked: {release.blocked_reason}"
        )
    if environment.is_remote:
        yield Blocker(code="deployment.blocked", subject=environment.name, message="the environment belongs to a Remote Space")


def _held_back(situation: Situation) -> Iterator[Blocker]:
    lifecycle, environment = situation.lifecycle, situation.environment
    if lifecycle is None:
        yield Blocker(code="lifecycle.needed", subject=situation.project.name, message="the project has no lifecycle yet")
        return
    if progression.first_phase_of(lifecycle, environment.id) is None:
        message = f"{environment.name} is in no phase of the lifecycle {lifecycle.name}"
        yield Blocker(code="lifecycle.forbidden", subject=lifecycle.name, message=message, environment=environment.name)
        return
    phase = progression.unmet_phase(lifecycle, situation.completed, environment.id)
    if phase is not None:
        message = f"phase {phase.name} is not complete"
        yield Blocker(code="lifecycle.forbidden", subject=phase.name, message=message, environment=environment.name)


def _unvalued(situation: Situation) -> Iterator[Blocker]:
    tenant = situation.tenant.name if situation.tenant else None
    for one in missing_at(situation.values, situation.place):
        where = f"environment {situation.environment.name}" + (f", tenant {tenant}" if tenant else "")
        yield Blocker(
            code="variable.missing",
            subject=one.name,
            message=f"{one.name} has no value for {where}",
            environment=situation.environment.name,
            tenant=tenant,
        )


def _without_bytes(work: Work, situation: Situation) -> Iterator[Blocker]:
    for need in lacking(work, needs_of(situation.doc)):
        yield Blocker(code="package.missing", subject=need.name, message=f"{need.name} is not in this site's store")


def _without_machine(situation: Situation) -> Iterator[Blocker]:
    for action in situation.doc.actions:
        if situation.skip_reason(action) is None and not situation.machines_for(action):
            roles = ", ".join(action.roles) or "any role"
            yield Blocker(
                code="machine.none",
                subject=action.name,
                message=f"no registered machine of {situation.environment.name} has {roles}",
                environment=situation.environment.name,
            )


def _busy(work: Work, situation: Situation) -> Iterator[Blocker]:
    """Two deployments of one project to one place at once would mix their files (A90)."""
    project_id, environment_id = situation.project.id, situation.environment.id
    tenant_id = situation.tenant.id if situation.tenant else None
    for state in OPEN_STATES:
        for row in work.of(Deployment).where(project_id=project_id, environment_id=environment_id, tenant_id=tenant_id, state=state):
            yield Blocker(
                code="deployment.blocked",
                subject=row.id,
                message=f"another deployment of this project to {situation.environment.name} has not ended",
                environment=situation.environment.name,
            )
