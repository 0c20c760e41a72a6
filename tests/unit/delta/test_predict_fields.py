# SPDX-License-Identifier: Apache-2.0
"""Which bytes of a program are taken for addresses."""

import struct

import numpy as np
import pytest

from tests.unit.delta.predict_programs import CODE, DATA, build
from waybill.delta.predict import fields_aarch64, fields_x86_64, x86_lengths
from waybill.delta.predict.elf import read_image
from waybill.delta.predict.fields import ITSELF, NOTHING, Fields, Kind


@pytest.mark.parametrize(
    ("code", "lengths"),
    [
        ("55 4889e5 c3", [1, 1, 2, 1]),
        ("e800000000 90", [5, 1]),
        ("488d3d00000000", [1, 6]),
        ("0f8400000000 7510 eb10", [6, 2, 2]),
        ("8b8424 80000000", [7]),
        ("8b04c5 00000000", [7]),
        ("8b4424 08", [4]),
        ("48b8 0102030405060708", [1, 9]),
        ("66b8 0102 90", [1, 3, 1]),
        ("6681c1 0102 90", [1, 4, 1]),
        ("f605 00000000 01", [7]),
        ("f7d8", [2]),
        ("f7c0 01000000", [6]),
        ("0fb6c0 0f1f8000000000", [3, 7]),
        ("660f3a0f c108", [1, 5]),
        ("c5f877 c5f96fc0", [3, 4]),
        ("c4e27918 05 00000000", [9]),
        ("62f17c48 2805 00000000", [10]),
        ("c8 000000 c9", [4, 1]),
    ],
)
def test_steps_of_x86_code(code: str, lengths: list[int]) -> None:
    """Prefixes are steps of their own; every other step is one instruction."""
    data = np.frombuffer(bytes.fromhex(code) + b"\x90" * 40, np.uint8)
    length, _ = x86_lengths.steps(data)
    found = x86_lengths.starts(length).tolist()
    assert np.diff(found).tolist()[: len(lengths)] == lengths


def _of(fields: Fields, kinds: tuple[Kind, ...], name: str) -> list[tuple[int, int, int]]:
    number = [kind.name for kind in kinds].index(name)
    mine = fields.kind == number
    return list(zip(fields.at[mine].tolist(), fields.target[mine].tolist(), fields.base[mine].tolist(), strict=True))


def test_fields_of_an_x86_program() -> None:
    """Calls, operands, pointers and symbols of a program whose layout is known."""
    program = build(62, list(range(50)), 16)
    image = read_image(program.data, len(program.data))
    assert image is not None
    fields = fields_x86_64.find(program.data, image)
    kinds = fields_x86_64.KINDS
    assert bool((np.diff(fields.at) > 0).all())
    assert _of(fields, kinds, "word")[:2] == [(0x40010, CODE, NOTHING), (0x40018, CODE + 112, NOTHING)]
    calls = _of(fields, kinds, "call")
    assert calls
    assert all((target - CODE) % 112 == 0 and base == ITSELF for _, target, base in calls)
    operands = _of(fields, kinds, "operand")
    assert operands
    assert all(DATA + 16 <= target < DATA + 16 + 8 * 50 for _, target, _ in operands)
    assert len(_of(fields, kinds, "symbol value")) == len(_of(fields, kinds, "symbol size")) == 50


def test_fields_of_an_aarch64_program() -> None:
    """BL, B.cond, and ADRP with the ADD that completes the address."""
    program = build(183, list(range(50)), 16)
    image = read_image(program.data, len(program.data))
    assert image is not None
    fields = fields_aarch64.find(program.data, image)
    kinds = fields_aarch64.KINDS
    assert all((target - CODE) % 112 == 0 for _, target, _ in _of(fields, kinds, "call") + _of(fields, kinds, "branch if"))
    pages, lows = _of(fields, kinds, "page"), _of(fields, kinds, "low 1")
    assert pages
    assert {target for _, target, _ in pages} == {target for _, target, _ in lows}
    assert all(DATA + 16 <= target < DATA + 16 + 8 * 50 for _, target, _ in pages)
    assert {base for _, _, base in lows} == {base for _, _, base in pages}


@pytest.mark.parametrize("kind", [*fields_x86_64.KINDS, *fields_aarch64.KINDS], ids=lambda kind: kind.name)
def test_values_are_put_where_they_were_read(kind: Kind) -> None:
    """Reading and writing a value leaves the rest of the word alone."""
    size = kind.size
    words = np.random.default_rng(1).integers(0, 1 << min(8 * size, 62), 500)
    assert (kind.put(words, kind.values(words)) & (-1 if size == 8 else (1 << 8 * size) - 1)).tolist() == words.tolist()
    assert kind.values(kind.opcode(words)).tolist() == [0] * 500
    assert bool((kind.values(words) % kind.unit == 0).all())


def test_unwind_entries_are_fields() -> None:
    """The table of unwind entries, and in each entry the function's start, its length and the way back to what entries have in common."""
    frame = bytearray(24)
    for number in range(3):
        at = len(frame)
        frame += struct.pack("<IIii", 20, at + 4, CODE + 112 * number - (DATA + 0x100 + at + 8), 112) + bytes(8)
    table = struct.pack("<BBBBii", 1, 0x1B, 3, 0x3B, 0x100 - 4, 3)
    for number in range(3):
        table += struct.pack("<ii", CODE + 112 * number - DATA, 0x100 + 24 + 24 * number)
    data = bytearray(build(62, list(range(50)), 0x400).data)
    data[0x40000 : 0x40000 + len(table)] = table
    data[0x40100 : 0x40100 + len(frame)] = frame
    data[56:58] = b"\x03\x00"
    data[176:232] = struct.pack("<IIQQQQQQ", 0x6474E550, 4, 0x40000, DATA, DATA, len(table), len(table), 4)
    image = read_image(bytes(data), len(data))
    assert image is not None
    fields, kinds = fields_x86_64.find(bytes(data), image), fields_x86_64.KINDS
    starts = [CODE, CODE + 112, CODE + 224]
    assert [target for _, target, _ in _of(fields, kinds, "table start")] == starts
    assert [target for _, target, _ in _of(fields, kinds, "unwind start")] == starts
    assert [target for _, target, _ in _of(fields, kinds, "unwind length")] == [one + 112 for one in starts]
    assert {target for _, target, _ in _of(fields, kinds, "unwind common")} == {DATA + 0x100}
