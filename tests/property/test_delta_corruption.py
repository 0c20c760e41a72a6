# SPDX-License-Identifier: Apache-2.0
"""No delta that was tampered with is accepted, hangs, crashes, or takes much memory. ``make soak`` runs the long form."""

from collections import Counter

import pytest

from tests.delta_corruptions import corrupted, judge
from tests.delta_subjects import Subject, subjects, tools
from waybill.delta import reader
from waybill.delta.io import BytesReader
from waybill.delta.limits import Limits
from waybill.delta.model import PATCH, POOL

_SAMPLE = 2_000
_FIRST = 1_000_000
"""Not among those of the long run."""
_SECONDS = 20
_GROWN_BYTES = 1 << 30


def test_true_deltas_are_rebuilt() -> None:
    """The untouched deltas give the new files: otherwise nothing below would mean anything."""
    assert {judge(one, one.delta, with_tools=tools(), seconds=_SECONDS).outcome for one in subjects()} == {"same file"}


def test_subjects_have_every_part_of_the_format() -> None:
    """Opened sources, pools, patches with and without prediction, and nested streams: whatever can be spoilt is there."""
    recipes = [reader.read(BytesReader(one.delta), Limits()).recipe for one in subjects()]
    blocks = [block for recipe in recipes for block in recipe.blocks]
    assert {block.kind for block in blocks} == {POOL, PATCH}
    assert {block.predictor for block in blocks} >= {"", "elf-x86-64/1", "elf-aarch64/1"}
    assert any(recipe.opened for recipe in recipes)
    assert any(len(recipe.streams) > 1 for recipe in recipes)


@pytest.mark.parametrize("part", range(4))
def test_no_corruption_is_accepted_hangs_or_crashes(part: int) -> None:
    """Each of two thousand corruptions ends with a code of the engine, soon and small; or its true result is proven by SHA-256 all the same."""
    seen: Counter[str] = Counter()
    for number in range(_FIRST + part, _FIRST + _SAMPLE, 4):
        subject, kind, data = corrupted(number, subjects())
        verdict = judge(subject, data, with_tools=tools(), seconds=_SECONDS)
        assert not verdict.is_bad, f"corruption {number}, {kind} of {subject.name}: {verdict.outcome}"
        assert verdict.grown_bytes < _GROWN_BYTES, f"corruption {number}, {kind} of {subject.name}: {verdict.grown_bytes} bytes"
        seen[verdict.outcome] += 1
    assert seen["same file"] < sum(seen.values()) // 50
    assert len(seen) > 5, "the corruptions do not reach into the engine"


def test_another_base_is_refused() -> None:
    """A true delta against the base of another package makes nothing."""
    first, other = subjects()[0], subjects()[-1]
    wrong = Subject("wrong base", other.base, first.new, first.delta)
    assert judge(wrong, first.delta, with_tools=tools(), seconds=_SECONDS).outcome == "delta.base_mismatch"
