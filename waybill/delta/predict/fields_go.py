# SPDX-License-Identifier: Apache-2.0
"""Fields of programs that the Go linker made (Go 1.20 and later): function tables, types, and the module's own description.

Sources of the layouts: runtime/symtab.go and internal/abi/type.go of Go, as documented facts; 8-byte pointers only.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.predict.elf import ADDRESS_LIMIT, Image, Section, int32_at, int64_at
from waybill.delta.predict.fields import Found, Kind

KINDS: Final = (
    Kind("go function", 4),
    Kind("go text", 4),
    Kind("go name", 4),
    Kind("go values", 4),
    Kind("go files", 4, bits=32, unit=4),
    Kind("go path", 4),
    Kind("go data", 4),
    Kind("go bucket", 4, bits=32, unit=8),
    Kind("go type name", 4),
    Kind("go type", 4),
)
_MAGIC: Final = b"\xf1\xff\xff\xff\x00\x00"
_FUNCTION: Final = 44
_INLINED: Final = 3
"""The place of the tree of inlined calls among the data of a function."""
_ADDRESSES: Final = (19, 22, 23, 37, 38, 40)
"""The words of the module's description that must be addresses."""
_FUNCTIONS_MOST: Final = 1 << 22
_SHAPES: Final = {17: 72, 18: 64, 19: 56, 20: 80, 21: 104, 22: 56, 23: 56, 25: 80}
"""Bytes of a type by its kind; every other kind has 48."""


@dataclass(frozen=True, slots=True)
class _Module:
    """Addresses out of the module's description; ``count`` functions."""

    table: int
    count: int
    names: int
    files: int
    paths: int
    values: int
    functions: int
    buckets: int
    buckets_end: int
    text: int
    types: int
    types_end: int
    data: int
    links: int
    link_count: int

    @classmethod
    def of(cls, table: int, count: int, offsets: list[int], words: list[int]) -> "_Module":
        """The module whose description are ``words``; Go 1.26 has one word more before the slices of types."""
        late = 45 if words[46] == words[47] and words[43] == words[44] else 44
        names, files, paths, values, functions = (table + one for one in offsets)
        first, last = words[19], words[19] + 20 * ((words[23] - words[22]) >> 12)
        ends = words[22], words[37], words[38], words[40], words[late], words[late + 1]
        return cls(table, count, names, files, paths, values, functions, first, last, *ends)


def add_go(found: Found, first: int, data: Octets, image: Image, sections: list[Section]) -> None:
    """Adds the fields; their kinds are numbered from ``first``. A file without Go's tables has none."""
    table = next((one for one in sections if one.name.endswith(b".gopclntab")), None)
    if table is None or data[table.offset : table.offset + 6].tobytes() != _MAGIC:
        return
    module = _module(data, image, table)
    if module is not None:
        _Go(found, first, data, image, module).add()


def _module(data: Octets, image: Image, section: Section) -> _Module | None:
    """The module's description: the words that start with the address of the table and of the names in it."""
    head = int64_at(data, section.offset + 8 + 8 * np.arange(8, dtype=np.int64)) if section.size > 72 else np.zeros(8, np.int64)
    count, offsets = int(head[0]), [int(one) for one in head[3:8]]
    if not 0 < count <= _FUNCTIONS_MOST or not all(0 < one < section.size for one in offsets):
        return None
    table = section.address
    for segment in image.segments:
        start, end = (segment.offset + 7) // 8 * 8, (segment.offset + segment.size) // 8 * 8
        words: Array = data[start:end].view("<i8") if end > start and not segment.executable else np.zeros(0, np.int64)
        for place in np.flatnonzero(words == table)[:64].tolist():
            found = [int(one) for one in words[place : place + 52]]
            if len(found) == 52 and found[1] == table + offsets[0] and all(0 < found[one] < ADDRESS_LIMIT for one in _ADDRESSES):
                return _Module.of(table, count, offsets, found)
    return None


class _Go:
    """Adds the fields of one module."""

    def __init__(self, found: Found, first: int, data: Octets, image: Image, module: _Module) -> None:
        self._found = found
        self._first = first
        self._data = data
        self._image = image
        self._module = module

    def add(self) -> None:
        """Functions first: their fields are certain."""
        self._functions()
        self._types()
        self._buckets()

    def _buckets(self) -> None:
        """One line of 20 bytes per 4 KiB of code, which starts with the number of a function."""
        start = self._offset(self._module.buckets)
        count = min((self._module.buckets_end - self._module.buckets) // 20, len(self._data) // 20)
        if start > 0:
            self._add(7, start + 20 * np.arange(count, dtype=np.int64), self._module.functions)

    def _add(self, kind: int, at: Array, base: int, *, nothing: int | None = 0) -> None:
        """Adds the fields at file offsets ``at`` that hold another value than ``nothing``."""
        at = at[(at > 0) & (at + 4 < len(self._data))]
        value = int32_at(self._data, at)
        good = (value >= 0) if nothing is None else (value > nothing)
        at, value = at[good], value[good]
        order = np.argsort(at, kind="stable")
        at, value = at[order], value[order]
        apart = np.diff(at, prepend=-8) >= 4
        self._found.add(self._first + kind, at[apart], base + value[apart] * KINDS[kind].unit, base)

    def _offset(self, address: int) -> int:
        return int(self._image.offsets(np.array([address], np.int64))[0])

    def _functions(self) -> None:
        module, data = self._module, self._data
        start = self._offset(module.functions)
        count = min(module.count, max(len(data) - start - 8, 0) // 8)
        if start < 0 or not count:
            return
        line = start + 8 * np.arange(count, dtype=np.int64)
        function = start + int32_at(data, line + 4)
        function = np.unique(function[(function > start) & (function + _FUNCTION + 8 < len(data))])
        self._add(1, np.append(line, start + 8 * count), module.text, nothing=None)
        self._add(0, line + 4, module.functions)
        for offset, kind, base, nothing in (
            (0, 1, module.text, None),
            (4, 2, module.names, None),
            (16, 3, module.values, 0),
            (20, 3, module.values, 0),
            (24, 3, module.values, 0),
            (32, 4, module.files, None),
        ):
            self._add(kind, function + offset, base, nothing=nothing)
        values = np.minimum(int32_at(data, function + 28) & 0xFFFF, 64)
        self._add(3, self._runs(function + _FUNCTION, values), module.values)
        lists = np.minimum(data[function + 43].astype(np.int64), 32)
        self._add(6, self._runs(function + _FUNCTION + 4 * values, lists), module.data, nothing=None)
        self._inlined(
            function[lists > 3] + _FUNCTION + 4 * values[lists > 3] + 4 * _INLINED, self._runs(function + _FUNCTION + 4 * values, lists)
        )
        file = self._offset(module.files)
        if file > 0 and module.paths > module.files:
            self._add(5, file + 4 * np.arange((module.paths - module.files) // 4, dtype=np.int64), module.paths, nothing=None)

    def _inlined(self, places: Array, lists: Array) -> None:
        """The trees of inlined calls: a line of 16 bytes per call, up to where other data of functions starts."""
        start = self._offset(self._module.data)
        if start < 0 or not len(lists):
            return
        borders = np.unique(int32_at(self._data, lists[lists + 4 < len(self._data)]))
        tree = int32_at(self._data, places[places + 4 < len(self._data)])
        tree = np.unique(tree[tree >= 0])
        after = np.searchsorted(borders, tree, "right")
        tree, after = tree[after < len(borders)], after[after < len(borders)]
        count = np.minimum((borders[after] - tree) // 16, 4096)
        line = self._runs(start + tree, count, 16)
        line = line[line + 16 < len(self._data)]
        self._add(2, line + 4, self._module.names)

    def _types(self) -> None:
        module, data = self._module, self._data
        start, end = self._offset(module.types), self._offset(module.types_end - 1)
        links = self._offset(module.links)
        if start < 0 or end < 0:
            return
        if links > 0:
            self._add(9, links + 4 * np.arange(min(module.link_count, len(data) // 4), dtype=np.int64), module.types)
        at = np.arange((start + 7) // 8 * 8, end - 128, 8, dtype=np.int64)
        flags, align, also, kind = (data[at + place].astype(np.int64) for place in (20, 21, 22, 23))
        kind &= 31
        name = int32_at(data, at + 40)
        good = (flags < 64) & (align == also) & np.isin(align, (1, 2, 4, 8, 16)) & (kind > 0) & (kind < 27)
        good &= (name > 0) & (name < module.types_end - module.types)
        size, pointers = int64_at(data, at), int64_at(data, at + 8)
        good &= (size >= 0) & (size < 1 << 32) & (pointers >= 0) & (pointers <= size)
        at, flags, kind = at[good], flags[good], kind[good]
        self._add(8, at + 40, module.types)
        self._add(9, at + 44, module.types)
        face = at[kind == 20]
        place, count = self._image.offsets(int64_at(data, face + 56)), int64_at(data, face + 64)
        sane = (place > 0) & (count >= 0) & (count < 512)
        method = self._runs(place[sane], count[sane], 8)
        method = method[method + 8 < len(data)]
        self._add(8, method, module.types)
        self._add(9, method + 4, module.types)
        more = (flags & 1) == 1
        shape = np.full(32, 48, np.int64)
        shape[list(_SHAPES)] = list(_SHAPES.values())
        self._methods(at[more] + shape[kind[more]])

    def _methods(self, at: Array) -> None:
        """The descriptions at ``at`` of what a type is called and can do."""
        module, data = self._module, self._data
        at = at[at + 16 < len(data)]
        self._add(8, at, module.types)
        count = np.minimum(data[at + 4].astype(np.int64) | data[at + 5].astype(np.int64) << 8, 512)
        first = at + int32_at(data, at + 8)
        sane = (first > at) & (first + 16 * count + 16 < len(data)) & (first < at + 4096)
        method = self._runs(first[sane], count[sane], 16)
        self._add(8, method, module.types)
        self._add(9, method + 4, module.types)
        self._add(1, method + 8, module.text)
        self._add(1, method + 12, module.text)

    def _runs(self, starts: Array, counts: Array, stride: int = 4) -> Array:
        """The places ``start, start + stride, …`` of every start, as often as its count says; none if they are more than the file could hold."""
        counts = np.maximum(counts, 0)
        if int(counts.sum()) > len(self._data) // 4:
            return np.zeros(0, np.int64)
        before = np.cumsum(counts) - counts
        return np.repeat(starts, counts) + stride * (np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(before, counts))
