# SPDX-License-Identifier: Apache-2.0
"""HTTPS to another site.

Refused: plain HTTP, redirects, a certificate from any authority but the one in the peer's signed identity, another host name,
forbidden addresses, endless answers, transfers slower than 32 KiB/s. It never retries, and takes no proxy from the environment.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import httpx2

from adapters.addresses import Endpoint, parse_https, resolve
from adapters.granted_http import GrantedHttp, Pace, peer_context, refuse_redirect, unavailable
from waybill.errors import (
    CODES,
    ConflictError,
    FormatError,
    NotFoundError,
    PolicyError,
    StepError,
    TrustError,
    UnavailableError,
    WaybillError,
)
from waybill.ports import PeerAddress

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
_MAX_PROBLEM_BYTES: Final = 64 * 1024
_CONNECT_SECONDS: Final = 10.0


class HttpPeer:
    """The peer port. Threads may share it; ``close`` it at the end.

    Args:
        slowest_bytes_per_second, window_seconds: a transfer that is slower over one whole window is given up.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        *,
        slowest_bytes_per_second: int = 32 * 1024,
        window_seconds: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._granted = GrantedHttp(slowest_bytes_per_second=slowest_bytes_per_second, window_seconds=window_seconds, monotonic=monotonic)
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], httpx2.Client] = {}

    def close(self) -> None:
        """No connection is open."""
        self._granted.close()
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def post(self, address: PeerAddress, path: str, body: bytes, *, timeout_seconds: float = 30.0) -> bytes:
        """The answer's body, at most 32 MiB; its signature is checked elsewhere.

        Raises:
            UnavailableError: peer.unavailable; peer.refused, when it refuses without a code that is known here.
            WaybillError: with the code of the other side.
            TrustError: endpoint.redirected, endpoint.forbidden.
        """
        url = address.base_url.rstrip("/") + path
        headers = {"content-type": "application/json", "accept": "application/json, application/problem+json"}
        with self._call(url, ca_pem=address.ca_pem, headers=headers, content=body, timeout_seconds=timeout_seconds) as answer:
            if answer.is_success:
                return _bounded(answer, MAX_ANSWER_BYTES, self._granted.new_pace())
            raise _problem(answer, self._granted.new_pace())

    def get_range(self, url: str, *, ca_pem: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes ``[start, end)`` of a granted URL, fewer when the object ends before, none when it ends before ``start``.

        A server that ignores ranges answers with the whole object; the caller counts, here nothing is cut.

        Raises:
            PolicyError: peer.refused, when the URL has lapsed or was changed.
            NotFoundError: record.absent.
            UnavailableError: peer.unavailable, peer.refused, transfer.too_slow.
            TrustError: endpoint.redirected, endpoint.forbidden.
        """
        return self._granted.get_range(url, ca_pem=ca_pem, start=start, end=end)

    def put_part(self, url: str, *, ca_pem: str, pieces: Iterable[bytes], size_bytes: int, md5: bytes | None = None) -> None:
        """One part of exactly ``size_bytes`` put to a granted URL. Errors of ``pieces`` pass through.

        Args:
            md5: of the whole part. A store may take a body that broke off, as when the sender is killed, for a whole part; not with this.
        Raises:
            PolicyError, NotFoundError, UnavailableError, TrustError: as for ``get_range``.
        """
        self._granted.put_part(url, ca_pem=ca_pem, pieces=pieces, size_bytes=size_bytes, md5=md5)

    @contextlib.contextmanager
    def _call(
        self, url: str, *, ca_pem: str, headers: Mapping[str, str], content: bytes, timeout_seconds: float
    ) -> Iterator[httpx2.Response]:
        """An answer whose head has arrived and is no redirect; closed at the end. The name is resolved once and its addresses checked."""
        endpoint = parse_https(url)
        client = self._client_for(ca_pem, endpoint.host)
        try:
            answer = self._send(client, url, endpoint, headers=headers, content=content, timeout_seconds=timeout_seconds)
            with contextlib.closing(answer):
                refuse_redirect(answer.status_code)
                yield answer
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as error:
            raise unavailable(error) from error

    def _send(
        self,
        client: httpx2.Client,
        url: str,
        endpoint: Endpoint,
        *,
        headers: Mapping[str, str],
        content: bytes,
        timeout_seconds: float,
    ) -> httpx2.Response:
        target = httpx2.URL(url)
        addresses = resolve(endpoint.host, endpoint.port)
        for address in addresses:
            # The checked address is called; the name stays in the Host header, and in TLS where it is verified.
            request = client.build_request(
                "POST",
                target.copy_with(host=address),
                headers={"accept-encoding": "identity", **headers, "host": target.netloc.decode("ascii")},
                content=content,
                timeout=httpx2.Timeout(timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds)),
                extensions={} if address == endpoint.host else {"sni_hostname": endpoint.host},
            )
            try:
                return client.send(request, stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise UnavailableError("peer.unavailable", "The other site has no address", found=endpoint.host)

    def _client_for(self, ca_pem: str, host: str) -> httpx2.Client:
        """One client per authority and name, so that no connection is shared across names."""
        with self._lock:
            client = self._clients.get((ca_pem, host))
            if client is None:
                limits = httpx2.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=10)
                client = httpx2.Client(verify=peer_context(ca_pem), trust_env=False, follow_redirects=False, limits=limits)
                self._clients[ca_pem, host] = client
            return client


def _bounded(answer: httpx2.Response, limit: int, pace: Pace) -> bytes:
    body = bytearray()
    for piece in answer.iter_raw():
        pace.tell(len(piece))
        body += piece
        if len(body) > limit:
            raise FormatError("limit.exceeded", "The other site's answer is too long", expected=f"at most {limit} bytes")
    return bytes(body)


def _problem(answer: httpx2.Response, pace: Pace) -> WaybillError:
    """The problem document of the other side as the same error here; its words are shown, its code decides."""
    status = answer.status_code
    try:
        document = json.loads(_bounded(answer, _MAX_PROBLEM_BYTES, pace))
    except (ValueError, RecursionError, FormatError):
        document = None
    code = document.get("code") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(code, str) or code not in CODES or code == "internal.error":
        return UnavailableError("peer.refused", "The other site refused", found=status)
    return _class_of(code)(
        code,
        _words(document.get("detail")) or CODES[code].title,
        field=_words(document.get("field")),
        expected=_words(document.get("expected")),
        found=_words(document.get("found")),
    )


def _words(value: object) -> str | None:
    return "".join(letter for letter in value[:500] if letter.isprintable()) if isinstance(value, str) else None


def _class_of(code: str) -> type[WaybillError]:
    area, status = code.split(".", 1)[0], CODES[code].http_status
    if area == "step" and status == 409:
        return StepError
    if status == 403:
        return PolicyError if area in ("authz", "authn", "outbound") else TrustError
    by_status: dict[int, type[WaybillError]] = {
        401: PolicyError, 404: NotFoundError, 409: ConflictError, 412: ConflictError, 428: ConflictError,
        429: UnavailableError, 503: UnavailableError,
    }  # fmt: skip
    return by_status.get(status, FormatError)
