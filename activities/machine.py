# SPDX-License-Identifier: Apache-2.0
"""One step on one machine: claim, run in Node, stream its log, post its outcome, then return.

This machine knows neither the database, nor a key of the Space, nor a credential of the store.
The outcome is posted before the activity returns, so that a death in between loses nothing.
Nothing here is ever tried a second time by itself: ``maximum_attempts`` is 1, and a claim is given once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from temporalio import activity

from waybill.domain.deployments import RunState
from waybill.domain.steps import StepLine, StepOrder, StepOutcome
from waybill.domain.stories import RunStepInput
from waybill.errors import UnavailableError


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
        order = await self._api.claim(given.run_id)
        beating = asyncio.create_task(self._beat())
        lines = _Lines(self._api, given.run_id, self._batch_seconds)
        pumping = asyncio.create_task(lines.pump())
        try:
            outcome = await self._execute(order, lines)
            await lines.close(pumping)
            await _persist(partial(self._api.post_outcome, given.run_id, outcome))
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

    async def _beat(self) -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(self._beat_seconds)


class _Lines:
    """Lines on their way to the site, in batches and in order; a step's log never blocks the step."""

    def __init__(self, api: SiteApi, run_id: str, batch_seconds: float) -> None:
        self._api, self._run_id, self._batch_seconds = api, run_id, batch_seconds
        self._waiting: list[StepLine] = []
        self._closed = asyncio.Event()

    def add(self, line: StepLine) -> None:
        self._waiting.append(line)

    async def pump(self) -> None:
        while not self._closed.is_set() or self._waiting:
            batch, self._waiting = self._waiting[:500], self._waiting[500:]
            if batch:
                await _persist(partial(self._api.append_log, self._run_id, batch))
            elif not self._closed.is_set():
                try:
                    await asyncio.wait_for(self._closed.wait(), timeout=self._batch_seconds)
                except TimeoutError:
                    pass

    async def close(self, pumping: "asyncio.Task[None]") -> None:
        self._closed.set()
        await pumping


async def _persist(call: Callable[[], Awaitable[None]]) -> None:
    """``call`` succeeded; it is repeated for as long as the site is out of reach, since nobody else knows what it tells."""
    delay = 0.2
    while True:
        try:
            return await call()
        except UnavailableError:
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)
