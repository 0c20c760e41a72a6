# SPDX-License-Identifier: Apache-2.0
"""The object store port in memory, for tests of use cases. It keeps what S3 keeps and refuses what S3 refuses.

Granted URLs have the form ``https://{name}.memory/{token}``; only ``peer_memory.MemoryPeer`` understands them.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from waybill.errors import ConflictError, NotFoundError, UnavailableError
from waybill.ports import Clock

PIECE_BYTES = 1024 * 1024


class SystemClock:
    """The real time."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one URL allows. A part is put when ``multipart_id`` is set, else the object is read."""

    key: str
    expires_at: datetime
    multipart_id: str | None = None
    number: int = 0
    filename: str | None = None


@dataclass(slots=True, kw_only=True)
class _Multipart:
    key: str
    begun_at: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryObjects:
    """Objects of one site. ``stored`` is open to tests that damage it."""

    def __init__(self, *, name: str = "store", clock: Clock | None = None, piece_bytes: int = PIECE_BYTES) -> None:
        self.name = name
        self.stored: dict[str, bytes] = {}
        self._clock: Clock = clock or SystemClock()
        self._piece = piece_bytes
        self._lock = threading.RLock()
        self._multiparts: dict[str, _Multipart] = {}
        self._grants: dict[str, Grant] = {}
        self._counter = 0

    def exists(self, key: str) -> int | None:
        """Size in bytes, or None."""
        data = self.stored.get(key)
        return None if data is None else len(data)

    def read(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes ``[start, end)``. Raises NotFoundError; UnavailableError store.integrity, when the object ends before."""
        if end is not None and end <= start:
            return
        data = self.stored.get(key)
        if data is None:
            raise NotFoundError("record.absent", "The object is not in the store", field=key)
        stop = len(data) if end is None else end
        if stop > len(data) or (start > 0 and start >= len(data)):
            raise UnavailableError("store.integrity", "The object ends before the range that was asked for", field=key)
        for offset in range(start, stop, self._piece):
            yield data[offset : min(stop, offset + self._piece)]

    def hash(self, key: str, *, on_bytes: Callable[[int], None] | None = None) -> tuple[str, int]:
        """SHA-256 and size of what a full read returns."""
        digest, size = hashlib.sha256(), 0
        for piece in self.read(key):
            digest.update(piece)
            size += len(piece)
            if on_bytes is not None:
                on_bytes(size)
        return digest.hexdigest(), size

    def write(self, key: str, pieces: Iterable[bytes], *, on_bytes: Callable[[int], None] | None = None) -> tuple[str, int]:
        """A whole object; an existing one is kept. Returns SHA-256 and size of what was sent."""
        data = bytearray()
        for piece in pieces:
            data += piece
            if on_bytes is not None:
                on_bytes(len(data))
        with self._lock:
            self.stored.setdefault(key, bytes(data))
        return hashlib.sha256(data).hexdigest(), len(data)

    def delete(self, key: str) -> None:
        """The key is gone."""
        with self._lock:
            self.stored.pop(key, None)

    def begin_multipart(self, key: str) -> str:
        """A multipart upload opened; returns its id."""
        with self._lock:
            self._counter += 1
            multipart_id = f"multipart-{self._counter}"
            self._multiparts[multipart_id] = _Multipart(key=key, begun_at=self._clock.now())
            return multipart_id

    def confirmed_parts(self, key: str, multipart_id: str) -> dict[int, int]:
        """Part number to size. Raises NotFoundError when the upload is gone."""
        with self._lock:
            return {number: len(data) for number, data in sorted(self._upload(key, multipart_id).parts.items())}

    def put_part(self, key: str, multipart_id: str, number: int, data: bytes) -> None:
        """One part stored."""
        with self._lock:
            self._upload(key, multipart_id).parts[number] = bytes(data)

    def complete_multipart(self, key: str, multipart_id: str) -> None:
        """The parts joined, unless the object exists already; the upload is gone."""
        with self._lock:
            if multipart_id not in self._multiparts and key in self.stored:
                return
            upload = self._upload(key, multipart_id)
            if not upload.parts:
                raise ConflictError("upload.incomplete", "No part of the upload has arrived", field=key)
            self.stored.setdefault(key, b"".join(data for _, data in sorted(upload.parts.items())))
            del self._multiparts[multipart_id]

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """The upload and its parts are gone."""
        with self._lock:
            self._multiparts.pop(multipart_id, None)

    def grant_get(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        """A URL for ``peer_memory`` that reads this object."""
        return self._grant(Grant(key=key, expires_at=self._end_of(seconds), filename=filename))

    def grant_part(self, key: str, multipart_id: str, number: int, *, seconds: int) -> str:
        """A URL for ``peer_memory`` that puts this part."""
        return self._grant(Grant(key=key, expires_at=self._end_of(seconds), multipart_id=multipart_id, number=number))

    def stale_multiparts(self, *, older_than: datetime) -> Sequence[tuple[str, str]]:
        """(key, upload id) of uploads begun before."""
        with self._lock:
            return [(upload.key, name) for name, upload in self._multiparts.items() if upload.begun_at < older_than]

    def check(self) -> None:
        """Memory always answers."""

    def granted(self, token: str) -> Grant | None:
        """What ``token`` allows now, or None when it is unknown or has lapsed."""
        grant = self._grants.get(token)
        return grant if grant is not None and self._clock.now() < grant.expires_at else None

    def _upload(self, key: str, multipart_id: str) -> _Multipart:
        upload = self._multiparts.get(multipart_id)
        if upload is None or upload.key != key:
            raise NotFoundError("record.absent", "The upload is not in the store", field=key)
        return upload

    def _grant(self, grant: Grant) -> str:
        with self._lock:
            self._counter += 1
            token = f"grant-{self._counter}"
            self._grants[token] = grant
            return f"https://{self.name}.memory/{token}"

    def _end_of(self, seconds: int) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)
