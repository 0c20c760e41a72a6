# SPDX-License-Identifier: Apache-2.0
"""Carries the bytes of one blob between two sites: in parts, in parallel, resumable, with memory of a few parts only.

The truth about what has arrived is the store's own list of parts, never a note of ours.
Refused: bytes other than the named digest (the object is deleted), and more bytes than named.
Neither direction decides who may have what: that is ``waybill.app.exchange``.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from waybill.app import blobs, ids
from waybill.app.parts import move_parts
from waybill.domain.packages import Upload
from waybill.errors import ConflictError, NotFoundError, PolicyError, WaybillError
from waybill.formats.layout import PartRange, blob_key, delta_key, part_ranges, part_size_bytes
from waybill.ports import PartGrant, Ports, StoredFile

DOWNLOAD_PURPOSE, DELTA_PURPOSE = "peer_download", "peer_delta_download"
CONCURRENCY = 4
_CREATED_BY = "system"
_PIECE_BYTES = 1024 * 1024

Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What one call did. ``bytes_moved`` crossed now, ``bytes_resumed`` were in place before; the verifying re-read is timed apart."""

    size_bytes: int
    bytes_moved: int
    bytes_resumed: int
    moving: timedelta
    hashing: timedelta = timedelta(0)


class Offer(Protocol):
    """What the receiving side granted for one blob. ``have``: it needs nothing. ``parts`` may be only the next of those missing."""

    @property
    def have(self) -> bool: ...
    @property
    def part_size_bytes(self) -> int: ...
    @property
    def parts(self) -> Sequence[PartGrant]: ...
    @property
    def confirmed(self) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listener:
    """Who watches the transfer, and how many parts may be under way for it."""

    on_bytes: Callable[[int], None]
    is_cancelled: Callable[[], bool]
    concurrency: int


class _Lapsed(Exception):  # noqa: N818 - a signal inside this module; it becomes a renewal, or its cause
    """The other side no longer honours a URL: it lapsed, or the upload behind it is gone."""

    def __init__(self, cause: WaybillError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def download_blob(
    ports: Ports,
    *,
    space_id: str,
    url: str,
    ca_pem: str,
    sha256: str,
    size_bytes: int,
    on_bytes: Callable[[int], None],
    is_cancelled: Callable[[], bool],
    concurrency: int = CONCURRENCY,
    renew_url: Callable[[], str] | None = None,
    trust_id: str | None = None,
) -> Moved:
    """The blob is in this site's store, re-read, hashed and recorded. A repeated call moves only what is not here yet.

    Args:
        url: a granted URL of the whole object at the other side; ranges of it are read.
        size_bytes: as named by the signed manifest.
        on_bytes: hears the total in place, several times a second; also during the verifying re-read.
        is_cancelled: asked as often; True stops within the time of one piece.
        renew_url: asked for a fresh URL when ``url`` has lapsed; without it the call is interrupted, to be repeated with another URL.
    Raises:
        ConflictError: package.hash_mismatch, package.size_exceeded; the object is gone and no row names it.
        UnavailableError: transfer.interrupted when cancelled; peer.*, store.*, transfer.too_slow: call again to go on.
    """
    if blobs.find_blob(ports, sha256) is not None:
        return Moved(size_bytes=size_bytes, bytes_moved=0, bytes_resumed=size_bytes, moving=timedelta(0))
    listener = _Listener(on_bytes=on_bytes, is_cancelled=is_cancelled, concurrency=concurrency)
    hashing = _adopt(ports, listener, sha256=sha256, size_bytes=size_bytes)
    if hashing is not None:
        close_downloads(ports, space_id=space_id, sha256=sha256)
        return Moved(size_bytes=size_bytes, bytes_moved=0, bytes_resumed=size_bytes, moving=timedelta(0), hashing=hashing)
    started = ports.clock.now()
    file = StoredFile(sha256=sha256, size_bytes=size_bytes)
    upload, missing = _resume_upload(ports, space_id=space_id, file=file, trust_id=trust_id, purpose=DOWNLOAD_PURPOSE)
    try:
        _fetch_parts(ports, listener, upload=upload, missing=missing, url=url, ca_pem=ca_pem, renew_url=renew_url)
        _complete(ports, upload)
        moving = ports.clock.now() - started
        hashing = _verify(ports, listener, sha256=sha256, size_bytes=size_bytes)
    except ConflictError:  # these parts are wrong: never resume from them
        close_downloads(ports, space_id=space_id, sha256=sha256)
        raise
    close_downloads(ports, space_id=space_id, sha256=sha256)
    moved = sum(part.size_bytes for part in missing)
    return Moved(size_bytes=size_bytes, bytes_moved=moved, bytes_resumed=size_bytes - moved, moving=moving, hashing=hashing)


def download_delta(
    ports: Ports,
    *,
    space_id: str,
    url: str,
    ca_pem: str,
    delta: StoredFile,
    on_bytes: Callable[[int], None],
    is_cancelled: Callable[[], bool],
    renew_url: Callable[[], str],
    trust_id: str,
) -> None:
    """As ``download_blob`` for a delta, which ends at ``layout.delta_key``: not hashed yet, and no blob of anything."""
    if ports.objects.exists(delta_key(delta.sha256)) == delta.size_bytes:
        return
    ports.objects.delete(delta_key(delta.sha256))
    listener = _Listener(on_bytes=on_bytes, is_cancelled=is_cancelled, concurrency=CONCURRENCY)
    upload, missing = _resume_upload(ports, space_id=space_id, file=delta, trust_id=trust_id, purpose=DELTA_PURPOSE)
    try:
        _fetch_parts(ports, listener, upload=upload, missing=missing, url=url, ca_pem=ca_pem, renew_url=renew_url)
        _complete(ports, upload)
    except ConflictError:
        close_downloads(ports, space_id=space_id, sha256=delta.sha256, purpose=DELTA_PURPOSE)
        raise
    close_downloads(ports, space_id=space_id, sha256=delta.sha256, purpose=DELTA_PURPOSE)


def upload_blob(
    ports: Ports,
    *,
    key: str,
    size_bytes: int,
    offer: Offer,
    renew: Callable[[], Offer],
    ca_pem: str,
    on_bytes: Callable[[int], None],
    is_cancelled: Callable[[], bool],
    concurrency: int = CONCURRENCY,
) -> Moved:
    """Every part of the local object ``key`` lies at the other side, which then completes and verifies it (not here).

    Args:
        offer: what the other side granted; parts that it confirmed are not sent again.
        renew: asked for a fresh offer when URLs lapse, when the upload there vanished, and for the next batch of parts.
        on_bytes, is_cancelled: as for ``download_blob``.
    Raises:
        NotFoundError: record.absent, when the object is not here.
        UnavailableError: transfer.interrupted when cancelled, or when a fresh offer brings nothing; peer.*, store.*,
            transfer.too_slow: call again to go on.
    """
    if ports.objects.exists(key) != size_bytes:
        raise NotFoundError("record.absent", "The object to be sent is not in this store", field=key)
    listener = _Listener(on_bytes=on_bytes, is_cancelled=is_cancelled, concurrency=concurrency)
    started, moved, idle_offers = ports.clock.now(), 0, 0
    while missing := _missing_of(offer, size_bytes):
        granted = {part.number for part in offer.parts}
        parts = [part for part in missing if part.number in granted]
        already = size_bytes - sum(part.size_bytes for part in missing)
        sent, refusal = _put_parts(ports, listener, key=key, offer=offer, parts=parts, ca_pem=ca_pem, already_bytes=already)
        moved += sent
        if refusal is None and len(parts) == len(missing):
            break
        idle_offers = 0 if sent else idle_offers + 1
        if idle_offers > 1:
            raise blobs.interrupted("The other side honours none of its URLs for the missing parts") from refusal
        offer = renew()
    return Moved(size_bytes=size_bytes, bytes_moved=moved, bytes_resumed=max(0, size_bytes - moved), moving=ports.clock.now() - started)


def _adopt(ports: Ports, listener: _Listener, *, sha256: str, size_bytes: int) -> timedelta | None:
    """Record an object that an earlier run completed and then died; None when there is none, or a wrong one, which is gone now."""
    return blobs.adopt_blob(
        ports,
        sha256=sha256,
        size_bytes=size_bytes,
        on_bytes=lambda _read_back: listener.on_bytes(size_bytes),
        is_cancelled=listener.is_cancelled,
    )


def _verify(ports: Ports, listener: _Listener, *, sha256: str, size_bytes: int) -> timedelta:
    """Re-read and record; a listener hears that everything is in place, since nothing more crosses."""
    return blobs.verify_blob(
        ports,
        sha256=sha256,
        size_bytes=size_bytes,
        on_bytes=lambda _read_back: listener.on_bytes(size_bytes),
        is_cancelled=listener.is_cancelled,
    )


def _resume_upload(
    ports: Ports, *, space_id: str, file: StoredFile, trust_id: str | None, purpose: str
) -> tuple[Upload, tuple[PartRange, ...]]:
    """The open upload of this file and its missing parts, as the store lists them; a new one when there is none or the store lost it."""
    with ports.ledger.read(space_id) as work:
        upload = work.of(Upload).first(sha256=file.sha256, purpose=purpose, completed_at=None)
    key = _key_of(purpose, file.sha256)
    if upload is not None and upload.size_bytes == file.size_bytes:
        try:
            confirmed = ports.objects.confirmed_parts(key, upload.multipart_id)
        except NotFoundError:
            pass
        else:
            ranges = part_ranges(file.size_bytes, part_size=upload.part_size_bytes)
            return upload, tuple(part for part in ranges if confirmed.get(part.number) != part.size_bytes)
    close_downloads(ports, space_id=space_id, sha256=file.sha256, purpose=purpose)
    upload = Upload(
        id=ids.fresh(ports, "upl"),
        space_id=space_id,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        part_size_bytes=part_size_bytes(file.size_bytes, smallest=ports.site.part_size_bytes),
        purpose=purpose,
        multipart_id=ports.objects.begin_multipart(key),
        created_at=ports.clock.now(),
        created_by=_CREATED_BY,
        trust_id=trust_id,
    )
    with ports.ledger.write(space_id) as work:
        upload = work.of(Upload).add(upload)
    return upload, part_ranges(file.size_bytes, part_size=upload.part_size_bytes)


def _key_of(purpose: str, sha256: str) -> str:
    return delta_key(sha256) if purpose == DELTA_PURPOSE else blob_key(sha256)


def _fetch_parts(
    ports: Ports,
    listener: _Listener,
    *,
    upload: Upload,
    missing: Sequence[PartRange],
    url: str,
    ca_pem: str,
    renew_url: Callable[[], str] | None,
) -> None:
    """Every missing part was read from ``url`` and put into the own store; a lapsed URL is renewed while that brings anything."""
    fetched: set[int] = set()
    source = [url]  # threads of one round read one URL; it changes only between rounds

    def fetch(part: PartRange, tell: Tell) -> None:
        is_last = part.offset + part.size_bytes == upload.size_bytes
        data = _read_part(ports, source[0], ca_pem=ca_pem, part=part, is_last=is_last, tell=tell)
        try:
            ports.objects.put_part(_key_of(upload.purpose, upload.sha256), upload.multipart_id, part.number, data)
        except NotFoundError as error:
            raise blobs.interrupted("The upload vanished from this site's store") from error
        fetched.add(part.number)

    idle_urls = 0
    while rest := [part for part in missing if part.number not in fetched]:
        before = len(fetched)
        try:
            move_parts(
                rest,
                fetch,
                concurrency=listener.concurrency,
                already_bytes=upload.size_bytes - sum(part.size_bytes for part in rest),
                on_bytes=listener.on_bytes,
                is_cancelled=listener.is_cancelled,
            )
        except _Lapsed as lapsed:
            idle_urls = 0 if len(fetched) > before else idle_urls + 1
            if renew_url is None or idle_urls > 1:
                raise blobs.interrupted("The other side no longer honours its URL; ask for another") from lapsed.cause
            source[0] = renew_url()


def _read_part(ports: Ports, url: str, *, ca_pem: str, part: PartRange, is_last: bool, tell: Tell) -> bytes:
    """Exactly the bytes of ``part``. For the last part one byte more is asked for: a file longer than named shows itself so."""
    end = part.offset + part.size_bytes + (1 if is_last else 0)
    pieces: list[bytes] = []
    received = 0
    try:
        for piece in ports.peer.get_range(url, ca_pem=ca_pem, start=part.offset, end=end):
            received += len(piece)
            if received > part.size_bytes:
                raise ConflictError("package.size_exceeded", "The other side sends more bytes than were named", expected=part.size_bytes)
            pieces.append(piece)
            tell(len(piece))
    except (PolicyError, NotFoundError) as error:
        raise _Lapsed(error) from error
    if received < part.size_bytes:
        raise ConflictError(
            "package.hash_mismatch", "The other side holds fewer bytes than were named", expected=part.size_bytes, found=received
        )
    return b"".join(pieces)


def _complete(ports: Ports, upload: Upload) -> None:
    try:
        ports.objects.complete_multipart(_key_of(upload.purpose, upload.sha256), upload.multipart_id)
    except NotFoundError as error:
        raise blobs.interrupted("The upload vanished from this site's store") from error


def close_downloads(ports: Ports, *, space_id: str, sha256: str, purpose: str = DOWNLOAD_PURPOSE, trust_id: str | None = None) -> None:
    """No download of this file (over the trust, if one is named) is open any more, here or in the store."""
    with ports.ledger.write(space_id) as work:
        for upload in work.of(Upload).where(sha256=sha256, purpose=purpose, completed_at=None):
            if trust_id is not None and upload.trust_id not in {None, trust_id}:
                continue
            ports.objects.abort_multipart(_key_of(purpose, sha256), upload.multipart_id)
            work.of(Upload).replace(replace(upload, completed_at=ports.clock.now()))


def _missing_of(offer: Offer, size_bytes: int) -> list[PartRange]:
    if offer.have:
        return []
    confirmed = set(offer.confirmed)
    return [part for part in part_ranges(size_bytes, part_size=offer.part_size_bytes) if part.number not in confirmed]


def _put_parts(
    ports: Ports, listener: _Listener, *, key: str, offer: Offer, parts: Sequence[PartRange], ca_pem: str, already_bytes: int
) -> tuple[int, WaybillError | None]:
    """Put ``parts`` to their granted URLs; returns the bytes of whole parts put, and the refusal when a URL was no longer honoured."""
    urls = {grant.number: grant.url for grant in offer.parts}
    sent: list[int] = []

    def put(part: PartRange, tell: Tell) -> None:
        data = b"".join(ports.objects.read(key, start=part.offset, end=part.offset + part.size_bytes))
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        try:
            ports.peer.put_part(urls[part.number], ca_pem=ca_pem, pieces=_told(data, tell), size_bytes=part.size_bytes, md5=md5)
        except (PolicyError, NotFoundError) as error:
            raise _Lapsed(error) from error
        sent.append(part.size_bytes)

    try:
        move_parts(
            parts,
            put,
            concurrency=listener.concurrency,
            already_bytes=already_bytes,
            on_bytes=listener.on_bytes,
            is_cancelled=listener.is_cancelled,
        )
    except _Lapsed as lapsed:
        return sum(sent), lapsed.cause
    return sum(sent), None


def _told(data: bytes, tell: Tell) -> Iterator[bytes]:
    for offset in range(0, len(data), _PIECE_BYTES):
        piece = data[offset : offset + _PIECE_BYTES]
        yield piece
        tell(len(piece))
