# SPDX-License-Identifier: Apache-2.0
"""Package bytes between two Spaces: grants for exactly the digests that a bundle of the asking trust names, and the asking twins.

A digest that no such bundle names answers as absent, whether its bytes are here or not. The bytes themselves never pass through here:
they go between the stores by short-lived URLs (``waybill.app.transfer``).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from waybill.app import blobs, documents, ids, moved_bytes
from waybill.app.peer_requests import OpenRequest, ask, make_answer, open_request
from waybill.app.situation import needs_of
from waybill.domain.bundles import InboxBundle, InboxState, Need
from waybill.domain.ids import JsonValue
from waybill.domain.packages import Blob, Upload
from waybill.domain.releases import Document
from waybill.domain.trusts import OutboxMessage
from waybill.errors import ConflictError, NotFoundError, TrustError, UnavailableError
from waybill.formats import envelope, release
from waybill.formats.fields import Fields
from waybill.formats.layout import blob_key, part_ranges, part_size_bytes
from waybill.ports import PartGrant, Ports, Work

GRANT_SECONDS = 3600
MAX_PARTS_PER_OFFER = 256
"""Parts granted at once; asking again grants the next ones."""

COMPLETE_TIMEOUT_SECONDS = 3600.0
"""The other side reads the whole object back before it answers."""

PURPOSE = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadGrant:
    """A URL of the peer's store that reads one blob, with the certificate authority (PEM) of its TLS."""

    url: str
    ca_pem: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOffer:
    """What the receiving side still wants of one blob. With ``have`` nothing is to be sent. ``confirmed`` part numbers are already there."""

    have: bool
    upload_id: str | None
    part_size_bytes: int
    parts: tuple[PartGrant, ...]
    confirmed: tuple[int, ...]
    ca_pem: str


def grant_download(ports: Ports, *, space_id: str, body: bytes) -> bytes:
    """The signed answer with a URL for one blob of a bundle that was sent to the asking trust.

    Raises:
        NotFoundError: record.absent, for any other digest. TrustError: trust.direction_denied.
    """
    request = open_request(ports, space_id=space_id, body=body, action="downloads")
    _check_granted(request, request.trust.grants.send_releases, "send releases")
    bundle_sha256, sha256 = _digests(request)
    with ports.ledger.read(space_id) as work:
        need = _sent_need(work, request.trust.id, bundle_sha256, sha256)
        if need is None or work.of(Blob).find(sha256) is None:
            raise _absent(sha256)
    url = ports.objects.grant_get(blob_key(sha256), seconds=GRANT_SECONDS)
    with ports.ledger.write(space_id) as work:
        moved_bytes.note_taken(work, trust_id=request.trust.id, bundle_sha256=bundle_sha256, needs=(need,))
    answer: dict[str, JsonValue] = {"url": url, "size": need.size_bytes, "ca": ports.site.ca_pem or ""}
    return make_answer(ports, space_id=space_id, request=request, body=answer)


def grant_upload(ports: Ports, *, space_id: str, body: bytes) -> bytes:
    """The signed answer with URLs for the parts of one blob that an accepted bundle of the asking trust lacks.

    Raises:
        NotFoundError: record.absent, for any other digest. TrustError: trust.direction_denied.
    """
    request = open_request(ports, space_id=space_id, body=body, action="uploads")
    _check_granted(request, request.trust.grants.accept_releases, "accept releases")
    bundle_sha256, sha256 = _digests(request)
    with ports.ledger.read(space_id) as work:
        _, need = _wanted(work, request.trust.id, bundle_sha256, sha256)
        have = work.of(Blob).find(sha256) is not None
    offer = _nothing(ports) if have else _offer(ports, space_id, request.trust.id, need)
    return make_answer(ports, space_id=space_id, request=request, body=_offer_to_json(offer))


def complete_peer_upload(ports: Ports, *, space_id: str, body: bytes) -> bytes:
    """The signed answer that an upload was joined, re-read and hashed, and that the blob is recorded; again gives the same.

    Raises:
        ConflictError: package.hash_mismatch, the object is gone again; upload.incomplete.
    """
    request = open_request(ports, space_id=space_id, body=body, action="uploads/complete")
    _check_granted(request, request.trust.grants.accept_releases, "accept releases")
    bundle_sha256, sha256 = _digests(request, more=("upload_id",))
    with ports.ledger.read(space_id) as work:
        _, need = _wanted(work, request.trust.id, bundle_sha256, sha256)
        upload = work.of(Upload).find(str(request.doc.body["upload_id"]))
        have = work.of(Blob).find(sha256) is not None
    if not have:
        if upload is None or (upload.trust_id, upload.sha256, upload.purpose) != (request.trust.id, sha256, PURPOSE):
            raise NotFoundError("record.absent", "there is no such upload", field="upload_id")
        _complete(ports, space_id, upload, need)
    tell_arrived(ports, space_id=space_id, sha256s=(sha256,))
    return make_answer(ports, space_id=space_id, request=request, body={"sha256": sha256})


def ask_download(ports: Ports, *, space_id: str, trust_id: str, bundle_sha256: str, sha256: str) -> DownloadGrant:
    """The peer's grant to read one blob of a bundle that it sent us. Raises as ``peer_requests.ask``; NotFoundError record.absent."""
    wanted: dict[str, JsonValue] = {"bundle_sha256": bundle_sha256, "sha256": sha256}
    fields = Fields(ask(ports, space_id=space_id, trust_id=trust_id, action="downloads", body=wanted), at="/body", lenient=False)
    grant = DownloadGrant(
        url=fields.text("url", most=8000), ca_pem=fields.text("ca", least=0, most=64 * 1024), size_bytes=fields.integer("size")
    )
    fields.end()
    return grant


def ask_upload(ports: Ports, *, space_id: str, trust_id: str, bundle_sha256: str, sha256: str) -> UploadOffer:
    """The peer's offer to take one blob of a bundle that we sent it; asking again renews the URLs of the same upload."""
    wanted: dict[str, JsonValue] = {"bundle_sha256": bundle_sha256, "sha256": sha256}
    fields = Fields(ask(ports, space_id=space_id, trust_id=trust_id, action="uploads", body=wanted), at="/body", lenient=False)
    offer = UploadOffer(
        have=fields.boolean("have"),
        upload_id=fields.optional("upload_id", fields.token),
        part_size_bytes=fields.integer("part_size", least=1),
        parts=tuple(_read_part(one) for one in fields.children("parts", most=MAX_PARTS_PER_OFFER)),
        confirmed=tuple(one for one in fields.entries("confirmed", most=10_000) if isinstance(one, int)),
        ca_pem=fields.text("ca", least=0, most=64 * 1024),
    )
    fields.end()
    return offer


def ask_complete(ports: Ports, *, space_id: str, trust_id: str, bundle_sha256: str, sha256: str, upload_id: str) -> None:
    """The peer has joined and verified the upload. Raises ConflictError package.hash_mismatch, upload.incomplete."""
    wanted: dict[str, JsonValue] = {"bundle_sha256": bundle_sha256, "sha256": sha256, "upload_id": upload_id}
    ask(
        ports,
        space_id=space_id,
        trust_id=trust_id,
        action="uploads/complete",
        body=wanted,
        timeout_seconds=COMPLETE_TIMEOUT_SECONDS,
    )


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


def _digests(request: OpenRequest, more: tuple[str, ...] = ()) -> tuple[str, str]:
    """The two digests of the request's body. Raises FormatError payload.invalid, package.digest_unsupported."""
    fields = Fields(request.doc.body, at="/body", lenient=False)
    found = fields.digest("bundle_sha256"), fields.digest("sha256")
    for name in more:
        fields.token(name)
    fields.end()
    return found


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


def _nothing(ports: Ports) -> UploadOffer:
    return UploadOffer(
        have=True, upload_id=None, part_size_bytes=ports.site.part_size_bytes, parts=(), confirmed=(), ca_pem=ports.site.ca_pem or ""
    )


def _offer(ports: Ports, space_id: str, trust_id: str, need: Need) -> UploadOffer:
    upload = _open_upload(ports, space_id, trust_id, need)
    key = blob_key(need.sha256)
    try:
        confirmed = ports.objects.confirmed_parts(key, upload.multipart_id)
    except NotFoundError:  # the store has forgotten it: swept as stale, or joined by somebody who died before it was read back
        confirmed = {}
        if ports.objects.exists(key) == need.size_bytes:
            confirmed = {part.number: part.size_bytes for part in part_ranges(need.size_bytes, part_size=upload.part_size_bytes)}
        else:
            upload = _renew(ports, space_id, upload)
    lacking = [part for part in part_ranges(need.size_bytes, part_size=upload.part_size_bytes) if part.number not in confirmed]
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


def _open_upload(ports: Ports, space_id: str, trust_id: str, need: Need) -> Upload:
    """The one open upload of this blob by this trust."""
    with ports.ledger.read(space_id) as work:
        found = work.of(Upload).first(sha256=need.sha256, purpose=PURPOSE, trust_id=trust_id, completed_at=None)
    if found is not None:
        return found
    fresh = Upload(
        id=ids.fresh(ports, "upl"),
        space_id=space_id,
        sha256=need.sha256,
        size_bytes=need.size_bytes,
        part_size_bytes=part_size_bytes(need.size_bytes, smallest=ports.site.part_size_bytes),
        purpose=PURPOSE,
        multipart_id=ports.objects.begin_multipart(blob_key(need.sha256)),
        created_at=ports.clock.now(),
        created_by="peer",
        trust_id=trust_id,
    )
    with ports.ledger.write(space_id) as work:
        first = work.of(Upload).first(sha256=need.sha256, purpose=PURPOSE, trust_id=trust_id, completed_at=None)
        stored = work.of(Upload).add(fresh) if first is None else first
    if stored.id != fresh.id:  # two requests at once: the loser's upload would lie in the store for nothing
        ports.objects.abort_multipart(blob_key(need.sha256), fresh.multipart_id)
    return stored


def _renew(ports: Ports, space_id: str, upload: Upload) -> Upload:
    multipart_id = ports.objects.begin_multipart(blob_key(upload.sha256))
    with ports.ledger.write(space_id) as work:
        return work.of(Upload).replace(replace(work.of(Upload).get(upload.id), multipart_id=multipart_id))


def _complete(ports: Ports, space_id: str, upload: Upload, need: Need) -> None:
    if blobs.adopt_blob(ports, sha256=upload.sha256, size_bytes=upload.size_bytes) is None:
        _join(ports, upload, need)
        try:
            blobs.verify_blob(ports, sha256=upload.sha256, size_bytes=upload.size_bytes)
        except ConflictError:  # wrong bytes begin anew; a store that is away is asked again about these
            _close(ports, space_id, upload)
            raise
    _close(ports, space_id, upload)


def _join(ports: Ports, upload: Upload, need: Need) -> None:
    key = blob_key(upload.sha256)
    try:
        confirmed = ports.objects.confirmed_parts(key, upload.multipart_id)
    except NotFoundError as error:
        raise blobs.interrupted("The upload vanished from this site's store; ask for another") from error
    lacking = [part.number for part in part_ranges(need.size_bytes, part_size=upload.part_size_bytes) if part.number not in confirmed]
    if lacking:
        raise ConflictError("upload.incomplete", "parts of the upload are missing", field="parts", found=str(lacking[:20]))
    ports.objects.complete_multipart(key, upload.multipart_id)


def _close(ports: Ports, space_id: str, upload: Upload) -> None:
    with ports.ledger.write(space_id) as work:
        row = work.of(Upload).get(upload.id)
        if row.completed_at is None:
            work.of(Upload).replace(replace(row, completed_at=ports.clock.now()))


def _offer_to_json(offer: UploadOffer) -> dict[str, JsonValue]:
    parts: list[JsonValue] = [{"number": one.number, "offset": one.offset, "size": one.size_bytes, "url": one.url} for one in offer.parts]
    return {
        "have": offer.have,
        "upload_id": offer.upload_id,
        "part_size": offer.part_size_bytes,
        "parts": parts,
        "confirmed": list(offer.confirmed),
        "ca": offer.ca_pem,
    }


def _read_part(fields: Fields) -> PartGrant:
    part = PartGrant(
        number=fields.integer("number", least=1),
        offset=fields.integer("offset"),
        size_bytes=fields.integer("size"),
        url=fields.text("url", most=8000),
    )
    fields.end()
    return part
