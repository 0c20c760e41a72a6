# SPDX-License-Identifier: Apache-2.0
"""Package coordinates and release versions: the grammar of ids and versions, and which version is newer.

An id or version follows its own ecosystem (``@scope/name``, ``group:artifact``, ``1.0+build~1``); it is never used as a path.
Refused: control characters, empty and ``..`` segments, a leading ``/``, more than 214 characters.
"""

import re
import unicodedata
from typing import Final

from waybill.errors import FormatError

MAX_COORDINATE_LENGTH: Final = 214
"""Characters of a package id or version; npm's limit, the longest of the ecosystems."""

MAX_VERSION_LENGTH: Final = 100
"""Characters of a release version."""

_PACKAGE_ID: Final = re.compile(r"^@?[A-Za-z0-9_][A-Za-z0-9_.\-+~:/@]*$")
_PACKAGE_VERSION: Final = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.\-+~:!]*$")
_RELEASE_VERSION: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.\-+_]*$")
_SHA256: Final = re.compile(r"^[0-9a-f]{64}$")
_RUN: Final = re.compile(r"\d+|[A-Za-z]+")


def check_package_id(text: str, *, field: str = "package_id") -> str:
    """``text`` itself, when it may name a package. Raises FormatError package.coordinate_invalid. Source: security.md row 63."""
    segments = re.split(r"[/:]", text)
    if not _fits(text, _PACKAGE_ID) or any(segment in {"", ".", ".."} for segment in segments) or text.count("@") > 1 or "@" in text[1:]:
        raise _refused(field, "an id as its ecosystem writes it, such as @scope/name or group:artifact", text)
    return text


def check_package_version(text: str, *, field: str = "version") -> str:
    """``text`` itself, when it may be the version of a package. Raises FormatError package.coordinate_invalid."""
    if not _fits(text, _PACKAGE_VERSION) or ".." in text:
        raise _refused(field, "a version such as 1.2.3-rc.1+build", text)
    return text


def check_sha256(text: str, *, field: str = "sha256") -> str:
    """``text`` itself, when it is a SHA-256 in lower-case hexadecimal. Raises FormatError package.digest_unsupported."""
    if not _SHA256.match(text) or len(text) != 64:
        raise FormatError(
            "package.digest_unsupported",
            "the digest cannot be used",
            field=field,
            expected="64 lower-case hexadecimal digits",
            found=_shown(text),
        )
    return text


def check_release_version(text: str, *, field: str = "version") -> str:
    """``text`` itself, when it may be the version of a release (A48). Raises FormatError request.invalid."""
    if len(text) > MAX_VERSION_LENGTH or text.endswith("\n") or ".." in text or not _RELEASE_VERSION.match(text):
        raise FormatError(
            "request.invalid",
            "that is not a release version",
            field=field,
            expected=f"letters, digits and . - + _, at most {MAX_VERSION_LENGTH} characters, such as 1.2.0",
            found=_shown(text),
        )
    return text


def version_key(text: str) -> tuple[tuple[tuple[int, int, str], ...], int, tuple[tuple[int, int, str], ...]]:
    """A key that orders versions as SemVer would, and anything else sensibly: numbers by value, a pre-release before its release."""
    core, _, _ = text.partition("+")
    release, dash, tail = core.partition("-")
    numbers = list(_parts(release))
    while numbers and numbers[-1] == (1, 0, ""):
        numbers.pop()
    return tuple(numbers), 0 if dash else 1, _parts(tail)


def matches_spec(version: str, spec: str) -> bool:
    """True when ``version`` is exactly ``spec``, or ``spec`` is a major such as ``1`` and ``version`` a stable release of it."""
    if version == spec:
        return True
    return spec.isdigit() and "-" not in version and version.partition(".")[0] == spec


def _parts(text: str) -> tuple[tuple[int, int, str], ...]:
    return tuple((1, int(run), "") if run.isdigit() else (0, 0, run) for run in _RUN.findall(text))


def _fits(text: str, grammar: re.Pattern[str]) -> bool:
    return len(text) <= MAX_COORDINATE_LENGTH and not text.endswith("\n") and grammar.match(text) is not None


def _shown(text: str) -> str:
    return "".join(character if unicodedata.category(character)[0] != "C" else "?" for character in text[:80])


def _refused(field: str, expected: str, found: str) -> FormatError:
    return FormatError("package.coordinate_invalid", f"{field} is not allowed", field=field, expected=expected, found=_shown(found))
