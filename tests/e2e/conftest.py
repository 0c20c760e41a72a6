# SPDX-License-Identifier: Apache-2.0
"""The three sites, started once for all end-to-end tests of a session. Tests share them, so each works on a project of its own."""

from collections.abc import Iterator

import pytest
from sqlalchemy import URL

from tests.databases import new_database
from tests.e2e.world import Sites, running_sites


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory, postgres_server: URL) -> Iterator[Sites]:
    """Three running sites that trust each other; the third on PostgreSQL."""
    with new_database(postgres_server) as url, running_sites(tmp_path_factory.mktemp("sites").resolve(), postgres_url=url) as running:
        yield running
