# SPDX-License-Identifier: Apache-2.0
"""Carrier files on their way in: one pass over the file, its signed index first.

Refused, before anything is stored: an index that no trusted Space signed for us, a file that is not a carrier.
A blob whose bytes are not those that the index names is refused alone and reported; the others are kept. Only blobs that a bundle of
this carrier, or one that waits in the inbox, names are stored: a trust to bring receipts is none to fill the store.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from waybill.app import access, arrivals, blobs, identity, ids, peer_bytes, receive, tasks
from waybill.app.messages import accept_message
from waybill.app.revocations import current_peers
from waybill.app.situation import needs_of
from waybill.domain.access import Caller, Permission
from waybill.domain.bundles import InboxBundle, InboxState, Need
from waybill.domain.deltas import ArrivalState, OfferedDelta
from waybill.domain.ids import JsonValue
from waybill.domain.packages import Upload
from waybill.domain.tasks import Carrier, Task, TaskState
from waybill.domain.trusts import Road, Trust
from waybill.errors import ConflictError, FormatError, TrustError, UnavailableError, WaybillError
from waybill.formats import carrier as carrier_format
from waybill.formats import carrier_index, delivery, envelope
from waybill.formats.carrier import CarrierMember, CarrierReader
from waybill.formats.carrier_index import CarrierBlob
from waybill.formats.layout import blob_key, delta_key
from waybill.ports import Ports, Watch, Work
from waybill.trust import verify
from waybill.trust.verify import VerifiedCarrierIndex

MAX_ENVELOPE_BYTES = 128 * 1024 * 1024
"""Bytes of all envelopes of one carrier together; they wait in memory until the blobs have been stored."""

_FIRST = ("identity", "revocation", "recall")
"""What must have been applied before a bundle of the same carrier is judged."""


def start_import(ports: Ports, caller: Caller, *, space_id: str, upload_id: str) -> tuple[Carrier, Task]:
    """The carrier that was uploaded is queued for import; the same file again returns its first carrier and task, unless that was refused.

    Raises:
        ConflictError: upload.incomplete, the upload was not completed. FormatError: request.invalid, it is no carrier upload.
    """
    access.require(caller, space_id, Permission.CARRIER_MOVE)
    with ports.ledger.write(space_id) as work:
        upload = work.of(Upload).get(upload_id)
        if upload.purpose != "carrier":
            raise FormatError("request.invalid", "that upload is no carrier", field="upload_id", expected="carrier", found=upload.purpose)
        if upload.completed_at is None:
            raise ConflictError("upload.incomplete", "the upload has not been completed and verified", field="upload_id", found=upload_id)
        for known in work.of(Carrier).where(direction="in", sha256=upload.sha256):
            if known.state != "refused":
                return known, work.of(Task).get(known.task_id)
        carrier, task = _queue(ports, work, caller, upload)
    tasks.start_soon(ports, task)
    return carrier, task


def import_carrier(ports: Ports, *, space_id: str, carrier_id: str, on_bytes: Callable[[int], None]) -> Carrier:
    """Blobs of the carrier are stored and each of its messages was accepted or refused; ``summary`` tells one by one.

    ``summary``: ``{source, envelopes: [{kind, sha256, state, code}], blobs: {stored, rebuilt, already, skipped, refused: [{sha256, code}]}}``;
    what was rebuilt from a delta is stored as well, and a delta that did not serve is refused under the digest of its package.

    Args:
        on_bytes: hears how many bytes of the file were read so far.
    Raises:
        TrustError: trust.unknown, showing the key found; signature.*; bundle.wrong_recipient.
        FormatError: carrier.malformed, carrier.truncated, carrier.member_unexpected, carrier.member_forbidden.
        UnavailableError: store.*, ledger.*; the import may be repeated.
    """
    with ports.ledger.read(space_id) as work:
        carrier = work.of(Carrier).get(carrier_id)
    if carrier.state in ("finished", "refused") or carrier.sha256 is None:
        return carrier
    try:
        content, trust = _read(ports, space_id, carrier.sha256, on_bytes)
    except UnavailableError:
        raise
    except WaybillError as refusal:
        _end(ports, carrier, state="refused", trust=None, summary={"code": refusal.code, "message": refusal.message})
        raise
    for need in content.deltas:
        _rebuild(ports, carrier, trust, content, need, on_bytes)
    peer_bytes.tell_arrived(ports, space_id=space_id, sha256s=content.stored)
    results = [_accept(ports, space_id, message) for message in _messages(content.envelopes)]
    return _end(ports, carrier, state="finished", trust=trust, summary=_summary(trust, content, results))


@dataclass(slots=True, kw_only=True)
class _Content:
    """What one pass over the file gave."""

    envelopes: list[tuple[str, bytes]] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    deltas: list[Need] = field(default_factory=list)
    """Blobs whose deltas lie here now; they are used when the file has been read to its end."""

    rebuilt: int = 0
    already: int = 0
    skipped: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def _queue(ports: Ports, work: Work, caller: Caller, upload: Upload) -> tuple[Carrier, Task]:
    carrier_id = ids.fresh(ports, "car")
    task = tasks.create(
        ports,
        work,
        kind="carrier_import",
        title="Read a carrier",
        subject_id=carrier_id,
        story="ImportCarrier",
        workflow_id=f"carrier-import:{carrier_id}",
        story_input={"carrier_id": carrier_id},
        created_by=caller.name,
    )
    carrier = Carrier(
        id=carrier_id,
        space_id=work.space_id,
        direction="in",
        trust_id=None,
        task_id=task.id,
        state="queued",
        created_at=task.created_at,
        created_by=caller.name,
        sha256=upload.sha256,
        size_bytes=upload.size_bytes,
        summary={"upload_id": upload.id},
    )
    work.audit(at=task.created_at, actor=caller.name, action="carrier.import_started", subject=carrier_id, detail=upload.sha256)
    return work.of(Carrier).add(carrier), task


def _read(ports: Ports, space_id: str, sha256: str, on_bytes: Callable[[int], None]) -> tuple[_Content, Trust]:
    reader = carrier_format.read(_counted(ports.objects.read(blob_key(sha256)), on_bytes))
    index = _verify_index(ports, space_id, reader)
    with ports.ledger.read(space_id) as work:
        trust = work.of(Trust).get(index.peer.trust_id)
    content = _Content()
    wanted: Mapping[str, Need] | None = None
    for member in reader.members(index.doc):
        if member.folder == carrier_format.ENVELOPES:
            _keep_envelope(content, member)
            continue
        if wanted is None:
            wanted = _wanted(ports, space_id, content.envelopes)
        if isinstance(member.entry, CarrierBlob) and member.entry.role == "delta":
            _keep_delta(ports, trust, content, member, member.entry, wanted)
        else:
            _keep_blob(ports, content, member, wanted)
    return content, trust


def _verify_index(ports: Ports, space_id: str, reader: CarrierReader) -> VerifiedCarrierIndex:
    now = ports.clock.now()
    with ports.ledger.read(space_id) as work:
        us, peers = identity.us(ports, work), current_peers(ports, work, now)
    try:
        return verify.verify_carrier_index(reader.index_envelope, us=us, peers=peers, now=now)
    except TrustError as error:
        if error.code != "signature.untrusted":
            raise
        found = envelope.decode(reader.index_envelope)
        claimed = carrier_index.decode(found.payload).sender_space_id
        if any(peer.space_id == claimed for peer in peers):
            raise
        keys = ", ".join(one.keyid for one in found.signatures)
        raise TrustError(
            "trust.unknown",
            "there is no trust with the Space that made this carrier",
            field="index",
            found=f"{claimed}, signed by key {keys}",
        ) from error


def _keep_envelope(content: _Content, member: CarrierMember) -> None:
    held = sum(len(body) for _, body in content.envelopes)
    if held + member.size_bytes > MAX_ENVELOPE_BYTES:
        raise FormatError("limit.exceeded", "the envelopes of the carrier are too large", expected=f"at most {MAX_ENVELOPE_BYTES} bytes")
    kind = member.entry.kind if isinstance(member.entry, carrier_index.CarrierEnvelope) else ""
    try:
        content.envelopes.append((kind, member.read()))
    except ConflictError as error:
        content.refused.append((member.sha256, error.code))


def _keep_blob(ports: Ports, content: _Content, member: CarrierMember, wanted: Mapping[str, Need]) -> None:
    if blobs.find_blob(ports, member.sha256) is not None:
        content.already += 1
        return
    if member.sha256 not in wanted:
        content.skipped += 1
        return
    try:
        if blobs.adopt_blob(ports, sha256=member.sha256, size_bytes=member.size_bytes) is None:
            ports.objects.write(blob_key(member.sha256), member.pieces)
            blobs.verify_blob(ports, sha256=member.sha256, size_bytes=member.size_bytes)
    except ConflictError as error:
        content.refused.append((member.sha256, error.code))
    else:
        content.stored.append(member.sha256)


def _keep_delta(
    ports: Ports, trust: Trust, content: _Content, member: CarrierMember, entry: CarrierBlob, wanted: Mapping[str, Need]
) -> None:
    """The delta lies here until the file was read, unless its blob is here, or is wanted by nothing, or its base did not come from this trust."""
    target = entry.target or ""
    if blobs.find_blob(ports, target) is not None:
        content.already += 1
        return
    need = wanted.get(target)
    if need is None:
        content.skipped += 1
        return
    offered = OfferedDelta(base_sha256=entry.base or "", sha256=member.sha256, size_bytes=member.size_bytes)
    arrival = arrivals.consider(ports, space_id=trust.space_id, trust_id=trust.id, target=need, offered=offered)
    if arrival.state is ArrivalState.REFUSED:
        content.refused.append((target, arrival.code or "delta.malformed"))
        return
    try:
        if arrival.state is ArrivalState.COMING:
            ports.objects.delete(delta_key(member.sha256))
            ports.objects.write(delta_key(member.sha256), member.pieces)
    except ConflictError as error:
        content.refused.append((target, error.code))
    else:
        arrivals.note_here(ports, space_id=trust.space_id, trust_id=trust.id, target_sha256=target, delta_sha256=member.sha256)
        content.deltas.append(need)


def _rebuild(ports: Ports, carrier: Carrier, trust: Trust, content: _Content, need: Need, on_bytes: Callable[[int], None]) -> None:
    done = arrivals.rebuild(ports, space_id=carrier.space_id, trust_id=trust.id, target=need, watch=Watch(on_bytes=on_bytes))
    tasks.log(ports, space_id=carrier.space_id, task_id=carrier.task_id, level="info", message=f"{need.name}: {done.words}")
    if done.refused is not None:
        content.refused.append((need.sha256, done.refused))
        return
    content.stored.append(need.sha256)
    content.rebuilt += 1


def _wanted(ports: Ports, space_id: str, envelopes: Iterable[tuple[str, bytes]]) -> dict[str, Need]:
    """The blobs that an acceptable bundle of this carrier, or one that waits in the inbox, names, by digest."""
    with ports.ledger.read(space_id) as work:
        waiting = work.of(InboxBundle).where(state=InboxState.WAITING_PACKAGES)
    found = {need.sha256: need for inbox in waiting for need in inbox.needs}
    for kind, bodies in _messages(envelopes):
        if kind != "delivery" or len(bodies) != 2:
            continue
        try:
            verified = receive.verify_at_door(ports, space_id=space_id, delivery=bodies[0], release=bodies[1])
        except UnavailableError:
            raise
        except WaybillError:
            continue  # it is refused, and told, when it is accepted as a message
        found |= {need.sha256: need for need in needs_of(verified.release)}
    return found


def _messages(envelopes: Iterable[tuple[str, bytes]]) -> list[tuple[str, list[bytes]]]:
    """The messages of the carrier: each delivery with the release that it names, what governs trust first, else in the order of the index."""
    listed = list(envelopes)
    releases = {_payload_sha256(body): body for kind, body in listed if kind == "release"}
    messages: list[tuple[str, list[bytes]]] = []
    for kind, body in listed:
        if kind == "delivery":
            release = releases.get(_named_release(body))
            messages.append((kind, [body] if release is None else [body, release]))
        elif kind != "release":
            messages.append((kind, [body]))
    return sorted(messages, key=lambda message: message[0] not in _FIRST)


def _payload_sha256(body: bytes) -> str:
    try:
        return hashlib.sha256(envelope.decode(body).payload).hexdigest()
    except (FormatError, TrustError):
        return ""


def _named_release(body: bytes) -> str:
    """The digest that the delivery names; nothing is believed of it before ``accept_message`` has verified it."""
    try:
        return delivery.decode(envelope.decode(body).payload).release.sha256
    except (FormatError, TrustError):
        return "unreadable"


def _accept(ports: Ports, space_id: str, message: tuple[str, list[bytes]]) -> dict[str, JsonValue]:
    kind, bodies = message
    result = accept_message(ports, space_id=space_id, kind=kind, envelopes=bodies, road=Road.CARRIER)
    return {"kind": kind, "sha256": hashlib.sha256(bodies[0]).hexdigest(), "state": result.state, "code": result.code}


def _summary(trust: Trust, content: _Content, results: list[dict[str, JsonValue]]) -> dict[str, JsonValue]:
    refused: list[JsonValue] = [{"sha256": sha256, "code": code} for sha256, code in content.refused]
    stored: list[JsonValue] = list(content.stored)
    return {
        "source": trust.name,
        "envelopes": list(results),
        "blobs": {
            "stored": stored,
            "rebuilt": content.rebuilt,
            "already": content.already,
            "skipped": content.skipped,
            "refused": refused,
        },
    }


def _end(ports: Ports, carrier: Carrier, *, state: str, trust: Trust | None, summary: dict[str, JsonValue]) -> Carrier:
    with ports.ledger.write(carrier.space_id) as work:
        row = work.of(Carrier).get(carrier.id)
        if row.state not in ("finished", "refused"):
            ended = replace(row, state=state, trust_id=trust.id if trust else None, summary={**row.summary, **summary})
            row = work.of(Carrier).replace(ended)
            work.audit(at=ports.clock.now(), actor="system", action=f"carrier.{state}", subject=row.id, detail=str(summary.get("code", "")))
    tasks.finish(
        ports,
        space_id=carrier.space_id,
        task_id=carrier.task_id,
        state=TaskState.SUCCEEDED if state == "finished" else TaskState.REFUSED,
        code=None if state == "finished" else str(summary["code"]),
        message=_in_words(summary) if state == "finished" else str(summary["message"]),
        result={"carrier_id": carrier.id},
    )
    return row


def _in_words(summary: dict[str, JsonValue]) -> str:
    results = summary["envelopes"]
    states = [str(one["state"]) for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    counted = {state: states.count(state) for state in dict.fromkeys(states)}
    return ", ".join(f"{count} {state}" for state, count in counted.items()) or "nothing in it"


def _counted(pieces: Iterable[bytes], on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        on_bytes(total)
        yield piece
