# SPDX-License-Identifier: Apache-2.0
"""One Temporal server for all stories, and a stage per test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.servers import TemporalServer, run_temporal
from tests.servers import s3_server as s3_server
from tests.workflows.stage import RECORDED_NAMESPACE, Stage, raised_stage


@pytest.fixture(scope="session")
def engine_server() -> Iterator[TemporalServer]:
    """The real Temporal dev server with the namespace of the recorded histories."""
    with run_temporal(namespace=RECORDED_NAMESPACE) as server:
        yield server


@pytest.fixture
async def stage(engine_server: TemporalServer) -> AsyncIterator[Stage]:
    """A stage with an empty script."""
    async with raised_stage(engine_server) as raised:
        yield raised
