# SPDX-License-Identifier: Apache-2.0
"""The check that a change is made over the revision that its author read."""

from waybill.errors import ConflictError
from waybill.ports import Row


def check_revision(row: Row, if_revision: int) -> None:
    """Nothing, when ``row`` is at ``if_revision``. Raises ConflictError record.stale."""
    if row.revision != if_revision:
        raise ConflictError(
            "record.stale", "somebody changed it since you read it", field="if_revision", expected=row.revision, found=if_revision
        )
