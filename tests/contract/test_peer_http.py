# SPDX-License-Identifier: Apache-2.0
"""The peer port over real TLS: against the real S3 server for granted URLs, and a small HTTPS server that misbehaves on demand."""

import contextlib
import json
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adapters.addresses import check_address
from adapters.peer_http import HttpPeer
from sites.wire import Wire
from tests.servers import S3Server, free_port, throw_away_tls
from waybill.errors import ConflictError, NotFoundError, PolicyError, TrustError, UnavailableError, WaybillError
from waybill.ports import PeerAddress

_KEY = "package"
_PART = 5 * 1024 * 1024
Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    """The adapter."""
    made = HttpPeer()
    yield made
    made.close()


class _Server(ThreadingHTTPServer):
    """Broken connections are meant here."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent."""


class Site:
    """An HTTPS server on 127.0.0.1 that answers as ``answer`` says."""

    def __init__(self, directory: Path, *, hosts: tuple[str, ...] = ("127.0.0.1", "localhost")) -> None:
        self.answer: Answer = _reply(200, b"{}")
        self.seen: list[tuple[str, str, bytes]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            """Hands every request to the site's answer."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Any POST."""
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                site.seen.append((self.path, self.headers["host"], body))
                site.answer(self)

            def do_GET(self) -> None:
                """Any GET."""
                site.seen.append((self.path, self.headers["host"], b""))
                site.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
                """Silent."""

        authority, server = throw_away_tls(hosts=hosts)
        chain = directory / "chain.pem"
        chain.write_text(server.certificate_pem + server.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self.http = _Server(("127.0.0.1", 0), Handler)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = int(self.http.server_address[1])
        self.ca_pem = authority.certificate_pem
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def address(self, host: str = "127.0.0.1") -> PeerAddress:
        """Where it listens."""
        return PeerAddress(base_url=f"https://{host}:{self.port}", ca_pem=self.ca_pem)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server for one test."""
    made = Site(tmp_path)
    yield made
    made.http.shutdown()
    made.http.server_close()


def _reply(status: int, body: bytes, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def _refusal(call: Callable[[], object]) -> WaybillError:
    with pytest.raises(WaybillError) as caught:
        call()
    return caught.value


def test_ranges_and_parts_cross(peer: HttpPeer, s3_server_tls: S3Server) -> None:
    """Ranges of a granted URL are read exactly, a granted part is put from a stream, over connections that are kept."""
    objects = s3_server_tls.objects(bucket=f"test-{secrets.token_hex(6)}")
    ca_pem = s3_server_tls.ca_pem or ""
    data = secrets.token_bytes(3_000_000)
    objects.write(_KEY, [data])
    url = objects.grant_get(_KEY, seconds=60)
    for start, end in ((0, 3_000_000), (1, 2), (2_999_999, 3_000_001), (3_000_000, 3_000_010)):
        assert b"".join(peer.get_range(url, ca_pem=ca_pem, start=start, end=end)) == data[start:end]
    upload = objects.begin_multipart("other")
    for number in (1, 2):
        put = objects.grant_part("other", upload, number, seconds=60)
        peer.put_part(put, ca_pem=ca_pem, pieces=(bytes(_PART // 5) for _ in range(5)), size_bytes=_PART)
    assert objects.confirmed_parts("other", upload) == {1: _PART, 2: _PART}
    objects.abort_multipart("other", upload)


def test_granted_urls_that_are_no_longer_honoured(peer: HttpPeer, s3_server_tls: S3Server) -> None:
    """A changed URL, an absent object, a vanished upload and a put of the wrong length each have their own error."""
    objects = s3_server_tls.objects(bucket=f"test-{secrets.token_hex(6)}")
    ca_pem = s3_server_tls.ca_pem or ""
    absent = objects.grant_get("absent", seconds=60)
    changed = absent[:-4] + ("0000" if absent[-4:] != "0000" else "1111")
    assert isinstance(_refusal(lambda: list(peer.get_range(changed, ca_pem=ca_pem, start=0, end=1))), PolicyError)
    assert isinstance(_refusal(lambda: list(peer.get_range(absent, ca_pem=ca_pem, start=0, end=1))), NotFoundError)
    upload = objects.begin_multipart(_KEY)
    put = objects.grant_part(_KEY, upload, 1, seconds=60)
    for length in (99, 101):
        error = _refusal(lambda length=length: peer.put_part(put, ca_pem=ca_pem, pieces=[bytes(length)], size_bytes=100))  # type: ignore[misc]
        assert error.code == "transfer.interrupted"
    assert not objects.confirmed_parts(_KEY, upload)
    changed = put[:-4] + ("0000" if put[-4:] != "0000" else "1111")
    error = _refusal(lambda: peer.put_part(changed, ca_pem=ca_pem, pieces=[bytes(1024 * 1024)] * 8, size_bytes=8 * 1024 * 1024))
    assert isinstance(error, PolicyError)
    objects.abort_multipart(_KEY, upload)
    assert isinstance(_refusal(lambda: peer.put_part(put, ca_pem=ca_pem, pieces=[b"x"], size_bytes=1)), NotFoundError)


def test_a_part_whose_sender_died_is_not_kept(s3_server_tls: S3Server) -> None:
    """A killed process ends its connection in the middle of a body; a later attempt must not find that as a whole part."""
    objects = s3_server_tls.objects(bucket=f"test-{secrets.token_hex(6)}")
    upload = objects.begin_multipart(_KEY)
    program = (
        "import hashlib, os, signal, sys\n"
        "from adapters.peer_http import HttpPeer\n"
        "part, authority, peer = os.urandom(8 << 20), open(sys.argv[3]).read(), HttpPeer()\n"
        "def dying():\n"
        "    yield part[: 3 << 20]\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "for url, pieces in ((sys.argv[1], [part]), (sys.argv[2], dying())):\n"  # the second goes over the kept connection
        "    peer.put_part(url, ca_pem=authority, pieces=pieces, size_bytes=len(part), md5=hashlib.md5(part).digest())\n"
    )
    urls = [objects.grant_part(_KEY, upload, number, seconds=60) for number in (1, 2)]
    died = subprocess.run([sys.executable, "-c", program, *urls, str(s3_server_tls.ca_file)], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.5:  # what the store makes of the end of the connection comes a moment later
        assert objects.confirmed_parts(_KEY, upload) == {1: 8 << 20}
    objects.abort_multipart(_KEY, upload)


def test_messages_cross_with_the_name_in_host_and_tls(peer: HttpPeer, site: Site) -> None:
    """A message posted to a name reaches it, is verified for that name, and brings back the answer."""
    site.answer = _reply(200, b"the answer")
    assert peer.post(site.address("localhost"), "/peer/v1/x/exchange", b"body") == b"the answer"
    assert peer.post(site.address(), "/peer/v1/x/exchange", b"body2") == b"the answer"
    assert site.seen == [
        ("/peer/v1/x/exchange", f"localhost:{site.port}", b"body"),
        ("/peer/v1/x/exchange", f"127.0.0.1:{site.port}", b"body2"),
    ]


def test_a_problem_of_the_other_side_has_its_code(peer: HttpPeer, site: Site) -> None:
    """A known code comes back as the same error; anything else is peer.refused."""
    problem = {"code": "bundle.conflict", "detail": "The same id\r\ncame before", "expected": "a", "found": "b"}
    site.answer = _reply(409, json.dumps(problem).encode())
    error = _refusal(lambda: peer.post(site.address(), "/", b""))
    assert (type(error), error.code, error.message, error.expected) == (ConflictError, "bundle.conflict", "The same idcame before", "a")
    cases: list[tuple[int, bytes, type[WaybillError], str]] = [
        (403, b'{"code": "trust.unknown"}', TrustError, "trust.unknown"),
        (403, b'{"code": "authz.denied"}', PolicyError, "authz.denied"),
        (503, b'{"code": "store.unavailable"}', UnavailableError, "store.unavailable"),
        (404, b'{"code": "record.absent"}', NotFoundError, "record.absent"),
        (403, b'{"code": "no.such_code"}', UnavailableError, "peer.refused"),
        (500, b'{"code": "internal.error"}', UnavailableError, "peer.refused"),
        (502, b"<html>", UnavailableError, "peer.refused"),
        (400, b"[" * 50_000, UnavailableError, "peer.refused"),
        (400, b'{"code": 7}', UnavailableError, "peer.refused"),
    ]
    for status, body, kind, code in cases:
        site.answer = _reply(status, body)
        error = _refusal(lambda: peer.post(site.address(), "/", b""))
        assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused(peer: HttpPeer, site: Site, status: int) -> None:
    """No redirect is followed, for messages and for granted URLs."""
    site.answer = _reply(status, b"", location="https://169.254.169.254/latest/meta-data")
    assert _refusal(lambda: peer.post(site.address(), "/", b"")).code == "endpoint.redirected"
    url = site.address().base_url + "/x"
    assert _refusal(lambda: list(peer.get_range(url, ca_pem=site.ca_pem, start=0, end=1))).code == "endpoint.redirected"
    assert len(site.seen) == 2


def test_tls_is_verified(peer: HttpPeer, tmp_path: Path) -> None:
    """A certificate of another authority, or for another name, is refused before anything is sent."""
    elsewhere = Site(tmp_path, hosts=("elsewhere.example",))
    stranger, _ = throw_away_tls()
    with contextlib.closing(elsewhere.http.socket):
        for ca_pem in (stranger.certificate_pem, elsewhere.ca_pem):
            address = PeerAddress(base_url=elsewhere.address().base_url, ca_pem=ca_pem)
            url = address.base_url + "/x"
            for call in (
                lambda address=address: peer.post(address, "/", b"secret"),
                lambda url=url, ca_pem=ca_pem: list(peer.get_range(url, ca_pem=ca_pem, start=0, end=1)),
            ):
                error = _refusal(call)
                assert error.code == "peer.unavailable"
                assert "certificate" in error.message
        assert not elsewhere.seen
        elsewhere.http.shutdown()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "file:///etc/passwd", "https://user@127.0.0.1/", "https:///x", "https://a b/", "https://[::1", "x"]
)
def test_only_https_urls_are_called(peer: HttpPeer, url: str) -> None:
    """Anything but a plain https URL is endpoint.forbidden, and the URL is not in the text."""
    ca_pem = throw_away_tls()[0].certificate_pem
    for call in (
        lambda: peer.post(PeerAddress(base_url=url, ca_pem=ca_pem), "/p", b""),
        lambda: list(peer.get_range(url, ca_pem=ca_pem, start=0, end=1)),
        lambda: peer.put_part(url, ca_pem=ca_pem, pieces=[], size_bytes=0),
    ):
        error = _refusal(call)
        assert (type(error), error.code) == (TrustError, "endpoint.forbidden")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.0.192", "100.100.100.200", "::", "ff02::1", "fe80::1",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::169.254.169.254", "2001:0:1::1", "fd00:ec2::254",
        "0xa9fea9fe", "2852039166", "localhost",
    ],
)  # fmt: skip
def test_forbidden_addresses(peer: HttpPeer, address: str) -> None:
    """Metadata services and addresses of nobody are refused in every disguise."""
    assert _refusal(lambda: check_address(address)).code == "endpoint.forbidden"
    if address != "localhost":
        host = f"[{address}]" if ":" in address else address
        error = _refusal(lambda: list(peer.get_range(f"https://{host}/", ca_pem=throw_away_tls()[0].certificate_pem, start=0, end=1)))
        assert error.code == "endpoint.forbidden"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "fd12::1", "8.8.8.8", "2606:4700::1111", "::ffff:10.0.0.1"]
)
def test_allowed_addresses(address: str) -> None:
    """Private networks are where sites stand."""
    assert check_address(address) == address


def test_nobody_there(peer: HttpPeer) -> None:
    """A port where nobody listens is peer.unavailable."""
    ca_pem = throw_away_tls()[0].certificate_pem
    url = f"https://127.0.0.1:{free_port()}"
    assert _refusal(lambda: peer.post(PeerAddress(base_url=url, ca_pem=ca_pem), "/", b"")).code == "peer.unavailable"
    assert _refusal(lambda: list(peer.get_range(url, ca_pem=ca_pem, start=0, end=1))).code == "peer.unavailable"


def test_a_slow_source_is_given_up(site: Site) -> None:
    """A server that trickles is given up after one window, even in the middle of one piece."""

    def trickle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", "100000")
        request.end_headers()
        stop = threading.Event()
        with contextlib.suppress(OSError):
            for _ in range(200):
                request.wfile.write(b"x")
                stop.wait(0.05)

    site.answer = trickle
    peer = HttpPeer(window_seconds=0.3)
    error = _refusal(lambda: list(peer.get_range(site.address().base_url + "/x", ca_pem=site.ca_pem, start=0, end=100_000)))
    assert error.code == "transfer.too_slow"
    peer.close()


@pytest.mark.parametrize(
    "answer",
    [
        _reply(206, b"abc", content_range="bytes 5-7/10"),
        _reply(206, b"abc"),
        _reply(200, b"whole object"),
        _reply(206, b"abc", content_length="9", content_range="bytes 1-9/10", connection="close"),
    ],
    ids=["another range", "no range", "whole", "cut off"],
)
def test_a_wrong_range_is_not_taken(peer: HttpPeer, site: Site, answer: Answer) -> None:
    """An answer that does not begin where it was asked to, or that ends before it said, is an error."""

    def close_after(request: BaseHTTPRequestHandler) -> None:
        answer(request)
        request.close_connection = True

    site.answer = close_after
    error = _refusal(lambda: list(peer.get_range(site.address().base_url + "/x", ca_pem=site.ca_pem, start=1, end=10)))
    assert error.code in ("peer.refused", "peer.unavailable")


def test_the_wire_counts_pauses_and_cuts(peer: HttpPeer, s3_server_tls: S3Server) -> None:
    """Bytes over a wire are counted; a cut breaks a transfer in the middle, and after mending it works again."""
    size = 4_000_000
    with Wire("127.0.0.1", s3_server_tls.port) as wire:
        outside = f"https://127.0.0.1:{wire.port}"
        objects = s3_server_tls.objects(bucket=f"test-{secrets.token_hex(6)}", public_url=outside)
        objects.write(_KEY, [bytes(size)])
        url, ca_pem = objects.grant_get(_KEY, seconds=60), s3_server_tls.ca_pem or ""
        assert wire.bytes_total == 0
        assert len(b"".join(peer.get_range(url, ca_pem=ca_pem, start=0, end=size))) == size
        assert size < wire.bytes_back < size * 1.05
        assert 0 < wire.bytes_there < 20_000
        wire.cut_after(size // 2)
        assert _refusal(lambda: list(peer.get_range(url, ca_pem=ca_pem, start=0, end=size))).code == "peer.unavailable"
        assert _refusal(lambda: list(peer.get_range(url, ca_pem=ca_pem, start=0, end=1))).code == "peer.unavailable"
        wire.mend()
        wire.pause()
        read: list[int] = []
        reader = threading.Thread(target=lambda: read.append(len(b"".join(peer.get_range(url, ca_pem=ca_pem, start=0, end=size)))))
        reader.start()
        reader.join(0.2)
        assert reader.is_alive()
        wire.resume()
        reader.join(30)
        assert read == [size]
