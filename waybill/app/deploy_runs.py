# SPDX-License-Identifier: Apache-2.0
"""The runs of a deployment's steps: one row per action, machine and attempt. A finished run is never run again.

Refused: a further attempt of a run that has not ended, or that succeeded.
"""

from waybill.app import access, ids
from waybill.app.situation import read_situation
from waybill.domain.access import Caller, Permission
from waybill.domain.deployments import FINISHED_RUNS, Deployment, RunState, StepRun
from waybill.domain.packages import StepPackage
from waybill.domain.projects import Action
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment, Tenant
from waybill.errors import ConflictError, NotFoundError
from waybill.ports import Ports, Work


def open_run(ports: Ports, *, space_id: str, deployment_id: str, action_id: str, machine_id: str | None) -> StepRun:
    """The first attempt of the action on the machine; again returns the newest attempt.

    Args:
        machine_id: None records an action that is skipped, and why.
    Raises:
        NotFoundError: record.absent, when the release has no such action.
    """
    with ports.ledger.write(space_id) as work:
        earlier = _attempts(work, deployment_id=deployment_id, action_id=action_id, machine_id=machine_id)
        if earlier:
            return earlier[-1]
        deployment = work.of(Deployment).get(deployment_id)
        situation = read_situation(
            ports,
            work,
            release=work.of(Release).get(deployment.release_row_id),
            environment=work.of(Environment).get(deployment.environment_id),
            tenant=None if deployment.tenant_id is None else work.of(Tenant).get(deployment.tenant_id),
        )
        actions = situation.doc.actions
        position = next((number for number, one in enumerate(actions) if one.id == action_id), None)
        if position is None:
            raise NotFoundError("record.absent", "the release has no such action", field="action_id", found=action_id[:60])
        now = ports.clock.now()
        skipped = machine_id is None
        run = StepRun(
            id=ids.fresh(ports, "run"),
            space_id=space_id,
            deployment_id=deployment_id,
            action_id=action_id,
            action_name=actions[position].name,
            position=position,
            machine_id=machine_id,
            attempt=1,
            state=RunState.SKIPPED if skipped else RunState.QUEUED,
            created_at=now,
            finished_at=now if skipped else None,
            message=situation.skip_reason(actions[position]) if skipped else None,
            idempotent=_is_idempotent(work, actions[position]),
        )
        return work.of(StepRun).add(run)


def next_attempt(ports: Ports, *, space_id: str, run_id: str) -> StepRun:
    """The attempt after a finished, unsuccessful one: a row of its own; again returns the same row.

    Raises:
        ConflictError: deployment.not_waiting, when the run has not ended or has succeeded.
    """
    with ports.ledger.write(space_id) as work:
        run = work.of(StepRun).get(run_id)
        attempts = _attempts(work, deployment_id=run.deployment_id, action_id=run.action_id, machine_id=run.machine_id)
        later = [one for one in attempts if one.attempt == run.attempt + 1]
        if later:
            return later[0]
        if run.state not in FINISHED_RUNS or run.state in (RunState.SUCCEEDED, RunState.SKIPPED):
            raise ConflictError("deployment.not_waiting", "that run cannot be repeated", field="run_id", found=run.state.value)
        again = StepRun(
            id=ids.fresh(ports, "run"),
            space_id=space_id,
            deployment_id=run.deployment_id,
            action_id=run.action_id,
            action_name=run.action_name,
            position=run.position,
            machine_id=run.machine_id,
            attempt=run.attempt + 1,
            state=RunState.QUEUED,
            created_at=ports.clock.now(),
            idempotent=run.idempotent,
        )
        return work.of(StepRun).add(again)


def list_runs(ports: Ports, caller: Caller, *, space_id: str, deployment: str) -> tuple[StepRun, ...]:
    """Every run of the deployment's steps, by position, machine and attempt."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        row = work.of(Deployment).get(deployment)
        rows = work.of(StepRun).where(deployment_id=row.id)
    return tuple(sorted(rows, key=lambda run: (run.position, run.machine_id or "", run.attempt)))


def _attempts(work: Work, *, deployment_id: str, action_id: str, machine_id: str | None) -> list[StepRun]:
    rows = work.of(StepRun).where(deployment_id=deployment_id, action_id=action_id)
    return sorted((row for row in rows if row.machine_id == machine_id), key=lambda row: row.attempt)


def _is_idempotent(work: Work, action: Action) -> bool:
    """True only when the exact step package says so itself."""
    if action.step.sha256 is None:
        return False
    package = work.of(StepPackage).first(sha256=action.step.sha256)
    return package is not None and package.manifest.get("idempotent") is True
