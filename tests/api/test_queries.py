# SPDX-License-Identifier: Apache-2.0
"""How many SQL queries a page costs: as many for two hundred projects as for two."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from adapters.sql.engine import open_engines
from adapters.sql.ledger import SqlLedger
from api.app import create_app
from tests.api.population import Size, populate
from tests.api.world import ORIGIN, make_account
from tests.simulators.site import make_site
from waybill.app import access, admin
from waybill.domain.access import EVERY_SPACE, AccessGrant, Caller
from waybill.ports import Ports

PAGES = {
    "/dashboard": 14,
    "/projects": 6,
    "/projects/project-0001": 7,
    "/projects/project-0001/dashboard": 14,
    "/releases": 7,
    "/promotions": 9,
    "/deployments": 9,
    "/tasks": 6,
    "/receipts": 6,
    "/environments": 7,
}
"""Path and how many queries at most, signing in with a key and finding the Space included."""


@contextmanager
def counted(engines: list[Engine]) -> Iterator[list[str]]:
    """The statements that run inside the block."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            seen.append(statement)

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


def make_ports(ledger: SqlLedger) -> Ports:
    """A site whose database is real."""
    return replace(make_site().ports, ledger=ledger)


def make_key(ports: Ports) -> dict[str, str]:
    """Headers of a key that may do everything."""
    grants = (AccessGrant(space_id=EVERY_SPACE, permissions=("*",)),)
    site = make_site()
    site.ports = ports
    account = make_account(site, "ada", grants)
    caller = Caller(id=account.id, name="ada", kind="person", grants=grants)
    _, token = access.create_key(ports, caller, name="reader", grants=grants, expires_at=ports.clock.now() + timedelta(days=300))
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("size", [Size(projects=3, environments=4), Size()], ids=["small", "200 by 10"])
def test_a_page_costs_the_same_for_any_number_of_projects(sqlite_url: str, size: Size) -> None:
    """Every list and the dashboard stay below a fixed number of queries, which does not grow with what there is."""
    engines = open_engines(sqlite_url)
    ledger = SqlLedger(engines)
    ports = make_ports(ledger)
    space = admin.create_space(ports, access.SYSTEM, name="DevTest")
    headers = make_key(ports)
    populate(ports, space_id=space.id, size=size)
    with TestClient(create_app(ports), base_url=ORIGIN, headers=headers) as client:
        client.get("/api/v1/me")  # the first use of a key is written down
        for path, most in PAGES.items():
            with counted([engines.read, engines.write]) as statements:
                answer = client.get(
                    f"/api/v1/spaces/{space.id}{path}?limit=200" if "dashboard" not in path else f"/api/v1/spaces/{space.id}{path}"
                )
            assert answer.status_code == 200, answer.text
            assert len(statements) <= most, (path, statements)
        board = client.get(f"/api/v1/spaces/{space.id}/dashboard").json()
    ledger.close()
    assert (len(board["rows"]), len(board["columns"])) == (size.projects, size.environments)
    assert all(len(row["cells"]) == size.environments for row in board["rows"])
