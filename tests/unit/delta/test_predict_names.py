# SPDX-License-Identifier: Apache-2.0
"""Digests in names: what is sought pattern by pattern is what all patterns together find, from left to right."""

import random

import numpy as np

from waybill.delta.predict import names
from waybill.delta.predict.elf import Section

PARTS = (
    b"Cs",
    b"_",
    b"anon.",
    b".",
    b"17h",
    b"E",
    b".llvm.",
    b"0123456789",
    b"abcdef0123456789",
    b"Z",
    b"f" * 16,
    b"7" * 8,
    b"Cs12345678",
    b"1" * 20,
)


def _together(data: bytes, start: int, end: int) -> list[list[int]]:
    """What one search for all patterns finds."""
    return [[match.start(), match.end() - match.start()] for match in names._DIGEST.finditer(data, start, end)]


def test_digests_are_found_as_by_one_search() -> None:
    """Also where patterns overlap, and where the bytes before a digest lie before the table."""
    choice = random.Random(11)
    found = 0
    for _ in range(5_000):
        data = b"".join(choice.choice(PARTS) for _ in range(choice.randint(1, 14)))
        start = choice.randint(0, min(4, len(data)))
        wanted = _together(data, start, len(data))
        assert (
            names.find(data, [Section(b"", 3, 0, 0, start, len(data) - start, 0)]).tolist()
            == np.array(wanted, np.int64).reshape(-1, 2).tolist()
        )
        found += len(wanted)
    assert found > 500
