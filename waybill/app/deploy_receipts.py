# SPDX-License-Identifier: Apache-2.0
"""What the owner of an imported release is told about its deployments. An own release has nobody to tell.

Nothing of a value or a log leaves; a tenant is named by its random id only.
"""

from dataclasses import dataclass, replace

from waybill.app import receipts, releases
from waybill.app.progress import completed_members
from waybill.domain import progression
from waybill.domain.deployments import Deployment, DeploymentState, RunState, StepRun
from waybill.domain.lifecycles import Lifecycle
from waybill.domain.projects import Project
from waybill.domain.receipts import ReceiptRow
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment
from waybill.domain.trusts import Trust
from waybill.formats.receipt import ReceiptPackage
from waybill.ports import Ports, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The deployment with its next event number, and whose courier is to be woken after the commit."""

    deployment: Deployment
    trust_ids: tuple[str, ...]


def tell(ports: Ports, work: Work, *, deployment: Deployment, release: Release, event: str) -> Told:
    """A receipt about the deployment is on the outbox, in the caller's transaction, numbered one above the last of this deployment."""
    if release.trust_id is None or release.delivery_sha256 is None:
        return Told(deployment=deployment, trust_ids=())
    numbered = work.of(Deployment).replace(replace(deployment, event_no=deployment.event_no + 1))
    environment = work.of(Environment).get(numbered.environment_id)
    lifecycle, done, total = progress_of(work, release)
    facts = receipts.ReceiptFacts(
        event=event,
        release_sha256=release.release_sha256,
        bundle_sha256=release.delivery_sha256,
        event_no=numbered.event_no,
        deployment_id=numbered.id,
        environment_id=environment.id,
        environment_name=environment.name,
        tenant_ref=numbered.tenant_id,
        code=numbered.code,
        started_at=numbered.started_at,
        finished_at=numbered.finished_at,
        release_row_id=release.id,
        project_id=release.project_id,
        lifecycle_name=lifecycle.name if lifecycle else None,
        phases_done=done,
        phases_total=total,
        packages=_deployed(ports, work, numbered, release) if event == DeploymentState.SUCCEEDED.value else (),
    )
    receipt = receipts.emit(ports, work, trust=work.of(Trust).get(release.trust_id), facts=facts)
    return Told(deployment=numbered, trust_ids=() if receipt is None else (release.trust_id,))


def tell_completion(ports: Ports, work: Work, *, release: Release) -> tuple[str, ...]:
    """``lifecycle_completed`` is on the outbox when every mandatory phase of the chosen lifecycle is complete, once per release and trust."""
    if release.trust_id is None or release.delivery_sha256 is None:
        return ()
    lifecycle, done, total = progress_of(work, release)
    if lifecycle is None or not total or done < total:
        return ()
    before = work.of(ReceiptRow).first(
        direction="out", trust_id=release.trust_id, release_sha256=release.release_sha256, event="lifecycle_completed"
    )
    if before is not None:
        return ()
    facts = receipts.ReceiptFacts(
        event="lifecycle_completed",
        release_sha256=release.release_sha256,
        bundle_sha256=release.delivery_sha256,
        release_row_id=release.id,
        project_id=release.project_id,
        lifecycle_name=lifecycle.name,
        phases_done=done,
        phases_total=total,
    )
    receipt = receipts.emit(ports, work, trust=work.of(Trust).get(release.trust_id), facts=facts)
    return () if receipt is None else (release.trust_id,)


def _deployed(ports: Ports, work: Work, deployment: Deployment, release: Release) -> tuple[ReceiptPackage, ...]:
    """Every package that an action which ran here has used, in the order of the release."""
    ran = {run.action_id for run in work.of(StepRun).where(deployment_id=deployment.id, state=RunState.SUCCEEDED)}
    doc = releases.read_doc(ports, work, release)
    used = {use.package_id for action in doc.actions if action.id in ran for use in action.packages}
    return tuple(
        ReceiptPackage(name=f"{one.package_id} {one.version}", sha256=one.sha256) for one in doc.packages if one.package_id in used
    )


def progress_of(work: Work, release: Release) -> tuple[Lifecycle | None, int, int]:
    """The lifecycle chosen for the release's project, and how many of its mandatory phases the release has completed."""
    project = work.of(Project).get(release.project_id)
    lifecycle = None if project.lifecycle_id is None else work.of(Lifecycle).find(project.lifecycle_id)
    if lifecycle is None:
        return None, 0, 0
    done, total = progression.mandatory_phases_done(lifecycle, completed_members(work, release, lifecycle))
    return lifecycle, done, total
