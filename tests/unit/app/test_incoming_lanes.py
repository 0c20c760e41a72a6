# SPDX-License-Identifier: Apache-2.0
"""The order of what comes in over a trust: replays refused, late ones within the window taken, gaps shown."""

import pytest

from tests.simulators.spaces import make_pair
from waybill.app import incoming_lanes
from waybill.errors import ConflictError
from waybill.ports import Ports


class Numbers:
    """One incoming lane of one trust."""

    def __init__(self) -> None:
        _, target, _, trust = make_pair()
        self._ports: Ports = target.ports
        self._space_id = target.space_id
        self._trust_id = trust.id

    def take(self, seq: int, *, epoch: int = 1) -> str:
        """``taken``, or the code of the refusal."""
        try:
            with self._ports.ledger.write(self._space_id) as work:
                incoming_lanes.accept_number(work, trust_id=self._trust_id, kind="delivery", epoch=epoch, seq=seq, sha256="0" * 64)
        except ConflictError as error:
            return error.code
        return "taken"

    def gaps(self) -> tuple[tuple[int, int], ...]:
        """What never arrived."""
        with self._ports.ledger.read(self._space_id) as work:
            return incoming_lanes.open_gaps(work, trust_id=self._trust_id, kind="delivery")


@pytest.fixture
def numbers() -> Numbers:
    """A fresh lane."""
    return Numbers()


def test_a_number_counts_once(numbers: Numbers) -> None:
    """The same number with other bytes is equivocation."""
    assert [numbers.take(1), numbers.take(2), numbers.take(1)] == ["taken", "taken", "bundle.conflict"]


def test_late_numbers_close_gaps(numbers: Numbers) -> None:
    """5, 7, then 6: nothing is lost, and what is lacking shows until it comes."""
    assert [numbers.take(5), numbers.take(7)] == ["taken", "taken"]
    assert numbers.gaps() == ((1, 4), (6, 6))
    assert numbers.take(6) == "taken"
    assert numbers.gaps() == ((1, 4),)


def test_below_the_window_everything_is_stale(numbers: Numbers) -> None:
    """The window holds the newest 64 numbers, not one more."""
    assert numbers.take(100) == "taken"
    assert [numbers.take(36), numbers.take(37)] == ["bundle.stale", "taken"]


def test_a_new_epoch_starts_over_and_ends_the_old_one(numbers: Numbers) -> None:
    """A number poisoned by a stolen key ends with that key."""
    assert numbers.take(2**53 - 1) == "taken"
    assert numbers.take(1) == "bundle.stale"
    assert numbers.take(1, epoch=2) == "taken"
    assert numbers.take(2**53, epoch=1) == "bundle.stale"
