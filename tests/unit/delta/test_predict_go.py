# SPDX-License-Identifier: Apache-2.0
"""Fields of programs that Go's linker made."""

import random
import struct

import numpy as np
import pytest

from waybill.delta.predict import fields_x86_64
from waybill.delta.predict.elf import read_image

CODE, DATA = 0x401000, 0x500000
_AT = 0x2000
_COUNT = 3


def _program(late: bool) -> bytearray:
    """Three functions, one of which inlines another; one type with a method. ``late``: as Go 1.26 lays out the module's description."""
    names = b"main.a\0main.b\0main.c\0"
    files = struct.pack("<I", 0)
    paths = b"a.go\0\0\0\0"
    values = bytes(16)
    functions = bytearray(8 * _COUNT + 4)
    for number in range(_COUNT):
        struct.pack_into("<II", functions, 8 * number, 64 * number, len(functions))
        functions += struct.pack("<IiiIIIIIIiBBBB", 64 * number, 7 * number, 0, 0, 4, 8, 12, 1, 0, 1, 0, 0, 0, 4)
        functions += struct.pack("<IIIII", 4, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0 if number == 1 else 0xFFFFFFFF)
    struct.pack_into("<I", functions, 8 * _COUNT, 64 * _COUNT)
    tree = struct.pack("<BBBBiii", 0, 0, 0, 0, 14, 8, 1) + bytes(16)
    parts: list[bytes] = [names, files, paths, values, bytes(functions)]
    offsets, at = [], 72
    for part in parts:
        at += -at % 8
        offsets.append(at)
        at += len(part)
    table = bytearray(at)
    struct.pack_into("<IHBB8Q", table, 0, 0xFFFFFFF1, 0, 1, 8, _COUNT, 1, 0, *offsets)
    for offset, part in zip(offsets, parts, strict=True):
        table[offset : offset + len(part)] = part
    table += bytes(-len(table) % 8)
    places = {"tree": len(table)}
    table += tree
    places["types"] = len(table)
    kind = struct.pack("<QQIBBBBQQii", 8, 8, 1, 1, 8, 8, 22, 0, 0, 40, 16) + bytes(8)
    kind += struct.pack("<iHHII", 24, 1, 1, 16, 0) + struct.pack("<iiii", 32, 48, 64, 64)
    table += kind + bytes(512)
    places["end"] = len(table)
    table += struct.pack("<II", 0, 0)
    places["buckets"] = len(table)
    table += struct.pack("<I", 1) + bytes(20)
    module = [0] * 56
    module[0], module[1] = DATA, DATA + offsets[0]
    module[19], module[22], module[23] = DATA + places["buckets"], CODE, CODE + 0x1000
    module[37], module[38], module[40] = DATA + places["types"], DATA + places["end"], DATA + places["tree"]
    links = 45 if late else 44
    module[links - 3 : links + 3] = [CODE, 1, 1, DATA + places["end"], 2, 2]
    words = len(table)
    table += struct.pack("<56Q", *module)
    data = bytearray(_AT) + table
    labels = b"\0.gopclntab\0"
    label_at = len(data)
    data += labels + bytes(-len(labels) % 8)
    sections = [
        (0, 0, 0, 0, 0, 0),
        (1, 1, 2, DATA, _AT, words),
        (0, 3, 0, 0, label_at, len(labels)),
        (0, 1, 3, DATA + words, _AT + words, 56 * 8),
    ]
    sections.append((0, 1, 6, CODE, 0x1000, 0x1000))
    table_at = len(data)
    for name, sort, flags, address, offset, size in sections:
        data += struct.pack("<IIQQQQIIQQ", name, sort, flags, address, offset, size, 0, 0, 8, 0)
    data[:64] = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, CODE, 64, table_at, 0, 64, 56, 2, 64, len(sections), 2)
    for index, (flags, offset, address, size) in enumerate(((5, 0x1000, CODE, 0x1000), (6, _AT, DATA, label_at - _AT))):
        data[64 + 56 * index : 120 + 56 * index] = struct.pack("<IIQQQQQQ", 1, flags, offset, address, address, size, size, 0x1000)
    return data


@pytest.mark.parametrize("late", [False, True])
def test_tables_of_go_are_fields(late: bool) -> None:
    """Functions, names, trees of inlined calls, types and methods, each with what it counts from."""
    data = bytes(_program(late))
    image = read_image(data, len(data))
    assert image is not None
    fields = fields_x86_64.find(data, image)
    found: dict[str, list[int]] = {}
    for kind, target in zip(fields.kind.tolist(), fields.target.tolist(), strict=True):
        found.setdefault(fields_x86_64.KINDS[kind].name, []).append(target)
    assert sorted(set(found["go text"])) == [CODE, CODE + 64, CODE + 128, CODE + 192]
    assert len(found["go function"]) == _COUNT
    names = DATA + 72
    assert sorted(set(found["go name"])) == [names, names + 7, names + 14]
    assert len(found["go values"]) == 4 * _COUNT
    assert len(found["go data"]) == 1
    assert len(found["go bucket"]) == 1
    assert len(found["go type name"]) == 3
    assert len(found["go type"]) == 2


@pytest.mark.parametrize("seed", range(60))
def test_broken_tables_never_crash(seed: int) -> None:
    """Counts, offsets and addresses that lead anywhere cost fields, nothing else."""
    data, choice = _program(seed % 2 == 0), random.Random(seed)
    for _ in range(choice.randrange(1, 12)):
        data[choice.randrange(_AT + 8, len(data))] = choice.choice([0, 1, 64, 127, 128, 255])
    image = read_image(bytes(data), len(data))
    assert image is not None
    fields = fields_x86_64.find(bytes(data), image)
    assert bool((np.diff(fields.at) >= 0).all())
