# SPDX-License-Identifier: Apache-2.0
"""A machine in a process of its own that dies in the middle of a step: ``python -m tests.workflows.dying_machine ADDRESS NAMESPACE QUEUE DIR``.

Its step appends one line to ``DIR/effect`` and then hangs for as long as ``DIR/hang`` exists: an effect that is half done.
The run's claim and outcome go through files in ``DIR``, where the test plays the site's API.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from temporalio.worker import Worker

from activities.machine import StepExecution
from adapters.codec import make_converter
from adapters.temporal import connect
from tests.workflows.stage import TEST_RING
from waybill.domain.deployments import RunState
from waybill.domain.steps import StepLine, StepOrder, StepOutcome
from waybill.errors import ConflictError
from worker.interceptors import ErrorInterceptor


class FileApi:
    """The site's API in files: a claim succeeds once per run, the first outcome wins."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def claim(self, run_id: str) -> StepOrder:
        """See ``activities.machine.SiteApi``."""
        try:
            os.close(os.open(self._directory / f"claim-{run_id}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise ConflictError("deployment.not_waiting", "claimed before") from None
        return StepOrder(
            run_id=run_id, package_url="", package_sha256="", package_size=0, package_id="append", package_version="1.0.0", inputs={}
        )

    async def append_log(self, run_id: str, lines: Sequence[StepLine]) -> None:
        """See ``activities.machine.SiteApi``."""

    async def post_outcome(self, run_id: str, outcome: StepOutcome) -> None:
        """See ``activities.machine.SiteApi``."""
        await asyncio.to_thread((self._directory / f"outcome-{run_id}").write_text, outcome.state.value)


class AppendingHost:
    """A step with an effect that must not happen twice by itself."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def run(self, order: StepOrder, *, on_line: Callable[[StepLine], None], cancelled: asyncio.Event) -> StepOutcome:
        """See ``activities.machine.StepHost``."""
        await asyncio.to_thread(self._append, order.run_id)
        while await asyncio.to_thread((self._directory / "hang").exists) and not cancelled.is_set():
            await asyncio.wait({asyncio.ensure_future(cancelled.wait())}, timeout=0.02)
        return StepOutcome(state=RunState.CANCELLED, code="step.cancelled") if cancelled.is_set() else StepOutcome(state=RunState.SUCCEEDED)

    def _append(self, run_id: str) -> None:
        with (self._directory / "effect").open("a") as file:
            file.write(f"{run_id}\n")


async def main(address: str, namespace: str, queue: str, directory: Path) -> None:
    """Polls until it is killed."""
    client = await connect(address, namespace=namespace, converter=make_converter(TEST_RING, namespace=namespace), wait_seconds=30)
    execution = StepExecution(FileApi(directory), AppendingHost(directory), beat_seconds=0.2)
    await Worker(client, task_queue=queue, activities=[execution.execute_step], interceptors=[ErrorInterceptor()]).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
