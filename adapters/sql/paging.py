# SPDX-License-Identifier: Apache-2.0
"""Cursors of keyset pages: where the last page ended, bound to the query that it was a page of.

A cursor opens nothing: the query that it is given to filters by Space all the same.
It is refused with another query, because its place would mean nothing there.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Final

from waybill.errors import FormatError

MAX_LIMIT: Final = 200
_MARK: Final = 8


def check_limit(limit: int) -> int:
    """``limit`` itself, when a page may have so many items. Raises FormatError request.invalid."""
    if not 1 <= limit <= MAX_LIMIT:
        raise FormatError("request.invalid", "a page has 1 to 200 items", field="limit", expected="1 to 200", found=limit)
    return limit


def query_of(*, kind: str, space_id: str, newest_first: bool, equals: Mapping[str, object]) -> bytes:
    """The mark of one query: equal for equal queries only."""
    text = json.dumps([kind, space_id, newest_first, sorted(equals.items())], separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()[:_MARK]


def make_cursor(query: bytes, last: str) -> str:
    """The cursor of the page after the one that ended with the key ``last``."""
    return base64.urlsafe_b64encode(query + last.encode()).decode().rstrip("=")


def open_cursor(cursor: str, query: bytes) -> str:
    """The key after which the page begins. Raises FormatError cursor.invalid when it is not a cursor of this query."""
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        last = data[_MARK:].decode()
    except (binascii.Error, ValueError) as error:
        raise FormatError("cursor.invalid", "the cursor cannot be read", field="cursor") from error
    if data[:_MARK] != query or not last or "\x00" in last:
        raise FormatError("cursor.invalid", "the cursor belongs to another list", field="cursor")
    return last
