# SPDX-License-Identifier: Apache-2.0
"""Packages that cross as deltas, on every road: when, at what cost, and that nothing that goes wrong costs more than bytes."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.simulators.deltas_memory import ENCODERS
from tests.unit.app.crossing import CHANGED, WATCH, Crossing, make_crossing, sha256_of
from tests.unit.app.world import APP, bring_file, carry_file
from waybill.app import blobs, carrier, deltas, exchange, inventories, receive, replicate
from waybill.app.access import SYSTEM
from waybill.domain.bundles import InboxBundle
from waybill.domain.deltas import ArrivedDelta, MadeDelta, OfferedDelta
from waybill.domain.ids import JsonValue
from waybill.domain.promotions import Promotion
from waybill.domain.tasks import Task
from waybill.domain.trusts import Road
from waybill.errors import FormatError, UnavailableError
from waybill.formats import delivery, envelope
from waybill.formats.layout import blob_key, carrier_key, delta_key
from waybill.ports import SITE, StoredFile

ROADS = (Road.ANSWER, Road.CALL, Road.CARRIER)
NEW = sha256_of(CHANGED)


@pytest.fixture(params=ROADS, ids=lambda road: road.value)
def crossing(request: pytest.FixtureRequest) -> Crossing:
    """1.0.0 has crossed on the road and 1.1.0 ran in Test."""
    made = make_crossing(request.param)
    made.first_release()
    made.new_version()
    return made


@pytest.fixture
def pull() -> Crossing:
    """As ``crossing``, for a target that fetches."""
    made = make_crossing(Road.ANSWER)
    made.first_release()
    made.new_version()
    return made


@pytest.fixture
def push() -> Crossing:
    """As ``crossing``, for a source that sends."""
    made = make_crossing(Road.CALL)
    made.first_release()
    made.new_version()
    return made


def packages(crossing: Crossing, promotion: Promotion) -> dict[str, dict[str, JsonValue]]:
    """What the promotion's task counts, by the name of the package."""
    source = crossing.world.source
    with source.ports.ledger.read(source.space_id) as work:
        listed = work.of(Task).get(promotion.task_id).result["packages"]
    assert isinstance(listed, dict)
    return {str(entry["name"]): entry for entry in listed.values() if isinstance(entry, dict)}


def arrived(crossing: Crossing) -> list[ArrivedDelta]:
    """The deltas that the target knows of."""
    target = crossing.world.target
    with target.ports.ledger.read(target.space_id) as work:
        return list(work.of(ArrivedDelta).where())


def deltas_in_store(crossing: Crossing, *, at_target: bool) -> list[str]:
    """Keys of deltas in one of the stores."""
    home = crossing.world.target if at_target else crossing.world.source
    return [key for key in home.site.objects.stored if key.startswith("deltas/")]


def test_a_changed_package_crosses_as_a_delta(crossing: Crossing) -> None:
    """The target rebuilds the very bytes, both logs say what they cost, and nothing is left of the delta there."""
    promotion = crossing.promote("1.1.0")
    inbox = crossing.cross(promotion)
    target = crossing.world.target
    assert blobs.find_blob(target.ports, NEW) is not None
    assert target.site.objects.stored[blob_key(NEW)] == CHANGED
    assert crossing.world.source.site.deltas.made == [(sha256_of(APP), NEW, ENCODERS)]
    assert target.site.deltas.rebuilt == [(sha256_of(APP), NEW)]
    assert (arrived(crossing), deltas_in_store(crossing, at_target=True)) == ([], [])
    counted = packages(crossing, promotion)["app 1.1.0"]
    assert counted["how"] == "delta"
    assert packages(crossing, promotion)["run-script 1.0.0"]["how"] == "nothing"
    sent = counted["bytes_sent"]
    assert isinstance(sent, int)
    assert sent < 1000
    line = f"app 1.1.0: delta against app 1.0.0: {sent} bytes instead of {len(CHANGED)}"
    assert line in crossing.log_at_source(promotion)
    if crossing.road is not Road.CARRIER:
        assert line in crossing.log_at_target(inbox)
    receive.mark_ready(target.ports, space_id=target.space_id, inbox_id=inbox.id)
    crossing.come_home()
    ended = crossing.promotion(promotion)
    assert (ended.bytes_sent, ended.bytes_sent + ended.bytes_saved) == (sent, ended.bytes_packages)


def test_without_an_inventory_everything_crosses_whole_and_says_so(crossing: Crossing) -> None:
    """The first release told nothing yet; the words say why."""
    fresh = make_crossing(crossing.road)
    fresh.new_version("1.0.1", APP + b"more")
    promotion = fresh.promote("1.0.1")
    fresh.cross(promotion)
    assert "app 1.0.1: whole: no inventory of Prod is known" in fresh.log_at_source(promotion)
    assert fresh.world.source.site.deltas.made == []


def test_a_package_of_a_new_name_crosses_whole(pull: Crossing) -> None:
    """A base is an earlier version of the same package, never another one."""
    source = pull.world.source
    promotion = pull.promote("1.1.0")
    with source.ports.ledger.read(source.space_id) as work:
        held = deltas._held(source.ports, work, promotion, {sha256_of(APP)})
    assert [(one.package_id, one.version) for one in held] == [("app", "1.0.0")]
    way = deltas._way(pull.newest().needs[0], replace(held[0], sha256="0" * 64, package_id="other"), (), held, ENCODERS)
    assert way.words == "whole: the target has proven to hold no version of it"


def test_what_a_target_only_claims_to_hold_is_no_base(push: Crossing) -> None:
    """An inventory that names a version which never went there gives no delta against it: that would tell of its bytes."""
    never_sent = push.world.source.push("app", "1.0.5", APP + b"never sent to anybody")
    source = push.world.source
    promotion = push.promote("1.1.0")
    with source.ports.ledger.read(source.space_id) as work:
        held = deltas._held(source.ports, work, promotion, {never_sent.sha256, sha256_of(APP)})
    assert [one.sha256 for one in held] == [sha256_of(APP)]


def test_a_delta_that_is_hardly_smaller_is_not_sent(crossing: Crossing) -> None:
    """Other bytes altogether: made once, found not worth it, remembered, and the file crosses whole."""
    crossing.new_version("1.2.0", bytes(range(256)) * 400)
    promotion = crossing.promote("1.2.0")
    crossing.cross(promotion)
    words = packages(crossing, promotion)["app 1.2.0"]["words"]
    assert str(words).startswith("whole: its delta would have ")
    with crossing.world.source.ports.ledger.read(SITE) as work:
        assert [row.sha256 for row in work.of(MadeDelta).where()] == [None]
    assert deltas_in_store(crossing, at_target=False) == []


def test_a_delta_is_made_once_for_all_targets_with_the_same_encoders(pull: Crossing) -> None:
    """Asked again, nothing is computed; with other encoders at the target, or when the store lost it, it is made anew."""
    source = pull.world.source
    promotion = pull.promote("1.1.0")
    for _ in range(2):
        deltas.prepare(source.ports, space_id=source.space_id, promotion_id=promotion.id, watch=WATCH)
    assert len(source.site.deltas.made) == 1
    (key,) = deltas_in_store(pull, at_target=False)
    source.site.objects.delete(key)
    deltas.prepare(source.ports, space_id=source.space_id, promotion_id=promotion.id, watch=WATCH)
    assert len(source.site.deltas.made) == 2
    inventories.note_encoders(pull.world.target.ports, ENCODERS[:1])
    assert inventories.refresh(pull.world.target.ports, space_id=pull.world.target.space_id) == 1
    pull.exchange()
    deltas.prepare(source.ports, space_id=source.space_id, promotion_id=promotion.id, watch=WATCH)
    assert [encoders for _, _, encoders in source.site.deltas.made] == [ENCODERS, ENCODERS, ENCODERS[:1]]


def test_a_sender_that_cannot_make_a_delta_sends_the_file(crossing: Crossing) -> None:
    """A helper that fails, or scratch room that is full, costs bytes."""
    crossing.world.source.site.deltas.refusals.append(UnavailableError("delta.tool_failed", "the disk is full"))
    promotion = crossing.promote("1.1.0")
    # The pull road made its delta ahead; where it failed then, none is made when the target asks.
    crossing.cross(promotion)
    assert blobs.find_blob(crossing.world.target.ports, NEW) is not None
    words = str(packages(crossing, promotion)["app 1.1.0"]["words"])
    assert words in ("whole: no delta could be made (delta.tool_failed)", "whole: no delta was made ahead")


def test_a_store_that_is_away_is_no_reason_for_the_whole_file(push: Crossing) -> None:
    """An outside fault is raised, so that the engine tries again."""
    push.world.source.site.deltas.refusals.append(UnavailableError("store.unavailable", "no answer"))
    promotion = push.promote("1.1.0")
    push.exchange()
    with pytest.raises(UnavailableError):
        push.move(promotion)
    assert [one.how for one in push.move(promotion)] == ["delta"]


@pytest.mark.parametrize("code", ["delta.encoder_unavailable", "delta.malformed", "delta.result_mismatch"])
def test_a_delta_that_does_not_serve_is_followed_by_the_file(code: str) -> None:
    """On the roads that talk the target says why, and gets the whole file at once; both costs are counted."""
    for road in (Road.ANSWER, Road.CALL):
        crossing = make_crossing(road)
        crossing.first_release()
        crossing.new_version()
        crossing.world.target.site.deltas.refusals.append(FormatError(code, "it does not serve"))
        promotion = crossing.promote("1.1.0")
        inbox = crossing.cross(promotion)
        assert blobs.find_blob(crossing.world.target.ports, NEW) is not None
        counted = packages(crossing, promotion)["app 1.1.0"]
        assert (counted["how"], counted["bytes_saved"]) == ("whole", 0)
        assert int(str(counted["bytes_sent"])) > len(CHANGED)
        assert any(line.startswith("app 1.1.0: whole: ") and f"({code})" in line for line in crossing.log_at_source(promotion))
        assert any(f"did not serve ({code})" in line for line in crossing.log_at_target(inbox))
        assert deltas_in_store(crossing, at_target=True) == []
        receive.mark_ready(crossing.world.target.ports, space_id=inbox.space_id, inbox_id=inbox.id)


def test_a_delta_by_carrier_that_does_not_serve_is_followed_by_a_whole_carrier() -> None:
    """The target reports what is missing; the file written again holds everything whole."""
    crossing = make_crossing(Road.CARRIER)
    crossing.first_release()
    crossing.new_version()
    world = crossing.world
    world.target.site.deltas.refusals.append(FormatError("delta.encoder_unavailable", "another zlib"))
    promotion = crossing.promote("1.1.0")
    summary = carry_file(world.source, world.to_target, world.target)
    assert blobs_of(summary)["refused"] == [{"sha256": NEW, "code": "delta.encoder_unavailable"}]
    inbox = crossing.newest()
    receive.mark_waiting(world.target.ports, space_id=inbox.space_id, inbox_id=inbox.id, tell=True)
    carry_file(world.target, world.to_source, world.source)
    made, _ = carrier.start_export(world.source.ports, SYSTEM, space_id=world.source.space_id, trust=world.to_target.id, repeat=True)
    done = carrier.export(world.source.ports, space_id=world.source.space_id, carrier_id=made.id, on_bytes=lambda _total: None)
    assert (done.summary["deltas"], done.summary["held_there"]) == (0, 0)
    assert "app 1.1.0: whole: Prod missed something of this bundle" in crossing.log_at_source(promotion)
    again = bring_file(world.target, b"".join(world.source.site.objects.read(carrier_key(made.id))))
    assert blobs_of(again)["stored"] == [NEW]
    assert receive.needs_now(world.target.ports, space_id=inbox.space_id, inbox_id=inbox.id) == ()


def blobs_of(summary: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What became of the blobs of a carrier."""
    found = summary["blobs"]
    assert isinstance(found, dict)
    return found


def test_a_carrier_leaves_at_home_what_the_target_holds() -> None:
    """The second file holds one delta and nothing that the inventory names."""
    crossing = make_crossing(Road.CARRIER)
    crossing.first_release()
    crossing.new_version()
    promotion = crossing.promote("1.1.0")
    world = crossing.world
    summary = blobs_of(carry_file(world.source, world.to_target, world.target))
    assert (summary["stored"], summary["rebuilt"], summary["already"]) == ([NEW], 1, 0)
    assert {name: entry["how"] for name, entry in packages(crossing, promotion).items()} == {
        "app 1.1.0": "delta",
        "run-script 1.0.0": "nothing",
    }


def offer(crossing: Crossing, delta: OfferedDelta) -> exchange.UploadOffer:
    """The target's answer to an offered delta for the changed package."""
    source, inbox = crossing.world.source, crossing.newest()
    return exchange.ask_upload(
        source.ports,
        space_id=source.space_id,
        trust_id=crossing.world.to_target.id,
        bundle_sha256=inbox.bundle_sha256,
        sha256=NEW,
        delta=delta,
    )


def test_a_target_takes_no_delta_against_what_came_from_others(push: Crossing) -> None:
    """A base that the target holds by other ways answers as one that it does not hold, and a delta of nearly the size of the file is refused."""
    own = push.world.target.push("tool", "1.0.0", b"a tool of the target's own" * 1000)
    push.promote("1.1.0")
    push.exchange()
    for base in (own.sha256, "7" * 64):
        found = offer(push, OfferedDelta(base_sha256=base, sha256="1" * 64, size_bytes=100))
        assert (found.have, found.delta_state, found.delta_code, found.parts) == (False, "refused", "delta.base_mismatch", ())
    fresh = make_crossing(Road.CALL)
    fresh.first_release()
    fresh.new_version()
    fresh.promote("1.1.0")
    fresh.exchange()
    large = offer(fresh, OfferedDelta(base_sha256=sha256_of(APP), sha256="1" * 64, size_bytes=len(CHANGED)))
    assert (large.delta_state, large.delta_code) == ("refused", "package.size_exceeded")


def test_a_lying_delta_makes_nothing_visible(push: Crossing) -> None:
    """Bytes of the sender's choice at the delta's address: one try, a code, no object under the blob's key, and then only the whole file."""
    promotion = push.promote("1.1.0")
    push.exchange()
    lie = b'{"base": "' + sha256_of(APP).encode() + b'", "new": "x", "start": 5, "end": 5}\nother bytes'
    source = push.world.source
    source.site.objects.stored[delta_key(sha256_of(lie))] = lie
    found = offer(push, OfferedDelta(base_sha256=sha256_of(APP), sha256=sha256_of(lie), size_bytes=len(lie)))
    assert found.delta_state == "wanted"
    for part in found.parts:
        source.site.peer.put_part(part.url, ca_pem="", pieces=[lie], size_bytes=len(lie))
    assert found.upload_id is not None
    exchange.ask_complete(
        source.ports,
        space_id=source.space_id,
        trust_id=push.world.to_target.id,
        bundle_sha256=push.newest().bundle_sha256,
        sha256=NEW,
        upload_id=found.upload_id,
    )
    push.rebuild_there()
    target = push.world.target
    assert blob_key(NEW) not in target.site.objects.stored
    assert deltas_in_store(push, at_target=True) == []
    assert [(row.state, row.code) for row in arrived(push)] == [("refused", "delta.result_mismatch")]
    assert [one.how for one in push.move(promotion)] == ["whole"]
    assert target.site.objects.stored[blob_key(NEW)] == CHANGED


def test_a_push_that_was_broken_off_goes_on(push: Crossing) -> None:
    """The source dies while the target rebuilds: the next attempt sends nothing again and waits for the same result."""

    class KilledError(Exception):
        """The worker is killed."""

    def die() -> None:
        raise KilledError

    promotion = push.promote("1.1.0")
    push.exchange()
    push.during_rest = die
    with pytest.raises(KilledError):
        push.move(promotion)
    put = push.world.source.site.peer.bytes_put
    push.during_rest = push.rebuild_there
    assert [one.how for one in push.move(promotion)] == ["delta"]
    assert push.world.source.site.peer.bytes_put == put


def test_a_delta_that_the_target_loses_is_sent_again_but_not_for_ever(push: Crossing) -> None:
    """Its store forgets the delta each time: after a few rounds the file is sent."""
    promotion = push.promote("1.1.0")
    push.exchange()
    target = push.world.target

    def lose() -> None:
        for key in deltas_in_store(push, at_target=True):
            target.site.objects.delete(key)
        with pytest.raises(UnavailableError):
            push.rebuild_there()

    push.during_rest = lose
    assert [one.how for one in push.move(promotion)] == ["whole"]


def test_a_pull_that_was_broken_off_goes_on(pull: Crossing) -> None:
    """The line breaks in the delta; the next attempt brings it, and a delta that lies there is not fetched again."""
    promotion = pull.promote("1.1.0")
    pull.exchange()
    target = pull.world.target

    def broken(_total: int) -> None:
        raise UnavailableError("peer.unavailable", "the line broke")

    target.site.peer.on_piece = broken
    with pytest.raises(UnavailableError):
        pull.move(promotion)
    target.site.peer.on_piece = lambda _total: None
    target.site.deltas.refusals.append(UnavailableError("store.unavailable", "no answer"))
    with pytest.raises(UnavailableError):
        pull.move(promotion)
    got = target.site.peer.bytes_got
    assert [one.how for one in pull.move(promotion)] == ["delta"]
    assert target.site.peer.bytes_got == got


def test_a_fetch_that_nobody_wants_leaves_nothing(pull: Crossing) -> None:
    """Dropped half-way: no row, no part, no delta."""
    promotion = pull.promote("1.1.0")
    pull.exchange()
    target = pull.world.target
    target.site.deltas.refusals.append(UnavailableError("transfer.interrupted", "cancelled"))
    with pytest.raises(UnavailableError):
        pull.move(promotion)
    assert (len(arrived(pull)), len(deltas_in_store(pull, at_target=True))) == (1, 1)
    inbox = pull.newest()
    need = next(one for one in inbox.needs if one.sha256 == NEW)
    replicate.drop(target.ports, pull.given(inbox, need))
    assert (arrived(pull), deltas_in_store(pull, at_target=True)) == ([], [])
    assert target.site.objects.stale_multiparts(older_than=target.ports.clock.now()) == []


def test_a_base_that_the_target_lost_costs_the_whole_file(pull: Crossing) -> None:
    """The object is gone though its row stands: the delta is refused, and the file comes."""
    promotion = pull.promote("1.1.0")
    pull.exchange()
    pull.world.target.site.objects.delete(blob_key(sha256_of(APP)))
    assert [one.how for one in pull.move(promotion)] == ["whole"]
    assert blobs.find_blob(pull.world.target.ports, NEW) is not None


def test_the_delivery_names_the_inventory_on_which_it_was_planned(pull: Crossing) -> None:
    """The basis is the newest inventory that the target signed (N2)."""
    source = pull.world.source
    promotion = pull.promote("1.1.0")
    document, _ = pull.world.bundle(promotion)
    basis = delivery.decode(envelope.decode(document).payload).inventory_basis
    with source.ports.ledger.read(source.space_id) as work:
        known = inventories.newest(work, pull.world.to_target.id)
    assert known is not None
    assert basis == known.basis


def test_deltas_of_a_stranger_are_not_asked_for(pull: Crossing) -> None:
    """A digest that no bundle names stays absent, delta or not."""
    inbox: InboxBundle = pull.newest()
    file = StoredFile(sha256="0" * 64, size_bytes=1)
    need = replace(inbox.needs[0], sha256=file.sha256, size_bytes=file.size_bytes)
    with pytest.raises(Exception, match=r"record\.absent"):
        replicate.fetch(pull.world.target.ports, pull.given(inbox, need), watch=WATCH)
