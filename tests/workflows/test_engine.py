# SPDX-License-Identifier: Apache-2.0
"""The engine port over the real Temporal: idempotent starts, honest answers, words and timelines, and quick refusal when it is away."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from adapters.codec import make_converter
from adapters.temporal import TemporalEngine, connect
from tests.servers import TemporalServer, free_port
from tests.simulators.scripted_effects import BUNDLE
from tests.workflows import scenarios
from tests.workflows.scenarios import decision
from tests.workflows.stage import RECORDED_NAMESPACE, TEST_RING, Stage, until
from waybill.domain.stories import CarrierInput, CourierInput, ImportInput, ReceiptSeen
from waybill.errors import ConflictError, FormatError, NotFoundError, UnavailableError

pytestmark = pytest.mark.server


@pytest.fixture
def engine(engine_server: TemporalServer) -> Iterator[TemporalEngine]:
    """The engine port on the stage's namespace."""
    made = TemporalEngine(
        address=engine_server.address,
        namespace=RECORDED_NAMESPACE,
        converter=make_converter(TEST_RING, namespace=RECORDED_NAMESPACE),
    )
    yield made
    made.close()


async def start_import(engine: TemporalEngine, stage: Stage, number: str) -> str:
    """An import that waits for its decision; returns its workflow id."""
    given = ImportInput(space_id="spc_1", task_id="tsk_1", inbox_id=number, bundle_sha256=BUNDLE)
    workflow_id = f"import:{number}"
    await asyncio.to_thread(engine.start, story="ImportRelease", workflow_id=workflow_id, story_input=asdict(given), summary="an import")
    await until(lambda: bool(stage.effects.words()))
    return workflow_id


async def test_starting_twice_is_one_start(engine: TemporalEngine, stage: Stage) -> None:
    """While it runs and after it has ended."""
    given = CarrierInput(space_id="spc_1", task_id="tsk_1", carrier_id="car_twice")
    for _ in range(2):
        await asyncio.to_thread(
            engine.start, story="ExportCarrier", workflow_id="carrier-export:twice", story_input=asdict(given), summary="x"
        )
    await stage.client.get_workflow_handle("carrier-export:twice").result()
    await asyncio.to_thread(engine.start, story="ExportCarrier", workflow_id="carrier-export:twice", story_input=asdict(given), summary="x")
    assert len(stage.effects.asked("carriers.export")) == 1


async def test_a_courier_may_run_again_after_its_end(engine: TemporalEngine, stage: Stage) -> None:
    """A trust that is called again gets its courier back."""
    given = asdict(CourierInput(space_id="spc_1", trust_id="trs_again"))
    for expected in (1, 2):
        await asyncio.to_thread(engine.start, story="Courier", workflow_id="courier:again", story_input=given, summary="x")
        await stage.client.get_workflow_handle("courier:again").result()
        assert len(stage.effects.asked("messages.round")) == expected


async def test_a_decision_gets_the_storys_answer(engine: TemporalEngine, stage: Stage) -> None:
    """And the validator's refusals come back as the errors that they were."""
    workflow_id = await start_import(engine, stage, "ibx_engine")
    with pytest.raises(ConflictError) as changed:
        await asyncio.to_thread(engine.update, workflow_id, "decide", decision(bundle="0" * 64), update_id="u1")
    assert (changed.value.code, changed.value.field) == ("bundle.changed", "bundle_sha256")
    with pytest.raises(FormatError) as invalid:
        await asyncio.to_thread(engine.update, workflow_id, "decide", decision("maybe"), update_id="u2")
    assert (invalid.value.code, invalid.value.found) == ("request.invalid", "maybe")
    assert await asyncio.to_thread(engine.update, workflow_id, "decide", decision(), update_id="u3") == "approve"


async def test_what_does_not_run_is_no_fault(engine: TemporalEngine) -> None:
    """Signals and cancellations to nothing answer False; nothing is described, no timeline is made up; an update is refused."""
    assert engine.signal("promote:gone", "receipt", ReceiptSeen(receipt_id="rcp_1", event="imported")) is False
    assert engine.cancel("promote:gone") is False
    assert engine.describe("promote:gone") is None
    assert engine.timeline("promote:gone") == ()
    with pytest.raises(NotFoundError):
        engine.update("import:gone", "decide", decision(), update_id="u1")


async def test_an_ended_story_takes_no_signal(engine: TemporalEngine, stage: Stage) -> None:
    """A receipt that comes after the promotion has ended finds nobody, and that is normal."""
    handle = await scenarios.sealing_refused(stage)
    told = await asyncio.to_thread(engine.signal, handle.id, "receipt", ReceiptSeen(receipt_id="rcp_1", event="imported"))
    assert told is False


async def test_a_running_story_is_described_in_its_own_words(engine: TemporalEngine, stage: Stage) -> None:
    """What it waits for, decoded."""
    workflow_id = await start_import(engine, stage, "ibx_words")
    assert await asyncio.to_thread(engine.describe, workflow_id) == "Waiting for a person to approve or reject it"
    assert await asyncio.to_thread(engine.cancel, workflow_id) is True
    await scenarios.ended(stage.client.get_workflow_handle(workflow_id))
    assert await asyncio.to_thread(engine.describe, workflow_id) is None


async def test_a_timeline_tells_attempts_failures_and_summaries(engine: TemporalEngine, stage: Stage) -> None:
    """In clear for whoever holds the key; rows open and close where they belong."""
    handle = await scenarios.fetched(stage)
    rows = {row.name: row for row in await asyncio.to_thread(engine.timeline, handle.id)}
    assert rows["ReceiveBundle"].status == "done"
    assert rows["inbox.needs"].summary == "compare with the store"
    child = next(row for row in await asyncio.to_thread(engine.timeline, handle.id) if row.lane == "child" and row.status == "failed")
    assert child.failure is not None
    assert "package.hash_mismatch" in child.failure
    assert all(row.ended_at is not None for row in rows.values())


async def test_a_retrying_activity_is_in_the_timeline(engine: TemporalEngine, stage: Stage) -> None:
    """The history does not know it yet; the engine does."""
    stage.effects.refusals["inbox.apply_import"] = [UnavailableError("ledger.unavailable", "the database is away") for _ in range(50)]
    workflow_id = await start_import(engine, stage, "ibx_retry")
    await asyncio.to_thread(engine.update, workflow_id, "decide", decision(), update_id="u1")
    await stage.until_asked("inbox.apply_import", 2)
    row = next(row for row in await asyncio.to_thread(engine.timeline, workflow_id) if row.name == "inbox.apply_import")
    assert (row.status, row.ended_at) == ("retrying", None)
    assert row.attempt >= 2
    assert "ledger.unavailable" in (row.failure or "")
    await stage.client.get_workflow_handle(workflow_id).terminate()


async def test_an_engine_that_is_away_is_said_so_quickly() -> None:
    """Every call refuses with engine.unavailable within seconds, so that the API can answer 503."""
    away = TemporalEngine(address=f"127.0.0.1:{free_port()}", namespace="none", converter=make_converter(TEST_RING, namespace="none"))
    started = time.monotonic()
    for call in (
        away.check,
        lambda: away.signal("promote:x", "receipt", "x"),
        lambda: away.start(story="Courier", workflow_id="courier:x", story_input={}, summary="x"),
        lambda: away.timeline("promote:x"),
    ):
        with pytest.raises(UnavailableError) as refused:
            await asyncio.to_thread(call)
        assert refused.value.code == "engine.unavailable"
    away.close()
    assert time.monotonic() - started < 10


async def test_a_worker_waits_for_its_server_only_as_long_as_it_is_told() -> None:
    """``--check`` must end."""
    with pytest.raises(UnavailableError):
        await connect(f"127.0.0.1:{free_port()}", namespace="none", converter=make_converter(TEST_RING, namespace="none"), wait_seconds=0.2)
