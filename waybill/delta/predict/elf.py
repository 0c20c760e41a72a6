# SPDX-License-Identifier: Apache-2.0
"""Where an ELF64 file says that its bytes are loaded. Reads heads and section tables; refuses whatever is doubtful instead of guessing.

Both sides read the old file, and the head of the new file comes from the wire: nothing here trusts a number.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets

X86_64: Final = 62
AARCH64: Final = 183
HEAD_MOST: Final = 1 << 14
"""The program headers must end before this offset."""
_SEGMENTS_MOST: Final = 64
_SECTIONS_MOST: Final = 4096
ADDRESS_LIMIT: Final = 1 << 47
"""Addresses from here on are refused: sums of them could leave int64, and no program of user space has one."""
_LOAD: Final = 1
_EH_FRAME: Final = 0x6474E550


@dataclass(frozen=True, slots=True)
class Segment:
    """``size`` bytes at file offset ``offset`` are loaded at ``address``; ``memory`` bytes are mapped there."""

    address: int
    offset: int
    size: int
    memory: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One line of the section table: ``kind`` is sh_type, ``flags`` sh_flags, ``link`` the index of another section."""

    name: bytes
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True)
class Image:
    """The loaded view of one file.

    ``segments``: by address, without overlap, at least one. ``eh_frame``: (address, offset, size) of the table of unwind entries, or None.
    ``head_size``: up to here the file must be known to read this.
    """

    machine: int
    segments: tuple[Segment, ...]
    eh_frame: tuple[int, int, int] | None
    head_size: int

    def addresses(self, offsets: Array) -> Array:
        """The address of each file offset; one that no segment loads counts on from the segment before it."""
        order = sorted(self.segments, key=lambda one: (one.offset, one.address))
        starts = np.array([one.offset for one in order], np.int64)
        shifts = np.array([one.address - one.offset for one in order], np.int64)
        return offsets + shifts[np.maximum(np.searchsorted(starts, offsets, "right") - 1, 0)]

    def mapped(self, addresses: Array) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether a segment maps each address."""
        starts, ends = (
            np.array(found, np.int64) for found in zip(*((s.address, s.address + s.memory) for s in self.segments), strict=True)
        )
        place = np.maximum(np.searchsorted(starts, addresses, "right") - 1, 0)
        found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (addresses >= starts[place]) & (addresses < ends[place])
        return found

    def executes(self, addresses: Array) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether the file holds code at each address, as far as segments tell."""
        found = np.zeros(len(addresses), np.bool_)
        for one in self.segments:
            if one.executable:
                found |= (addresses >= one.address) & (addresses < one.address + one.size)
        return found

    def offsets(self, addresses: Array) -> Array:
        """The file offset of each address; -1 where the file holds no byte for it."""
        starts = np.array([one.address for one in self.segments], np.int64)
        ends = np.array([one.address + one.size for one in self.segments], np.int64)
        shifts = np.array([one.offset - one.address for one in self.segments], np.int64)
        place = np.maximum(np.searchsorted(starts, addresses, "right") - 1, 0)
        inside = (addresses >= starts[place]) & (addresses < ends[place])
        return np.where(inside, addresses + shifts[place], -1)


def read_image(data: bytes, size: int) -> Image | None:
    """The image that the first bytes of a file of ``size`` bytes describe; None for another kind of file or on any doubt.

    Source: ELF-64 object file format, file header and program headers.
    """
    if data[:7] != b"\x7fELF\x02\x01\x01" or len(data) < 64:
        return None
    machine = int.from_bytes(data[18:20], "little")
    start = int.from_bytes(data[32:40], "little")
    entry, count = struct.unpack_from("<HH", data, 54)
    end = start + entry * count
    if entry != 56 or not 0 < count <= _SEGMENTS_MOST or start < 64 or end > min(HEAD_MOST, len(data), size):
        return None
    segments, table = [], None
    for at in range(start, end, entry):
        kind, flags, offset, address, _, stored, memory, _ = struct.unpack_from("<IIQQQQQQ", data, at)
        if kind not in (_LOAD, _EH_FRAME) or not memory:
            continue
        if address + memory > ADDRESS_LIMIT or offset + stored > size or stored > memory:
            return None
        if kind == _LOAD:
            segments.append(Segment(address, offset, stored, memory, bool(flags & 1)))
        else:
            table = (address, offset, stored)
    segments.sort(key=lambda one: (one.address, one.offset))
    if (
        not segments
        or _overlap([(s.address, s.memory) for s in segments])
        or _overlap(sorted((s.offset, s.size) for s in segments if s.size))
    ):
        return None
    return Image(machine, tuple(segments), table, end)


def read_sections(data: bytes) -> list[Section]:
    """The section table; empty when there is none or when any line of it is doubtful. Only ever asked of the old file."""
    start = int.from_bytes(data[40:48], "little")
    entry, count, names = struct.unpack_from("<HHH", data, 58)
    if entry != 64 or not 0 < count <= _SECTIONS_MOST or names >= count or not 64 <= start <= len(data) - entry * count:
        return []
    lines = [struct.unpack_from("<IIQQQQIIQQ", data, start + entry * index) for index in range(count)]
    text = lines[names]
    found = []
    for name, kind, flags, address, offset, size, link, _, _, _ in lines:
        stored = 0 if kind in (0, 8) else size
        if (stored and offset + stored > len(data)) or address + size > ADDRESS_LIMIT or offset > ADDRESS_LIMIT or link >= count:
            return []
        label = data[text[4] + name : text[4] + min(name + 64, text[5])].split(b"\0")[0]
        found.append(Section(label, kind, flags, address, offset, stored, link))
    return [] if _overlap(sorted((one.offset, one.size) for one in found if one.size)) else found


def code_and_data(image: Image, sections: list[Section]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The (offset, size) of loaded code, and of loaded data: by sections where there are any, else by segments."""
    loaded = [(one.offset, one.size, bool(one.flags & 4)) for one in sections if one.flags & 2 and one.size]
    loaded = loaded or [(one.offset, one.size, one.executable) for one in image.segments if one.size]
    return [(at, size) for at, size, code in loaded if code], [(at, size) for at, size, code in loaded if not code]


def _overlap(ranges: list[tuple[int, int]]) -> bool:
    return any(start + size > following for (start, size), (following, _) in pairwise(ranges))


def int32_at(data: Octets, places: Array) -> Array:
    """The signed little-endian 32-bit numbers at ``places``, as int64."""
    value = data[places].astype(np.int64)
    for byte in (1, 2, 3):
        value |= data[places + byte].astype(np.int64) << (8 * byte)
    return value - ((value >> 31) << 32)


def int64_at(data: Octets, places: Array) -> Array:
    """The signed little-endian 64-bit numbers at ``places``."""
    value = data[places].astype(np.int64)
    for byte in range(1, 8):
        value |= data[places + byte].astype(np.int64) << (8 * byte)
    return value
