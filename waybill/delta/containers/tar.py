# SPDX-License-Identifier: Apache-2.0
"""Tar archives: ustar, pax, GNU long names and what came before them (POSIX.1-2017 "pax"; GNU tar manual, "Basic Tar Format").

Files become members, and the headers before each of them a part of their own, whose checksums can be foretold. Sparse files stay raw: their
content is a map and pieces. Reading stops at the first block that is no header.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final
from zlib import adler32

from waybill.delta.containers.base import Part, Window, text
from waybill.delta.io import View
from waybill.delta.limits import Limits

BLOCK: Final = 512
_SUM: Final = slice(148, 156)
_BLANK_SUM: Final = 8 * 0x20
_NUMBER: Final = re.compile(rb"\s*([0-7]{1,12})[\s\0]*")
_WITHOUT_CONTENT: Final = b"123456"
"""Links, devices, folders, pipes: whatever size their header names, nothing follows."""
_LONG_NAME, _LONG_LINK, _PAX, _PAX_SOLARIS, _PAX_GLOBAL, _SPARSE = b"LKxXgS"
_PAX_RECORD: Final = re.compile(rb"(\d{1,10}) ([^=\n]{1,255})=")
_PAX_BYTES: Final = 1 << 20
_SPARSE_BLOCKS: Final = 1 << 16
_HEADERS_MOST: Final = 1 << 20
"""Longer runs of headers, of a hundred thousand links for instance, stay as they are."""


class Tar:
    """Every file with its content becomes a member, behind its headers."""

    name = "tar"

    def sniff(self, head: bytes) -> bool:
        """By the checksum of the first header."""
        return len(head) >= BLOCK and is_header(head[:BLOCK])

    def parts(self, view: View, limits: Limits, /) -> Iterable[Part] | None:
        """Never None: what was sniffed has one header at least."""
        return _members(view, limits)


def is_header(block: bytes) -> bool:
    """Whether the checksum of the 512 bytes is right.

    The sum of the bytes, modulo 65521, is the low half of their Adler-32: that is thirty times as fast as to add them.
    """
    named = _number(block[_SUM])
    sums = (adler32(block) & 0xFFFF) - 1 - (adler32(block[_SUM]) & 0xFFFF) + 1 + _BLANK_SUM
    return named is not None and named > 0 and (named - sums) % 65521 == 0


def _number(field: bytes) -> int | None:
    """Octal digits, or base 256 when the top bit is set; empty counts as 0; None for anything else and for what is negative."""
    if field[0] & 0x80:
        return None if field[0] & 0x40 else int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
    if found := _NUMBER.fullmatch(field):
        return int(found[1], 8)
    return None if field.strip(b"\0 ") else 0


@dataclass(frozen=True, slots=True)
class _Told:
    """What the headers before a file say about it."""

    name: str = ""
    size: int | None = None
    sparse: bool = False


_NOTHING: Final = _Told()


def _members(view: View, limits: Limits) -> Iterator[Part]:
    window = Window(view)
    at, told = 0, _NOTHING
    headers = 0
    """Where the headers begin that no part covers yet."""
    for _ in range(limits.nodes):
        block = window.read(at, BLOCK)
        if len(block) < BLOCK or not is_header(block):
            return
        size = _number(block[124:136])
        if size is None:
            return
        kind, at = block[156], at + BLOCK
        if kind in (_PAX, _PAX_SOLARIS, _LONG_NAME):
            told = _heard(told, kind, window.read(at, min(size, _PAX_BYTES)))
            at += _padded(size)
        elif kind in (_PAX_GLOBAL, _LONG_LINK):
            at += _padded(size)
        else:
            size = size if told.size is None else told.size
            sparse = told.sparse or kind == _SPARSE
            if kind == _SPARSE:
                at += _sparse_map(window, block, at)
            if kind not in _WITHOUT_CONTENT:
                size = min(size, view.length - at)
                if size > 0 and not sparse:
                    if at - headers <= _HEADERS_MOST:
                        yield Part(headers, at - headers, "coded", codec="tar-header")
                    yield Part(at, size, "member", told.name or _name(block))
                    headers = at + _padded(size)
                at += _padded(size)
            told = _NOTHING


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    return text(name)


def _heard(told: _Told, kind: int, content: bytes) -> _Told:
    """``told`` with what a GNU long name or a pax header adds."""
    if kind == _LONG_NAME:
        return replace(told, name=text(content.split(b"\0", 1)[0]))
    at = 0
    while found := _PAX_RECORD.match(content, at):
        key, value = found[2], content[found.end() : at + int(found[1]) - 1]
        if key == b"path":
            told = replace(told, name=text(value))
        elif key == b"size" and value.isdigit() and len(value) < 20:
            told = replace(told, size=int(value))
        elif key.startswith(b"GNU.sparse."):
            told = replace(told, sparse=True)
        if at + int(found[1]) <= found.end():
            break
        at += int(found[1])
    return told


def _sparse_map(window: Window, block: bytes, at: int) -> int:
    """Bytes of the map blocks that follow an old GNU sparse header."""
    more, length = block[482], 0
    while more and length < _SPARSE_BLOCKS * BLOCK:
        following = window.read(at + length, BLOCK)
        if len(following) < BLOCK:
            break
        more = following[504]
        length += BLOCK
    return length
