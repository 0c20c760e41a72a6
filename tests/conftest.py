# SPDX-License-Identifier: Apache-2.0
"""The fixtures that every directory of tests may ask for; each lives where its server is described, and none starts unasked."""

from tests.databases import empty_postgres_url, postgres_migrated, postgres_server, postgres_url, sqlite_template, sqlite_url
from tests.servers import s3_server, s3_server_tls, temporal_server

__all__ = [
    "empty_postgres_url",
    "postgres_migrated",
    "postgres_server",
    "postgres_url",
    "s3_server",
    "s3_server_tls",
    "sqlite_template",
    "sqlite_url",
    "temporal_server",
]
