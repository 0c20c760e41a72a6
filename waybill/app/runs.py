# SPDX-License-Identifier: Apache-2.0
"""The runs of steps, as the machine that executes them sees them: claim, log, outcome.

Refused: another machine's run, a run that was claimed before or has ended. Secrets go out only in the answer to a claim, with the masks
that keep them out of the log; what a step prints is masked a second time here before it is stored.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from waybill.app import run_inputs
from waybill.app.situation import OPEN_STATES, Situation, read_situation
from waybill.domain.deployments import FINISHED_RUNS, Deployment, RunState, StepRun
from waybill.domain.ids import JsonValue
from waybill.domain.projects import Action
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment, Machine, Space, Tenant
from waybill.domain.steps import STEP_LEVELS, StepLine, StepOrder, StepOutcome
from waybill.domain.tasks import LogLine
from waybill.errors import ConflictError, WaybillError
from waybill.ports import Ports, Work
from waybill.steps.masking import Masker

MAX_LINES = 5_000
"""Lines that one call may append; a machine sends what is over in the next call."""

MAX_LINE_CHARACTERS = 16 * 1024


def claim(ports: Ports, machine: Machine, *, run_id: str) -> StepOrder:
    """The run is ``running`` on this machine, and this is everything that it needs: inputs resolved, URLs granted, secrets with masks.

    Bindings are those of ``waybill.domain.resolution``: ``#{Name}``, and ``#{Step[Action].Output.Name}`` for an earlier action.
    A run whose inputs cannot be resolved has ended ``errored`` with that code: no machine could do better.

    Raises:
        ConflictError: machine.foreign_run; deployment.not_waiting, when the run was claimed or has ended; variable.missing.
    """
    with ports.ledger.read(machine.space_id) as work:
        run = _own(work, machine, run_id)
        _check_claimable(work, run)
        situation, action = _situation(ports, work, run)
        space_name = work.of(Space).get(machine.space_id).name
        try:
            order = run_inputs.order_of(ports, work, situation=situation, run=run, action=action, machine=machine, space_name=space_name)
        except WaybillError as error:
            problem: WaybillError | None = error
        else:
            problem = None
    if problem is not None:
        if not problem.retryable:
            outcome = StepOutcome(state=RunState.ERRORED, code=problem.code, message=problem.message)
            _end(ports, machine.space_id, run_id, outcome)
        raise problem
    with ports.ledger.write(machine.space_id) as work:
        run = _own(work, machine, run_id)
        _check_claimable(work, run)
        work.of(StepRun).replace(replace(run, state=RunState.RUNNING, started_at=ports.clock.now()))
        _tell(ports, work, run, "info", f"{run.action_name}: attempt {run.attempt} on {machine.name}")
    return order


def append_log(ports: Ports, machine: Machine, *, run_id: str, lines: Sequence[StepLine]) -> int:
    """The lines are in the log of the deployment's task, masked with every secret that the run could have seen; returns the last number.

    Lines of a run that has ended are still taken: the last ones may arrive after the outcome.

    Raises:
        ConflictError: machine.foreign_run.
    """
    now = ports.clock.now()
    with ports.ledger.read(machine.space_id) as work:
        run = _own(work, machine, run_id)
        task_id = work.of(Deployment).get(run.deployment_id).task_id
        masker = _masker(ports, work, machine, run)
    rows = [
        LogLine(
            task_id=task_id,
            seq=0,
            level=line.level if line.level in STEP_LEVELS else "info",
            message=masker.mask(line.message)[:MAX_LINE_CHARACTERS],
            occurred_at=line.occurred_at,
            observed_at=now,
            run_id=run_id,
        )
        for line in lines[:MAX_LINES]
    ]
    with ports.ledger.write(machine.space_id) as work:
        return work.append_log(task_id, rows)


def record_outcome(ports: Ports, machine: Machine, *, run_id: str, outcome: StepOutcome) -> StepRun:
    """The run has ended with this outcome; the first outcome wins, a later one returns the row as it stands.

    Raises:
        ConflictError: machine.foreign_run; deployment.not_waiting, when the run was never claimed.
    """
    with ports.ledger.read(machine.space_id) as work:
        run = _own(work, machine, run_id)
        if run.state in FINISHED_RUNS:
            return run
        if run.state is not RunState.RUNNING:
            raise ConflictError("deployment.not_waiting", "the run was not claimed", field="run_id", found=run.state.value)
        masker = _masker(ports, work, machine, run)
    return _end(ports, machine.space_id, run_id, _masked(outcome, masker))


def settle(ports: Ports, *, space_id: str, run_id: str) -> StepRun:
    """The run has ended: as its machine said, else ``errored`` step.interrupted because its machine died while it ran."""
    interrupted = StepOutcome(state=RunState.ERRORED, code="step.interrupted", message="the machine stopped answering while the step ran")
    return _end(ports, space_id, run_id, interrupted)


def _end(ports: Ports, space_id: str, run_id: str, outcome: StepOutcome) -> StepRun:
    with ports.ledger.write(space_id) as work:
        run = work.of(StepRun).get(run_id)
        if run.state in FINISHED_RUNS:
            return run
        ended = replace(
            run,
            state=outcome.state,
            code=outcome.code,
            message=outcome.message,
            outputs=outcome.outputs,
            finished_at=ports.clock.now(),
        )
        said = f": {outcome.message}" if outcome.message else ""
        code = f" [{outcome.code}]" if outcome.code else ""
        level = "info" if outcome.state is RunState.SUCCEEDED else "error"
        _tell(ports, work, run, level, f"{run.action_name} {outcome.state.value}{said}{code}")
        return work.of(StepRun).replace(ended)


def _tell(ports: Ports, work: Work, run: StepRun, level: str, message: str) -> None:
    """A line about the run in the log of its deployment; ``message`` is masked already."""
    now = ports.clock.now()
    task_id = work.of(Deployment).get(run.deployment_id).task_id
    work.append_log(
        task_id, [LogLine(task_id=task_id, seq=0, level=level, message=message, occurred_at=now, observed_at=now, run_id=run.id)]
    )


def _own(work: Work, machine: Machine, run_id: str) -> StepRun:
    run = work.of(StepRun).get(run_id)
    if run.machine_id != machine.id or machine.disabled:
        raise ConflictError("machine.foreign_run", "that run belongs to another machine", field="run_id", found=run_id)
    return run


def _check_claimable(work: Work, run: StepRun) -> None:
    """Exactly one claim wins: a second execution of a step whose first one may still go on must need a person's word."""
    if run.state is not RunState.QUEUED or work.of(Deployment).get(run.deployment_id).state not in OPEN_STATES:
        raise ConflictError("deployment.not_waiting", "the run was claimed before or has ended", field="run_id", found=run.state.value)


def _masker(ports: Ports, work: Work, machine: Machine, run: StepRun) -> Masker:
    situation, action = _situation(ports, work, run)
    space_name = work.of(Space).get(machine.space_id).name
    return Masker(run_inputs.secrets_of(ports, work, situation=situation, run=run, action=action, machine=machine, space_name=space_name))


def _situation(ports: Ports, work: Work, run: StepRun) -> tuple[Situation, Action]:
    deployment = work.of(Deployment).get(run.deployment_id)
    situation = read_situation(
        ports,
        work,
        release=work.of(Release).get(deployment.release_row_id),
        environment=work.of(Environment).get(deployment.environment_id),
        tenant=None if deployment.tenant_id is None else work.of(Tenant).get(deployment.tenant_id),
    )
    return situation, next(one for one in situation.doc.actions if one.id == run.action_id)


def _masked(outcome: StepOutcome, masker: Masker) -> StepOutcome:
    message = None if outcome.message is None else masker.mask(outcome.message)[:MAX_LINE_CHARACTERS]
    outputs = cast("dict[str, JsonValue]", _masked_value(outcome.outputs, masker))
    return replace(outcome, message=message, outputs=outputs)


def _masked_value(value: JsonValue, masker: Masker) -> JsonValue:
    if isinstance(value, str):
        return masker.mask(value)
    if isinstance(value, list):
        return [_masked_value(one, masker) for one in value]
    if isinstance(value, dict):
        return {masker.mask(name): _masked_value(one, masker) for name, one in value.items()}
    return value
