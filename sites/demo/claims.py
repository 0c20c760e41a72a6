# SPDX-License-Identifier: Apache-2.0
"""What the demo claims, each confirmed twice: by asking the API, and independently of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence and its two confirmations; ``by_api`` and ``independently`` say what was found."""

    sentence: str
    by_api: str
    independently: str
    holds: bool


class Claims:
    """The claims of one run, in order."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.made: list[Claim] = []

    def claim(self, sentence: str, *, by_api: tuple[bool, Any], independently: tuple[bool, Any]) -> None:
        """``sentence`` printed, with both confirmations; it fails when either does."""
        holds = by_api[0] and independently[0]
        claim = Claim(sentence=sentence, by_api=str(by_api[1]), independently=str(independently[1]), holds=holds)
        self.made.append(claim)
        self._say(f"  {'CONFIRMED' if holds else 'NOT CONFIRMED'}  {sentence}")
        self._say(f"      by the API:    {claim.by_api}{'' if by_api[0] else '   <- does not hold'}")
        self._say(f"      independently: {claim.independently}{'' if independently[0] else '   <- does not hold'}")

    @property
    def all_hold(self) -> bool:
        """True when there are claims and each was confirmed twice."""
        return bool(self.made) and all(claim.holds for claim in self.made)

    def as_json(self) -> list[dict[str, Any]]:
        """For summary.json."""
        return [asdict(claim) for claim in self.made]
