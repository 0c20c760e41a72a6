# SPDX-License-Identifier: Apache-2.0
"""The log of a task over one open transaction: lines with numbers that have no gap.

The writer's lock of the Space makes 'highest number plus one' safe.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, func, insert, select

from adapters.sql.mapping import Columns, Mapper
from adapters.sql.plain import is_storable
from adapters.sql.tables import LOG_LINES, TABLES
from waybill.domain.tasks import LogLine, Task
from waybill.errors import NotFoundError

LINE: Final = Mapper(LogLine, LOG_LINES, extra=("space_id",))


def number_lines(space_id: str, task_id: str, lines: Sequence[LogLine], *, last: int) -> list[Columns]:
    """The columns of ``lines``, numbered from ``last + 1``. What a step printed is kept as far as a database can: U+0000 becomes U+FFFD."""
    rows = []
    for seq, line in enumerate(lines, start=last + 1):
        clean = line.message.replace("\x00", "\ufffd").encode(errors="replace").decode()
        rows.append({"space_id": space_id, **LINE.dump(dataclasses.replace(line, task_id=task_id, seq=seq, message=clean))})
    return rows


def append(connection: Connection, space_id: str, task_id: str, lines: Sequence[LogLine]) -> int:
    """Lines appended; returns the last number. Raises NotFoundError record.absent when the Space has no such task."""
    tasks = TABLES[Task]
    known = select(tasks.c.id).where(tasks.c.space_id == space_id, tasks.c.id == task_id)
    if not is_storable(task_id) or connection.execute(known).first() is None:
        raise NotFoundError("record.absent", "there is no such task", found=task_id[:80])
    newest = select(func.max(LOG_LINES.c.seq)).where(LOG_LINES.c.space_id == space_id, LOG_LINES.c.task_id == task_id)
    last = connection.execute(newest).scalar_one() or 0
    if lines:
        connection.execute(insert(LOG_LINES), number_lines(space_id, task_id, lines, last=last))
    return last + len(lines)


def read(connection: Connection, space_id: str, task_id: str, *, after: int, limit: int) -> list[LogLine]:
    """Lines with ``seq > after``, in order, at most ``limit``."""
    if not is_storable(task_id):
        return []
    statement = (
        select(LOG_LINES)
        .where(LOG_LINES.c.space_id == space_id, LOG_LINES.c.task_id == task_id, LOG_LINES.c.seq > after)
        .order_by(LOG_LINES.c.seq)
        .limit(limit)
    )
    return LINE.fetch(connection, statement)
