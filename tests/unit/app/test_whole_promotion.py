# SPDX-License-Identifier: Apache-2.0
"""A promotion from end to end between sites in memory, on every road, without an engine: the use cases driven by hand."""

from tests.unit.app.world import (
    SECRET,
    World,
    bundle_of,
    carry_file,
    connect,
    deploy_all,
    events,
    fetch_blobs,
    import_it,
    make_world,
    told,
)
from waybill.app import exchange, preview, promote, receive
from waybill.app.access import SYSTEM
from waybill.domain.bundles import InboxBundle, InboxState
from waybill.domain.promotions import PromotionState
from waybill.domain.receipts import RemoteCell
from waybill.domain.trusts import OutboxMessage, Road


def only_inbox(world: World) -> InboxBundle:
    """The one bundle in the target's inbox."""
    page = receive.list_inbox(world.target.ports, SYSTEM, space_id=world.target.space_id)
    assert len(page.items) == 1
    found = page.items[0]
    assert isinstance(found, InboxBundle)
    return found


def check_home(world: World, promotion_id: str) -> None:
    """The source knows, by receipts alone, that 1.0.0 runs in Prod: Production and that the lifecycle there is complete."""
    promotion = promote.get_promotion(world.source.ports, SYSTEM, space_id=world.source.space_id, promotion_id=promotion_id)
    assert promotion.state is PromotionState.COMPLETED
    with world.source.ports.ledger.read(world.source.space_id) as work:
        cells = work.of(RemoteCell).where()
    assert [(cell.environment_name, cell.release_version, cell.state) for cell in cells] == [("Production", "1.0.0", "succeeded")]


def test_a_promotion_by_hand_ends_completed_at_the_source() -> None:
    """Received, ready, imported, queued, started, succeeded, lifecycle_completed come home in this order, and complete the promotion."""
    world = make_world()
    release = world.release()
    deploy_all(world.source, release, "Test")
    promotion = world.promote(release)
    imported = world.imported(promotion)
    deployment, orders = deploy_all(world.target, imported, "Production")
    assert imported.release_sha256 == release.release_sha256
    assert [order.inputs["script"] for order in orders] == [
        "deploy https://prod.example for Production",
        f"check shop.example with {SECRET} /srv/app",
    ]
    assert orders[1].masks == (SECRET,)
    assert orders[0].masks == ()
    world.carry_home()
    expected = ["received", "ready", "imported", "queued", "started", "succeeded", "lifecycle_completed"]
    assert events(world.target, "out") == expected
    assert events(world.source, "in") == expected
    assert deployment.event_no == 3
    check_home(world, promotion.id)


def test_a_target_that_pulls_needs_no_call_from_the_source() -> None:
    """The target asks, fetches the bytes by granted URLs and brings its receipts: the source opens no connection."""
    world = make_world(road=Road.ANSWER, peer_road=Road.CALL)
    connect(world.source, world.target)
    release = world.release()
    deploy_all(world.source, release, "Test")
    promotion = world.promote(release)
    first = exchange.run_round(world.target.ports, space_id=world.target.space_id, trust_id=world.to_source.id)
    assert (first.received, first.refused) == (1, ())
    inbox = only_inbox(world)
    assert fetch_blobs(world.target, inbox) > 0
    receive.mark_ready(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)
    deploy_all(world.target, import_it(world.target, inbox), "Production")
    exchange.run_round(world.target.ports, space_id=world.target.space_id, trust_id=world.to_source.id)
    check_home(world, promotion.id)
    assert world.source.site.peer.posts == []
    for home in (world.source, world.target):
        with home.ports.ledger.read(home.space_id) as work:
            assert {row.state for row in work.of(OutboxMessage).where()} == {"acknowledged"}


def test_a_carrier_takes_the_whole_promotion_both_ways() -> None:
    """One file out with bundle and packages, one file home with the receipts: the same end as over a network."""
    world = make_world()
    release = world.release()
    deploy_all(world.source, release, "Test")
    promotion = world.promote(release)
    summary = carry_file(world.source, world.to_target, world.target)
    assert told(summary) == [("delivery", "accepted", None)]
    inbox = only_inbox(world)
    assert receive.needs_now(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id) == ()
    receive.mark_ready(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)
    deploy_all(world.target, import_it(world.target, inbox), "Production")
    carry_file(world.target, world.to_source, world.source)
    check_home(world, promotion.id)
    assert receive.get_inbox(world.target.ports, SYSTEM, space_id=world.target.space_id, inbox=inbox.id).state is InboxState.IMPORTED


def test_the_second_release_reviews_only_what_changed_and_moves_only_new_bytes() -> None:
    """After 1.0.0, release 1.1.0 with one new package lists that as changed, all else unchanged, and lacks one blob only."""
    world = make_world()
    first = world.release()
    deploy_all(world.source, first, "Test")
    world.imported(world.promote(first))
    world.source.push("app", "1.1.0", b"newer bytes" * 1000)
    second = world.release("1.1.0")
    deploy_all(world.source, second, "Test")
    inbox = world.accept(world.promote(second))
    needs = receive.needs_now(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)
    assert [need.name for need in needs] == ["app 1.1.0"]
    shown = preview.preview(world.target.ports, SYSTEM, space_id=world.target.space_id, inbox=inbox.id)
    assert shown.only_changes
    assert (shown.previous_version, shown.project_change) == ("1.0.0", "extended")
    assert [(line.package_id, line.change, line.present) for line in shown.packages] == [("app", "changed", False)]
    assert {line.change for line in shown.step_packages} == {"unchanged"}
    assert {line.change for line in shown.actions} == {"unchanged"}
    assert {line.change for line in shown.variables} == {"unchanged", "unknown"}
    assert [line.state for line in shown.templates] == ["answered"]


def test_the_secret_crosses_sealed_only() -> None:
    """The planted secret stands in no envelope and in no stored row of either side."""
    world = make_world()
    release = world.release()
    deploy_all(world.source, release, "Test")
    promotion = world.promote(release)
    delivery, body = bundle_of(world.source, promotion)
    deploy_all(world.target, world.imported(promotion), "Production")
    assert SECRET.encode() not in delivery + body
    for home in (world.source, world.target):
        assert SECRET not in repr(home.site.ledger._state)
