# SPDX-License-Identifier: Apache-2.0
"""Small programs for tests of prediction: functions that call each other, data that points at them, symbols, unwind entries.

``pair`` makes an old and a new version, between which functions were put in and data moved, with the records of a perfect alignment.
"""

import random
import struct
from dataclasses import dataclass

import numpy as np

from waybill.delta.io import Array

CODE, DATA, HDR = 0x401000, 0x500000, 0x600000
_CODE_AT, _DATA_AT = 0x1000, 0x40000


@dataclass
class Program:
    """The file, and where each piece of it stands: name to (offset, length)."""

    data: bytes
    pieces: dict[str, tuple[int, int]]


def _x86(name: int, at: int, places: dict[int, int], words: dict[int, int], choice: random.Random) -> bytes:
    out = bytearray(b"\x55\x48\x89\xe5")
    for _ in range(12):
        other = choice.randrange(10_000)
        kind = choice.randrange(4)
        if kind == 0:
            out += b"\xe8" + struct.pack("<i", _pick(places, other) - (at + len(out) + 5))
        elif kind == 1:
            out += b"\x48\x8d\x3d" + struct.pack("<i", _pick(words, other) - (at + len(out) + 7))
        elif kind == 2:
            out += b"\x0f\x84" + struct.pack("<i", _pick(places, other) - (at + len(out) + 6))
        else:
            out += b"\xb8" + struct.pack("<I", choice.randrange(1 << 32))
    return bytes(out + b"\x5d\xc3").ljust(112, b"\xcc")


def _arm(name: int, at: int, places: dict[int, int], words: dict[int, int], choice: random.Random) -> bytes:
    out: list[int] = []
    while len(out) < 26:
        other = choice.randrange(10_000)
        here = at + 4 * len(out)
        kind = choice.randrange(4)
        if kind == 0:
            out.append(0x94000000 | (_pick(places, other) - here >> 2) & 0x3FFFFFF)
        elif kind == 1:
            target = _pick(words, other)
            pages = (target >> 12) - (here >> 12)
            out.append(0x90000000 | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5 | 1)
            out.append(0x91000021 | (target & 0xFFF) << 10)
        elif kind == 2:
            out.append(0x54000000 | (_pick(places, other) - here >> 2 & 0x7FFFF) << 5)
        else:
            out.append(0xD2800000 | choice.randrange(1 << 16) << 5 | 7)
    return struct.pack("<28I", *[*out, 0xD503201F][:27], 0xD65F03C0)


def _pick(places: dict[int, int], number: int) -> int:
    keys = [key for key in places if key < 1000]  # what the new version adds is called by nobody
    return places[keys[number % len(keys)]]


def build(machine: int, functions: list[int], gap: int, digest: str = "7MpWdNTwp7n") -> Program:
    """A program with one function of 112 bytes per number; ``gap`` bytes of padding stand before the data."""
    make = _x86 if machine == 62 else _arm
    places = {name: CODE + 112 * index for index, name in enumerate(functions)}
    words = {name: DATA + gap + 8 * index for index, name in enumerate(sorted(n for n in functions if n < 1000))}
    code = b"".join(make(name, places[name], places, words, random.Random(name)) for name in functions)
    table = b"".join(struct.pack("<Q", places[name]) for name in words)
    names, offsets = bytearray(b"\0"), {}
    for name in functions:
        offsets[name] = len(names)
        names += f"_RNvCs{digest}_5crate{name}\0".encode()
    symbols = bytes(24) + b"".join(struct.pack("<IBBHQQ", offsets[name], 2, 0, 1, places[name], 112) for name in functions)
    data = bytearray(_DATA_AT) + bytes(gap) + table
    data[_CODE_AT : _CODE_AT + len(code)] = code
    data += bytes(-len(data) % 8)
    pieces = {"code": (_CODE_AT, len(code)), "data": (_DATA_AT + gap, len(table)), "symbols": (len(data), len(symbols))}
    data += symbols
    pieces["names"] = (len(data), len(names))
    data += names
    data += bytes(-len(data) % 8)
    sections = [
        (0, 0, 0, 0, 0, 0),
        (1, 1, 6, CODE, _CODE_AT, len(code)),
        (7, 1, 3, DATA, _DATA_AT, gap + len(table)),
        (13, 2, 0, 0, *pieces["symbols"]),
        (21, 3, 0, 0, *pieces["names"]),
    ]
    labels = b"\0.text\0.data\0.symtab\0.strtab\0.shstr\0"
    label_at = len(data)
    data += labels + bytes(-len(labels) % 8)
    sections.append((29, 3, 0, 0, label_at, len(labels)))
    table_at = len(data)
    for index, (name, kind, flags, address, offset, size) in enumerate(sections):
        data += struct.pack("<IIQQQQIIQQ", name, kind, flags, address, offset, size, 4 if index == 3 else 0, 0, 8, 0)
    loads = [(5, _CODE_AT, CODE, len(code)), (6, _DATA_AT, DATA, gap + len(table))]
    data[:64] = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, machine, 1, CODE, 64, table_at, 0, 64, 56, 2, 64, len(sections), 5
    )
    for index, (flags, offset, address, size) in enumerate(loads):
        data[64 + 56 * index : 120 + 56 * index] = struct.pack("<IIQQQQQQ", 1, flags, offset, address, address, size, size, 0x1000)
    pieces["tail"] = (label_at, len(data) - label_at)
    return Program(bytes(data), pieces)


def pair(machine: int, count: int = 300) -> tuple[bytes, bytes, Array]:
    """An old and a new version, and the records: three functions were put in, the data moved by 64 bytes, a crate got another digest."""
    before = list(range(count))
    after = [*before[:40], 1000, *before[40:100], 1001, 1002, *before[100:]]
    old, new = build(machine, before, 0), build(machine, after, 64, "i1HTDsDXWYj")
    copies = []
    for index, name in enumerate(after):
        if name < 1000:
            copies.append((_CODE_AT + 112 * index, 112, _CODE_AT + 112 * name))
            copies.append((new.pieces["symbols"][0] + 24 * (index + 1), 24, old.pieces["symbols"][0] + 24 * (name + 1)))
    copies.append((new.pieces["data"][0], new.pieces["data"][1], old.pieces["data"][0]))
    old_names, new_names = (one.data[slice(one.pieces["names"][0], sum(one.pieces["names"]))] for one in (old, new))
    at = 1
    for text in new_names[1:].split(b"\0"):
        where = old_names.find(b"\0" + text.replace(b"i1HTDsDXWYj", b"7MpWdNTwp7n") + b"\0") if text else -1
        if where >= 0:
            copies.append((new.pieces["names"][0] + at, len(text) + 1, old.pieces["names"][0] + where + 1))
        at += len(text) + 1
    return old.data, new.data, records_of(sorted(copies), len(new.data))


def records_of(copies: list[tuple[int, int, int]], size: int) -> Array:
    """Records from (place in the new file, length, place in the old file), joined where they follow one another."""
    joined: list[list[int]] = []
    for place, length, source in copies:
        if joined and joined[-1][0] + joined[-1][1] == place and joined[-1][2] + joined[-1][1] == source:
            joined[-1][1] += length
        else:
            joined.append([place, length, source])
    ends = [place for place, _, _ in joined[1:]] + [size]
    records = [(length, end - place - length, source) for (place, length, source), end in zip(joined, ends, strict=True)]
    return np.array([(0, joined[0][0], 0), *records], np.int64)


def copied(new: bytes, records: Array) -> bytes:
    """The bytes of ``new`` in the places of copies."""
    out, at = [], 0
    for copy, extra, _ in records.tolist():
        out.append(new[at : at + copy])
        at += copy + extra
    return b"".join(out)
