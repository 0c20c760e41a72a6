# SPDX-License-Identifier: Apache-2.0
"""What a target tells of its holdings, to whom, when, and what a sender believes of it."""

from dataclasses import replace

import pytest

from tests.simulators.deltas_memory import ENCODERS
from tests.simulators.spaces import ACCEPT, Home, make_home
from tests.unit.app.crossing import Crossing, make_crossing, sha256_of
from tests.unit.app.world import APP
from waybill.app import exchange, inventories, outbox
from waybill.domain.deltas import EVERY_WORKER, EncodersHere
from waybill.domain.trusts import Grants, OutboxMessage, Road, Trust
from waybill.ports import SITE
from worker.advertising import advertise_in_background


@pytest.fixture
def crossing() -> Crossing:
    """A target that fetches; 1.0.0 is there and its inventory is home."""
    made = make_crossing(Road.ANSWER)
    made.first_release()
    return made


def known(crossing: Crossing) -> inventories.KnownInventory:
    """What the source knows of the target."""
    source = crossing.world.source
    with source.ports.ledger.read(source.space_id) as work:
        found = inventories.newest(work, crossing.world.to_target.id)
    assert found is not None
    return found


def sent(crossing: Crossing) -> int:
    """How many inventories the target has signed."""
    target = crossing.world.target
    with target.ports.ledger.read(target.space_id) as work:
        return work.of(OutboxMessage).count(kind="inventory")


def test_the_inventory_names_what_the_trust_brought_and_the_encoders(crossing: Crossing) -> None:
    """Package and step package of the bundle, nothing else that the target holds; numbered from 1."""
    crossing.world.target.push("own-tool", "1.0.0", b"the target's own")
    doc = known(crossing).doc
    assert sha256_of(APP) in {one.sha256 for one in doc.packages}
    assert len(doc.packages) == 2
    assert known(crossing).encoders == ENCODERS
    assert (doc.seq, doc.epoch, doc.prev_sha256, doc.complete) == (1, 1, None, True)
    assert doc.sender_space_id == crossing.world.target.space_id


def test_nothing_new_is_not_told_again(crossing: Crossing) -> None:
    """Looking again signs nothing; other encoders are news, and the newer number counts."""
    target = crossing.world.target
    assert inventories.refresh(target.ports, space_id=target.space_id) == 0
    assert inventories.advertise(target.ports) == 0
    target.site.deltas.running = ENCODERS[:1]
    assert inventories.advertise(target.ports) == 1
    assert sent(crossing) == 2
    crossing.exchange()
    assert (known(crossing).doc.seq, known(crossing).encoders) == (2, ENCODERS[:1])
    with target.ports.ledger.read(SITE) as work:
        assert work.of(EncodersHere).get(EVERY_WORKER).encoders == ENCODERS[:1]


def test_an_older_inventory_changes_nothing(crossing: Crossing) -> None:
    """The first one, brought again after the second, is known; the newest number stays what is planned with."""
    target = crossing.world.target
    with target.ports.ledger.read(target.space_id) as work:
        first = work.of(OutboxMessage).where(kind="inventory")[0]
        envelopes = outbox.as_message(work, first).envelopes
    inventories.note_encoders(target.ports, ENCODERS[:1])
    inventories.refresh(target.ports, space_id=target.space_id)
    crossing.exchange()
    source = crossing.world.source
    again = exchange.accept_message(source.ports, space_id=source.space_id, kind="inventory", envelopes=envelopes, road=Road.ANSWER)
    assert (again.state, known(crossing).doc.seq) == ("already", 2)


def test_a_trust_that_grants_no_receipts_is_told_nothing(crossing: Crossing) -> None:
    """Who may not learn what runs here may not learn what lies here."""
    target, trust_id = crossing.world.target, crossing.world.to_source.id
    for grants in (Grants(accept_releases=True), Grants(send_receipts=True)):
        with target.ports.ledger.write(target.space_id) as work:
            work.of(Trust).replace(replace(work.of(Trust).get(trust_id), grants=grants))
        inventories.note_encoders(target.ports, ENCODERS[:1])
        assert inventories.refresh(target.ports, space_id=target.space_id) == 0


def test_an_empty_target_tells_nothing() -> None:
    """Before anything came there is nothing to plan with."""
    fresh = make_crossing(Road.CARRIER)
    assert inventories.advertise(fresh.world.target.ports) == 0


def test_no_more_is_told_than_the_format_holds(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inventory that had to be cut says that it is not complete."""
    monkeypatch.setattr(inventories, "MAX_PACKAGES", 1)
    target = crossing.world.target
    assert inventories.refresh(target.ports, space_id=target.space_id) == 1
    crossing.exchange()
    assert (len(known(crossing).doc.packages), known(crossing).doc.complete) == (1, False)


def test_a_worker_advertises_once_somebody_may_send_packages() -> None:
    """It waits for such a trust, computes once and ends."""
    crossing = make_crossing(Road.ANSWER)
    site = crossing.world.target.site
    lonely = make_home("Lonely").site
    assert (inventories.is_wanted(lonely.ports), inventories.is_wanted(site.ports)) == (False, True)
    waiting = advertise_in_background(lonely.ports, every_seconds=0.01)
    site.deltas.running = ENCODERS[:1]
    advertise_in_background(site.ports, every_seconds=0.01).join(timeout=10)
    with site.ports.ledger.read(SITE) as work:
        assert work.of(EncodersHere).get(EVERY_WORKER).encoders == ENCODERS[:1]
    assert waiting.is_alive()
    Home(site=lonely, space_id=make_home("Other", site=lonely).space_id, name="Other").trust(crossing.world.source, grants=ACCEPT)
    waiting.join(timeout=10)
    assert not waiting.is_alive()
