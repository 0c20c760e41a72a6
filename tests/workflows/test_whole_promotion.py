# SPDX-License-Identifier: Apache-2.0
"""From the button at the source to the receipt that the lifecycle is completed, over the whole of both sites."""

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.codec import make_converter
from adapters.temporal import connect
from tests.servers import TemporalServer, run_temporal
from tests.simulators.engine_memory import MemoryEngine
from tests.simulators.site import ManualClock
from tests.simulators.spaces import Home, action
from tests.workflows.stage import until
from tests.workflows.two_sites import Place, TwoSites, make_release, raised_sites, ring_of
from waybill.app import carrier, deploy, inventories, packages, promote, tasks
from waybill.app.access import SYSTEM
from waybill.domain.bundles import InboxState
from waybill.domain.promotions import PromotionState
from waybill.domain.tasks import TaskState
from waybill.domain.trusts import Road
from waybill.errors import NotFoundError
from waybill.formats.layout import blob_key, carrier_key
from worker.sweep import sweep_once
from worker.wiring import Load

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]


@pytest.fixture(scope="session")
def sites_server() -> Iterator[TemporalServer]:
    """A Temporal server with the namespaces of two sites."""
    extra = ["--namespace", "site-b", "--namespace", "site-b-steps"]
    with run_temporal(namespace="site-a", extra=extra) as server:
        yield server


async def promoted_and_ready(sites: TwoSites, release: str) -> tuple[str, str]:
    """A promotion was started and its bundle is ready to import; returns the ids of promotion and task."""
    home = sites.source.home
    promotion, task = await asyncio.to_thread(
        promote.start_promotion, home.ports, SYSTEM, space_id=home.space_id, release=release, trust=sites.source.trust.id
    )
    before = len(sites.target.inbox())
    assert before <= 1
    await until(lambda: any(row.state is InboxState.READY for row in sites.target.inbox()), seconds=150)
    return promotion.id, task.id


async def import_and_deploy(sites: TwoSites) -> str:
    """The ready bundle was approved, imported and deployed to the end; returns the deployment's task id."""
    home = sites.target.home
    [bundle] = [row for row in sites.target.inbox() if row.state is InboxState.READY]
    await asyncio.to_thread(sites.target.approve, bundle, lifecycle=sites.lifecycle)
    await until(lambda: sites.target.inbox()[-1].state is InboxState.IMPORTED)
    release = sites.target.inbox()[-1].release_row_id
    assert release is not None
    _deployment, task = await asyncio.to_thread(
        deploy.start_deployment, home.ports, SYSTEM, space_id=home.space_id, release=release, environment=sites.environment.id
    )
    await until(lambda: sites.target.task(task.id).state is TaskState.SUCCEEDED, seconds=150)
    return task.id


@pytest.mark.parametrize(
    ("source_road", "target_road", "cached"), [(Road.CALL, Road.ANSWER, 500), (Road.ANSWER, Road.CALL, 500), (Road.CALL, Road.ANSWER, 0)]
)
async def test_a_release_crosses_and_its_receipts_come_home(
    sites_server: TemporalServer, source_road: Road, target_road: Road, cached: int
) -> None:
    """Pushed or pulled, and by workers that forget everything after each task: the same bundle, packages and receipts; it ends completed."""
    load = Load(threads=8, cached=cached)
    async with raised_sites(sites_server, source_road=source_road, target_road=target_road, load=load) as sites:
        release = await asyncio.to_thread(make_release, sites)
        promotion_id, task_id = await promoted_and_ready(sites, release)
        deployment_task = await import_and_deploy(sites)
        await until(lambda: sites.source.promotion(promotion_id).state is PromotionState.COMPLETED, seconds=150)
        await until(lambda: sites.source.task(task_id).state is TaskState.SUCCEEDED)

        assert len(sites.host.ran) == 2
        assert len(set(sites.host.ran)) == 2
        assert sites.target.inbox()[0].state is InboxState.IMPORTED
        assert "Lifecycle completed" in sites.source.task(task_id).details
        home = sites.target.home
        said = tasks.read_log(home.ports, SYSTEM, space_id=home.space_id, task=deployment_task)
        assert any("running run-script" in line.message for line in said)
        assert {row["name"] for row in sites.source.task(task_id).timeline if isinstance(row, dict)} >= {"promotions.seal", "receipt"}
        if source_road is Road.CALL:
            assert sites.source.promotion(promotion_id).bytes_sent > 0


@pytest.mark.parametrize(("source_road", "target_road"), [(Road.CALL, Road.ANSWER), (Road.ANSWER, Road.CALL)])
async def test_the_next_version_crosses_as_a_delta(sites_server: TemporalServer, source_road: Road, target_road: Road) -> None:
    """Pushed or pulled: the inventory came home by itself, the target rebuilds the package, and the log of the promotion says what it cost."""
    async with raised_sites(sites_server, source_road=source_road, target_road=target_road) as sites:
        home, first = sites.source.home, b"the first version of the app " * 2000
        await asyncio.to_thread(home.install)
        await asyncio.to_thread(home.push, "app", "1.0.0", first)
        lifecycle = home.lifecycle("To Prod", (sites.source.trust.id,))
        project = home.project("Storefront", actions=(action("Deploy", package_id="app"),), lifecycle=lifecycle)
        one = await asyncio.to_thread(home.release, project, "1.0.0")
        await promoted_and_ready(sites, one.id)
        await import_and_deploy(sites)
        await until(lambda: inventory_of(sites) is not None)
        newer = first.replace(b"first version", b"newer edition", 3)
        package = await asyncio.to_thread(home.push, "app", "1.1.0", newer)
        two = await asyncio.to_thread(home.release, project, "1.1.0")
        promotion_id, task_id = await promoted_and_ready(sites, two.id)
        assert b"".join(sites.target.ports.objects.read(blob_key(package.sha256))) == newer
        await until(lambda: sites.source.promotion(promotion_id).state is PromotionState.READY)
        await until(lambda: sites.source.promotion(promotion_id).bytes_sent > 0)
        promotion = sites.source.promotion(promotion_id)
        sent = promotion.bytes_sent
        assert sent < len(newer) / 20
        assert sent + promotion.bytes_saved == promotion.bytes_packages
        said = tasks.read_log(home.ports, SYSTEM, space_id=home.space_id, task=task_id)
        assert f"app 1.1.0: delta against app 1.0.0: {sent} bytes instead of {len(newer)}" in [line.message for line in said]


def inventory_of(sites: TwoSites) -> inventories.KnownInventory | None:
    """What the source knows of the target."""
    home = sites.source.home
    with home.ports.ledger.read(home.space_id) as work:
        return inventories.newest(work, sites.source.trust.id)


async def test_a_carrier_takes_it_there_and_the_receipts_back(sites_server: TemporalServer) -> None:
    """No connection at all: one file there with bundle and packages, one file back with the receipts."""
    async with raised_sites(sites_server, source_road=Road.CARRIER, target_road=Road.CARRIER) as sites:
        release = await asyncio.to_thread(make_release, sites)
        home = sites.source.home
        promotion, task = await asyncio.to_thread(
            promote.start_promotion, home.ports, SYSTEM, space_id=home.space_id, release=release, trust=sites.source.trust.id
        )
        await until(lambda: "carrier file" in sites.source.task(task.id).details, seconds=150)
        await carry(sites.source, sites.target)
        await until(lambda: any(row.state is InboxState.READY for row in sites.target.inbox()), seconds=150)
        await import_and_deploy(sites)
        await carry(sites.target, sites.source)
        await until(lambda: sites.source.promotion(promotion.id).state is PromotionState.COMPLETED, seconds=150)
        await until(lambda: sites.source.task(task.id).state is TaskState.SUCCEEDED)
        assert sites.peer.posts == []


async def test_a_promotion_is_cancelled_before_any_road_took_it(sites_server: TemporalServer) -> None:
    """The bundle is withdrawn, and a carrier that is written afterwards does not take it along."""
    async with raised_sites(sites_server, source_road=Road.CARRIER, target_road=Road.CARRIER) as sites:
        release = await asyncio.to_thread(make_release, sites)
        home = sites.source.home
        promotion, task = await asyncio.to_thread(
            promote.start_promotion, home.ports, SYSTEM, space_id=home.space_id, release=release, trust=sites.source.trust.id
        )
        await until(lambda: "carrier file" in sites.source.task(task.id).details, seconds=150)
        await asyncio.to_thread(tasks.cancel, home.ports, SYSTEM, space_id=home.space_id, task=task.id)
        await until(lambda: sites.source.task(task.id).state is TaskState.CANCELLED)
        assert sites.source.promotion(promotion.id).state is PromotionState.CANCELLED
        with pytest.raises(NotFoundError, match="nothing waits"):
            await asyncio.to_thread(carrier.start_export, home.ports, SYSTEM, space_id=home.space_id, trust=sites.source.trust.id)


async def test_a_peer_that_is_away_is_waited_for(sites_server: TemporalServer) -> None:
    """Nothing fails while the other site does not answer; when it is back, the promotion goes on by itself."""
    async with raised_sites(sites_server, source_road=Road.CALL, target_road=Road.ANSWER) as sites:
        release = await asyncio.to_thread(make_release, sites)
        address = sites.target.ports.site.api_url
        assert address is not None
        sites.peer.down.add(address)
        home = sites.source.home
        _promotion, task = await asyncio.to_thread(
            promote.start_promotion, home.ports, SYSTEM, space_id=home.space_id, release=release, trust=sites.source.trust.id
        )
        await until(lambda: sites.source.task(task.id).details == "Delivering to Prod", seconds=150)
        assert sites.source.task(task.id).state is TaskState.WAITING
        sites.peer.down.clear()
        await until(lambda: any(row.state is InboxState.READY for row in sites.target.inbox()), seconds=60)


async def test_receipts_that_come_after_the_story_is_gone_still_count(sites_server: TemporalServer) -> None:
    """The engine forgets; the ledger takes the receipt all the same, and the missing story is no fault."""
    async with raised_sites(sites_server, source_road=Road.CALL, target_road=Road.ANSWER) as sites:
        release = await asyncio.to_thread(make_release, sites)
        promotion_id, _task_id = await promoted_and_ready(sites, release)
        gone = f"promote:{promotion_id}"
        await terminate(sites_server, gone)
        assert await asyncio.to_thread(sites.source.engine.signal, gone, "receipt", "x") is False
        await import_and_deploy(sites)
        await until(lambda: sites.source.promotion(promotion_id).state is PromotionState.COMPLETED, seconds=150)


async def test_the_sweep_starts_what_a_crash_swallowed(sites_server: TemporalServer) -> None:
    """A promotion whose start never reached the engine is started later, once."""
    async with raised_sites(sites_server, source_road=Road.CARRIER, target_road=Road.CARRIER) as sites:
        release = await asyncio.to_thread(make_release, sites)
        home = sites.source.home
        deaf = replace(home.ports, engine=MemoryEngine(is_down=True), clock=ManualClock(at=datetime.now(UTC) - timedelta(minutes=5)))
        _promotion, task = await asyncio.to_thread(
            promote.start_promotion, deaf, SYSTEM, space_id=home.space_id, release=release, trust=sites.source.trust.id
        )
        assert sites.source.task(task.id).state is TaskState.QUEUED
        assert await asyncio.to_thread(sweep_once, home.ports) == 1
        await until(lambda: "carrier file" in sites.source.task(task.id).details, seconds=150)


async def carry(sender: Place, receiver: Place) -> None:
    """A person exports a carrier file here and imports it there."""
    home, other = sender.home, receiver.home
    made, task = await asyncio.to_thread(carrier.start_export, home.ports, SYSTEM, space_id=home.space_id, trust=sender.trust.id)
    await until(lambda: sender.task(task.id).state is TaskState.SUCCEEDED, seconds=150)
    data = b"".join(home.ports.objects.read(carrier_key(made.id)))
    upload_id = await asyncio.to_thread(upload_carrier, other, data)
    _row, imported = await asyncio.to_thread(carrier.start_import, other.ports, SYSTEM, space_id=other.space_id, upload_id=upload_id)
    await until(lambda: receiver.task(imported.id).state is TaskState.SUCCEEDED, seconds=150)


def upload_carrier(home: Home, data: bytes) -> str:
    """The carrier file is uploaded and verified; returns the upload's id."""
    sha256 = hashlib.sha256(data).hexdigest()
    grant = packages.begin_upload(home.ports, SYSTEM, space_id=home.space_id, size_bytes=len(data), sha256=sha256, purpose="carrier")
    assert grant.upload is not None
    for part in grant.parts:
        piece = data[part.offset : part.offset + part.size_bytes]
        home.ports.objects.put_part(blob_key(sha256), grant.upload.multipart_id, part.number, piece)
    packages.complete_upload(home.ports, SYSTEM, space_id=home.space_id, upload_id=grant.upload.id)
    packages.verify_upload(home.ports, space_id=home.space_id, upload_id=grant.upload.id, on_bytes=lambda _total: None)
    return grant.upload.id


async def terminate(server: TemporalServer, workflow_id: str) -> None:
    """The story is gone, as after the engine's retention."""
    client = await connect(server.address, namespace="site-a", converter=make_converter(ring_of("site-a"), namespace="site-a"))
    await client.get_workflow_handle(workflow_id).terminate()
