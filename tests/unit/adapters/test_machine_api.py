# SPDX-License-Identifier: Apache-2.0
"""The machine's client against a real HTTP server: what it sends, what it refuses, and what it never repeats."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adapters.machine_api import MachineApi, read_machine_token
from waybill.domain.deployments import RunState
from waybill.domain.steps import StepLine, StepOrder, StepOutcome, order_to_json
from waybill.errors import ConflictError, FormatError, UnavailableError, WaybillError

ORDER = StepOrder(
    run_id="run_1", package_url="https://s3/x", package_sha256="a" * 64, package_size=1, package_id="p", package_version="1.0.0",
    inputs={"password": "hunter2"}, masks=("hunter2",),
)  # fmt: skip
TOKEN = f"wbm_spc_{'0' * 32}_mch_{'1' * 32}_{'A' * 43}"


@dataclass
class Site:
    """What the server answers and what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, object]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    """A server on this machine."""
    playing = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            playing.asked.append((self.path, self.headers["Authorization"], json.loads(sent)))
            self.send_response(playing.status)
            for name, value in playing.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(playing.body)))
            self.end_headers()
            self.wfile.write(playing.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    playing.url = f"http://127.0.0.1:{server.server_port}"
    yield playing
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def api(site: Site) -> AsyncIterator[MachineApi]:
    """The client."""
    made = MachineApi(base_url=site.url, token=TOKEN, ca_pem=None)
    yield made
    await made.close()


async def test_a_run_is_claimed_with_the_machines_key(api: MachineApi, site: Site) -> None:
    """The order comes back whole, and prints no secret."""
    site.body = json.dumps(order_to_json(ORDER)).encode()
    order = await api.claim("run_1")
    assert order == ORDER
    assert "hunter2" not in repr(order)
    assert site.asked == [("/api/v1/machine/runs/run_1/claim", f"Bearer {TOKEN}", {})]


async def test_lines_and_outcome_are_sent_in_their_forms(api: MachineApi, site: Site) -> None:
    """As the API documents them; an answer without a body is fine."""
    site.status, site.body = 204, b""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    await api.append_log("run_1", [StepLine(level="info", message="hello", occurred_at=at, stream="stdout")])
    await api.post_outcome("run_1", StepOutcome(state=RunState.SUCCEEDED))
    assert site.asked[0][2] == {
        "lines": [{"level": "info", "message": "hello", "occurred_at": "2026-03-01T00:00:00+00:00", "stream": "stdout"}]
    }
    assert site.asked[1][0].endswith("/run_1/outcome")


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (409, {"code": "machine.foreign_run", "detail": "not yours"}, ConflictError, "machine.foreign_run"),
        (503, {"code": "ledger.unavailable", "detail": "away"}, UnavailableError, "peer.unavailable"),
        (502, "<html>", UnavailableError, "peer.unavailable"),
        (500, {"code": "internal.error"}, UnavailableError, "peer.unavailable"),
        (429, {"code": "authn.throttled", "detail": "wait"}, UnavailableError, "peer.unavailable"),
        (404, {"code": "no.such.code"}, UnavailableError, "peer.unavailable"),
        (200, "not json", FormatError, "request.malformed"),
    ],
)
async def test_refusals_come_back_as_what_they_are(
    api: MachineApi, site: Site, status: int, body: object, kind: type[WaybillError], code: str
) -> None:
    """A refusal is final, everything else may be tried again."""
    site.status, site.body = status, (body if isinstance(body, str) else json.dumps(body)).encode()
    with pytest.raises(kind) as refused:
        await api.claim("run_1")
    assert refused.value.code == code


async def test_a_redirect_is_not_followed(api: MachineApi, site: Site) -> None:
    """The machine's key goes to the site and nowhere else."""
    site.status, site.headers = 307, {"Location": f"{site.url}/elsewhere"}
    with pytest.raises(UnavailableError):
        await api.claim("run_1")
    assert len(site.asked) == 1


async def test_an_answer_that_is_too_large_is_refused(api: MachineApi, site: Site) -> None:
    """Memory does not grow with what a server sends."""
    site.body = b" " * (65 * 1024)
    with pytest.raises(FormatError) as refused:
        await api.post_outcome("run_1", StepOutcome(state=RunState.SUCCEEDED))
    assert refused.value.code == "limit.exceeded"


async def test_a_site_that_does_not_listen_is_unavailable() -> None:
    """And the error says so without the key."""
    api = MachineApi(base_url="http://127.0.0.1:1", token=TOKEN, ca_pem=None)
    with pytest.raises(UnavailableError) as refused:
        await api.claim("run_1")
    await api.close()
    assert TOKEN not in str(refused.value)


def test_a_key_file_names_its_machine(tmp_path: Path) -> None:
    """The queue that a machine polls follows from its key."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    assert read_machine_token(path) == (TOKEN, f"mch_{'1' * 32}")
    path.write_text("hunter2")
    with pytest.raises(FormatError) as refused:
        read_machine_token(path)
    assert "hunter2" not in str(refused.value)
