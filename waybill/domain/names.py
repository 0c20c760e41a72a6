# SPDX-License-Identifier: Apache-2.0
"""Names that people give: their grammar, the slug made from them, and when two of them look alike.

Refused: control and invisible characters, text that runs right to left over its neighbours, the separator between a Space and what it owns.
"""

import re
import unicodedata
from collections.abc import Container, Iterable
from typing import Final

from waybill.domain.spaces import SEPARATOR
from waybill.errors import FormatError

MAX_NAME_LENGTH: Final = 100
"""Characters of a name."""

_SLUG: Final = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
_NOT_SLUG: Final = re.compile(r"[^a-z0-9]+")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_CYRILLIC: Final = ("аеорсухіјѕһԁԛԝкмнвтгп", "aeopcyxijshdqwkmhbtrn")
_GREEK: Final = ("αορνικτυχεηγω", "aopviktuxenyw")
_SHAPES: Final = ("ıℓɡ01|!5", "ilgollls")
_LOOKALIKES: Final = {
    ord(seen): meant for strange, latin in (_CYRILLIC, _GREEK, _SHAPES) for seen, meant in zip(strange, latin, strict=True)
}
"""Characters that read as a Latin letter, after case folding (Unicode TR39, the part that names on a screen are confused by)."""


def check_name(text: str, *, field: str, separator_allowed: bool = False) -> str:
    """``text`` in Unicode NFC, when it may be a name.

    Args:
        field: how the refusal calls it.
        separator_allowed: True for names under which a remote thing is shown; a local name never holds the separator (A41).
    Raises:
        FormatError: request.invalid, when it is empty, padded, longer than ``MAX_NAME_LENGTH``, or holds what the module refuses.
    """
    name = unicodedata.normalize("NFC", text)
    if not name or name != name.strip() or len(name) > MAX_NAME_LENGTH:
        raise _refused(field, f"1 to {MAX_NAME_LENGTH} characters without blanks at either end", text)
    if any(unicodedata.category(character) in _INVISIBLE for character in name):
        raise _refused(field, "only visible characters", text)
    if not separator_allowed and SEPARATOR.strip() in name:
        raise _refused(field, f"a name without {SEPARATOR.strip()!r}, which stands between a Space and what it owns", text)
    return name


def check_slug(text: str, *, field: str) -> str:
    """``text`` itself, when it is lower-case words joined by hyphens. Raises FormatError request.invalid."""
    if len(text) > MAX_NAME_LENGTH or not _SLUG.match(text):
        raise _refused(field, "lower-case letters and digits, in words joined by hyphens", text)
    return text


def slugify(name: str) -> str:
    """The name as it stands in a URL; ``x`` when nothing of it can."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    return _NOT_SLUG.sub("-", plain).strip("-") or "x"


def free_slug(name: str, taken: Container[str]) -> str:
    """The slug of ``name``, with the first number that makes it unlike every one in ``taken``."""
    slug = slugify(name)
    number = 2
    candidate = slug
    while candidate in taken:
        candidate = f"{slug}-{number}"
        number += 1
    return candidate


def skeleton(name: str) -> str:
    """What remains of a name for a hurried eye: equal skeletons are names that people mix up.

    Source: security.md row 39; Unicode TR39 (NFKC, case folding, confusables), with blanks and punctuation ignored.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    read = folded.translate(_LOOKALIKES).replace("i", "l")
    return "".join(character for character in read if unicodedata.category(character)[0] in "LN")


def find_lookalike(name: str, others: Iterable[str]) -> str | None:
    """The first of ``others`` that reads like ``name``, or None."""
    mine = skeleton(name)
    return next((other for other in others if skeleton(other) == mine), None)


def _refused(field: str, expected: str, found: str) -> FormatError:
    shown = found[:60].encode("unicode_escape").decode("ascii")
    return FormatError("request.invalid", f"{field} is not a name that can be used", field=field, expected=expected, found=shown)
