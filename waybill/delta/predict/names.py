# SPDX-License-Identifier: Apache-2.0
"""Digests inside of mangled names of symbols: a compiler gives a crate another one with every version, in thousands of names at once.

Each distinct digest of the old file is told once; every copy of it follows.
"""

import itertools
import re
from collections import Counter
from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.numbers import Cursor, malformed, put_coded, take_coded
from waybill.delta.predict.elf import Section

_STRINGS: Final = 3
_DIGEST: Final = re.compile(
    rb"(?<=Cs)[0-9A-Za-z]{8,12}(?=_)|(?<=anon\.)[0-9a-f]{32}(?=\.)|(?<=17h)[0-9a-f]{16}(?=E)|(?<=\.llvm\.)[0-9]{8,20}"
)
"""Crates in Rust's names (v0), hashes at the end of its older names, modules of the optimizer."""
_ALONE: Final = (
    (2, re.compile(rb"Cs([0-9A-Za-z]{8,12})(?=_)")),
    (5, re.compile(rb"anon\.([0-9a-f]{32})(?=\.)")),
    (3, re.compile(rb"17h([0-9a-f]{16})(?=E)")),
    (6, re.compile(rb"\.llvm\.([0-9]{8,20})")),
)
"""The same, one by one, with the number of fixed bytes before each: what begins with such is found many times faster."""


def find(data: bytes, sections: list[Section]) -> Array:
    """The digests in the string tables of a file: int64 of shape (k, 2), offset and length, by ascending offset."""
    tables = sorted({(one.offset, one.size) for one in sections if one.kind == _STRINGS})
    found = [span for offset, size in tables for span in _digests(data, offset, offset + size)]
    return np.array(found, np.int64).reshape(-1, 2)


def _digests(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """What ``_DIGEST`` finds, as offset and length."""
    spans = sorted(match.span(1) for ahead, one in _ALONE for match in one.finditer(data, max(0, start - ahead), end))
    if any(before[1] > after[0] for before, after in itertools.pairwise(spans)):
        spans = [match.span() for match in _DIGEST.finditer(data, start, end)]
    return [(first, last - first) for first, last in spans]


def copies(found: Array, records: Array) -> Array:
    """Where the digests of the old file, whole, stand in the copied bytes: (k, 2), place and length."""
    first = np.searchsorted(found[:, 0], records[:, 2], "left")
    last = np.searchsorted(found[:, 0] + found[:, 1], records[:, 2] + records[:, 0], "right")
    count = np.maximum(last - first, 0)
    record = np.repeat(np.arange(len(records)), count)
    index = np.arange(len(record)) + np.repeat(first - np.cumsum(count) + count, count)
    start = np.cumsum(records[:, 0]) - records[:, 0] - records[:, 2]
    return np.stack([found[index, 0] + start[record], found[index, 1]], axis=1)


def tell(out: bytearray, places: Array, copied: Octets, truth: Octets) -> None:
    """Appends what became of each distinct digest, and writes that into ``copied``."""
    after: dict[bytes, bytes] = {}
    most: dict[bytes, int] = {}
    for (text, told), count in Counter(zip(_texts(places, copied), _texts(places, truth), strict=True)).items():
        if count > most.get(text, 0):
            after[text], most[text] = told, count
    put_coded(out, bytes(text != told for text, told in after.items()))
    put_coded(out, b"".join(told for text, told in after.items() if text != told))
    _write(places, copied, after)


def hear(cursor: Cursor, places: Array, copied: Octets) -> None:
    """Writes into ``copied`` what :func:`tell` appended; raises FormatError delta.malformed."""
    texts = list(dict.fromkeys(_texts(places, copied)))
    flags = take_coded(cursor, len(texts), "the flags of names")
    size = sum(len(text) for text, flag in zip(texts, flags, strict=False) if flag)
    told = take_coded(cursor, size, "the digests of names")
    if len(flags) != len(texts) or len(told) != size:
        raise malformed("the digests of names are incomplete", len(texts), len(flags))
    after, at = {}, 0
    for text, flag in zip(texts, flags, strict=True):
        if flag:
            after[text] = told[at : at + len(text)]
            at += len(text)
    _write(places, copied, after)


def _write(places: Array, copied: Octets, after: dict[bytes, bytes]) -> None:
    view = copied.data
    for (at, length), text in zip(places.tolist(), _texts(places, copied), strict=True):
        if (told := after.get(text, text)) != text:
            view[at : at + length] = told


def _texts(places: Array, data: Octets) -> list[bytes]:
    text = data.tobytes() if len(places) else b""
    return [text[at : at + length] for at, length in places.tolist()]
