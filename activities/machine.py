# SPDX-License-Identifier: Apache-2.0
"""One step on one machine: claim, run in Node, stream its log, post its outcome, then return.

This machine knows neither the database, nor a key of the Space, nor a credential of the store.
The outcome is posted before the activity returns, so that a death in between loses nothing.
Nothing here is ever tried a second time by itself: ``maximum_attempts`` is 1, and a claim is given once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Final, Protocol

from temporalio import activity

from waybill.domain.deployments import RunState
from waybill.domain.steps import StepLine, StepOrder, StepOutcome
from waybill.domain.stories import RunStepInput
from waybill.errors import UnavailableError, WaybillError

MAX_BATCH_LINES: Final = 500
MAX_BATCH_CHARACTERS: Final = 256 * 1024
"""What one call carries at most: a call over the site's limit for a body would be refused as a whole."""

LAST_WORD_SECONDS: Final = 10.0


class SiteApi(Protocol):
    """The site's API as this machine may use it, with the machine's own key."""

    async def claim(self, run_id: str) -> StepOrder:
        """The order of a run, given once."""

    async def append_log(self, run_id: str, lines: Sequence[StepLine]) -> None:
        """The lines are stored at the site."""

    async def post_outcome(self, run_id: str, outcome: StepOutcome) -> None:
        """The outcome is stored at the site; the first one wins."""


class StepHost(Protocol):
    """Executes an order in Node."""

    async def run(self, order: StepOrder, *, on_line: Callable[[StepLine], None], cancelled: asyncio.Event) -> StepOutcome:
        """How it ended, once nothing that it started runs any more. Setting ``cancelled`` ends the step; one that breaks is an outcome, no error."""


class StepExecution:
    """Executes the runs of this machine."""

    def __init__(self, api: SiteApi, host: StepHost, *, beat_seconds: float = 1.0, batch_seconds: float = 0.25) -> None:
        self._api, self._host = api, host
        self._beat_seconds, self._batch_seconds = beat_seconds, batch_seconds

    @activity.defn(name="execute_step")
    async def execute_step(self, given: RunStepInput) -> str:
        """The step has ended and its outcome is at the site; returns the outcome's state."""
        beating = asyncio.create_task(self._beat())  # before the claim: a slow site is not a dead machine
        lines = _Lines(self._api, given.run_id, self._batch_seconds)
        pumping = asyncio.create_task(lines.pump())
        try:
            order = await self._api.claim(given.run_id)
            outcome = await self._execute(order, lines)
            await _through(self._report(given.run_id, outcome, lines, pumping))
        finally:
            pumping.cancel()
            beating.cancel()
        return outcome.state.value

    async def _execute(self, order: StepOrder, lines: "_Lines") -> StepOutcome:
        stop = asyncio.Event()
        running = asyncio.ensure_future(self._host.run(order, on_line=lines.add, cancelled=stop))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            stop.set()
            outcome = await running
        details = activity.cancellation_details()
        if outcome.state is RunState.CANCELLED and (details is None or not details.cancel_requested):
            # Nobody cancelled the step: this worker stops. The honest word is "interrupted", so that a person decides.
            return StepOutcome(state=RunState.ERRORED, code="step.interrupted", message="The machine's worker was stopped")
        return outcome

    async def _report(self, run_id: str, outcome: StepOutcome, lines: "_Lines", pumping: "asyncio.Task[None]") -> None:
        await lines.close(pumping)
        await _persist(partial(self._api.post_outcome, run_id, outcome))

    async def _beat(self) -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(self._beat_seconds)


class _Lines:
    """Lines on their way to the site, in batches and in order; a step's log never blocks the step, and never costs it its outcome."""

    def __init__(self, api: SiteApi, run_id: str, batch_seconds: float) -> None:
        self._api, self._run_id, self._batch_seconds = api, run_id, batch_seconds
        self._waiting: list[StepLine] = []
        self._closed = asyncio.Event()
        self._refused = False

    def add(self, line: StepLine) -> None:
        self._waiting.append(line)

    async def pump(self) -> None:
        while not self._closed.is_set() or self._waiting:
            batch = self._next_batch()
            if batch:
                await self._send(batch)
            elif not self._closed.is_set():
                try:
                    await asyncio.wait_for(self._closed.wait(), timeout=self._batch_seconds)
                except TimeoutError:
                    pass

    def _next_batch(self) -> list[StepLine]:
        """The oldest waiting lines, as many as fit into one call; at least one."""
        count = size = 0
        for line in self._waiting[:MAX_BATCH_LINES]:
            size += len(line.message)
            if count and size > MAX_BATCH_CHARACTERS:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _send(self, batch: list[StepLine]) -> None:
        try:
            await _persist(partial(self._api.append_log, self._run_id, batch))
        except WaybillError as refusal:
            if not self._refused:  # told once: the word about it may be refused as well
                self._refused = True
                message = f"Lines of the log were refused by the site: {refusal.code}"
                self.add(StepLine(level="warning", message=message, occurred_at=batch[-1].occurred_at))

    async def close(self, pumping: "asyncio.Task[None]") -> None:
        self._closed.set()
        await pumping


async def _through(reporting: Coroutine[None, None, None]) -> None:
    """A cancellation that comes after the step has ended does not take its outcome away; it only bounds how long a silent site is waited for."""
    task = asyncio.ensure_future(reporting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=LAST_WORD_SECONDS)
        if not task.done():
            task.cancel()
            raise
        task.result()


async def _persist(call: Callable[[], Awaitable[None]]) -> None:
    """``call`` succeeded; it is repeated for as long as the site is out of reach, since nobody else knows what it tells."""
    delay = 0.2
    while True:
        try:
            return await call()
        except UnavailableError:
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)
