# SPDX-License-Identifier: Apache-2.0
"""Reads and puts bytes by granted URLs of another site's store.

It is built on the standard library's client, not on httpx2 as messages are: a GiB costs a quarter of the processor time that way.
Refused: what ``adapters.peer_http`` refuses, for the same reasons. Nothing is retried; a kept connection that has died is not used.
"""

import base64
import contextlib
import http.client
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from adapters.addresses import Endpoint, parse_https, resolve
from adapters.tls import client_context
from waybill.errors import NotFoundError, PolicyError, TrustError, UnavailableError, WaybillError

PIECE_BYTES: Final = 256 * 1024
_CONNECT_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 10.0
_IDLE_CONNECTIONS: Final = 16
_CONTENT_RANGE: Final = re.compile(r"^bytes (\d+)-(\d+)/(\d+|\*)$")


class Pace:
    """Counts bytes per window of time and gives up on a window with too few."""

    def __init__(self, *, slowest_bytes_per_second: int, window_seconds: float, monotonic: Callable[[], float]) -> None:
        self._slowest = slowest_bytes_per_second
        self._window = window_seconds
        self._monotonic = monotonic
        self._began = monotonic()
        self._count = 0

    def tell(self, size: int) -> None:
        """``size`` bytes passed. Raises UnavailableError transfer.too_slow at the end of a slow window."""
        self._count += size
        elapsed = self._monotonic() - self._began
        if elapsed < self._window:
            return
        rate = self._count / elapsed
        if rate < self._slowest:
            raise UnavailableError(
                "transfer.too_slow", "The transfer is too slow", expected=f"{self._slowest} bytes/s", found=f"{rate:.0f} bytes/s"
            )
        self._began, self._count = self._began + elapsed, 0


class _PacedSocket(ssl.SSLSocket):
    """Tells every piece that really passed to its ``pace``: a slow peer shows even while one large read or write is under way."""

    pace: Pace | None = None

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int | None = None, flags: int = 0) -> int:  # type: ignore[override]
        size = super().recv_into(buffer, nbytes, flags)
        if self.pace is not None:
            self.pace.tell(size)
        return size

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:  # type: ignore[override]
        size = super().send(data, flags)
        if self.pace is not None:
            self.pace.tell(size)
        return size


class _Connection(http.client.HTTPSConnection):
    """A connection to one checked address; TLS is verified for the name."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext) -> None:
        super().__init__(endpoint.host, endpoint.port, timeout=_SILENCE_SECONDS, context=context)
        self.idle_since = 0.0
        self._endpoint = endpoint
        self._tls = context

    def connect(self) -> None:
        """The TLS handshake is done with the first address that answers."""
        addresses = resolve(self._endpoint.host, self._endpoint.port)
        for address in addresses:
            try:
                plain = socket.create_connection((address, self._endpoint.port), timeout=_CONNECT_SECONDS)
            except OSError:
                if address == addresses[-1]:
                    raise
                continue
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.sock = self._tls.wrap_socket(plain, server_hostname=self._endpoint.host)
            except BaseException:
                plain.close()
                raise
            self.sock.settimeout(_SILENCE_SECONDS)
            return

    def set_pace(self, pace: Pace | None) -> None:
        """The bytes of the next exchange are told to ``pace``."""
        if isinstance(self.sock, _PacedSocket):
            self.sock.pace = pace

    def is_dead(self) -> bool:
        """A kept connection that has something to read was closed by the other side."""
        return self.sock is None or bool(select.select([self.sock], [], [], 0)[0])


class GrantedHttp:
    """Ranges and parts over kept connections. Threads may share it; ``close`` it at the end."""

    def __init__(self, *, slowest_bytes_per_second: int, window_seconds: float, monotonic: Callable[[], float]) -> None:
        self._slowest = slowest_bytes_per_second
        self._window = window_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._idle: dict[tuple[str, Endpoint], list[_Connection]] = {}

    def close(self) -> None:
        """No kept connection is open."""
        with self._lock:
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()

    def get_range(self, url: str, *, ca_pem: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes ``[start, end)`` in pieces; see ``adapters.peer_http.HttpPeer.get_range``."""
        with self._exchange("GET", url, ca_pem=ca_pem, headers={"Range": f"bytes={start}-{end - 1}"}, pieces=None) as answer:
            if answer.status == 416:
                return
            _check_status(answer)
            _check_range(answer, start=start)
            while piece := answer.read(PIECE_BYTES):
                yield piece
            if answer.length:
                raise UnavailableError("peer.unavailable", "The other site broke off", found=f"{answer.length} bytes short")

    def put_part(self, url: str, *, ca_pem: str, pieces: Iterable[bytes], size_bytes: int, md5: bytes | None = None) -> None:
        """One part put; see ``adapters.peer_http.HttpPeer.put_part``."""
        headers = {"Content-Length": str(size_bytes)}
        if md5 is not None:
            headers["Content-MD5"] = base64.b64encode(md5).decode("ascii")
        with self._exchange("PUT", url, ca_pem=ca_pem, headers=headers, pieces=_exactly(pieces, size_bytes)) as answer:
            _check_status(answer)

    @contextlib.contextmanager
    def _exchange(
        self, method: str, url: str, *, ca_pem: str, headers: Mapping[str, str], pieces: Iterable[bytes] | None
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer whose head has arrived. The connection is kept only when the answer was read to its end."""
        endpoint = parse_https(url)
        connection = self._take(ca_pem, endpoint)
        is_whole = False
        try:
            with translated():
                if connection.sock is None:
                    connection.connect()
                connection.set_pace(self.new_pace())
                # A server may refuse, and close, before it has read a whole part: what it said still counts.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                    connection.request(method, endpoint.target, body=pieces, headers={"Accept-Encoding": "identity", **headers})
                answer = connection.getresponse()
                yield answer
                answer.read(PIECE_BYTES)  # the short rest, as of an error document; a long one costs the connection
                is_whole = answer.isclosed() and not answer.will_close
        finally:
            connection.set_pace(None)
            if is_whole:
                self._keep(ca_pem, endpoint, connection)
            else:
                connection.close()

    def new_pace(self) -> Pace:
        """A pace that starts now, for one exchange."""
        return Pace(slowest_bytes_per_second=self._slowest, window_seconds=self._window, monotonic=self._monotonic)

    def _take(self, ca_pem: str, endpoint: Endpoint) -> _Connection:
        with self._lock:
            kept = self._idle.get((ca_pem, endpoint.origin), [])
            while kept:
                connection = kept.pop()
                if time.monotonic() - connection.idle_since < _IDLE_SECONDS and not connection.is_dead():
                    return connection
                connection.close()
            context = self._contexts.get(ca_pem)
            if context is None:
                context = self._contexts[ca_pem] = paced_context(ca_pem)
        return _Connection(endpoint, context)

    def _keep(self, ca_pem: str, endpoint: Endpoint, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            kept = self._idle.setdefault((ca_pem, endpoint.origin), [])
            if len(kept) < _IDLE_CONNECTIONS:
                kept.append(connection)
                return
        connection.close()


def peer_context(ca_pem: str) -> ssl.SSLContext:
    """A TLS context for exactly this authority. Raises TrustError trust.identity_invalid, when it cannot be read."""
    try:
        return client_context(ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise TrustError("trust.identity_invalid", "The peer's certificate authority cannot be read") from error


def paced_context(ca_pem: str) -> ssl.SSLContext:
    """``peer_context`` whose sockets can be told a pace."""
    context = peer_context(ca_pem)
    context.sslsocket_class = _PacedSocket
    return context


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Strangers' errors become ours; no URL gets into a text, since a granted URL is a secret while it lives."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise unavailable(error) from error


def unavailable(error: BaseException) -> UnavailableError:
    """peer.unavailable for ``error``; says so when it was the certificate."""
    message = "The other site does not answer"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            message = "The TLS certificate of the other site is not from its own authority, or for another name"
        cause = cause.__cause__ or cause.__context__
    return UnavailableError("peer.unavailable", message, found=type(error).__name__)


def refuse_redirect(status: int) -> None:
    """Nothing, unless ``status`` is a redirect. Raises TrustError endpoint.redirected."""
    if 300 <= status < 400:
        raise TrustError("endpoint.redirected", "The other side answered with a redirect", found=status)


def _check_status(answer: http.client.HTTPResponse) -> None:
    refuse_redirect(answer.status)
    if 200 <= answer.status < 300:
        return
    refusals: dict[int, WaybillError] = {
        401: PolicyError("peer.refused", "The other side no longer honours the granted URL", found=answer.status),
        403: PolicyError("peer.refused", "The other side no longer honours the granted URL", found=answer.status),
        404: NotFoundError("record.absent", "The other side no longer has what was granted", found=answer.status),
    }
    raise refusals.get(answer.status) or UnavailableError("peer.refused", "The other side's store refused", found=answer.status)


def _check_range(answer: http.client.HTTPResponse, *, start: int) -> None:
    """A partial answer begins where it was asked to; a whole one is right only when it was asked from the beginning."""
    if answer.status == 206:
        match = _CONTENT_RANGE.match(answer.headers.get("content-range", ""))
        if match is not None and int(match.group(1)) == start:
            return
    elif start == 0:
        return
    raise UnavailableError("peer.refused", "The other side answered with another range", expected=start)


def _exactly(pieces: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    """``pieces``, which must have exactly ``size_bytes``: another length would spoil the connection."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > size_bytes:
            break
        yield piece
    if size != size_bytes:
        raise UnavailableError("transfer.interrupted", "The part has another length than was announced", expected=size_bytes, found=size)
