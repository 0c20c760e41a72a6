# SPDX-License-Identifier: Apache-2.0
"""Heads and section tables of ELF files: read when they are sound, refused on any doubt."""

import random
import struct

import numpy as np
import pytest

from tests.unit.delta.predict_programs import CODE, DATA, build
from waybill.delta.predict import elf

PROGRAM = build(62, list(range(50)), 16).data


def _with(offset: int, layout: str, *values: int) -> bytes:
    data = bytearray(PROGRAM)
    struct.pack_into("<" + layout, data, offset, *values)
    return bytes(data)


def test_segments_are_read() -> None:
    """Offsets and addresses lead to each other."""
    image = elf.read_image(PROGRAM, len(PROGRAM))
    assert image is not None
    assert [(one.address, one.executable) for one in image.segments] == [(CODE, True), (DATA, False)]
    assert image.addresses(np.array([0x1000, 0x1010, 0x40008])).tolist() == [CODE, CODE + 16, DATA + 8]
    assert image.offsets(np.array([CODE + 16, DATA + 8, 12])).tolist() == [0x1010, 0x40008, -1]
    assert image.mapped(np.array([CODE - 1, CODE, DATA, 1 << 46])).tolist() == [False, True, True, False]


def test_sections_are_read() -> None:
    """Names, flags and links of the section table."""
    found = elf.read_sections(PROGRAM)
    assert [one.name for one in found] == [b"", b".text", b".data", b".symtab", b".strtab", b".shstr"]
    assert found[3].link == 4
    assert found[1].flags & 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PROGRAM[:63],
        b"MZ" + PROGRAM[2:],
        PROGRAM[:4] + b"\x01" + PROGRAM[5:],
        PROGRAM[:5] + b"\x02" + PROGRAM[6:],
        _with(54, "H", 32),
        _with(56, "H", 0),
        _with(56, "H", 65),
        _with(32, "Q", 1 << 63),
        _with(32, "Q", 0),
        _with(64 + 8, "Q", 1 << 63),
        _with(64 + 16, "Q", (1 << 64) - 64),
        _with(64 + 32, "Q", 1 << 40),
        _with(64 + 40, "Q", 1 << 60),
        _with(120 + 16, "Q", CODE + 8),
        _with(120 + 8, "Q", 0x1008),
    ],
)
def test_doubtful_heads_are_refused(data: bytes) -> None:
    """Foreign, cut off, wrapping, overlapping, outside of the file: no prediction."""
    assert elf.read_image(data, len(data)) is None


def test_sections_that_overlap_are_refused() -> None:
    """Otherwise 4,096 sections could each hold the whole file, and all of it would be read as often."""
    data = bytearray(PROGRAM)
    table = int.from_bytes(data[40:48], "little")
    data[table + 64 * 2 + 24 : table + 64 * 2 + 40] = struct.pack("<QQ", 0x1000, 64)
    assert elf.read_sections(bytes(data)) == []


@pytest.mark.parametrize("seed", range(40))
def test_noise_in_the_tables_never_crashes(seed: int) -> None:
    """Whatever stands in head and section table, the answer is a value."""
    choice, data = random.Random(seed), bytearray(PROGRAM)
    table = int.from_bytes(data[40:48], "little")
    for _ in range(8):
        start, end = choice.choice([(0, 176), (table, len(data))])
        data[choice.randrange(start, end)] = choice.choice([0, 1, 127, 255])
    elf.read_image(bytes(data), len(data))
    elf.read_sections(bytes(data))
