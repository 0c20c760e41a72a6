# SPDX-License-Identifier: Apache-2.0
"""The peer port in memory: calls go to handler functions of the same process, granted URLs to ``MemoryObjects``.

It counts what crosses, and a test can take a site off the network or break a transfer at an exact byte.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from tests.simulators.objects_memory import Grant, MemoryObjects
from waybill.errors import NotFoundError, PolicyError, TrustError, UnavailableError
from waybill.ports import PeerAddress

Handler = Callable[[str, bytes], bytes]
"""Path and body to the answer's body; a WaybillError is what the caller gets."""

_PIECE_BYTES = 64 * 1024


class MemoryPeer:
    """The network between sites of one test.

    ``handlers`` are keyed by base URL; ``stores`` are found by their name. ``down`` names base URLs and stores that do not answer.
    ``on_piece`` hears the total that crossed by granted URLs before each piece passes, and may raise to break the line there.
    """

    def __init__(
        self,
        *,
        handlers: Mapping[str, Handler] | None = None,
        stores: Sequence[MemoryObjects] = (),
        piece_bytes: int = _PIECE_BYTES,
    ) -> None:
        self.handlers: dict[str, Handler] = dict(handlers or {})
        self.stores: dict[str, MemoryObjects] = {store.name: store for store in stores}
        self.down: set[str] = set()
        self.posts: list[tuple[str, str]] = []
        self.bytes_got = 0
        self.bytes_put = 0
        self.on_piece: Callable[[int], None] = lambda _total: None
        self._piece = piece_bytes
        self._lock = threading.Lock()

    def post(self, address: PeerAddress, path: str, body: bytes, *, timeout_seconds: float = 30.0) -> bytes:
        """The handler's answer. Raises UnavailableError peer.unavailable when nobody listens there."""
        handler = self.handlers.get(address.base_url)
        if handler is None or address.base_url in self.down:
            raise UnavailableError("peer.unavailable", "The other site does not answer", found=address.base_url)
        self.posts.append((address.base_url, path))
        return handler(path, body)

    def get_range(self, url: str, *, ca_pem: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes ``[start, end)``, fewer when the object ends before, as HTTP ranges do."""
        store, grant = self._grant(url, puts=False)
        size = store.exists(grant.key)
        if size is None:
            raise NotFoundError("record.absent", "The other side no longer has what was granted")
        if start >= size:
            return
        for offset in range(start, min(end, size), self._piece):
            piece = b"".join(store.read(grant.key, start=offset, end=min(end, size, offset + self._piece)))
            with self._lock:
                self.on_piece(self.bytes_got + self.bytes_put)
                self.bytes_got += len(piece)
            yield piece

    def put_part(self, url: str, *, ca_pem: str, pieces: Iterable[bytes], size_bytes: int, md5: bytes | None = None) -> None:
        """One part put; nothing is kept when ``pieces`` break off or have another length."""
        store, grant = self._grant(url, puts=True)
        data = bytearray()
        for piece in pieces:
            with self._lock:
                self.on_piece(self.bytes_got + self.bytes_put)
                self.bytes_put += len(piece)
            data += piece
        if len(data) != size_bytes:
            raise UnavailableError("peer.unavailable", "The part broke off", expected=size_bytes, found=len(data))
        if md5 is not None and hashlib.md5(data, usedforsecurity=False).digest() != md5:
            raise UnavailableError("peer.refused", "The other side's store refused", found=400)
        if grant.multipart_id is None:
            raise PolicyError("peer.refused", "The URL does not allow to put")
        store.put_part(grant.key, grant.multipart_id, grant.number, bytes(data))

    def _grant(self, url: str, *, puts: bool) -> tuple[MemoryObjects, Grant]:
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise TrustError("endpoint.forbidden", "Only https URLs are called", found=parts.scheme)
        name = parts.netloc.removesuffix(".memory")
        store = self.stores.get(name)
        if store is None or name in self.down:
            raise UnavailableError("peer.unavailable", "The other site does not answer", found=name)
        grant = store.granted(parts.path.removeprefix("/"))
        if grant is None or (grant.multipart_id is not None) != puts:
            raise PolicyError("peer.refused", "The other side no longer honours the granted URL")
        return store, grant
