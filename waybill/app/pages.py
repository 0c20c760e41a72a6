# SPDX-License-Identifier: Apache-2.0
"""Lists with filters that may be left out."""

from collections.abc import Mapping

from waybill.ports import Page, R, Records, Scalar


def page_of(records: Records[R], *, limit: int, cursor: str | None, equals: Mapping[str, Scalar]) -> Page:
    """One page, newest first, of the rows whose columns equal ``equals``; a None among them means: any.

    Raises:
        FormatError: cursor.invalid, the cursor belongs to another list.
    """
    given = {name: value for name, value in equals.items() if value is not None}
    return records.page(limit=limit, cursor=cursor, **given)  # type: ignore[arg-type]  # no column is called like an argument
