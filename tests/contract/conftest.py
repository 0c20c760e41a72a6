# SPDX-License-Identifier: Apache-2.0
"""The adapters that each contract suite of this directory runs on."""

from collections.abc import Iterator
from typing import Protocol, cast

import pytest

from adapters.sql.ledger import open_ledger
from tests.simulators.ledger_memory import MemoryLedger
from waybill.ports import Ledger


class _Closable(Protocol):
    def close(self) -> None: ...


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """An empty ledger of each kind."""
    opened: Ledger
    if request.param == "memory":
        opened = MemoryLedger()
    else:
        name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
        opened = open_ledger(cast(str, request.getfixturevalue(name)))
    yield opened
    cast(_Closable, opened).close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a database of each product, without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('database')}/empty.db"
    return cast(str, request.getfixturevalue("empty_postgres_url"))
