# SPDX-License-Identifier: Apache-2.0
"""Pieces larger than a block: equal stretches are found wherever they moved, and all others fit into blocks."""

import random

import pytest

from waybill.delta.io import BytesReader, View, whole
from waybill.delta.large import Stretch, anchors, stretches

CHANCE = random.Random(11)
OLD = CHANCE.randbytes(3_000_000)
NEW = OLD[1_000_000:2_000_000] + CHANCE.randbytes(300_000) + OLD[:900_000] + b"inserted" + OLD[2_000_000:]


def _view(data: bytes) -> View:
    return whole(BytesReader(data))


def _stretches(old: bytes, new: bytes, limit: int) -> list[Stretch]:
    return list(stretches(_view(old), _view(new), limit, lambda done: None))


def test_anchors_move_with_their_bytes() -> None:
    """About one in 16 KiB; what is inserted before them moves them and changes nothing else."""
    before, after = list(anchors(_view(OLD))), list(anchors(_view(b"inserted" + OLD)))
    assert 90 < len(before) < 400
    assert [(at + 8, value) for at, value in before] == [one for one in after if one[0] >= 8][-len(before) :]


@pytest.mark.parametrize("limit", [10_000, 100_000, 10_000_000])
def test_stretches_cover_the_new_piece(limit: int) -> None:
    """In order; the equal ones are equal, the others are no longer than the limit, and nearly all that is equal is found."""
    found = _stretches(OLD, NEW, limit)
    assert sum(one.length for one in found) == len(NEW)
    at = equal = 0
    for one in found:
        if one.equal:
            assert NEW[at : at + one.length] == OLD[one.old : one.old + one.length]
            equal += one.length
        else:
            assert one.length <= limit
            assert 0 <= one.old <= len(OLD)
        at += one.length
    assert equal > 2_800_000


@pytest.mark.parametrize(("old", "new"), [(b"", b"x" * 99), (b"x" * 99, b""), (bytes(200_000), bytes(300_000)), (OLD, OLD[::-1])])
def test_what_has_nothing_equal_is_cut_into_pieces(old: bytes, new: bytes) -> None:
    found = _stretches(old, new, 4096)
    assert sum(one.length for one in found) == len(new)
    assert all(not one.equal and one.length <= 4096 for one in found)


def test_the_listener_ends_the_work() -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(stretches(_view(OLD), _view(NEW), 10_000, stop))
