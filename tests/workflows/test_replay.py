# SPDX-License-Identifier: Apache-2.0
"""Stories that run in the field must go on under this code: every recorded history replays, and a changed story is caught."""

import json
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from adapters.codec import make_converter
from tests.workflows import forbidden, reordered
from tests.workflows.long_scenarios import LONG_SCENES
from tests.workflows.scenarios import SCENES
from tests.workflows.stage import RECORDED_NAMESPACE, TEST_RING
from worker.interceptors import ErrorInterceptor
from worker.runner import make_runner
from worker.wiring import STEP_STORIES, STORIES

HISTORIES = Path(__file__).parent.parent / "histories"
RECORDED = sorted(HISTORIES.glob("*/*.json"))


def read_history(path: Path) -> WorkflowHistory:
    """A recorded history under its own workflow id; a wrong id would look like nondeterminism."""
    text = path.read_text(encoding="utf-8")
    workflow_id = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]["workflowId"]
    return WorkflowHistory.from_json(workflow_id, text)


def make_replayer(stories: list[type], *, story: str) -> Replayer:
    """A replayer with the interceptors and the converter of production, under the test key, and with the whole sandbox: each story is watched."""
    namespace = f"{RECORDED_NAMESPACE}-steps" if story == "RunStep" else RECORDED_NAMESPACE
    return Replayer(
        workflows=stories,
        data_converter=make_converter(TEST_RING, namespace=namespace),
        workflow_runner=make_runner(),
        interceptors=[ErrorInterceptor()],
        namespace=namespace,
    )


def test_every_story_and_every_scene_has_a_history() -> None:
    """A story without a recorded history could be broken for everybody without a test noticing."""
    kept = {(path.parent.name, path.stem) for path in RECORDED}
    assert kept >= {(story, scene.__name__) for played in (SCENES, LONG_SCENES) for story, scenes in played.items() for scene in scenes}
    assert {name for name, _ in kept} == {story.__name__ for story in (*STORIES, *STEP_STORIES)}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_a_recorded_history_replays(path: Path) -> None:
    """The story takes the same way again."""
    replayer = make_replayer([*STORIES, *STEP_STORIES], story=path.parent.name)
    await replayer.replay_workflow(read_history(path))


def test_no_recorded_history_shows_a_payload_in_clear() -> None:
    """What the engine keeps is encrypted; ids, codes and names only stand in clear."""
    for path in RECORDED:
        text = path.read_text(encoding="utf-8")
        assert "json/plain" not in text
        assert "spc_1" not in text.replace("replicate:spc_1:", "")


async def test_a_reordered_story_is_caught() -> None:
    """The guard itself works: a story whose steps were swapped does not replay."""
    path = HISTORIES / "VerifyUpload" / "verified.json"
    with pytest.raises(workflow.NondeterminismError):
        await make_replayer([reordered.VerifyUpload], story="VerifyUpload").replay_workflow(read_history(path))


async def test_a_story_that_asks_the_machine_is_caught() -> None:
    """Where no history could show it: a clock is read, and every step is the same."""
    path = HISTORIES / "VerifyUpload" / "verified.json"
    with pytest.raises(RuntimeError, match="RestrictedWorkflowAccessError"):
        await make_replayer([forbidden.VerifyUpload], story="VerifyUpload").replay_workflow(read_history(path))
