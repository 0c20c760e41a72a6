# SPDX-License-Identifier: Apache-2.0
"""A stage for stories: the real engine, the real sandbox and converter, and effects from a script."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from adapters.codec import KeyRing, make_converter
from adapters.temporal import connect
from tests.servers import TemporalServer
from tests.simulators.scripted_effects import ScriptedEffects
from waybill.domain.stories import CONTROL_QUEUE, STEP_CONTROL_QUEUE, TRANSFER_QUEUE, machine_queue
from worker.interceptors import ErrorInterceptor
from worker.runner import GRACE, HEARTBEAT, STICKY, make_runner
from worker.wiring import STEP_STORIES, STORIES

TEST_RING = KeyRing({"test": bytes(range(32))}, "test")
"""A fixed key, so that recorded histories can be read for ever. Never used outside tests."""

RECORDED_NAMESPACE = "site-test"
MACHINE = "mch_1"


@dataclass(kw_only=True)
class Stage:
    """The engine's two namespaces and the script. ``told`` is how tests wait for something without sleeping long."""

    client: Client
    steps_client: Client
    effects: ScriptedEffects = field(default_factory=ScriptedEffects)

    async def start(self, story: str, story_input: object, *, workflow_id: str) -> WorkflowHandle[Any, Any]:
        """The story runs in the site's namespace."""
        return await self.client.start_workflow(story, story_input, id=workflow_id, task_queue=CONTROL_QUEUE)

    async def start_step(self, story_input: object, *, workflow_id: str) -> WorkflowHandle[Any, Any]:
        """``RunStep`` runs in the steps namespace."""
        return await self.steps_client.start_workflow("RunStep", story_input, id=workflow_id, task_queue=STEP_CONTROL_QUEUE)

    async def until_asked(self, name: str, times: int = 1) -> None:
        """Returns once the activity was asked that often."""
        await until(lambda: len(self.effects.asked(name)) >= times)

    async def until_said(self, words: str) -> None:
        """Returns once the task shows these words."""
        await until(lambda: words in self.effects.words())


async def until(reached: Callable[[], bool] | Callable[[], Awaitable[bool]], *, seconds: float = 90.0, every_seconds: float = 0.02) -> None:
    """Returns once ``reached`` says so; fails when that takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        answer = reached()
        if answer is True or (not isinstance(answer, bool) and await answer):
            return
        assert loop.time() < deadline, "it did not happen in time"
        await asyncio.sleep(every_seconds)


@contextlib.asynccontextmanager
async def raised_stage(server: TemporalServer, *, effects: ScriptedEffects | None = None, cached: int = 500) -> AsyncIterator[Stage]:
    """A stage whose workers run. ``cached=0`` makes every task of a story replay its whole history."""
    client = await connect(
        server.address,
        namespace=server.namespace,
        converter=make_converter(TEST_RING, namespace=RECORDED_NAMESPACE),
        wait_seconds=30,
    )
    steps_client = await connect(
        server.address,
        namespace=server.steps_namespace,
        converter=make_converter(TEST_RING, namespace=f"{RECORDED_NAMESPACE}-steps"),
        wait_seconds=30,
    )
    stage = Stage(client=client, steps_client=steps_client, effects=effects or ScriptedEffects())
    played = stage.effects
    async with (
        _worker(client, CONTROL_QUEUE, STORIES, played.control(), cached),
        _worker(client, TRANSFER_QUEUE, (), played.transfer(), cached),
        _worker(steps_client, STEP_CONTROL_QUEUE, STEP_STORIES, [played.settle], cached),
        _worker(steps_client, machine_queue(MACHINE), (), [played.execute_step], cached),
    ):
        yield stage


def _worker(client: Client, queue: str, stories: Any, actions: list[Callable[..., Any]], cached: int) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=stories,
        activities=actions,
        workflow_runner=make_runner("workflows"),
        interceptors=[ErrorInterceptor()],
        max_cached_workflows=cached,
        sticky_queue_schedule_to_start_timeout=STICKY,
        graceful_shutdown_timeout=GRACE / 100,
        max_heartbeat_throttle_interval=HEARTBEAT / 10,
        default_heartbeat_throttle_interval=HEARTBEAT / 10,
    )
