# SPDX-License-Identifier: Apache-2.0
"""Carrier files on their way out: everything that waits for a trust, in one tar that a person takes along.

What the target has proven to hold stays at home, and what changed goes as a delta; without an inventory of the target everything goes whole.
The way back in is ``carrier_import``; its names are public here too.
Refused: an export for a trust that is not active, or when a package of a delivery is not in this site's store.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from waybill.app import access, deltas, documents, identity, ids, lookup, moved_bytes, outbox, tasks
from waybill.app.carrier_import import import_carrier, start_import
from waybill.app.deltas import Way
from waybill.app.peer_requests import usable_trust
from waybill.app.situation import lacking, needs_of
from waybill.domain.access import Caller, Permission
from waybill.domain.ids import JsonValue
from waybill.domain.promotions import Promotion, PromotionState
from waybill.domain.receipts import ReceiptRow
from waybill.domain.releases import Document
from waybill.domain.tasks import Carrier, Task, TaskState
from waybill.domain.trusts import OutboxMessage, Trust
from waybill.errors import ConflictError, NotFoundError
from waybill.formats import carrier as carrier_format
from waybill.formats import carrier_index, envelope, release
from waybill.formats.carrier import Member
from waybill.formats.carrier_index import CarrierBlob, CarrierEnvelope, CarrierIndexDoc
from waybill.formats.layout import blob_key, carrier_key, delta_key
from waybill.ports import Page, Ports, Watch, Work
from waybill.trust import sign

__all__ = ["download_url", "export", "get_carrier", "import_carrier", "list_carriers", "start_export", "start_import"]

MAX_MESSAGES = 5_000
"""Messages of one carrier; what is over goes with the next one."""


def start_export(ports: Ports, caller: Caller, *, space_id: str, trust: str, repeat: bool = False) -> tuple[Carrier, Task]:
    """The carrier row and its task are stored and the ``ExportCarrier`` story started.

    Args:
        repeat: also takes along what an earlier carrier took and nobody has acknowledged, for a medium that was lost; and, whole, the packages
            of a bundle of which the target misses some.
    Raises:
        TrustError: trust.unconfirmed, trust.retired. NotFoundError: record.absent, when nothing waits for that trust.
    """
    access.require(caller, space_id, Permission.CARRIER_MOVE)
    with ports.ledger.write(space_id) as work:
        row = usable_trust(work, lookup.find_trust(work, trust).id)
        if not _chosen(work, row.id, repeat):
            raise NotFoundError("record.absent", f"nothing waits for {row.name}", field="trust", found=row.name)
        carrier_id = ids.fresh(ports, "car")
        task = tasks.create(
            ports,
            work,
            kind="carrier_export",
            title=f"Write a carrier for {row.name}",
            subject_id=carrier_id,
            story="ExportCarrier",
            workflow_id=f"carrier-export:{carrier_id}",
            story_input={"carrier_id": carrier_id},
            created_by=caller.name,
        )
        carrier = Carrier(
            id=carrier_id,
            space_id=space_id,
            direction="out",
            trust_id=row.id,
            task_id=task.id,
            state="queued",
            created_at=task.created_at,
            created_by=caller.name,
            summary={"repeat": repeat},
        )
        work.of(Carrier).add(carrier)
        work.audit(at=task.created_at, actor=caller.name, action="carrier.export_started", subject=carrier_id, detail=row.name)
    tasks.start_soon(ports, task)
    return carrier, task


def export(ports: Ports, *, space_id: str, carrier_id: str, on_bytes: Callable[[int], None]) -> Carrier:
    """The carrier file stands in the object store, and the messages in it are handed over; again returns the finished carrier.

    Args:
        on_bytes: hears how many bytes were written so far.
    Raises:
        ConflictError: package.missing, a package of a delivery is not in this site's store.
    """
    with ports.ledger.read(space_id) as work:
        carrier = work.of(Carrier).get(carrier_id)
        if carrier.state == "finished" or carrier.trust_id is None:
            return carrier
        trust = usable_trust(work, carrier.trust_id)
        load = _load(ports, work, carrier, trust)
    ways = {sha256: deltas.settle(ports, way, watch=Watch(on_bytes=on_bytes)) for sha256, way in load.ways.items()}
    members = tuple(way for way in ways.values() if way.how != deltas.NOTHING)
    key = carrier_key(carrier_id)
    ports.objects.delete(key)  # what an attempt that died left behind would be kept otherwise, with an index that nobody signed last
    index = _signed_index(ports, carrier, trust, load, members)
    sha256, size = ports.objects.write(key, carrier_format.write(index, _members(ports, load, members)), on_bytes=on_bytes)
    summary: dict[str, JsonValue] = {
        "envelopes": len(load.documents),
        "blobs": len(members),
        "deltas": sum(way.how == deltas.DELTA for way in members),
        "held_there": len(ways) - len(members),
    }
    with ports.ledger.write(space_id) as work:
        carrier = work.of(Carrier).get(carrier_id)
        if carrier.state != "finished":
            now = ports.clock.now()
            for message_id in load.message_ids:
                outbox.hand_over(work, work.of(OutboxMessage).get(message_id), at=now)
            for bundle_sha256, needed in load.bundles:
                taken = [ways[one] for one in needed]
                moved_bytes.note_taken(ports, work, trust_id=trust.id, bundle_sha256=bundle_sha256, ways=taken)
            for way in ways.values():
                tasks.tell(ports, work, carrier.task_id, "info", f"{way.need.name}: {way.words}")
            summary = {**carrier.summary, **summary}
            carrier = work.of(Carrier).replace(replace(carrier, state="finished", sha256=sha256, size_bytes=size, summary=summary))
            work.audit(at=now, actor="system", action="carrier.exported", subject=carrier_id, detail=sha256)
    tasks.finish(
        ports,
        space_id=space_id,
        task_id=carrier.task_id,
        state=TaskState.SUCCEEDED,
        message=f"{len(load.message_ids)} messages and {len(members)} packages",
        result={"carrier_id": carrier_id, "sha256": sha256, "size_bytes": size},
    )
    return carrier


def download_url(ports: Ports, caller: Caller, *, space_id: str, carrier: str, seconds: int = 3600) -> str:
    """A URL that reads the finished carrier file for ``seconds``. Raises ConflictError upload.incomplete while it is being made."""
    access.require(caller, space_id, Permission.CARRIER_MOVE)
    row = get_carrier(ports, caller, space_id=space_id, carrier=carrier)
    if row.direction != "out" or row.state != "finished":
        raise ConflictError("upload.incomplete", "the carrier file is not finished", field="carrier", found=row.state)
    return ports.objects.grant_get(carrier_key(row.id), seconds=seconds, filename=f"waybill-{row.id}.tar")


def list_carriers(ports: Ports, caller: Caller, *, space_id: str, limit: int = 50, cursor: str | None = None) -> Page:
    """One page of carriers, newest first."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return work.of(Carrier).page(limit=limit, cursor=cursor)


def get_carrier(ports: Ports, caller: Caller, *, space_id: str, carrier: str) -> Carrier:
    """The carrier. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return work.of(Carrier).get(carrier)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """What waits for the trust: envelopes, messages that they are of, the planned way of each blob, and which blobs each bundle needs."""

    documents: tuple[Document, ...]
    message_ids: tuple[str, ...]
    ways: dict[str, Way]
    bundles: tuple[tuple[str, tuple[str, ...]], ...]


def _chosen(work: Work, trust_id: str, repeat: bool) -> list[OutboxMessage]:
    states = (outbox.PENDING, outbox.HANDED_OVER) if repeat else (outbox.PENDING,)
    waiting = outbox.waiting(work, trust_id=trust_id, states=states, limit=MAX_MESSAGES)
    return (waiting + (_missed(work, trust_id) if repeat else []))[:MAX_MESSAGES]


def _missed(work: Work, trust_id: str) -> list[OutboxMessage]:
    """Deliveries that arrived, but the target has said that packages of them are missing and has not got them since."""
    found = []
    for promotion in work.of(Promotion).where(trust_id=trust_id, state=PromotionState.RECEIVED):
        bundle = promotion.delivery_sha256
        document = work.of(Document).first(payload_sha256=bundle, kind="delivery")
        if document is None or not work.of(ReceiptRow).count(direction="in", trust_id=trust_id, bundle_sha256=bundle, event="missing"):
            continue
        message = work.of(OutboxMessage).first(trust_id=trust_id, document_sha256=document.sha256)
        if message is not None and message.state == outbox.ACKNOWLEDGED:
            found.append(message)
    return found


def _load(ports: Ports, work: Work, carrier: Carrier, trust: Trust) -> _Load:
    rows = _chosen(work, trust.id, carrier.summary.get("repeat") is True)
    stored: dict[str, Document] = {}
    ways: dict[str, Way] = {}
    bundles = []
    for row in rows:
        for sha256 in (row.document_sha256, row.companion_sha256):
            if sha256 is not None and sha256 not in stored:
                stored[sha256] = documents.load(work, sha256)
        if row.companion_sha256 is not None:
            bundle_sha256 = stored[row.document_sha256].payload_sha256
            planned = deltas.plan_bundle(ports, work, trust_id=trust.id, bundle_sha256=bundle_sha256)
            needs = needs_of(release.decode(envelope.decode(stored[row.companion_sha256].body).payload))
            for need in needs:
                way = planned.get(need.sha256) or Way(need=need, how=deltas.WHOLE, reason="it belongs to no promotion")
                ways[need.sha256] = _surer(ways.get(need.sha256), way)
            bundles.append((bundle_sha256, tuple(need.sha256 for need in needs)))
    missing = lacking(work, [way.need for way in ways.values() if way.how != deltas.NOTHING])
    if missing:
        names = ", ".join(need.name for need in missing[:10])
        raise ConflictError("package.missing", "packages that belong into the carrier are not here", field="packages", found=names)
    return _Load(documents=tuple(stored.values()), message_ids=tuple(row.id for row in rows), ways=ways, bundles=tuple(bundles))


def _surer(one: Way | None, other: Way) -> Way:
    """Two bundles need the same blob: it goes in the way that needs less of what the target holds."""
    order = (deltas.WHOLE, deltas.DELTA, deltas.NOTHING)
    return other if one is None else min(one, other, key=lambda way: order.index(way.how))


def _signed_index(ports: Ports, carrier: Carrier, trust: Trust, load: _Load, members: tuple[Way, ...]) -> bytes:
    index = CarrierIndexDoc(
        set_id=carrier.id,
        volume=1,
        volumes=1,
        sender_space_id=carrier.space_id,
        target_space_id=trust.peer_space_id,
        created_at=ports.clock.now(),
        envelopes=tuple(CarrierEnvelope(kind=one.kind, sha256=one.sha256, size_bytes=len(one.body)) for one in load.documents),
        blobs=tuple(_entry(way) for way in members),
    )
    with ports.ledger.read(carrier.space_id) as work:
        key = identity.signing_key(ports, work)
    return sign.sign_envelope(carrier_index.PAYLOAD_TYPE, carrier_index.encode(index), key)


def _entry(way: Way) -> CarrierBlob:
    if way.delta is None or way.base is None:
        return CarrierBlob(role=way.need.role, sha256=way.need.sha256, size_bytes=way.need.size_bytes)
    return CarrierBlob(role="delta", sha256=way.delta.sha256, size_bytes=way.delta.size_bytes, base=way.base.sha256, target=way.need.sha256)


def _members(ports: Ports, load: _Load, members: tuple[Way, ...]) -> Iterator[Member]:
    for one in load.documents:
        yield Member(folder=carrier_format.ENVELOPES, sha256=one.sha256, size_bytes=len(one.body), pieces=(one.body,))
    for way in members:
        entry = _entry(way)
        key = blob_key(entry.sha256) if way.delta is None else delta_key(entry.sha256)
        yield Member(folder=carrier_format.BLOBS, sha256=entry.sha256, size_bytes=entry.size_bytes, pieces=ports.objects.read(key))
