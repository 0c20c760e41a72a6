# SPDX-License-Identifier: Apache-2.0
"""How fast the API reads: a real server process on the loopback over SQLite, with 200 projects by 10 environments.

``python -m bench.reads`` prints one line per page: p50, p95, the time under eight readers at once, queries, bytes;
then the same for ``/livez``, which does nothing, so that the cost of the page itself can be told from that of the machine.
``--projects N --environments M --requests K`` change the size.
"""

import argparse
import json
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2
import structlog
import uvicorn
from sqlalchemy import event
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.sql.engine import open_engines
from adapters.sql.ledger import SqlLedger
from adapters.sql.migrations import upgrade
from api.app import create_app
from api.settings import ApiSettings
from tests.api.population import Size, populate
from tests.api.test_queries import make_key, make_ports
from waybill.app import access, admin

PAGES = (
    "/dashboard",
    "/projects",
    "/projects/project-0001/dashboard",
    "/releases?limit=50",
    "/promotions?limit=50",
    "/deployments?limit=50",
    "/tasks?limit=50",
    "/receipts?limit=50",
    "/environments",
)
QUERIES = "x-queries"
CPU = "x-cpu-ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one page costs. Times in milliseconds; ``cpu`` is what the server process spent, which other programs cannot blur."""

    page: str
    p50: float
    p95: float
    p95_of_eight: float
    cpu: float
    queries: int
    size_bytes: int


class CountQueries:
    """Tells in a header how many statements a request ran; exact while one request runs at a time."""

    def __init__(self, app: ASGIApp, ledger_engines: Sequence[object]) -> None:
        self.app = app
        self.count = 0
        for engine in ledger_engines:
            event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, *_: object) -> None:
        self.count += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request."""
        before, cpu = self.count, time.process_time()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[QUERIES] = str(self.count - before)
                headers[CPU] = f"{(time.process_time() - cpu) * 1000:.2f}"
            await send(message)

        await self.app(scope, receive, counted)


def serve(url: str, size: Size, port: int, ready: Connection) -> None:
    """The server process: fills the database, tells the key, serves until it is ended."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    upgrade(url)
    engines = open_engines(url)
    ports = replace(make_ports(SqlLedger(engines)))
    space = admin.create_space(ports, access.SYSTEM, name="DevTest")
    headers = make_key(ports)
    populate(ports, space_id=space.id, size=size)
    app = create_app(ports, ApiSettings(key_burst=10**9))
    ready.send((space.id, headers))
    uvicorn.run(CountQueries(app, (engines.read, engines.write)), host="127.0.0.1", port=port, log_config=None, access_log=False)


def measure(client: httpx2.Client, page: str, requests: int) -> Figures:
    """The page asked ``requests`` times in a row, then as often by eight at once."""

    def once(_: int) -> float:
        started = time.perf_counter()
        answer = client.get(page)
        seconds = time.perf_counter() - started
        if answer.status_code != 200:
            raise SystemExit(f"{page}: {answer.status_code} {answer.text[:500]}")
        return seconds * 1000

    once(0)
    answers = [client.get(page) for _ in range(10)]
    answer = answers[-1]
    alone = [once(number) for number in range(requests)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(once, range(requests)))
    return Figures(
        page=page.partition("/spaces/")[2].partition("/")[2] or page,
        p50=statistics.median(alone),
        p95=statistics.quantiles(alone, n=20)[18],
        p95_of_eight=statistics.quantiles(together, n=20)[18],
        cpu=statistics.median(float(one.headers[CPU]) for one in answers),
        queries=int(answer.headers[QUERIES]),
        size_bytes=len(answer.content),
    )


def run(size: Size, requests: int) -> list[Figures]:
    """All pages, measured against one server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'bench.db'}"
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(url, size, port, theirs), daemon=True)
        server.start()
        try:
            space_id, headers = ours.recv()
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
                _wait(client)
                return [measure(client, path, requests) for path in ("/livez", *(f"/api/v1/spaces/{space_id}{page}" for page in PAGES))]
        finally:
            server.terminate()
            server.join()


def _wait(client: httpx2.Client) -> None:
    for _ in range(200):
        try:
            client.get("/livez")
            return
        except httpx2.TransportError:
            time.sleep(0.05)
    raise SystemExit("the server did not start")


def main() -> None:
    """Prints the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=200)
    parser.add_argument("--environments", type=int, default=10)
    parser.add_argument("--requests", type=int, default=100)
    given = parser.parse_args()
    figures = run(Size(projects=given.projects, environments=given.environments), given.requests)
    print(f"{'page':<36}{'p50 ms':>9}{'p95 ms':>9}{'p95 of 8':>10}{'cpu ms':>8}{'queries':>9}{'bytes':>10}")
    for row in figures:
        print(f"{row.page:<36}{row.p50:>9.1f}{row.p95:>9.1f}{row.p95_of_eight:>10.1f}{row.cpu:>8.1f}{row.queries:>9}{row.size_bytes:>10}")
    print(
        json.dumps(
            {
                row.page: {"p50_ms": round(row.p50, 2), "p95_ms": round(row.p95, 2), "cpu_ms": row.cpu, "queries": row.queries}
                for row in figures
            }
        )
    )


if __name__ == "__main__":
    main()
