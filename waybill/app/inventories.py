# SPDX-License-Identifier: Apache-2.0
"""Inventories: what a target tells the sender of its bundles that it holds, and what a sender knows of its targets (N2).

Told is only what a bundle of that very trust named and this site has re-read and hashed; and which encoders can run here, since a delta needs them.
Refused: telling anything under a trust that does not grant to accept releases and to send receipts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from waybill.app import documents, identity, ids, lanes
from waybill.app.receipts import wake_courier
from waybill.app.situation import lacking
from waybill.domain.bundles import InboxBundle, Need
from waybill.domain.deltas import EVERY_WORKER, Encoder, EncodersHere
from waybill.domain.releases import Document
from waybill.domain.spaces import Space, SpaceKeys
from waybill.domain.trusts import Lane, OutboxMessage, Trust, TrustState
from waybill.formats import envelope
from waybill.formats import inventory as inventory_format
from waybill.formats.delivery import InventoryBasis
from waybill.formats.inventory import InventoryDoc, InventoryEncoder, InventoryPackage
from waybill.ports import SITE, Ports, Work
from waybill.trust import sign

KIND = "inventory"
MAX_BUNDLES = 1_000
"""Newest bundles of a trust whose packages are told; what is older may still be there."""

MAX_PACKAGES = inventory_format.MAX_PACKAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownInventory:
    """The newest inventory that a target signed. ``sha256`` is its payload digest."""

    sha256: str
    doc: InventoryDoc

    @property
    def basis(self) -> InventoryBasis:
        """How a Delivery names it."""
        return InventoryBasis(sha256=self.sha256, seq=self.doc.seq)

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """What the target can run."""
        return tuple(Encoder(name=one.name, sha256=one.sha256) for one in self.doc.encoders)


def advertise(ports: Ports) -> int:
    """The encoders that run here are noted, and every sender of packages to this site knows of a change; returns how many are told.

    For the transfer worker, at its start: it takes seconds of computing.
    """
    note_encoders(ports, ports.deltas.encoders())
    with ports.ledger.read(SITE) as work:
        spaces = [space.id for space in work.of(Space).where() if space.retired_at is None]
    return sum(refresh(ports, space_id=space_id) for space_id in spaces)


def is_wanted(ports: Ports) -> bool:
    """True when some trust of this site lets somebody send packages here and learn what is here."""
    with ports.ledger.read(SITE) as work:
        spaces = [space.id for space in work.of(Space).where() if space.retired_at is None]
    return any(_has_sender(ports, space_id) for space_id in spaces)


def note_encoders(ports: Ports, encoders: Collection[Encoder]) -> None:
    """The row of this site's encoders says these, the newest word of any worker; at most as many as an inventory can tell."""
    told = tuple(encoders)[: inventory_format.MAX_ENCODERS]
    with ports.ledger.write(SITE) as work:
        rows = work.of(EncodersHere)
        known = rows.find(EVERY_WORKER)
        now = ports.clock.now()
        if known is None:
            rows.add(EncodersHere(id=EVERY_WORKER, encoders=told, noted_at=now))
        elif known.encoders != told:
            rows.replace(replace(known, encoders=told, noted_at=now))


def refresh(ports: Ports, *, space_id: str) -> int:
    """Every trust of the Space whose sender knows less than the truth has a new inventory on its outbox; returns how many."""
    with ports.ledger.write(space_id) as work:
        told = [trust.id for trust in work.of(Trust).where(state=TrustState.ACTIVE) if send_if_changed(ports, work, trust)]
    wake_courier(ports, told)
    return len(told)


def send_if_changed(ports: Ports, work: Work, trust: Trust) -> bool:
    """An inventory is signed and on the outbox, unless the last one said the same, or there is nothing to tell yet.

    Call ``receipts.wake_courier`` after the commit.
    """
    if not _is_told(trust):
        return False
    place = lanes.next_place(work, trust_id=trust.id, kind=KIND, epoch=work.of(SpaceKeys).get(work.space_id).epoch)
    doc = _document(ports, work, trust, place)
    last = None if place.prev_sha256 is None else _stored(work, place.prev_sha256)
    if last is None and not doc.packages:
        return False
    if last is not None and (last.doc.packages, last.doc.encoders, last.doc.complete) == (doc.packages, doc.encoders, doc.complete):
        return False
    body = sign.sign_envelope(inventory_format.PAYLOAD_TYPE, inventory_format.encode(doc), identity.signing_key(ports, work))
    stored = documents.store(work, body=body, kind=KIND, created_at=doc.as_of)
    lanes.take(work, place, payload_sha256=stored.payload_sha256)
    message = OutboxMessage(
        id=ids.fresh(ports, "out"),
        space_id=work.space_id,
        trust_id=trust.id,
        kind=KIND,
        seq=place.seq,
        document_sha256=stored.sha256,
        companion_sha256=None,
        state="pending",
        created_at=doc.as_of,
    )
    work.of(OutboxMessage).add(message)
    return True


def holdings(work: Work, trust_id: str) -> Mapping[str, Need]:
    """What bundles of the trust named and this site holds for certain, by digest, what came last at the end."""
    bundles = work.of(InboxBundle).where(trust_id=trust_id, newest_first=True, limit=MAX_BUNDLES)
    named = {need.sha256: need for bundle in reversed(bundles) for need in bundle.needs}
    absent = {need.sha256 for need in lacking(work, tuple(named.values()))}
    return {sha256: need for sha256, need in named.items() if sha256 not in absent}


def newest(work: Work, trust_id: str) -> KnownInventory | None:
    """The newest inventory that came over the trust; None when its Space has told nothing yet."""
    lane = work.of(Lane).find(f"{trust_id}:in:{KIND}")
    return None if lane is None or lane.last_sha256 is None else _stored(work, lane.last_sha256)


def _has_sender(ports: Ports, space_id: str) -> bool:
    with ports.ledger.read(space_id) as work:
        return any(_is_told(trust) for trust in work.of(Trust).where(state=TrustState.ACTIVE))


def _is_told(trust: Trust) -> bool:
    return trust.state is TrustState.ACTIVE and trust.grants.accept_releases and trust.grants.send_receipts


def _document(ports: Ports, work: Work, trust: Trust, place: lanes.NextPlace) -> InventoryDoc:
    held = holdings(work, trust.id)
    told = sorted(list(held)[-MAX_PACKAGES:])
    here = work.of(EncodersHere).find(EVERY_WORKER)
    return InventoryDoc(
        sender_space_id=work.space_id,
        target_space_id=trust.peer_space_id,
        epoch=place.lane.epoch,
        seq=place.seq,
        prev_sha256=place.prev_sha256,
        as_of=ports.clock.now(),
        packages=tuple(InventoryPackage(sha256=sha256, size_bytes=held[sha256].size_bytes) for sha256 in told),
        encoders=tuple(InventoryEncoder(name=one.name, sha256=one.sha256) for one in (here.encoders if here else ())),
        complete=len(told) == len(held) and work.of(InboxBundle).count(trust_id=trust.id) <= MAX_BUNDLES,
    )


def _stored(work: Work, payload_sha256: str) -> KnownInventory | None:
    document = work.of(Document).first(payload_sha256=payload_sha256, kind=KIND)
    if document is None:
        return None
    return KnownInventory(sha256=payload_sha256, doc=inventory_format.decode(envelope.decode(document.body).payload))
