# SPDX-License-Identifier: Apache-2.0
"""What a broken constraint means: which unique rule, which missing parent, which remaining child."""

import re
import sqlite3
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Table
from sqlalchemy.exc import IntegrityError

from waybill.errors import ConflictError, NotFoundError, WaybillError

_SQLITE_UNIQUE: Final = re.compile(r"UNIQUE constraint failed: (?P<columns>.+)")


def taken(noun: str, columns: Iterable[str]) -> ConflictError:
    """The error for a unique rule over ``columns``; ``field`` names them without the Space."""
    names = [name for name in columns if name != "space_id"] or ["id"]
    return ConflictError("record.conflict", f"another {noun} has this {' and '.join(names)} already", field=",".join(names))


def parent_absent(noun: str) -> NotFoundError:
    """The error for a row that belongs to one that does not exist in this Space."""
    return NotFoundError("record.absent", f"the {noun} belongs to something that does not exist here")


def still_used(noun: str) -> ConflictError:
    """The error for removing a row that others belong to."""
    return ConflictError("record.in_use", f"the {noun} is still in use")


def stale(noun: str, *, key: str, revision: int) -> ConflictError:
    """The error for a revision that is not the stored one, or a row that is gone."""
    return ConflictError("record.stale", f"the {noun} {key} was changed or removed since it was read", expected=f"revision {revision}")


def explain(error: IntegrityError, *, table: Table, noun: str, is_removal: bool) -> WaybillError:
    """The meaning of ``error``, raised while one row of ``table`` was written. Values are never repeated."""
    if isinstance(error.orig, sqlite3.IntegrityError):
        match = _SQLITE_UNIQUE.match(str(error.orig))
        if match is None:
            return still_used(noun) if is_removal else parent_absent(noun)
        return taken(noun, [name.strip().rpartition(".")[2] for name in match["columns"].split(",")])
    diagnosis = getattr(error.orig, "diag", None)
    constraint = getattr(diagnosis, "constraint_name", None)
    if getattr(error.orig, "sqlstate", None) == "23503":
        return still_used(noun) if is_removal else parent_absent(noun)
    for index in table.indexes:
        if index.name == constraint:
            return taken(noun, [column.name for column in index.columns])
    return taken(noun, ["id"])
