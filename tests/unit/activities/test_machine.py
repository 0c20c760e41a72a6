# SPDX-License-Identifier: Apache-2.0
"""One step on one machine: its outcome is at the site before the activity returns, whatever happens on the way."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from activities.machine import StepExecution
from waybill.domain.deployments import RunState
from waybill.domain.steps import StepLine, StepOrder, StepOutcome
from waybill.domain.stories import RunStepInput
from waybill.errors import ConflictError, UnavailableError

GIVEN = RunStepInput(space_id="spc_1", run_id="run_1", machine_id="mch_1", timeout_seconds=60)


@dataclass
class MemoryApi:
    """The site's API; ``faults`` are raised first, one per call."""

    faults: list[Exception] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    outcomes: list[StepOutcome] = field(default_factory=list)
    claimed: list[str] = field(default_factory=list)

    async def claim(self, run_id: str) -> StepOrder:
        """Once."""
        if run_id in self.claimed:
            raise ConflictError("deployment.not_waiting", "claimed before")
        self.claimed.append(run_id)
        return StepOrder(run_id=run_id, package_url="", package_sha256="", package_size=0, package_id="p", package_version="1", inputs={})

    async def append_log(self, run_id: str, lines: Sequence[StepLine]) -> None:
        """Kept in order."""
        self._fail()
        self.lines += [line.message for line in lines]

    async def post_outcome(self, run_id: str, outcome: StepOutcome) -> None:
        """Kept."""
        self._fail()
        self.outcomes.append(outcome)

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


@dataclass
class TalkingHost:
    """Says lines; with ``hangs`` it runs until it is cancelled."""

    said: int = 3
    hangs: bool = False
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, order: StepOrder, *, on_line: Callable[[StepLine], None], cancelled: asyncio.Event) -> StepOutcome:
        """How it ended."""
        for number in range(self.said):
            on_line(StepLine(level="info", message=f"line {number}", occurred_at=datetime.now(UTC)))
        self.started.set()
        if self.hangs:
            await cancelled.wait()
            return StepOutcome(state=RunState.CANCELLED, code="step.cancelled")
        return StepOutcome(state=RunState.SUCCEEDED)


async def test_log_and_outcome_are_at_the_site_before_the_end() -> None:
    """In order, and the last line comes before the outcome."""
    api = MemoryApi()
    result = await ActivityEnvironment().run(StepExecution(api, TalkingHost(said=1200)).execute_step, GIVEN)
    assert result == "succeeded"
    assert api.lines == [f"line {number}" for number in range(1200)]
    assert [outcome.state for outcome in api.outcomes] == [RunState.SUCCEEDED]


async def test_a_site_that_is_away_is_waited_for() -> None:
    """Nobody else knows how the step ended, so the machine keeps the outcome until it is taken."""
    api = MemoryApi(faults=[UnavailableError("peer.unavailable", "away"), UnavailableError("peer.unavailable", "away")])
    await ActivityEnvironment().run(StepExecution(api, TalkingHost(said=1)).execute_step, GIVEN)
    assert api.lines == ["line 0"]
    assert len(api.outcomes) == 1


async def test_a_second_claim_runs_nothing() -> None:
    """A task that the engine hands out twice ends with the site's refusal."""
    api, host = MemoryApi(claimed=["run_1"]), TalkingHost()
    with pytest.raises(ConflictError):
        await ActivityEnvironment().run(StepExecution(api, host).execute_step, GIVEN)
    assert not host.started.is_set()


@pytest.mark.parametrize(
    ("details", "state", "code"),
    [
        (ActivityCancellationDetails(cancel_requested=True), RunState.CANCELLED, "step.cancelled"),
        (ActivityCancellationDetails(worker_shutdown=True), RunState.ERRORED, "step.interrupted"),
    ],
)
async def test_a_stopped_step_says_who_stopped_it(details: ActivityCancellationDetails, state: RunState, code: str) -> None:
    """A person's cancellation is cancelled; a worker that stops leaves an interrupted step, about which a person decides."""
    api, host, env = MemoryApi(), TalkingHost(hangs=True), ActivityEnvironment()
    running = asyncio.ensure_future(env.run(StepExecution(api, host).execute_step, GIVEN))
    await host.started.wait()
    env.cancel(cancellation_details=details)
    await running
    assert [(outcome.state, outcome.code) for outcome in api.outcomes] == [(state, code)]
    assert api.lines == ["line 0", "line 1", "line 2"]
