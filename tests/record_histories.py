# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.record_histories``: plays every scene on the real engine and keeps each story's history for replay.

A history is recorded once per released form of a story and never edited: it is what running stories in the field look like.
Existing files are kept; ``--again`` records them anew, which is right only before a first release.
Payloads are encrypted under the fixed key of tests/workflows/stage.py.
"""

import argparse
import asyncio
import logging
import re
import sys
from pathlib import Path

from tests.servers import TemporalServer, run_temporal
from tests.workflows.long_scenarios import LONG_SCENES, SHORT_HISTORIES
from tests.workflows.scenarios import SCENES, Scene
from tests.workflows.stage import RECORDED_NAMESPACE, raised_stage

HISTORIES = Path(__file__).parent / "histories"
_IDENTITY = re.compile(r"\b\d+@[\w.-]+")


async def record(server: TemporalServer, scene: Scene, path: Path) -> None:
    """The history of ``scene`` is in ``path``; where it went on in a new run, that of its first run is beside it."""
    async with raised_stage(server) as stage:
        handle = await scene(stage)
        run_id = (await handle.describe()).run_id
        client = stage.steps_client if handle.id.startswith("step:") else stage.client
        for kept, run in {path: run_id, path.with_stem(f"{path.stem}_first_run"): handle.first_execution_run_id}.items():
            if kept == path or run != run_id:
                history = await client.get_workflow_handle(handle.id, run_id=run).fetch_history()
                keep(kept, history.to_json())
                sys.stdout.write(f"{kept.relative_to(HISTORIES)}: {len(history.events)} events\n")


def keep(path: Path, text: str) -> None:
    """``text`` is in the file, without the names of the computer and the processes that made it."""
    text = _IDENTITY.sub("recorder", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


async def record_all(*, is_again: bool) -> None:
    """Every scene of which no history is kept has one."""
    for played, extra in ((SCENES, ()), (LONG_SCENES, SHORT_HISTORIES)):
        wanted = [(scene, HISTORIES / story / f"{scene.__name__}.json") for story, scenes in played.items() for scene in scenes]
        with run_temporal(namespace=RECORDED_NAMESPACE, extra=extra) as server:
            for scene, path in wanted:
                if is_again or not path.exists():
                    await record(server, scene, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.record_histories", description=__doc__)
    parser.add_argument("--again", action="store_true", help="record also what is kept already")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the refusals that scenes play are no news
    asyncio.run(record_all(is_again=given.again))
