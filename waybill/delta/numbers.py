# SPDX-License-Identifier: Apache-2.0
"""Numbers and small byte strings of a delta: varints, columns of integers, and blobs coded by whatever makes them smallest.

A varint is LEB128, least significant group first, at most ten bytes, and in its shortest form. A signed number is zigzag-coded first.
Byte-level description: docs/formats/delta-v1.md.
"""

import hashlib
import itertools
import lzma
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from waybill.delta.codecs import zstd
from waybill.delta.io import Array
from waybill.errors import FormatError

RAW: Final = 0
ZSTD: Final = 1
LZMA: Final[dict[int, tuple[int, int, int]]] = {2: (0, 0, 0), 3: (3, 0, 0), 4: (0, 2, 2), 5: (0, 1, 1)}
"""Coding method: (lc, lp, pb) of raw LZMA2. 2 suits numbers and residuals, 3 suits text, 4 words of four bytes, 5 of two."""
CHECKSUM: Final = 8
"""Bytes of SHA-256 over everything before them, at the end of a delta: damage is told before any work is done. It proves nothing about who made it."""
_TRY_ALL: Final = 1 << 22
"""Longer strings are not coded with every method: it would cost seconds for little."""


def malformed(message: str, expected: object = None, found: object = None) -> FormatError:
    """The error for a delta that breaks a rule of the format."""
    return FormatError("delta.malformed", message, expected=expected, found=found)


def checksum(parts: Iterable[bytes]) -> bytes:
    """What stands at the end of a delta: the first bytes of SHA-256 over everything before."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()[:CHECKSUM]


def zigzag(value: int) -> int:
    """A signed number as an unsigned one: 0, -1, 1, -2 … become 0, 1, 2, 3 …"""
    return value << 1 if value >= 0 else (-value << 1) - 1


def unzigzag(value: int) -> int:
    """The inverse of :func:`zigzag`."""
    return (value >> 1) ^ -(value & 1)


def put(out: bytearray, value: int) -> None:
    """Appends ``value`` (0 to 2^64-1) as a varint."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def column(values: Iterable[int]) -> bytes:
    """Unsigned numbers below 2^63 as varints, one after another."""
    return column_of(np.fromiter(values, np.int64))


def signed_column(values: Iterable[int]) -> bytes:
    """Signed numbers as zigzag varints, one after another."""
    return signed_column_of(np.fromiter(values, np.int64))


def column_of(values: Array) -> bytes:
    """The same as :func:`column` for int64 of shape (n,)."""
    lengths = np.ones(len(values), np.int64)
    for place in range(1, 9):
        lengths += values >> (7 * place) > 0
    ends = np.cumsum(lengths)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    starts = ends - lengths
    for place in range(int(lengths.max(initial=0))):
        has = lengths > place
        out[starts[has] + place] = values[has] >> (7 * place) & 127 | np.where(lengths[has] > place + 1, 128, 0)
    return out.tobytes()


def signed_column_of(values: Array) -> bytes:
    """The same as :func:`signed_column` for int64 of shape (n,) between -2^62 and 2^62."""
    return column_of(values << 1 ^ values >> 63)


def array_of_column(data: bytes, count: int) -> Array:
    """The ``count`` unsigned numbers of a column that holds exactly these, as int64 of shape (count,).

    Raises:
        FormatError: delta.malformed, when the column holds another number of numbers, or one beyond 2^63-1.
    """
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 128)
    if len(ends) != count or (len(raw) and raw[-1] >= 128):
        raise malformed("a column of numbers has another length than announced", count, len(ends))
    if not count:
        return np.zeros(0, np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > 9:
        raise malformed("a number of a column is too large", "at most 9 bytes", longest)
    if bool(((lengths > 1) & (raw[ends] == 0)).any()):
        raise malformed("a number of a column is not in its shortest form")
    values = np.zeros(count, np.int64)
    for place in range(longest):
        has = lengths > place
        values[has] |= (raw[starts[has] + place].astype(np.int64) & 127) << (7 * place)
    return values


def array_of_signed_column(data: bytes, count: int) -> Array:
    """The ``count`` signed numbers of a column."""
    values = array_of_column(data, count)
    return (values >> 1) ^ -(values & 1)


class Cursor:
    """Reads numbers and strings from untrusted bytes, front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes were not read yet."""
        return len(self._data) - self._at

    def number(self, most: int, what: str) -> int:
        """The next varint, which must not be above ``most``."""
        value = shift = 0
        while True:
            if self._at >= len(self._data) or shift > 63:
                raise malformed(f"{what} is cut off")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if byte == 0 and shift > 7:
            raise malformed(f"{what} is not in its shortest form")
        if value > most:
            raise malformed(f"{what} is too large", f"at most {most}", value)
        return value

    def take(self, length: int, what: str) -> bytes:
        """The next ``length`` bytes."""
        if length > self.left:
            raise malformed(f"{what} is cut off", length, self.left)
        self._at += length
        return self._data[self._at - length : self._at]

    def end(self, what: str) -> None:
        """Nothing may follow."""
        if self.left:
            raise malformed(f"bytes follow after {what}", 0, self.left)


def _filters(method: int, size: int, preset: int) -> list[dict[str, Any]]:
    lc, lp, pb = LZMA[method]
    dictionary = max(1 << 12, min(1 << 26, 1 << max(size - 1, 1).bit_length()))
    return [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]


def _encode(method: int, data: bytes, preset: int) -> bytes:
    if method == RAW:
        return data
    if method == ZSTD:
        parameters: dict[Any, int] = {
            zstd.CompressionParameter.compression_level: 19 if preset & lzma.PRESET_EXTREME else 9,
            zstd.CompressionParameter.content_size_flag: 0,
        }
        return zstd.compress(data, options=parameters)
    return lzma.compress(data, lzma.FORMAT_RAW, filters=_filters(method, len(data), preset))


def put_coded(out: bytearray, data: bytes, *, fast: bool = False) -> None:
    """Appends ``data``: its length, the method and coded length in one number, the coded bytes. The smallest coding is taken.

    Args:
        fast: True where seconds matter more than the last percent.
    """
    preset = 2 if fast else 9 | lzma.PRESET_EXTREME
    methods = (RAW, ZSTD) if fast and len(data) > _TRY_ALL else (RAW, ZSTD, 2) if fast or len(data) > _TRY_ALL else (RAW, ZSTD, *LZMA)
    best, coded = min(((method, _encode(method, data, preset)) for method in methods), key=lambda made: len(made[1]))
    put(out, len(data))
    if data:
        put(out, len(coded) * 8 + best)
        out += coded


def take_coded(cursor: Cursor, most: int, what: str) -> bytes:
    """The next coded string, which must not be longer than ``most`` bytes when decoded.

    Raises:
        FormatError: delta.malformed.
    """
    size = cursor.number(most, f"the length of {what}")
    if not size:
        return b""
    length, method = divmod(cursor.number((1 << 48) * 8, f"the coded length of {what}"), 8)
    coded = cursor.take(length, what)
    if method == RAW:
        data = coded
    elif method == ZSTD:
        data = _unzstd(coded, size, what)
    elif method in LZMA:
        data = _unlzma(coded, size, method, what)
    else:
        raise malformed(f"{what} is coded by an unknown method", f"0 to {max(LZMA)}", method)
    if len(data) != size:
        raise malformed(f"{what} has another length than announced", size, len(data))
    return data


def _unzstd(coded: bytes, size: int, what: str) -> bytes:
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 27})
    try:
        data = decoder.decompress(coded, max_length=size + 1)
    except zstd.ZstdError as error:
        raise malformed(f"{what} does not decode") from error
    if len(data) <= size and (not decoder.eof or decoder.unused_data):
        raise malformed(f"{what} does not end where it should")
    return data


def _unlzma(coded: bytes, size: int, method: int, what: str) -> bytes:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(method, size, 0))
    try:
        data = decoder.decompress(coded, max_length=size + 1)
        if len(data) == size and not decoder.eof:
            data += decoder.decompress(b"", max_length=1)  # the end marker may still wait
    except (lzma.LZMAError, EOFError) as error:
        raise malformed(f"{what} does not decode") from error
    if len(data) <= size and (not decoder.eof or decoder.unused_data):
        raise malformed(f"{what} does not end where it should")
    return data


def put_columns(out: bytearray, columns: Sequence[bytes], *, fast: bool = False) -> None:
    """Appends columns of numbers: coded all together after a 0, or each by itself after a 1, whichever is smaller."""
    together = bytearray([0])
    put_coded(together, b"".join(columns), fast=fast)
    if len(together) > 64:
        apart = bytearray([1])
        for one in columns:
            put_coded(apart, one, fast=fast)
        together = min(together, apart, key=len)
    out += together


def take_columns(cursor: Cursor, counts: Sequence[int], most: int, what: str) -> list[bytes]:
    """The columns that :func:`put_columns` wrote, of ``counts`` numbers each, together at most ``most`` bytes.

    Raises:
        FormatError: delta.malformed. A column by itself may still hold another count; :func:`array_of_column` sees it.
    """
    if cursor.number(1, f"the coding of {what}"):
        found = []
        for _ in counts:
            found.append(take_coded(cursor, most, what))
            most -= len(found[-1])
        return found
    data = take_coded(cursor, most, what)
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) < 128) + 1
    if len(ends) != sum(counts) or (len(data) and data[-1] >= 128):
        raise malformed(f"{what} holds another number of numbers than announced", sum(counts), len(ends))
    borders = np.concatenate([np.zeros(1, np.int64), ends])[np.cumsum([0, *counts])].tolist()
    return [data[start:end] for start, end in itertools.pairwise(borders)]
