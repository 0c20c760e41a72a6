# SPDX-License-Identifier: Apache-2.0
"""Downloading a blob: resumed from what the store lists, refused when the bytes are others, stopped when told to."""

import hashlib
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.simulators.objects_memory import MemoryObjects
from tests.simulators.peer_memory import MemoryPeer
from tests.unit.transfer.ports import make_ports
from waybill.app import blobs
from waybill.app.transfer import Moved, download_blob
from waybill.domain.packages import Blob, Upload
from waybill.errors import ConflictError, UnavailableError, WaybillError
from waybill.formats.layout import blob_key
from waybill.ports import SITE

_SPACE = "spc_" + "1" * 32
_PART = 1000
_SIZE = 20 * _PART + 7


class Line:
    """A source with one object, and an empty target that may read it by a granted URL."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = secrets.token_bytes(_SIZE) if data is None else data
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        self.key = blob_key(self.sha256)
        self.source = MemoryObjects(name="source")
        self.source.write("package", [self.data])
        self.target = MemoryObjects(name="target")
        self.peer = MemoryPeer(stores=[self.source, self.target], piece_bytes=100)
        self.ports = make_ports(objects=self.target, peer=self.peer, part_size_bytes=_PART)
        self.heard: list[int] = []
        self.cancelled = False
        self.heard_cancel = threading.Event()

    def is_cancelled(self) -> bool:
        """What the caller answers when the transfer asks."""
        if self.cancelled:
            self.heard_cancel.set()
        return self.cancelled

    def url(self, seconds: int = 3600) -> str:
        """A fresh granted URL."""
        return self.source.grant_get("package", seconds=seconds)

    def download(self, *, url: str | None = None, renews: bool = False, concurrency: int = 4) -> Moved:
        """One call, as an activity makes it."""
        return download_blob(
            self.ports,
            space_id=_SPACE,
            url=url or self.url(),
            ca_pem="",
            sha256=self.sha256,
            size_bytes=len(self.data),
            on_bytes=self.heard.append,
            is_cancelled=self.is_cancelled,
            concurrency=concurrency,
            renew_url=self.url if renews else None,
        )

    def refused(self) -> WaybillError:
        """The error of a call that must fail."""
        with pytest.raises(WaybillError) as caught:
            self.download()
        return caught.value

    def blob(self) -> Blob | None:
        """What the target holds for certain."""
        return blobs.find_blob(self.ports, self.sha256)

    def open_uploads(self) -> int:
        """Rows of uploads under way."""
        with self.ports.ledger.read(_SPACE) as work:
            return sum(upload.completed_at is None for upload in work.of(Upload).where())

    def open_multiparts(self) -> int:
        """Uploads under way in the target's store."""
        return len(self.target.stale_multiparts(older_than=datetime.now(UTC) + timedelta(hours=1)))


@pytest.mark.parametrize("size", [0, 1, _PART - 1, _PART, _PART + 1, _SIZE])
def test_a_download_ends_in_a_verified_blob(size: int) -> None:
    """Any size crosses whole, is recorded with its digest and size, leaves no upload open, and progress ends at the size."""
    line = Line(secrets.token_bytes(size))
    moved = line.download()
    assert (moved.bytes_moved, moved.bytes_resumed, moved.size_bytes) == (size, 0, size)
    assert line.target.stored[line.key] == line.data
    blob = line.blob()
    assert blob is not None
    assert blob.size_bytes == size
    assert (line.open_uploads(), line.open_multiparts()) == (0, 0)
    assert line.heard[-1] == size
    assert line.heard == sorted(line.heard)


def test_a_blob_that_is_here_is_not_moved() -> None:
    """A second download of the same digest reads nothing from the other side."""
    line = Line()
    line.download()
    before = line.peer.bytes_got
    assert line.download().bytes_moved == 0
    assert line.peer.bytes_got == before


def test_a_broken_download_resumes_with_the_rest() -> None:
    """After the line broke in the middle, the second call moves only the parts that the store had not confirmed."""
    line = Line()

    def break_line(total: int) -> None:
        if total >= _SIZE // 2:
            raise UnavailableError("peer.unavailable", "cut")

    line.peer.on_piece = break_line
    assert line.refused().code == "peer.unavailable"
    assert line.blob() is None
    with line.ports.ledger.read(_SPACE) as work:
        (upload,) = work.of(Upload).where()
    confirmed = line.target.confirmed_parts(line.key, upload.multipart_id)
    assert len(confirmed) >= 6
    line.peer.on_piece = lambda _total: None
    before = line.peer.bytes_got
    moved = line.download()
    assert moved.bytes_resumed == sum(confirmed.values())
    assert line.peer.bytes_got - before == _SIZE - sum(confirmed.values()) == moved.bytes_moved
    assert line.blob() is not None


def test_a_part_of_the_wrong_size_is_fetched_again() -> None:
    """A torn part in the store is not trusted."""
    line = Line()
    line.peer.on_piece = _breaker(after=5 * _PART)
    line.refused()
    with line.ports.ledger.read(_SPACE) as work:
        (upload,) = work.of(Upload).where()
    torn = min(line.target.confirmed_parts(line.key, upload.multipart_id))
    line.target.put_part(line.key, upload.multipart_id, torn, b"torn")
    line.peer.on_piece = lambda _total: None
    line.download()
    assert line.blob() is not None


def test_an_upload_that_the_store_lost_begins_anew() -> None:
    """When the store has swept the parts, everything is fetched again under a new upload."""
    line = Line()
    line.peer.on_piece = _breaker(after=_SIZE // 2)
    line.refused()
    line.peer.on_piece = lambda _total: None
    assert blobs.sweep_uploads(line.ports, older_than=datetime.now(UTC) + timedelta(hours=1)) == 1
    assert line.download().bytes_moved == _SIZE
    assert line.open_uploads() == 0


@pytest.mark.parametrize("position", [0, _SIZE // 2, _SIZE - 1])
def test_a_flipped_byte_is_refused(position: int) -> None:
    """One wrong byte anywhere: package.hash_mismatch, no object, no row, no open upload; the right bytes are accepted afterwards."""
    line = Line()
    wrong = bytearray(line.data)
    wrong[position] ^= 1
    line.source.stored["package"] = bytes(wrong)
    error = line.refused()
    assert (type(error), error.code) == (ConflictError, "package.hash_mismatch")
    assert line.blob() is None
    assert line.key not in line.target.stored
    assert (line.open_uploads(), line.open_multiparts()) == (0, 0)
    line.source.stored["package"] = line.data
    assert line.download().bytes_moved == _SIZE


def test_more_bytes_than_named_are_refused() -> None:
    """A source that holds one byte more is found out, and nothing stays."""
    line = Line()
    line.source.stored["package"] = line.data + b"x"
    assert line.refused().code == "package.size_exceeded"
    assert line.blob() is None
    assert line.key not in line.target.stored
    assert line.open_multiparts() == 0


def test_fewer_bytes_than_named_are_refused() -> None:
    """A source that ends early is found out."""
    line = Line()
    line.source.stored["package"] = line.data[:-1]
    assert line.refused().code == "package.hash_mismatch"
    assert line.blob() is None


def test_cancel_stops_and_keeps_what_arrived() -> None:
    """A cancelled download stops in the middle, and the next call goes on from there."""
    line = Line(secrets.token_bytes(200 * _PART))

    def cancel(total: int) -> None:
        line.cancelled = total > 0
        if total >= 50 * _PART:
            line.heard_cancel.wait(10)  # the line stands still until the caller has been told

    line.peer.on_piece = cancel
    assert line.refused().code == "transfer.interrupted"
    assert line.peer.bytes_got < len(line.data)
    assert line.blob() is None
    line.cancelled, line.peer.on_piece = False, lambda _total: None
    moved = line.download()
    assert moved.bytes_resumed > 0
    assert line.blob() is not None


def test_a_lapsed_url_is_renewed() -> None:
    """With a way to ask for another URL the download goes on; without one the call is interrupted, to be repeated."""
    line = Line()
    with pytest.raises(UnavailableError) as caught:
        line.download(url=line.url(seconds=0))
    assert caught.value.code == "transfer.interrupted"
    assert line.download(url=line.url(seconds=0), renews=True).bytes_moved == _SIZE


def test_an_object_from_before_a_crash_is_adopted() -> None:
    """A completed object without a row is re-read: the right one is recorded without moving a byte, a wrong one is replaced."""
    line = Line()
    line.target.stored[line.key] = line.data
    assert line.download().bytes_moved == 0
    assert line.blob() is not None
    other = Line()
    other.target.stored[other.key] = bytes(len(other.data))
    assert other.download().bytes_moved == _SIZE
    assert other.target.stored[other.key] == other.data


def test_eight_downloads_of_one_blob() -> None:
    """Eight at once, in eight Spaces: one object, one row, and nothing left open."""
    line = Line()

    def download(number: int) -> None:
        download_blob(
            line.ports,
            space_id=f"spc_{number:032x}",
            url=line.url(),
            ca_pem="",
            sha256=line.sha256,
            size_bytes=_SIZE,
            on_bytes=lambda _total: None,
            is_cancelled=lambda: False,
            concurrency=2,
        )

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(download, number) for number in range(8)]:
            future.result()
    assert line.target.stored == {line.key: line.data}
    assert line.open_multiparts() == 0
    with line.ports.ledger.read(SITE) as work:
        assert work.of(Blob).count() == 1


def test_a_wrong_writer_does_not_destroy_the_right_one() -> None:
    """Whoever read an earlier wrong object deletes neither a verified one nor its row."""
    line = Line()
    line.target.stored[line.key] = bytes(_SIZE)
    stored = line.target

    class Slow(MemoryObjects):
        """Another writer's right object lands while this one still believes in the wrong one."""

        def hash(self, key: str, *, on_bytes: object = None) -> tuple[str, int]:
            found = super().hash(key)
            if found[0] != line.sha256 and blobs.find_blob(line.ports, line.sha256) is None:
                self.stored[key] = line.data
                blobs.verify_blob(line.ports, sha256=line.sha256, size_bytes=_SIZE)
            return found

    stored.__class__ = Slow
    with pytest.raises(ConflictError):
        blobs.verify_blob(line.ports, sha256=line.sha256, size_bytes=_SIZE)
    assert line.blob() is not None
    assert line.target.stored[line.key] == line.data


def _breaker(*, after: int) -> Callable[[int], None]:
    def break_line(total: int) -> None:
        if total >= after:
            raise UnavailableError("peer.unavailable", "cut")

    return break_line
