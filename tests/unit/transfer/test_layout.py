# SPDX-License-Identifier: Apache-2.0
"""Keys that cannot climb, and parts that cover a file once."""

import pytest

from waybill.errors import FormatError
from waybill.formats.layout import MAX_PARTS, blob_key, carrier_key, part_ranges, part_size_bytes

_MIB = 1024 * 1024


def test_keys_are_made_from_digests_and_ids() -> None:
    """A blob's key starts with its first byte; a carrier's with its id."""
    assert blob_key("ab" * 32) == f"blobs/sha256/ab/{'ab' * 32}"
    assert carrier_key("car_" + "0" * 32) == f"carriers/car_{'0' * 32}.tar"


@pytest.mark.parametrize("text", ["", "ab", "AB" * 32, "../" + "a" * 61, "ab" * 32 + "\n", "ab" * 33])
def test_other_texts_make_no_key(text: str) -> None:
    """Nothing but a lower-case SHA-256 names a blob."""
    with pytest.raises(FormatError) as caught:
        blob_key(text)
    assert caught.value.code == "package.digest_unsupported"


def test_other_ids_make_no_carrier_key() -> None:
    """Nothing but the id of a carrier names one."""
    with pytest.raises(FormatError):
        carrier_key("../../x")


@pytest.mark.parametrize("size", [0, 1, 8 * _MIB, 79_992 * _MIB, 50 * 1024 * _MIB, 5 * 1024 * 1024 * _MIB])
@pytest.mark.parametrize("smallest", [5 * _MIB, 8 * _MIB])
def test_parts_stay_below_ten_thousand(size: int, smallest: int) -> None:
    """A file of any size has less than 10,000 parts, and its parts cover it once in order."""
    part_size = part_size_bytes(size, smallest=smallest)
    parts = part_ranges(size, part_size=part_size)
    assert part_size >= smallest
    assert 1 <= len(parts) <= MAX_PARTS < 10_000
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert [part.offset for part in parts] == [index * part_size for index in range(len(parts))]
    assert sum(part.size_bytes for part in parts) == size
