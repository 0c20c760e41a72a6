# SPDX-License-Identifier: Apache-2.0
"""Runs migrations over the connection that ``adapters.sql.migrations`` hands in; Alembic executes this file.

It opens no connection by itself and knows no address: there is one way to migrate, with its lock and its transaction.
"""

from alembic import context

from adapters.sql.tables import METADATA


def run() -> None:
    """Every pending migration has run. The caller's transaction holds the lock and commits everything at once, so none is begun here."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        render_as_batch=True,
        transactional_ddl=True,
    )
    context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic loads this file; importing it does nothing
    run()
