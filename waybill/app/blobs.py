# SPDX-License-Identifier: Apache-2.0
"""Blobs: which bytes this site holds for certain. A row of them is written only after the object was re-read and hashed.

Refused: an object whose bytes are others than its name. It is deleted, and no row says that it is here.
An ETag is never compared with anything: it is no digest of the content.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from waybill.domain.packages import Blob
from waybill.errors import ConflictError, UnavailableError, WaybillError
from waybill.formats.layout import blob_key
from waybill.ports import SITE, Ports


def find_blob(ports: Ports, sha256: str) -> Blob | None:
    """The verified blob, or None when this site does not hold it for certain."""
    with ports.ledger.read(SITE) as work:
        return work.of(Blob).find(sha256)


def verify_blob(
    ports: Ports,
    *,
    sha256: str,
    size_bytes: int,
    on_bytes: Callable[[int], None] = lambda _total: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> timedelta:
    """The object was read back, has exactly this digest and size, and a ``Blob`` row says so; returns how long the reading took.

    Args:
        on_bytes: hears how many bytes were read back so far.
    Raises:
        ConflictError: package.hash_mismatch or package.size_exceeded; the object is gone then.
        UnavailableError: transfer.interrupted, when cancelled or when the object vanished while it was read; store.*.
    """
    started = ports.clock.now()
    problem = _find_problem(ports, sha256=sha256, size_bytes=size_bytes, on_bytes=on_bytes, is_cancelled=is_cancelled)
    if problem is not None:
        _discard(ports, sha256=sha256, size_bytes=size_bytes)
        raise problem
    finished = ports.clock.now()
    _record(ports, sha256=sha256, size_bytes=size_bytes, at=finished)
    return finished - started


def adopt_blob(
    ports: Ports,
    *,
    sha256: str,
    size_bytes: int,
    on_bytes: Callable[[int], None] = lambda _total: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> timedelta | None:
    """As ``verify_blob`` for an object that lies there already; None when there is none, or a wrong one, which is gone now.

    Somebody who died before it was read back left it. Asked before anything is written: an object that exists is kept by the store.
    """
    if ports.objects.exists(blob_key(sha256)) is None:
        return None
    try:
        return verify_blob(ports, sha256=sha256, size_bytes=size_bytes, on_bytes=on_bytes, is_cancelled=is_cancelled)
    except ConflictError:
        return None


def sweep_uploads(ports: Ports, *, older_than: datetime) -> int:
    """Every multipart upload begun before ``older_than`` is aborted; returns how many. Their transfers begin anew if still wanted."""
    stale = ports.objects.stale_multiparts(older_than=older_than)
    for key, multipart_id in stale:
        ports.objects.abort_multipart(key, multipart_id)
    return len(stale)


def interrupted(reason: str) -> UnavailableError:
    """The error of a transfer that stopped half-way and can go on."""
    return UnavailableError("transfer.interrupted", reason)


def _find_problem(
    ports: Ports, *, sha256: str, size_bytes: int, on_bytes: Callable[[int], None], is_cancelled: Callable[[], bool]
) -> WaybillError | None:
    """None when the object is what its name says, else the error that tells the difference."""
    key = blob_key(sha256)
    stored = ports.objects.exists(key)
    if stored is None:
        raise interrupted("The object vanished before it was read back")
    if stored > size_bytes:
        return ConflictError("package.size_exceeded", "More bytes arrived than were named", expected=size_bytes, found=stored)

    def hear(total: int) -> None:
        if is_cancelled():
            raise interrupted("Cancelled while the bytes were read back")
        on_bytes(total)

    found, found_size = ports.objects.hash(key, on_bytes=hear)
    if (found, found_size) != (sha256, size_bytes):
        return ConflictError(
            "package.hash_mismatch",
            "The bytes that arrived are not the named ones",
            expected=f"{sha256}, {size_bytes} bytes",
            found=f"{found}, {found_size} bytes",
        )
    return None


def _record(ports: Ports, *, sha256: str, size_bytes: int, at: datetime) -> None:
    """Write the row, unless the object was discarded by somebody who read an earlier, wrong one: writers are serialised."""
    with ports.ledger.write(SITE) as work:
        if work.of(Blob).find(sha256) is not None:
            return
        if ports.objects.exists(blob_key(sha256)) != size_bytes:
            raise interrupted("The object vanished after it was read back")
        work.of(Blob).add(Blob(id=sha256, size_bytes=size_bytes, verified_at=at))


def _discard(ports: Ports, *, sha256: str, size_bytes: int) -> None:
    """Delete the wrong object, but never the right one that another writer put and verified in the meantime."""
    key = blob_key(sha256)
    with ports.ledger.write(SITE) as work:
        if work.of(Blob).find(sha256) is None:
            ports.objects.delete(key)
            return
    # Nobody deletes an object that has a row without this second look, so what is read now is what the row speaks of.
    if ports.objects.exists(key) is not None and ports.objects.hash(key) == (sha256, size_bytes):
        return
    with ports.ledger.write(SITE) as work:
        row = work.of(Blob).find(sha256)
        if row is not None:
            work.of(Blob).remove(row)
            ports.objects.delete(key)
