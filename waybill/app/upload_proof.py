# SPDX-License-Identifier: Apache-2.0
"""What an upload by people or programs must prove: that the bytes of this digest were really sent, and not only named.

The object store keeps an object that exists. Without care, whoever knows the digest of another Space's package could send anything
in its name and be given that package: so where the bytes are here already, an upload goes to a place of its own and is hashed there.
Refused: an upload beside which the same bytes came from another Space meanwhile; sent again, it is hashed by itself.
"""

from collections.abc import Callable

from waybill.app import blobs
from waybill.domain.packages import Package, StepPackage, Upload
from waybill.errors import ConflictError, NotFoundError
from waybill.formats.layout import blob_key, upload_key
from waybill.ports import Ports


def key_of(ports: Ports, upload: Upload) -> str:
    """Where the parts of the upload go: a place of its own, when the site held verified bytes of that digest as it began."""
    held = blobs.find_blob(ports, upload.sha256)
    is_apart = held is not None and held.verified_at <= upload.created_at
    return upload_key(upload.id) if is_apart else blob_key(upload.sha256)


def prove(ports: Ports, upload: Upload, *, on_bytes: Callable[[int], None]) -> None:
    """The sent bytes have the announced digest and size, and a ``Blob`` row stands for them; repeating it proves the same again.

    Raises:
        ConflictError: package.hash_mismatch, package.size_exceeded, after the sent bytes are gone; upload.incomplete.
        UnavailableError: store.*, transfer.interrupted.
    """
    key = key_of(ports, upload)
    if key != blob_key(upload.sha256):
        _prove_apart(ports, upload, key, on_bytes=on_bytes)
        return
    if _has_parts(ports, upload, key):
        if blobs.adopt_blob(ports, sha256=upload.sha256, size_bytes=upload.size_bytes, on_bytes=on_bytes) is not None:
            _use_own(ports, upload, key)
            return
        ports.objects.complete_multipart(key, upload.multipart_id)
    elif ports.objects.exists(key) is None:
        raise _incomplete(upload, "the store no longer has the parts")
    blobs.verify_blob(ports, sha256=upload.sha256, size_bytes=upload.size_bytes, on_bytes=on_bytes)


def drop(ports: Ports, upload: Upload) -> None:
    """The upload's own place, if it has one, is empty again."""
    key = key_of(ports, upload)
    if key != blob_key(upload.sha256):
        ports.objects.delete(key)


def _prove_apart(ports: Ports, upload: Upload, key: str, *, on_bytes: Callable[[int], None]) -> None:
    if _has_parts(ports, upload, key):
        ports.objects.complete_multipart(key, upload.multipart_id)
    elif ports.objects.exists(key) is None:
        raise _incomplete(upload, "the store no longer has the parts")
    if (ports.objects.exists(key) or 0) > upload.size_bytes:
        drop(ports, upload)
        raise ConflictError("package.size_exceeded", "More bytes arrived than were named", expected=upload.size_bytes)
    found, size = ports.objects.hash(key, on_bytes=on_bytes)
    if (found, size) != (upload.sha256, upload.size_bytes):
        drop(ports, upload)
        raise ConflictError(
            "package.hash_mismatch",
            "The bytes that arrived are not the named ones",
            expected=f"{upload.sha256}, {upload.size_bytes} bytes",
            found=f"{found}, {size} bytes",
        )


def _has_parts(ports: Ports, upload: Upload, key: str) -> bool:
    """False once the store has joined or forgotten them."""
    try:
        return bool(ports.objects.confirmed_parts(key, upload.multipart_id))
    except NotFoundError:
        return False


def _use_own(ports: Ports, upload: Upload, key: str) -> None:
    """Right when this Space itself brought the object that is here; else nothing proves that the uploader has the bytes."""
    ports.objects.abort_multipart(key, upload.multipart_id)
    with ports.ledger.read(upload.space_id) as work:
        own = work.of(Package).first(sha256=upload.sha256) or work.of(StepPackage).first(sha256=upload.sha256)
    if own is None:
        raise _incomplete(upload, "the upload crossed with another one of the same bytes; upload it again")


def _incomplete(upload: Upload, message: str) -> ConflictError:
    return ConflictError("upload.incomplete", message, field="upload", found=upload.id)
