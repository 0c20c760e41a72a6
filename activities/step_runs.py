# SPDX-License-Identifier: Apache-2.0
"""One run of a step, seen from the site: started in the steps namespace, awaited, settled in the ledger.

The ledger is the only truth about how a run ended: a machine posts its outcome there before its activity returns.
"""

import asyncio
from typing import Protocol

from temporalio import activity

from waybill.app import runs
from waybill.domain.stories import RunEnded, RunStepInput
from waybill.ports import Ports


class StepEngine(Protocol):
    """The steps namespace, where the machines listen."""

    async def run(self, story_input: RunStepInput) -> RunEnded | None:
        """How the run ended, attaching to one that runs; None when its story broke. Raises UnavailableError."""

    async def cancel(self, run_id: str) -> None:
        """Cancellation is requested. Raises UnavailableError."""


class RunSettling:
    """Settles runs whose machine no longer speaks."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="runs.settle", no_thread_cancel_exception=True)
    def settle(self, given: RunStepInput) -> RunEnded:
        """How the run ended: as its machine said, else errored with step.interrupted. Safe to repeat."""
        row = runs.settle(self._ports, space_id=given.space_id, run_id=given.run_id)
        return RunEnded(run_id=row.id, state=row.state.value, code=row.code, message=row.message, idempotent=row.idempotent)


class StepRuns:
    """Carries a run into the steps namespace and waits for it there."""

    def __init__(self, ports: Ports, engine: StepEngine, *, beat_seconds: float = 5.0) -> None:
        self._settling = RunSettling(ports)
        self._engine = engine
        self._beat_seconds = beat_seconds

    @activity.defn(name="steps.run")
    async def run(self, given: RunStepInput) -> RunEnded:
        """The run has ended. A repeated call attaches to the run that is under way; nothing is executed twice.

        A cancelled deployment cancels the run and still waits for its end: a step on a machine is an effect on another system.
        A worker that stops only detaches.
        """
        waiting = asyncio.ensure_future(self._engine.run(given))
        asked_to_stop = False
        while not waiting.done():
            try:
                activity.heartbeat()
                await asyncio.wait({waiting}, timeout=self._beat_seconds)
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if asked_to_stop or details is None or not details.cancel_requested:
                    waiting.cancel()
                    raise
                asked_to_stop = True
                await self._engine.cancel(given.run_id)
        ended = waiting.result()
        return ended if ended is not None else await asyncio.to_thread(self._settling.settle, given)
