# SPDX-License-Identifier: Apache-2.0
"""Stories that live for months do not grow for ever: they go on in a new history and forget nothing that matters."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.servers import TemporalServer, run_temporal
from tests.workflows import long_scenarios
from tests.workflows.stage import RECORDED_NAMESPACE, Stage, raised_stage

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def impatient_server() -> Iterator[TemporalServer]:
    """A server that finds 40 events long."""
    with run_temporal(namespace=RECORDED_NAMESPACE, extra=long_scenarios.SHORT_HISTORIES) as server:
        yield server


@pytest.fixture
async def long_stage(impatient_server: TemporalServer) -> AsyncIterator[Stage]:
    """A stage on it."""
    async with raised_stage(impatient_server) as raised:
        yield raised


async def test_a_courier_goes_on_in_a_new_history(long_stage: Stage) -> None:
    """Every round happens once, over several runs of the same id."""
    handle = await long_scenarios.courier_continued(long_stage)
    assert (await handle.result())["state"] == "succeeded"
    assert len(long_stage.effects.asked("messages.round")) == 31
    assert (await handle.describe()).run_id != handle.first_execution_run_id


async def test_a_promotion_goes_on_without_sealing_again(long_stage: Stage) -> None:
    """The new run follows the bundle that the first one sealed, and ends with the receipt."""
    handle = await long_scenarios.promotion_continued(long_stage)
    assert (await handle.result())["state"] == "succeeded"
    assert len(long_stage.effects.asked("promotions.seal")) == 1
    assert (await handle.describe()).run_id != handle.first_execution_run_id
