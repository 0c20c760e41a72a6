# SPDX-License-Identifier: Apache-2.0
"""The fixtures that every directory of tests may ask for; each lives where its server is described, and none starts unasked."""

import pytest

from tests.databases import empty_postgres_url, postgres_migrated, postgres_server, postgres_url, sqlite_template, sqlite_url
from tests.scheduling import pytest_xdist_make_scheduler
from tests.servers import s3_server, s3_server_tls, temporal_server

__all__ = [
    "empty_postgres_url",
    "postgres_migrated",
    "postgres_server",
    "postgres_url",
    "pytest_xdist_make_scheduler",
    "s3_server",
    "s3_server_tls",
    "sqlite_template",
    "sqlite_url",
    "temporal_server",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow tests first, after the shuffle: two workers then end at about the same time."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
