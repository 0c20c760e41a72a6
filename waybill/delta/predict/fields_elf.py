# SPDX-License-Identifier: Apache-2.0
"""Fields that every ELF64 file may have, whatever its machine: words of data, unwind tables, symbol tables."""

from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.predict.elf import Image, Section, int32_at, int64_at
from waybill.delta.predict.fields import ITSELF, NOTHING, UNLOADED, Found, Kind

KINDS: Final = (
    Kind("word", 8),
    Kind("table start", 4),
    Kind("table entry", 4),
    Kind("unwind start", 4),
    Kind("unwind length", 4, votes=False),
    Kind("unwind common", 4, negative=True),
    Kind("symbol name", 4),
    Kind("symbol value", 8),
    Kind("symbol size", 8, votes=False),
    Kind("case", 4),
)
WORD, TABLE_START, TABLE_ENTRY, UNWIND_START, UNWIND_LENGTH, UNWIND_COMMON, SYMBOL_NAME, SYMBOL_VALUE, SYMBOL_SIZE, CASE = range(len(KINDS))
_CASES_LEAST: Final = 3
"""A shorter table is too likely something else."""
_LOWEST: Final = 4096
"""Words below this are numbers, not addresses."""


def add_unwind(found: Found, data: Octets, image: Image) -> None:
    """The table of unwind entries (.eh_frame_hdr) and the entries that it names."""
    if image.eh_frame is None:
        return
    address, offset, size = image.eh_frame
    if size < 12 or data[offset : offset + 4].tobytes() != b"\x01\x1b\x03\x3b":
        return
    count = min(int.from_bytes(data[offset + 8 : offset + 12].tobytes(), "little"), (size - 12) // 8)
    place = offset + 12 + 8 * np.arange(count, dtype=np.int64)
    entry = address + int32_at(data, place + 4)
    found.add(TABLE_START, place, address + int32_at(data, place), address)
    found.add(TABLE_ENTRY, place + 4, entry, address)
    at = np.unique(image.offsets(entry))
    at = at[(at > 0) & (at + 20 < len(data))]
    at = at[np.diff(at, prepend=-32) >= 16]
    start = image.addresses(at + 8) + int32_at(data, at + 8)
    length = int32_at(data, at + 12)
    good = image.mapped(start) & (length > 0)
    at, start, length = at[good], start[good], length[good]
    found.add(UNWIND_COMMON, at + 4, image.addresses(at + 4) - int32_at(data, at + 4), ITSELF)
    found.add(UNWIND_START, at + 8, start, ITSELF)
    found.add(UNWIND_LENGTH, at + 12, start + length, start)


def add_symbols(found: Found, data: Octets, image: Image, sections: list[Section]) -> None:
    """.symtab and .dynsym: name, value and size of every symbol that has a place."""
    for section in sections:
        names = sections[section.link]
        if section.kind not in (2, 11) or names.kind != 3:
            continue
        at = section.offset + 24 * np.arange(section.size // 24, dtype=np.int64)
        name = int32_at(data, at)
        named = (name > 0) & (name < names.size)
        base = names.address or UNLOADED + names.offset
        found.add(SYMBOL_NAME, at[named], base + name[named], base)
        value, size = int64_at(data, at + 8), int64_at(data, at + 16)
        good = image.mapped(value)
        found.add(SYMBOL_VALUE, at[good] + 8, value[good], NOTHING)
        good &= (size > 0) & (size < 1 << 40)
        found.add(SYMBOL_SIZE, at[good] + 16, value[good] + size[good], value[good])


def add_words(found: Found, data: Octets, image: Image, places: list[tuple[int, int]]) -> None:
    """Aligned words of data that point into the image: pointers, relocations, dynamic entries. ``places``: (offset, size) of data."""
    for offset, size in places:
        start, end = (offset + 7) // 8 * 8, (offset + size) // 8 * 8
        if end <= start:
            continue
        words: Array = data[start:end].view("<i8").astype(np.int64)
        place = np.flatnonzero(image.mapped(words) & (words >= _LOWEST))
        found.add(WORD, start + 8 * place, words[place], NOTHING)


def add_cases(found: Found, data: Octets, image: Image, places: list[tuple[int, int]], named: Array) -> None:
    """Tables of the distances from the table to code, as compilers make them for a switch.

    Args:
        places: (offset, size) of data.
        named: addresses that code names. A table starts at one of them and ends before the next, or where an entry does not lead to code.
    """
    starts = np.unique(named[named % 4 == 0])
    for offset, size in places:
        first = int(image.addresses(np.array([offset], np.int64))[0])
        address = (first + 3) // 4 * 4 + 4 * np.arange(max(size - 7, 0) // 4, dtype=np.int64)
        here = starts[(starts >= first) & (starts < first + size)]
        if not len(here) or not len(address):
            continue
        owner = np.searchsorted(here, address, "right") - 1
        at = address - first + offset
        target = here[np.maximum(owner, 0)] + int32_at(data, at)
        bad = np.flatnonzero((owner < 0) | ~image.executes(target))
        begin = np.searchsorted(address, here)
        ends = np.append(bad, len(address))[np.searchsorted(bad, begin)]
        ends = np.minimum(ends, np.append(begin[1:], len(address)))
        long = ends - begin >= _CASES_LEAST
        inside = np.zeros(len(address) + 1, np.int64)
        np.add.at(inside, begin[long], 1)
        np.add.at(inside, ends[long], -1)
        chosen = np.flatnonzero(np.cumsum(inside[:-1]) > 0)
        found.add(CASE, at[chosen], target[chosen], here[owner[chosen]])
