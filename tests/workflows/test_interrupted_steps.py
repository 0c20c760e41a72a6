# SPDX-License-Identifier: Apache-2.0
"""A machine that is killed in the middle of a step: a real process, a real SIGKILL, a real effect on a file that must not double."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity

from activities.step_runs import StepEngine
from adapters.temporal import TemporalSteps
from tests.servers import TemporalServer
from tests.simulators.scripted_effects import ScriptedEffects, action
from tests.workflows import scenarios
from tests.workflows.scenarios import step_decision
from tests.workflows.stage import Stage, raised_stage, until
from waybill.domain.stories import RunEnded, RunStepInput, machine_queue

pytestmark = pytest.mark.server
MACHINE = "mch_dying"


@dataclass(kw_only=True)
class RealSteps(ScriptedEffects):
    """Steps go to the real engine's steps namespace, to a real machine process; the ledger's word comes from its outcome files."""

    directory: Path
    is_idempotent: bool = False
    steps: StepEngine | None = None

    @activity.defn(name="steps.run")
    async def run_step(self, given: RunStepInput) -> RunEnded:
        """Carried into the steps namespace, as ``StepRuns.run`` does."""
        self.calls.append(("steps.run", given))
        assert self.steps is not None
        ended = await self.steps.run(given)
        assert ended is not None
        return ended

    @activity.defn(name="runs.settle")
    async def settle(self, given: RunStepInput) -> RunEnded:
        """What the machine posted, else interrupted."""
        self.calls.append(("runs.settle", given))
        posted = self.directory / f"outcome-{given.run_id}"
        if await asyncio.to_thread(posted.exists):
            return RunEnded(run_id=given.run_id, state="succeeded")
        return RunEnded(run_id=given.run_id, state="errored", code="step.interrupted", idempotent=self.is_idempotent)

    def run_id(self, attempt: int) -> str:
        """The run of that attempt; the action has a name of its own in each test, since the engine keeps what it has run."""
        return f"{self.plan[0].action_id}_{MACHINE}_{attempt}"

    def effect(self) -> list[str]:
        """The runs whose effect happened, in order."""
        path = self.directory / "effect"
        return path.read_text().split() if path.exists() else []


@dataclass(kw_only=True)
class DyingMachine:
    """The machine's process."""

    server: TemporalServer
    directory: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """It polls its queue."""
        command = [sys.executable, "-m", "tests.workflows.dying_machine", self.server.address, self.server.steps_namespace]
        self.process = subprocess.Popen([*command, machine_queue(MACHINE), str(self.directory)], stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """It is gone at once, without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture
async def played(engine_server: TemporalServer, tmp_path: Path) -> AsyncIterator[tuple[Stage, RealSteps]]:
    """A stage whose deployments have one action on the dying machine."""
    effects = RealSteps(directory=tmp_path, plan=(action(f"Install{secrets.token_hex(4)}", machines=(MACHINE,), retries=1),))
    async with raised_stage(engine_server, effects=effects) as stage:
        effects.steps = TemporalSteps(stage.steps_client)
        yield stage, effects


@pytest.fixture
def machine(engine_server: TemporalServer, tmp_path: Path) -> Iterator[DyingMachine]:
    """The machine, killed at the end."""
    made = DyingMachine(server=engine_server, directory=tmp_path)
    yield made
    made.kill()


async def killed_in_the_middle(stage: Stage, effects: RealSteps, machine: DyingMachine) -> Any:
    """The deployment's handle, after its step had its effect and its machine died and came back."""
    (effects.directory / "hang").touch()
    await asyncio.to_thread(machine.start)
    handle = await scenarios.deploying(stage)
    await until(lambda: len(effects.effect()) == 1)
    machine.kill()
    (effects.directory / "hang").unlink()
    await asyncio.to_thread(machine.start)
    return handle


@pytest.mark.timeout(120)
async def test_an_interrupted_step_is_not_run_again_without_a_decision(played: tuple[Stage, RealSteps], machine: DyingMachine) -> None:
    """The effect stays single until a person says retry; then it happens a second time, under a run of its own."""
    stage, effects = played
    handle = await killed_in_the_middle(stage, effects, machine)
    await stage.until_asked("deployments.wait_for_decision")
    assert effects.effect() == [effects.run_id(1)]
    await handle.execute_update("decide_step", step_decision("retry", effects.run_id(1)))
    assert (await handle.result())["state"] == "succeeded"
    assert effects.effect() == [effects.run_id(1), effects.run_id(2)]


@pytest.mark.timeout(120)
async def test_an_interrupted_repeatable_step_is_run_again(played: tuple[Stage, RealSteps], machine: DyingMachine) -> None:
    """An action that is declared idempotent needs nobody."""
    stage, effects = played
    effects.is_idempotent = True
    handle = await killed_in_the_middle(stage, effects, machine)
    assert (await handle.result())["state"] == "succeeded"
    assert effects.effect() == [effects.run_id(1), effects.run_id(2)]
    assert effects.asked("deployments.wait_for_decision") == []


async def test_a_claimed_run_is_never_executed_by_a_second_task(played: tuple[Stage, RealSteps], machine: DyingMachine) -> None:
    """Even a task that the engine hands out twice meets a claim that is given once."""
    stage, effects = played
    await asyncio.to_thread((effects.directory / "claim-run_twice").touch)
    await asyncio.to_thread(machine.start)
    given = RunStepInput(space_id="spc_1", run_id="run_twice", machine_id=MACHINE, timeout_seconds=60)
    handle = await stage.start_step(given, workflow_id="step:run_twice")
    assert (await handle.result())["code"] == "step.interrupted"
    assert effects.effect() == []
