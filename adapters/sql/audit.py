# SPDX-License-Identifier: Apache-2.0
"""The audit log of one Space over one open transaction: append, page, stream, checkpoint.

There is no way here to change or remove an entry. The writer's lock of the Space keeps the chain free of forks.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple, cast

from sqlalchemy import Connection, insert, select, update

from adapters.sql.mapping import Mapper
from adapters.sql.paging import check_limit, make_cursor, open_cursor, query_of
from adapters.sql.plain import check_moment, check_text
from adapters.sql.tables import AUDIT_ENTRIES, AUDIT_HEADS
from waybill.domain.access import AuditEntry
from waybill.domain.audit import GENESIS, frontier_append, frontier_root, leaf_hash, next_entry
from waybill.errors import FormatError
from waybill.ports import Page

ENTRY: Final = Mapper(AuditEntry, AUDIT_ENTRIES)


class Head(NamedTuple):
    """Where the log of a Space ends."""

    size: int
    last_sha256: str
    frontier: tuple[str, ...]


def follow(head: Head, space_id: str, *, at: datetime, actor: str, action: str, subject: str, detail: str) -> tuple[AuditEntry, Head]:
    """The entry that comes after ``head``, and the head after it. Raises FormatError request.invalid for text that cannot be stored."""
    entry = next_entry(
        space_id=space_id,
        last_seq=head.size,
        last_sha256=head.last_sha256,
        at=check_moment(at),
        actor=check_text(actor),
        action=check_text(action),
        subject=check_text(subject),
        detail=check_text(detail),
    )
    frontier = frontier_append(head.frontier, size=head.size, leaf=leaf_hash(entry.sha256))
    return entry, Head(entry.seq, entry.sha256, frontier)


def read_head(connection: Connection, space_id: str) -> Head:
    """The end of the log; of an empty one before the first entry."""
    row = connection.execute(select(AUDIT_HEADS).where(AUDIT_HEADS.c.space_id == space_id)).one_or_none()
    if row is None:
        return Head(0, GENESIS, ())
    return Head(row.size, row.last_sha256, tuple(cast("list[str]", row.frontier)))


def append(connection: Connection, space_id: str, *, at: datetime, actor: str, action: str, subject: str, detail: str) -> AuditEntry:
    """One entry behind the last one, and the head moved with it. The caller holds the Space's lock."""
    head = read_head(connection, space_id)
    entry, moved = follow(head, space_id, at=at, actor=actor, action=action, subject=subject, detail=detail)
    connection.execute(insert(AUDIT_ENTRIES).values(ENTRY.dump(entry)))
    values = {"size": moved.size, "last_sha256": moved.last_sha256, "frontier": list(moved.frontier)}
    if head.size == 0:
        connection.execute(insert(AUDIT_HEADS).values(space_id=space_id, **values))
    else:
        connection.execute(update(AUDIT_HEADS).where(AUDIT_HEADS.c.space_id == space_id).values(values))
    return entry


def checkpoint(connection: Connection, space_id: str) -> tuple[int, str]:
    """Size and Merkle root of the log."""
    head = read_head(connection, space_id)
    return head.size, frontier_root(head.frontier)


def page(connection: Connection, space_id: str, *, limit: int, cursor: str | None) -> Page:
    """Entries, newest first. Raises FormatError cursor.invalid."""
    query = audit_query(space_id)
    statement = select(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.space_id == space_id)
    if cursor is not None:
        statement = statement.where(AUDIT_ENTRIES.c.seq < open_audit_cursor(cursor, query))
    statement = statement.order_by(AUDIT_ENTRIES.c.seq.desc()).limit(check_limit(limit) + 1)
    entries = ENTRY.fetch(connection, statement)
    has_more = len(entries) > limit
    return Page(items=tuple(entries[:limit]), next_cursor=make_cursor(query, str(entries[limit - 1].seq)) if has_more else None)


def entries(connection: Connection, space_id: str, *, at_once: int = 1000) -> Iterator[AuditEntry]:
    """All entries, oldest first, read in pieces of ``at_once``: memory does not grow with the log."""
    last = 0
    while True:
        statement = (
            select(AUDIT_ENTRIES)
            .where(AUDIT_ENTRIES.c.space_id == space_id, AUDIT_ENTRIES.c.seq > last)
            .order_by(AUDIT_ENTRIES.c.seq)
            .limit(at_once)
        )
        piece = ENTRY.fetch(connection, statement)
        yield from piece
        if len(piece) < at_once:
            return
        last = piece[-1].seq


def audit_query(space_id: str) -> bytes:
    """The mark that binds a cursor to the audit log of one Space."""
    return query_of(kind="audit_entries", space_id=space_id, newest_first=True, equals={})


def open_audit_cursor(cursor: str, query: bytes) -> int:
    """The sequence number at which the last page ended. Raises FormatError cursor.invalid."""
    last = open_cursor(cursor, query)
    if not (last.isascii() and last.isdigit() and len(last) < 19):
        raise FormatError("cursor.invalid", "the cursor cannot be read", field="cursor")
    return int(last)
