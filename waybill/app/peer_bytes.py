# SPDX-License-Identifier: Apache-2.0
"""Package bytes between two Spaces: grants for exactly the digests that a bundle of the asking trust names, or for a delta that makes one.

A digest that no such bundle names answers as absent, whether its bytes are here or not. The bytes themselves never pass through here:
they go between the stores by short-lived URLs (``waybill.app.transfer``). The questions are asked by ``peer_asks``.
"""

from collections.abc import Iterable
from dataclasses import replace

from waybill.app import arrivals, blobs, deltas, documents, ids, moved_bytes
from waybill.app.peer_asks import (
    MAX_PARTS_PER_OFFER,
    MAX_REASON,
    REBUILDING,
    REFUSED,
    WANTED,
    UploadOffer,
    delta_to_json,
    offer_to_json,
    read_delta,
)
from waybill.app.peer_requests import OpenRequest, make_answer, open_request
from waybill.app.situation import needs_of
from waybill.domain.bundles import InboxBundle, InboxState, Need
from waybill.domain.deltas import ArrivalState, OfferedDelta
from waybill.domain.ids import JsonValue
from waybill.domain.packages import Blob, Upload
from waybill.domain.releases import Document
from waybill.domain.trusts import OutboxMessage
from waybill.errors import ConflictError, NotFoundError, TrustError, UnavailableError
from waybill.formats import envelope, release
from waybill.formats.fields import Fields
from waybill.formats.layout import blob_key, delta_key, part_ranges, part_size_bytes
from waybill.ports import PartGrant, Ports, StoredFile, Work

GRANT_SECONDS = 3600
PURPOSE, DELTA_PURPOSE = "peer", "peer_delta"


def grant_download(ports: Ports, *, space_id: str, body: bytes) -> bytes:
    """The signed answer with a URL for one blob of a bundle that was sent to the asking trust, or for a delta that was made ahead.

    Raises:
        NotFoundError: record.absent, for any other digest. TrustError: trust.direction_denied.
    """
    request = open_request(ports, space_id=space_id, body=body, action="downloads")
    _check_granted(request, request.trust.grants.send_releases, "send releases")
    fields = Fields(request.doc.body, at="/body", lenient=False)
    bundle_sha256, sha256 = fields.digest("bundle_sha256"), fields.digest("sha256")
    refused = fields.optional("delta_refused", fields.token)
    fields.end()
    with ports.ledger.read(space_id) as work:
        need = _sent_need(work, request.trust.id, bundle_sha256, sha256)
        if need is None or work.of(Blob).find(sha256) is None:
            raise _absent(sha256)
        way = deltas.plan_bundle(ports, work, trust_id=request.trust.id, bundle_sha256=bundle_sha256).get(sha256)
    way = _granted_way(ports, need, way, refused, request.trust.name)
    key = blob_key(sha256) if way.delta is None else delta_key(way.delta.sha256)
    url = ports.objects.grant_get(key, seconds=GRANT_SECONDS)
    with ports.ledger.write(space_id) as work:
        moved_bytes.note_taken(ports, work, trust_id=request.trust.id, bundle_sha256=bundle_sha256, ways=(way,))
    answer: dict[str, JsonValue] = {
        "url": url,
        "size": need.size_bytes,
        "ca": ports.site.ca_pem or "",
        "delta": None if way.base is None or way.delta is None else delta_to_json(_offered(way.base.sha256, way.delta)),
        "reason": way.reason[:MAX_REASON],
    }
    return make_answer(ports, space_id=space_id, request=request, body=answer)


def grant_upload(ports: Ports, *, space_id: str, body: bytes) -> bytes:
    """The signed answer with URLs for the parts of one blob that an accepted bundle of the asking trust lacks, or of a delta that makes it.

    Raises:
        NotFoundError: record.absent, for any other digest. TrustError: trust.direction_denied.
    """
    request = open_request(ports, space_id=space_id, body=body, action="uploads")
    _check_granted(request, request.trust.grants.accept_releases, "accept releases")
    fields = Fields(request.doc.body, at="/body", lenient=False)
    bundle_sha256, sha256 = fields.digest("bundle_sha256"), fields.digest("sha256")
    offered = fields.optional("delta", lambda name: read_delta(fields.child(name)))
    fields.end()
    with ports.ledger.read(space_id) as work:
        _, need = _wanted(work, request.trust.id, bundle_sha256, sha256)
        have = work.of(Blob).find(sha256) is not None
    if have:
        offer = _nothing(ports, have=True)
    elif offered is None:
        offer = _offer(ports, space_id, request.trust.id, StoredFile(sha256=sha256, size_bytes=need.size_bytes), PURPOSE)
    else:
        offer = _delta_offer(ports, space_id, request.trust.id, need, offered)
    return make_answer(ports, space_id=space_id, request=request, body=offer_to_json(offer))


def complete_peer_upload(ports: Ports, *, space_id: str, body: bytes) -> bytes:
    """The signed answer that an upload was joined, re-read and hashed, and that the blob is recorded; again gives the same.

    A delta is only joined: the blob's story has it used by a worker that may compute.

    Raises:
        ConflictError: package.hash_mismatch, the object is gone again; upload.incomplete.
    """
    request = open_request(ports, space_id=space_id, body=body, action="uploads/complete")
    _check_granted(request, request.trust.grants.accept_releases, "accept releases")
    fields = Fields(request.doc.body, at="/body", lenient=False)
    bundle_sha256, sha256, upload_id = fields.digest("bundle_sha256"), fields.digest("sha256"), fields.token("upload_id")
    fields.end()
    trust_id = request.trust.id
    with ports.ledger.read(space_id) as work:
        _wanted(work, trust_id, bundle_sha256, sha256)
        upload = work.of(Upload).find(upload_id)
        arrival = arrivals.find(work, trust_id, sha256)
        have = work.of(Blob).find(sha256) is not None
    if not have:
        delta_sha256 = None if arrival is None else arrival.sha256
        if (
            upload is None
            or upload.trust_id != trust_id
            or (upload.purpose, upload.sha256)
            not in (
                (PURPOSE, sha256),
                (DELTA_PURPOSE, delta_sha256),
            )
        ):
            raise NotFoundError("record.absent", "there is no such upload", field="upload_id")
        _complete(ports, space_id, upload)
        if upload.purpose == DELTA_PURPOSE:
            arrivals.note_here(ports, space_id=space_id, trust_id=trust_id, target_sha256=sha256, delta_sha256=upload.sha256)
    tell_arrived(ports, space_id=space_id, sha256s=(sha256,))
    return make_answer(ports, space_id=space_id, request=request, body={"sha256": sha256})


def tell_arrived(ports: Ports, *, space_id: str, sha256s: Iterable[str]) -> None:
    """Every bundle of this Space that still waits for one of the blobs is told; a story that does not run looks by itself before long."""
    with ports.ledger.read(space_id) as work:
        rows = work.of(InboxBundle).where(state=InboxState.WAITING_PACKAGES)
    arrived = set(sha256s)
    for inbox in rows:
        for sha256 in sorted(arrived & {need.sha256 for need in inbox.needs}):
            try:
                ports.engine.signal(f"receive:{inbox.id}", "blob_arrived", sha256)
            except UnavailableError:
                return


def _check_granted(request: OpenRequest, granted: bool, what: str) -> None:
    """The trust grants this direction still: it may have been taken back since the bundle crossed. Raises TrustError trust.direction_denied."""
    if not granted:
        raise TrustError("trust.direction_denied", f"the trust with {request.trust.name} does not grant to {what}", field="grants")


def _sent_need(work: Work, trust_id: str, bundle_sha256: str, sha256: str) -> Need | None:
    """The blob, when a delivery with this digest was sent to the trust and its release names it."""
    for document in work.of(Document).where(payload_sha256=bundle_sha256, kind="delivery"):
        message = work.of(OutboxMessage).first(trust_id=trust_id, document_sha256=document.sha256)
        if message is None or message.state == "withdrawn" or message.companion_sha256 is None:
            continue
        body = documents.load(work, message.companion_sha256).body
        needs = needs_of(release.decode(envelope.decode(body).payload))
        return next((need for need in needs if need.sha256 == sha256), None)
    return None


def _wanted(work: Work, trust_id: str, bundle_sha256: str, sha256: str) -> tuple[InboxBundle, Need]:
    """The accepted bundle of the trust, and the blob among its needs. Raises NotFoundError record.absent for anything else."""
    inbox = work.of(InboxBundle).first(bundle_sha256=bundle_sha256, trust_id=trust_id)
    need = None if inbox is None else next((one for one in inbox.needs if one.sha256 == sha256), None)
    if inbox is None or need is None or inbox.state in (InboxState.REFUSED, InboxState.REJECTED):
        raise _absent(sha256)
    return inbox, need


def _absent(sha256: str) -> NotFoundError:
    return NotFoundError("record.absent", "there is no such blob for you", field="sha256", found=sha256)


def _granted_way(ports: Ports, need: Need, way: deltas.Way | None, refused: str | None, name: str) -> deltas.Way:
    """How the blob is granted now. ``nothing`` is none here: who asks lacks it, whatever the last inventory said."""
    if way is None:
        return deltas.Way(need=need, how=deltas.WHOLE, reason="it belongs to no promotion")
    if refused is not None:
        return way.as_whole(f"{name} could not use a delta ({refused})")
    if way.how == deltas.NOTHING:
        return way.as_whole(f"{name} asks for it")
    return deltas.settled(ports, way)


def _offered(base_sha256: str, delta: StoredFile) -> OfferedDelta:
    return OfferedDelta(base_sha256=base_sha256, sha256=delta.sha256, size_bytes=delta.size_bytes)


def _nothing(ports: Ports, *, have: bool) -> UploadOffer:
    return UploadOffer(
        have=have, upload_id=None, part_size_bytes=ports.site.part_size_bytes, parts=(), confirmed=(), ca_pem=ports.site.ca_pem or ""
    )


def _delta_offer(ports: Ports, space_id: str, trust_id: str, need: Need, offered: OfferedDelta) -> UploadOffer:
    arrival = arrivals.consider(ports, space_id=space_id, trust_id=trust_id, target=need, offered=offered)
    if arrival.state is ArrivalState.COMING:
        file = StoredFile(sha256=arrival.sha256, size_bytes=arrival.size_bytes)
        return replace(_offer(ports, space_id, trust_id, file, DELTA_PURPOSE), delta_state=WANTED)
    state = REBUILDING if arrival.state is ArrivalState.HERE else REFUSED
    return replace(_nothing(ports, have=False), delta_state=state, delta_code=arrival.code)


def _offer(ports: Ports, space_id: str, trust_id: str, file: StoredFile, purpose: str) -> UploadOffer:
    upload = _open_upload(ports, space_id, trust_id, file, purpose)
    key = _key_of(upload.purpose, upload.sha256)
    try:
        confirmed = ports.objects.confirmed_parts(key, upload.multipart_id)
    except NotFoundError:  # the store has forgotten it: swept as stale, or joined by somebody who died before it was read back
        confirmed = {}
        if ports.objects.exists(key) == file.size_bytes:
            confirmed = {part.number: part.size_bytes for part in part_ranges(file.size_bytes, part_size=upload.part_size_bytes)}
        else:
            upload = _renew(ports, space_id, upload)
    lacking = [part for part in part_ranges(file.size_bytes, part_size=upload.part_size_bytes) if part.number not in confirmed]
    grants = tuple(
        PartGrant(
            number=part.number,
            offset=part.offset,
            size_bytes=part.size_bytes,
            url=ports.objects.grant_part(key, upload.multipart_id, part.number, seconds=GRANT_SECONDS),
        )
        for part in lacking[:MAX_PARTS_PER_OFFER]
    )
    return UploadOffer(
        have=False,
        upload_id=upload.id,
        part_size_bytes=upload.part_size_bytes,
        parts=grants,
        confirmed=tuple(sorted(confirmed)),
        ca_pem=ports.site.ca_pem or "",
    )


def _open_upload(ports: Ports, space_id: str, trust_id: str, file: StoredFile, purpose: str) -> Upload:
    """The one open upload of this file by this trust."""
    with ports.ledger.read(space_id) as work:
        found = work.of(Upload).first(sha256=file.sha256, purpose=purpose, trust_id=trust_id, completed_at=None)
    if found is not None and found.size_bytes == file.size_bytes:
        return found
    key = _key_of(purpose, file.sha256)
    fresh = Upload(
        id=ids.fresh(ports, "upl"),
        space_id=space_id,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        part_size_bytes=part_size_bytes(file.size_bytes, smallest=ports.site.part_size_bytes),
        purpose=purpose,
        multipart_id=ports.objects.begin_multipart(key),
        created_at=ports.clock.now(),
        created_by="peer",
        trust_id=trust_id,
    )
    with ports.ledger.write(space_id) as work:
        first = work.of(Upload).first(sha256=file.sha256, purpose=purpose, trust_id=trust_id, completed_at=None)
        if first is not None and first.size_bytes != file.size_bytes:  # only a delta can be announced with another size
            work.of(Upload).replace(replace(first, completed_at=ports.clock.now()))
            first = None
        stored = work.of(Upload).add(fresh) if first is None else first
    if stored.id != fresh.id:  # two requests at once: the loser's upload would lie in the store for nothing
        ports.objects.abort_multipart(key, fresh.multipart_id)
    return stored


def _key_of(purpose: str, sha256: str) -> str:
    return delta_key(sha256) if purpose == DELTA_PURPOSE else blob_key(sha256)


def _renew(ports: Ports, space_id: str, upload: Upload) -> Upload:
    multipart_id = ports.objects.begin_multipart(_key_of(upload.purpose, upload.sha256))
    with ports.ledger.write(space_id) as work:
        return work.of(Upload).replace(replace(work.of(Upload).get(upload.id), multipart_id=multipart_id))


def _complete(ports: Ports, space_id: str, upload: Upload) -> None:
    if upload.purpose == DELTA_PURPOSE:
        if ports.objects.exists(delta_key(upload.sha256)) != upload.size_bytes:
            _join(ports, upload)
    elif blobs.adopt_blob(ports, sha256=upload.sha256, size_bytes=upload.size_bytes) is None:
        _join(ports, upload)
        try:
            blobs.verify_blob(ports, sha256=upload.sha256, size_bytes=upload.size_bytes)
        except ConflictError:  # wrong bytes begin anew; a store that is away is asked again about these
            _close(ports, space_id, upload)
            raise
    _close(ports, space_id, upload)


def _join(ports: Ports, upload: Upload) -> None:
    key = _key_of(upload.purpose, upload.sha256)
    try:
        confirmed = ports.objects.confirmed_parts(key, upload.multipart_id)
    except NotFoundError as error:
        raise blobs.interrupted("The upload vanished from this site's store; ask for another") from error
    lacking = [part.number for part in part_ranges(upload.size_bytes, part_size=upload.part_size_bytes) if part.number not in confirmed]
    if lacking:
        raise ConflictError("upload.incomplete", "parts of the upload are missing", field="parts", found=str(lacking[:20]))
    ports.objects.complete_multipart(key, upload.multipart_id)


def _close(ports: Ports, space_id: str, upload: Upload) -> None:
    with ports.ledger.write(space_id) as work:
        row = work.of(Upload).get(upload.id)
        if row.completed_at is None:
            work.of(Upload).replace(replace(row, completed_at=ports.clock.now()))
