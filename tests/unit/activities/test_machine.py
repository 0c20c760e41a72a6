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
from waybill.errors import ConflictError, FormatError, UnavailableError

GIVEN = RunStepInput(space_id="spc_1", run_id="run_1", machine_id="mch_1", timeout_seconds=60)


@dataclass
class MemoryApi:
    """The site's API; ``faults`` are raised first, one per call."""

    faults: list[Exception] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    outcomes: list[StepOutcome] = field(default_factory=list)
    claimed: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    posting: asyncio.Event = field(default_factory=asyncio.Event)
    may_post: asyncio.Event | None = None

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
        self.batches.append(sum(len(line.message) for line in lines))

    async def post_outcome(self, run_id: str, outcome: StepOutcome) -> None:
        """Kept."""
        self._fail()
        self.posting.set()
        if self.may_post is not None:
            await self.may_post.wait()
        self.outcomes.append(outcome)

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


@dataclass
class TalkingHost:
    """Says lines; with ``hangs`` it runs until it is cancelled."""

    said: int = 3
    words: str = "line"
    hangs: bool = False
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, order: StepOrder, *, on_line: Callable[[StepLine], None], cancelled: asyncio.Event) -> StepOutcome:
        """How it ended."""
        for number in range(self.said):
            on_line(StepLine(level="info", message=f"{self.words} {number}", occurred_at=datetime.now(UTC)))
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


async def test_long_lines_travel_in_calls_that_the_site_takes() -> None:
    """A call over the site's limit for a body would be refused as a whole, and the step's end with it."""
    api = MemoryApi()
    await ActivityEnvironment().run(StepExecution(api, TalkingHost(said=400, words="x" * 32_000)).execute_step, GIVEN)
    assert len(api.lines) == 400
    assert max(api.batches) <= 256 * 1024


async def test_a_refused_log_does_not_cost_the_outcome() -> None:
    """The step has ended, and that is known at the site; the log says that lines are missing."""
    api = MemoryApi(faults=[FormatError("request.too_large", "the body is over the limit")])
    await ActivityEnvironment().run(StepExecution(api, TalkingHost(said=2)).execute_step, GIVEN)
    assert [outcome.state for outcome in api.outcomes] == [RunState.SUCCEEDED]
    assert api.lines == ["Lines of the log were refused by the site: request.too_large"]


async def test_a_cancellation_after_the_end_does_not_take_the_outcome_away() -> None:
    """The step has ended while its worker is told to stop: it would be run again if nobody heard of its end."""
    api, host, env = MemoryApi(may_post=asyncio.Event()), TalkingHost(), ActivityEnvironment()
    running = asyncio.ensure_future(env.run(StepExecution(api, host).execute_step, GIVEN))
    await api.posting.wait()
    env.cancel(cancellation_details=ActivityCancellationDetails(worker_shutdown=True))
    await asyncio.sleep(0)
    assert api.may_post is not None
    api.may_post.set()
    assert await running == "succeeded"
    assert [outcome.state for outcome in api.outcomes] == [RunState.SUCCEEDED]


async def test_a_slow_claim_is_not_taken_for_a_dead_machine() -> None:
    """The machine beats while the site makes up the order."""
    beats: list[object] = []
    beaten = asyncio.Event()

    class SlowApi(MemoryApi):
        async def claim(self, run_id: str) -> StepOrder:
            """Only after a beat."""
            await asyncio.wait_for(beaten.wait(), timeout=5)
            return await super().claim(run_id)

    def beat(*details: object) -> None:
        beats.append(details)
        beaten.set()

    env = ActivityEnvironment()
    env.on_heartbeat = beat
    await env.run(StepExecution(SlowApi(), TalkingHost(), beat_seconds=0.01).execute_step, GIVEN)
    assert beats
