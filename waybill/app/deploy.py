# SPDX-License-Identifier: Apache-2.0
"""Deployments: own and imported releases exactly alike.

Refused before any step runs: a lifecycle that does not allow it yet, a missing value, a missing package, no machine, a blocked release.
The runs of the single steps are in ``waybill.app.deploy_runs``; what machines do with them in ``waybill.app.runs``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from waybill.app import access, deploy_receipts, ids, lookup, receipts, tasks
from waybill.app.deploy_runs import list_runs, next_attempt, open_run
from waybill.app.pages import page_of
from waybill.app.receive import verify_stored
from waybill.app.situation import OPEN_STATES, Blocker, Situation, find_blockers, read_situation
from waybill.domain.access import Caller, Permission
from waybill.domain.bundles import InboxBundle
from waybill.domain.deploying import fold_runs
from waybill.domain.deployments import FINISHED_RUNS, Deployment, DeploymentState, RunState, StepRun
from waybill.domain.releases import Release
from waybill.domain.stories import StepDecision
from waybill.domain.tasks import Task, TaskState
from waybill.errors import ConflictError, FormatError, PolicyError, TrustError, WaybillError
from waybill.ports import Page, Ports, Work

__all__ = [
    "Blocker", "DeployPlan", "PlannedAction", "begin", "cancel_deployment", "check_ready", "decide_step", "finish", "get_deployment",
    "list_deployments", "list_runs", "next_attempt", "open_run", "resume", "start_deployment", "wait_for_decision",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAction:
    """One action as it will run: on each of ``machine_ids`` in turn; none when ``skip_reason`` says why."""

    action_id: str
    name: str
    position: int
    machine_ids: tuple[str, ...]
    timeout_seconds: int
    retries: int
    skip_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployPlan:
    """The actions of one deployment, in order."""

    deployment_id: str
    actions: tuple[PlannedAction, ...]


def check_ready(
    ports: Ports, caller: Caller, *, space_id: str, release: str, environment: str, tenant: str | None = None
) -> tuple[Blocker, ...]:
    """Everything that keeps the release from being deployed there now; empty means that it may start.

    Args:
        release: row id. environment, tenant: id, slug or name.
    """
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return _blockers(ports, work, _look(ports, work, release, environment, tenant))


def start_deployment(
    ports: Ports, caller: Caller, *, space_id: str, release: str, environment: str, tenant: str | None = None
) -> tuple[Deployment, Task]:
    """The deployment and its task are stored, a ``queued`` receipt is out for an imported release, the story started.

    Raises:
        ConflictError: the first blocker's code (lifecycle.needed, variable.missing, package.missing, machine.none); all are named.
        PolicyError: lifecycle.forbidden, naming the unmet phase; deployment.blocked. TrustError: trust.key_revoked.
    """
    access.require(caller, space_id, Permission.DEPLOYMENT_START)
    with ports.ledger.write(space_id) as work:
        situation = _look(ports, work, release, environment, tenant)
        _refuse(_blockers(ports, work, situation))
        deployment, task = _store(ports, work, situation, caller)
        told = deploy_receipts.tell(ports, work, deployment=deployment, release=situation.release, event="queued")
        work.audit(at=deployment.created_at, actor=caller.name, action="deployment.queued", subject=deployment.id, detail=task.title)
    tasks.start_soon(ports, task)
    receipts.wake_courier(ports, told.trust_ids)
    return told.deployment, task


def begin(ports: Ports, *, space_id: str, deployment_id: str) -> DeployPlan:
    """The deployment is ``running`` (receipt ``started``), and this is its plan; everything was checked again. Again gives the same plan.

    Raises:
        ConflictError: task.finished, when it has ended; else as ``start_deployment``.
    """
    trust_ids: tuple[str, ...] = ()
    with ports.ledger.write(space_id) as work:
        deployment = work.of(Deployment).get(deployment_id)
        situation = _look(ports, work, deployment.release_row_id, deployment.environment_id, deployment.tenant_id)
        if deployment.state not in OPEN_STATES:
            raise ConflictError("task.finished", "the deployment has ended already", found=deployment.state.value)
        if deployment.state is DeploymentState.QUEUED:
            _refuse(tuple(one for one in _blockers(ports, work, situation) if one.subject != deployment.id))
            running = replace(deployment, state=DeploymentState.RUNNING, started_at=ports.clock.now())
            deployment = work.of(Deployment).replace(running)
            told = deploy_receipts.tell(ports, work, deployment=deployment, release=situation.release, event="started")
            trust_ids = told.trust_ids
    tasks.set_state(ports, space_id=space_id, task_id=deployment.task_id, state=TaskState.RUNNING, details="Running the steps")
    receipts.wake_courier(ports, trust_ids)
    return plan_of(situation, deployment_id)


def plan_of(situation: Situation, deployment_id: str) -> DeployPlan:
    """What runs where, in the order of the frozen process."""
    actions = []
    for position, action in enumerate(situation.doc.actions):
        reason = situation.skip_reason(action)
        machines = () if reason is not None else situation.machines_for(action)
        actions.append(
            PlannedAction(
                action_id=action.id,
                name=action.name,
                position=position,
                machine_ids=tuple(machine.id for machine in machines),
                timeout_seconds=action.timeout_s,
                retries=action.retries,
                skip_reason=reason,
            )
        )
    return DeployPlan(deployment_id=deployment_id, actions=tuple(actions))


def finish(
    ports: Ports,
    *,
    space_id: str,
    deployment_id: str,
    state: DeploymentState,
    code: str | None = None,
    message: str | None = None,
) -> Deployment:
    """The deployment and its task have ended, the receipt is out, and ``lifecycle_completed`` follows once every mandatory phase is done.

    Args:
        state: ``succeeded``, ``failed`` or ``cancelled``; with a run that did not succeed, ``succeeded`` becomes ``failed``.
            The first end wins. ``message`` is for people here; it leaves with no receipt.
    """
    if state in OPEN_STATES:
        raise ValueError("a deployment ends succeeded, failed or cancelled")
    trust_ids: tuple[str, ...] = ()
    with ports.ledger.write(space_id) as work:
        deployment = work.of(Deployment).get(deployment_id)
        if deployment.state in OPEN_STATES:
            deployment, trust_ids = _end(ports, work, deployment, state=state, code=code, message=message)
    tasks.finish(
        ports,
        space_id=space_id,
        task_id=deployment.task_id,
        state=TaskState(deployment.state.value),
        code=deployment.code,
        message=deployment.message,
        result={"deployment_id": deployment.id},
    )
    receipts.wake_courier(ports, trust_ids)
    return deployment


def wait_for_decision(ports: Ports, *, space_id: str, deployment_id: str, run_id: str) -> Deployment:
    """The deployment shows ``waiting`` and its task says for whose word on which step; one that has ended is left alone."""
    with ports.ledger.write(space_id) as work:
        run = work.of(StepRun).get(run_id)
        deployment = work.of(Deployment).get(deployment_id)
        if deployment.state in OPEN_STATES:
            deployment = work.of(Deployment).replace(replace(deployment, state=DeploymentState.WAITING))
    details = f"Waiting for a person: run {run.action_name} again, or fail"
    tasks.set_state(ports, space_id=space_id, task_id=deployment.task_id, state=TaskState.WAITING, details=details)
    return deployment


def resume(ports: Ports, *, space_id: str, deployment_id: str) -> Deployment:
    """A deployment that waited is ``running`` again."""
    with ports.ledger.write(space_id) as work:
        deployment = work.of(Deployment).get(deployment_id)
        if deployment.state is DeploymentState.WAITING:
            deployment = work.of(Deployment).replace(replace(deployment, state=DeploymentState.RUNNING))
    tasks.set_state(ports, space_id=space_id, task_id=deployment.task_id, state=TaskState.RUNNING, details="Running the steps")
    return deployment


def decide_step(ports: Ports, caller: Caller, *, space_id: str, deployment: str, run_id: str, verdict: str) -> Deployment:
    """The story that waits on an interrupted step is told ``retry`` or ``fail``.

    Raises:
        ConflictError: deployment.not_waiting, when that run does not wait for a decision.
        FormatError: request.invalid, for another verdict.
    """
    access.require(caller, space_id, Permission.DEPLOYMENT_START)
    if verdict not in ("retry", "fail"):
        raise FormatError("request.invalid", "that is no verdict", field="verdict", expected="retry or fail", found=verdict[:40])
    with ports.ledger.write(space_id) as work:
        row = work.of(Deployment).get(deployment)
        run = work.of(StepRun).get(run_id)
        if row.state is not DeploymentState.WAITING or run.deployment_id != row.id or run.state is not RunState.ERRORED:
            raise ConflictError("deployment.not_waiting", "that step waits for no decision", field="run_id", found=row.state.value)
        work.audit(at=ports.clock.now(), actor=caller.name, action="deployment.step_decided", subject=run.id, detail=verdict)
    decision = StepDecision(decision_id=f"{run.id}:{verdict}", run_id=run.id, verdict=verdict, actor_id=caller.id)
    ports.engine.update(f"deploy:{row.id}", "decide_step", decision, update_id=decision.decision_id)
    return get_deployment(ports, caller, space_id=space_id, deployment=row.id)


def cancel_deployment(ports: Ports, caller: Caller, *, space_id: str, deployment: str) -> Deployment:
    """Cancellation is requested by way of its task; the story ends it. Raises ConflictError task.finished."""
    row = get_deployment(ports, caller, space_id=space_id, deployment=deployment)
    task = tasks.cancel(ports, caller, space_id=space_id, task=row.task_id)
    if task.state is TaskState.CANCELLED:  # nothing runs that could end it
        return finish(ports, space_id=space_id, deployment_id=row.id, state=DeploymentState.CANCELLED, code="step.cancelled")
    return get_deployment(ports, caller, space_id=space_id, deployment=row.id)


def list_deployments(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    limit: int = 50,
    cursor: str | None = None,
    project_id: str | None = None,
    release_row_id: str | None = None,
    environment_id: str | None = None,
) -> Page:
    """One page of deployments, newest first."""
    access.require(caller, space_id, Permission.SPACE_READ)
    equals = {"project_id": project_id, "release_row_id": release_row_id, "environment_id": environment_id}
    with ports.ledger.read(space_id) as work:
        return page_of(work.of(Deployment), limit=limit, cursor=cursor, equals=equals)


def get_deployment(ports: Ports, caller: Caller, *, space_id: str, deployment: str) -> Deployment:
    """The deployment. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return work.of(Deployment).get(deployment)


def _look(ports: Ports, work: Work, release: str, environment: str, tenant: str | None) -> Situation:
    return read_situation(
        ports,
        work,
        release=work.of(Release).get(release),
        environment=lookup.find_environment(work, environment),
        tenant=None if tenant is None else lookup.find_tenant(work, tenant),
    )


def _blockers(ports: Ports, work: Work, situation: Situation) -> tuple[Blocker, ...]:
    return (*_revoked(ports, work, situation.release), *find_blockers(work, situation))


def _revoked(ports: Ports, work: Work, release: Release) -> tuple[Blocker, ...]:
    """What a key has signed that was revoked since is not deployed any more (security.md 3.6). Expiry and the end of the trust undo no import."""
    inbox = None if release.delivery_sha256 is None else work.of(InboxBundle).first(bundle_sha256=release.delivery_sha256)
    if inbox is None:
        return ()
    try:
        verify_stored(ports, work, inbox, at=inbox.decided_at or inbox.received_at)
    except TrustError as error:
        if error.code == "trust.key_revoked":
            return (Blocker(code=error.code, subject=release.release_version, message="a key that signed the release has been revoked"),)
    return ()


def _refuse(blockers: Sequence[Blocker]) -> None:
    if not blockers:
        return
    first = blockers[0]
    kinds: dict[str, type[WaybillError]] = {
        "lifecycle.forbidden": PolicyError, "deployment.blocked": PolicyError, "trust.key_revoked": TrustError,
    }  # fmt: skip
    kind = kinds.get(first.code, ConflictError)
    raise kind(first.code, "; ".join(one.message for one in blockers[:20]), field=first.subject, found=f"{len(blockers)} missing")


def _store(ports: Ports, work: Work, situation: Situation, caller: Caller) -> tuple[Deployment, Task]:
    deployment_id = ids.fresh(ports, "dep")
    name = lookup.shown_project(situation.project)
    whom = f" for {situation.tenant.name}" if situation.tenant else ""
    task = tasks.create(
        ports,
        work,
        kind="deployment",
        title=f"Deploy {name} {situation.release.release_version} to {situation.environment.name}{whom}",
        subject_id=deployment_id,
        story="DeployRelease",
        workflow_id=f"deploy:{deployment_id}",
        story_input={"deployment_id": deployment_id},
        created_by=caller.name,
    )
    deployment = Deployment(
        id=deployment_id,
        space_id=work.space_id,
        project_id=situation.project.id,
        release_row_id=situation.release.id,
        environment_id=situation.environment.id,
        tenant_id=situation.tenant.id if situation.tenant else None,
        state=DeploymentState.QUEUED,
        task_id=task.id,
        created_at=task.created_at,
        created_by=caller.name,
    )
    return work.of(Deployment).add(deployment), task


def _end(
    ports: Ports, work: Work, deployment: Deployment, *, state: DeploymentState, code: str | None, message: str | None
) -> tuple[Deployment, tuple[str, ...]]:
    now = ports.clock.now()
    runs = work.of(StepRun).where(deployment_id=deployment.id)
    proven, culprit = fold_runs(runs)
    if state is DeploymentState.SUCCEEDED and proven is not DeploymentState.SUCCEEDED:
        # The rows are what machines said: whatever the story believes, a run that did not succeed never makes a green deployment.
        state, message = DeploymentState.FAILED, None if culprit is None else f"{culprit.action_name} did not succeed"
        code = culprit.code if culprit is not None else "step.no_result"
    for run in runs:
        if run.state not in FINISHED_RUNS:  # nobody will end it any more; a late outcome of its machine changes nothing
            work.of(StepRun).replace(replace(run, state=RunState.CANCELLED, code="step.cancelled", finished_at=now))
    ended = work.of(Deployment).replace(replace(deployment, state=state, code=code, message=message, finished_at=now))
    release = work.of(Release).get(ended.release_row_id)
    told = deploy_receipts.tell(ports, work, deployment=ended, release=release, event=state.value)
    work.audit(at=now, actor="system", action=f"deployment.{state.value}", subject=ended.id, detail=code or "")
    completed = deploy_receipts.tell_completion(ports, work, release=release) if state is DeploymentState.SUCCEEDED else ()
    return told.deployment, (*told.trust_ids, *completed)
