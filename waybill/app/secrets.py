# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest: wrapped by the key store, bound to the row that holds them.

A wrapped value that is copied to another row, column or Space does not open. Plaintext exists only as a local of the caller, never in an error.
"""

from waybill.errors import UnavailableError
from waybill.ports import Ports


def context_of(*, table: str, column: str, row_id: str, space_id: str) -> str:
    """The associated data under which a value is wrapped. Source: security.md 3.8."""
    return f"{table}|{column}|{row_id}|{space_id}"


def seal_local(ports: Ports, plaintext: str, *, table: str, column: str, row_id: str, space_id: str) -> bytes:
    """The secret as the ledger may hold it."""
    return ports.keys.wrap(plaintext.encode("utf-8"), context=context_of(table=table, column=column, row_id=row_id, space_id=space_id))


def open_local(ports: Ports, sealed: bytes, *, table: str, column: str, row_id: str, space_id: str) -> str:
    """The secret in clear, for exactly the use at hand.

    Raises:
        UnavailableError: keystore.unavailable, when the key file is another or the value was moved here from elsewhere.
    """
    plain = ports.keys.unwrap(sealed, context=context_of(table=table, column=column, row_id=row_id, space_id=space_id))
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        # The cause is dropped: a decoding error carries the bytes.
        raise UnavailableError("keystore.unavailable", "a stored value is not text", field=f"{table}.{column}") from None


VARIABLES = "variables"
SNAPSHOTS = "snapshot_values"
ANSWERS = "answers"


def seal_variable(ports: Ports, plaintext: str, *, row_id: str, space_id: str) -> bytes:
    """The secret of a ``Variable`` row."""
    return seal_local(ports, plaintext, table=VARIABLES, column="sealed", row_id=row_id, space_id=space_id)


def open_variable(ports: Ports, sealed: bytes, *, row_id: str, space_id: str) -> str:
    """The secret of a ``Variable`` row in clear."""
    return open_local(ports, sealed, table=VARIABLES, column="sealed", row_id=row_id, space_id=space_id)


def seal_snapshot(ports: Ports, plaintext: str, *, row_id: str, space_id: str) -> bytes:
    """The secret of a ``SnapshotValue`` row."""
    return seal_local(ports, plaintext, table=SNAPSHOTS, column="sealed", row_id=row_id, space_id=space_id)


def open_snapshot(ports: Ports, sealed: bytes, *, row_id: str, space_id: str) -> str:
    """The secret of a ``SnapshotValue`` row in clear."""
    return open_local(ports, sealed, table=SNAPSHOTS, column="sealed", row_id=row_id, space_id=space_id)
