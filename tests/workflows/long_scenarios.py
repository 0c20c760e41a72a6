# SPDX-License-Identifier: Apache-2.0
"""Scenes of stories whose history grows long, for a server that finds 40 events long."""

from typing import Any

from temporalio.client import WorkflowHandle

from activities.messages import Round
from activities.promotions import WhereItIs
from tests.workflows.scenarios import SPACE, Scene, ended, promotion, send_receipt
from tests.workflows.stage import Stage
from waybill.domain.stories import CourierInput


async def courier_continued(stage: Stage) -> WorkflowHandle[Any, Any]:
    """A history that grows long is ended, and the courier goes on in a new one."""
    stage.effects.rounds = [Round() for _ in range(30)]
    given = CourierInput(space_id=SPACE, trust_id="trs_1", poll_seconds=0.05)
    return await ended(await stage.start("Courier", given, workflow_id="courier:trs_1"))


async def promotion_continued(stage: Stage) -> WorkflowHandle[Any, Any]:
    """A promotion that is followed for long goes on in a new history, sealed once and with its deadline kept."""
    stage.effects.where = WhereItIs(road_state="acknowledged", state="imported")
    handle = await stage.start("PromoteRelease", promotion("answer", recheck_seconds=0.01), workflow_id="promote:prm_1")
    await stage.until_asked("promotions.look", 20)
    await send_receipt(stage, handle, "lifecycle_completed", "completed")
    return await ended(handle)


LONG_SCENES: dict[str, tuple[Scene, ...]] = {"Courier": (courier_continued,), "PromoteRelease": (promotion_continued,)}
"""Scenes for a server that finds 40 events long."""

SHORT_HISTORIES = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=40")
