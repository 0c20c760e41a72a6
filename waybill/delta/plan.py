# SPDX-License-Identifier: Apache-2.0
"""What pays: nothing, a delta, or the whole file, with the reason in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

WORTH: Final = 0.8
"""A delta that is larger than this share of the file is not worth its making again: the file itself is sent."""
SMALL: Final = 4096
"""Bytes of a file for which nobody makes a delta."""


@dataclass(frozen=True, slots=True)
class Held:
    """A package that the target proved to hold. ``package_id`` and ``version`` are "" when nobody here knows its name."""

    sha256: str
    size_bytes: int
    package_id: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """``how``: ``nothing | delta | whole``. ``base`` is the file against which a delta is to be made. ``reason`` is one sentence for people."""

    how: Literal["nothing", "delta", "whole"]
    reason: str
    base: Held | None = None


def plan(wanted: Held, held: Sequence[Held]) -> Plan:
    """How ``wanted`` is to cross to a target that holds ``held`` (in the order in which it came to hold them, the newest last).

    The best base is the version of the same package that came last, because releases are mostly promoted in order; a package of another name is never
    a base: an accident of similarity is not worth the seconds of finding out.
    """
    if any(one.sha256 == wanted.sha256 for one in held):
        return Plan("nothing", "the target holds it already")
    if wanted.size_bytes < SMALL:
        return Plan("whole", "it is too small for a delta")
    same = [one for one in held if one.package_id and one.package_id == wanted.package_id]
    if not same:
        return Plan("whole", "the target has proven to hold no version of it")
    base = same[-1]
    return Plan("delta", f"a delta against version {base.version}, which the target holds", base)


def is_worth(delta_bytes: int, whole_bytes: int) -> bool:
    """Whether a finished delta is small enough to be sent instead of the file."""
    return delta_bytes <= whole_bytes * WORTH
