# SPDX-License-Identifier: Apache-2.0
"""Ids: a prefix that tells the noun, then a UUIDv7 in hexadecimal, so that ids sort by time.

``rel_0198c5f2a4b87d6e9a3f1c2b4d5e6f70``.
The time and the randomness are handed in; nothing here reads a clock.
"""

import re
from typing import Final, TypeAlias

from waybill.errors import FormatError

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""Anything that JSON can hold. Signed documents exclude floats (docs/formats/encoding-v1.md)."""

PREFIXES: Final = {
    "spc": "space", "env": "environment", "lfc": "lifecycle", "prj": "project", "prc": "process", "var": "variable",
    "pkg": "package", "stp": "step package", "rel": "release", "snp": "snapshot value", "trs": "trust", "prm": "promotion",
    "ibx": "inbox bundle", "ans": "answer", "dep": "deployment", "run": "step run", "rcp": "receipt", "cel": "remote cell",
    "tsk": "task", "mch": "machine", "acc": "account", "key": "api key", "ses": "session", "tnt": "tenant", "aud": "audit entry",
    "out": "outbox message", "upl": "upload", "car": "carrier", "idm": "idempotent answer", "blb": "blob", "dlv": "delivery",
    "act": "action", "idn": "identity", "non": "nonce", "log": "log line", "lan": "lane", "doc": "document",
}  # fmt: skip

_ID: Final = re.compile(r"^[a-z]{3}_[0-9a-f]{32}$")


def make_id(prefix: str, *, unix_ms: int, entropy: bytes) -> str:
    """A new id of the noun ``prefix``.

    Args:
        prefix: a key of ``PREFIXES``.
        unix_ms: milliseconds since 1970.
        entropy: exactly 10 random bytes.
    Source: RFC 9562, section 5.7.
    """
    if prefix not in PREFIXES or len(entropy) != 10:
        raise ValueError("an id needs a known prefix and 10 bytes of entropy")
    head = unix_ms.to_bytes(6, "big")
    a = (0x7000 | (int.from_bytes(entropy[:2], "big") & 0x0FFF)).to_bytes(2, "big")
    b = ((0x80 | (entropy[2] & 0x3F)).to_bytes(1, "big")) + entropy[3:]
    return f"{prefix}_{(head + a + b).hex()}"


def check_id(text: str, prefix: str, *, field: str) -> str:
    """``text`` itself, when it is an id of the noun ``prefix``.

    Raises:
        FormatError: request.malformed, when it is anything else.
    """
    if not _ID.match(text) or not text.startswith(prefix + "_"):
        raise FormatError(
            "request.malformed", f"{field} is not the id of a {PREFIXES[prefix]}", field=field, expected=f"{prefix}_…", found=text[:60]
        )
    return text
