# SPDX-License-Identifier: Apache-2.0
"""Zip archives: wheels, jars, nupkg, and zips behind a program that opens them (PKWARE APPNOTE 6.3.10, with zip64 and data descriptors).

The central directory is read once to find and check every entry, and once more while the entries are handed out: of a million entries only
three numbers each are held. Two end records, entries that overlap, or a local header that says otherwise than the directory: no zip.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

from waybill.delta.containers.base import HEAD, Part, Window, text
from waybill.delta.io import Array, View
from waybill.delta.limits import Limits

_END: Final = struct.Struct("<4sHHHHIIH")
_END64: Final = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR: Final = struct.Struct("<4sIQI")
_ENTRY: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_COMMENT: Final = 0xFFFF
_USUAL_NAME: Final = 512
"""Name and extra fields of an entry of the directory are rarely longer; then they cost a second read."""
_IN_64: Final = 0xFFFFFFFF
_ENCRYPTED, _DESCRIPTOR, _EFFORT = 1, 8, 6
_CODECS: Final = {8: "deflate", 12: "bzip2", 20: "zstd", 93: "zstd", 95: "xz"}


class Zip:
    """Every stored or compressed entry becomes a part; entries that are encrypted or packed in another way are members as they stand."""

    name = "zip"

    def sniff(self, head: bytes) -> bool:
        """By the first two bytes."""
        return head[:2] == b"PK"

    def parts(self, view: View, limits: Limits, /) -> Iterable[Part] | None:
        """None when the end, the directory and the local headers do not agree with each other."""
        directory = _find_directory(view)
        entries = None if directory is None else _index(view, directory, limits)
        return None if directory is None or entries is None else chain(_parts(view, entries), [directory.part])


class AppendedZip:
    """A zip behind something else: a program, a script, a signature. Only its end tells of it, which must be without a comment then.

    What stands before it is a member of its own, without a name.
    """

    name = "appended zip"

    def sniff(self, head: bytes) -> bool:
        """Whatever is long enough and begins with something else."""
        return len(head) == HEAD and head[:2] != b"PK"

    def parts(self, view: View, limits: Limits, /) -> Iterable[Part] | None:
        """As for ``Zip``."""
        end = view.read_at(view.length - _END.size, _END.size)
        directory = _find_directory(view) if end[:4] == b"PK\x05\x06" and end[-2:] == b"\0\0" else None
        entries = None if directory is None else _index(view, directory, limits)
        if directory is None or entries is None or not len(entries):
            return None
        return chain([Part(0, directory.base or int(entries[0, 0]), "member")], _parts(view, entries), [directory.part])


class _Directory(NamedTuple):
    """``start``: where it begins in the view; ``base``: where the archive begins, behind a program for instance.

    ``entries`` is a number modulo 65536: without zip64 the end record has no room for more.
    """

    start: int
    size: int
    entries: int
    base: int

    @property
    def part(self) -> Part:
        """The directory itself, in which the offsets can be foretold."""
        return Part(self.start, self.size, "coded", "central directory", "zip-directory")


class _Entry(NamedTuple):
    """One entry of the central directory; ``length`` is the size of the entry in the directory itself."""

    length: int
    offset: int
    packed: int
    plain: int
    method: int
    flags: int
    made_by: int
    name: bytes


def _find_directory(view: View) -> _Directory | None:
    at = _find_end(view)
    if at is None:
        return None
    _, disk, start_disk, here, count, size, offset, _ = _END.unpack(view.read_at(at, _END.size))
    end = at
    if at >= _LOCATOR.size and view.read_at(at - _LOCATOR.size, 4) == b"PK\x06\x07":
        found = _find_end64(view, at - _LOCATOR.size)
        if found is None:
            return None
        end, here, count, size, offset = found
    elif disk or start_disk:
        return None
    base = end - size - offset
    if here != count or base < 0:
        return None
    return _Directory(end - size, size, count & 0xFFFF, base)


def _find_end(view: View) -> int | None:
    """Where the one end record stands whose comment ends with the file; None for none or for several."""
    if view.length < _END.size:
        return None
    last = view.length - _END.size
    first = max(0, last - _COMMENT)
    tail = view.read_at(first, view.length - first)
    found, at = [], tail.find(b"PK\x05\x06")
    while 0 <= at <= last - first:
        if at + _END.size + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
            found.append(first + at)
        at = tail.find(b"PK\x05\x06", at + 1)
    return found[0] if len(found) == 1 else None


def _find_end64(view: View, locator: int) -> tuple[int, int, int, int, int] | None:
    """Where the zip64 end record stands, and its entry counts, size and offset of the directory."""
    _, disk, offset, _ = _LOCATOR.unpack(view.read_at(locator, _LOCATOR.size))
    for at in (offset, locator - _END64.size):
        if not disk and 0 <= at <= locator - _END64.size:
            magic, _, _, _, this, start, here, count, size, where = _END64.unpack(view.read_at(at, _END64.size))
            if magic == b"PK\x06\x06" and not this and not start:
                return at, here, count, size, where
    return None


def _read_entry(window: Window, at: int) -> _Entry | None:
    head = window.read(at, _ENTRY.size + _USUAL_NAME)
    if len(head) < _ENTRY.size:
        return None
    magic, made_by, _, flags, method, _, _, _, packed, plain, names, extras, comment, disk, _, _, offset = _ENTRY.unpack_from(head)
    if magic != b"PK\x01\x02" or disk not in (0, 0xFFFF):
        return None
    if names + extras > _USUAL_NAME:
        head = window.read(at, _ENTRY.size + names + extras)
    end = _ENTRY.size + names
    if _IN_64 in (packed, plain, offset):
        plain, packed, offset = _in_64(head[end : end + extras], plain, packed, offset)
    return _Entry(end + extras + comment, offset, packed, plain, method, flags, made_by, head[_ENTRY.size : end])


def _in_64(extra: bytes, *numbers: int) -> tuple[int, ...]:
    """``numbers`` with those that are too large for 32 bits taken from the zip64 field; those that it lacks stay."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            longs = iter(struct.unpack_from(f"<{min(size, len(extra) - at - 4) // 8}Q", extra, at + 4))
            return tuple(next(longs, one) if one == _IN_64 else one for one in numbers)
        at += 4 + size
    return numbers


def _index(view: View, directory: _Directory, limits: Limits) -> Array | None:
    """Rows of (offset of the content, its length, offset of the entry in the directory) in the order of the file; None on any doubt.

    Shape (n, 3). Entries without content have no row.
    """
    found = _local_offsets(view, directory, limits)
    if found is None:
        return None
    entries, locals_ = Window(view), Window(view, 256)
    rows = array("q")
    end = 0
    for row in found:
        place, offset = row.tolist()
        entry = _read_entry(entries, place)
        content = None if entry is None or offset < end else _content(locals_, entry, offset)
        if entry is None or content is None or content + entry.packed > directory.start:
            return None
        end = content + entry.packed
        if entry.packed:
            rows.extend((content, entry.packed, place))
    return np.frombuffer(rows, np.int64).reshape(-1, 3)


def _local_offsets(view: View, directory: _Directory, limits: Limits) -> Array | None:
    """Rows of (offset of the entry in the directory, offset of its local header), by the latter. Shape (n, 2)."""
    window = Window(view)
    rows = array("q")
    at, end = directory.start, directory.start + directory.size
    while at < end:
        entry = _read_entry(window, at)
        if entry is None or entry.packed + entry.offset > view.length or len(rows) >= 2 * limits.nodes:
            return None
        rows.extend((at, directory.base + entry.offset))
        at += entry.length
    if at != end or (len(rows) // 2) & 0xFFFF != directory.entries:
        return None
    table = np.frombuffer(rows, np.int64).reshape(-1, 2)
    return table[np.argsort(table[:, 1], kind="stable")]


def _content(window: Window, entry: _Entry, offset: int) -> int | None:
    """Where the content of ``entry`` begins; None when the local header contradicts it."""
    head = window.read(offset, _LOCAL.size + len(entry.name))
    if len(head) < _LOCAL.size:
        return None
    magic, _, flags, method, _, _, _, packed, _, names, extras = _LOCAL.unpack_from(head)
    if magic != b"PK\x03\x04" or method != entry.method or names != len(entry.name) or head[_LOCAL.size :] != entry.name:
        return None
    if packed not in (entry.packed, _IN_64) and not (flags & _DESCRIPTOR and packed == 0):
        return None
    content: int = offset + _LOCAL.size + names + extras
    return content


def _parts(view: View, rows: Array) -> Iterator[Part]:
    window = Window(view)
    makers: dict[tuple[int, int, int], str] = {}
    for row in rows:
        offset, length, place = row.tolist()
        entry = _read_entry(window, place)
        if entry is None:
            return
        codec = "" if entry.flags & _ENCRYPTED else _CODECS.get(entry.method, "")
        key = (entry.made_by, entry.flags & (_EFFORT | _DESCRIPTOR), entry.method)
        if key not in makers:
            makers[key] = "zip by={} flags={} method={}".format(*key)
        yield Part(offset, length, "coded" if codec else "member", text(entry.name), codec, makers[key] if codec else "", entry.plain)
