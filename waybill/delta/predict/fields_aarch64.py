# SPDX-License-Identifier: Apache-2.0
"""Address fields of AArch64 programs. Source: Arm Architecture Reference Manual, encodings of the A64 instruction set."""

from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.predict import fields_elf, fields_go
from waybill.delta.predict.elf import Image, code_and_data, read_sections
from waybill.delta.predict.fields import ITSELF, Fields, Found, Kind

_FIRST: Final = len(fields_elf.KINDS) + len(fields_go.KINDS)
_NEAR: Final = (
    (Kind("branch", 4, bits=26, unit=4), 0xFC000000, 0x14000000),
    (Kind("call", 4, bits=26, unit=4), 0xFC000000, 0x94000000),
    (Kind("branch if", 4, bits=19, low=5, unit=4), 0xFF000010, 0x54000000),
    (Kind("branch if zero", 4, bits=19, low=5, unit=4), 0x7E000000, 0x34000000),
    (Kind("branch if bit", 4, bits=14, low=5, unit=4), 0x7E000000, 0x36000000),
    (Kind("literal", 4, bits=19, low=5, unit=4), 0x3B000000, 0x18000000),
    (Kind("address", 4, bits=21, split=True), 0x9F000000, 0x10000000),
)
_LOW: Final = tuple(Kind(f"low {unit}", 4, bits=12, low=10, unit=unit, part="low") for unit in (1, 1, 2, 4, 8, 16))
"""The low part of an address: in ADD, then in loads and stores of 1 to 16 bytes."""
_PAGE: Final = Kind("page", 4, bits=21, unit=4096, split=True, votes=False, part="page")
_REACH: Final = 16
"""Instructions after an ADRP among which its users are looked for."""

KINDS: Final = (*fields_elf.KINDS, *fields_go.KINDS, *(kind for kind, _, _ in _NEAR), _PAGE, *_LOW)
CODE: Final = _FIRST


def find(old: bytes, image: Image) -> Fields:
    """The fields of ``old``, whose image is ``image``."""
    data = np.frombuffer(old, np.uint8)
    found = Found(len(old), KINDS)
    sections = read_sections(old)
    fields_elf.add_unwind(found, data, image)
    fields_elf.add_symbols(found, data, image, sections)
    fields_go.add_go(found, len(fields_elf.KINDS), data, image, sections)
    code, words = code_and_data(image, sections)
    for offset, size in code:
        if size > 64:
            _add_code(found, data, image, offset, size)
    fields_elf.add_words(found, data, image, words)
    return found.fields()


def _add_code(found: Found, data: Octets, image: Image, offset: int, size: int) -> None:
    """Adds the fields of ``size`` bytes of code at ``offset``."""
    first = (offset + 3) // 4 * 4
    words = data[first : first + (offset + size - first) // 4 * 4].view("<u4")
    base = int(image.addresses(np.array([first], np.int64))[0])
    for number, (kind, mask, pattern) in enumerate(_NEAR):
        place = np.flatnonzero(words & np.uint32(mask) == pattern)
        word = words[place].astype(np.int64)
        if kind.name == "literal":
            place, word = place[word >> 30 != 3], word[word >> 30 != 3]  # prefetch
        target = base + 4 * place + kind.values(word)
        good = image.mapped(target)
        found.add(_FIRST + number, first + 4 * place[good], target[good], ITSELF)
    _add_pages(found, words, image, first, base)


def _add_pages(found: Found, words: "np.ndarray[tuple[int], np.dtype[np.uint32]]", image: Image, first: int, base: int) -> None:
    """ADRP and those that add the low part of an address to its page."""
    place = np.flatnonzero(words & np.uint32(0x9F000000) == 0x90000000)
    address = base + 4 * place
    page = (address & ~0xFFF) + _PAGE.values(words[place].astype(np.int64))
    good = image.mapped(page) | image.mapped(page + 0xFFF)
    place, address, page = place[good], address[good], page[good]
    register = words[place].astype(np.int64) & 31
    target = page.copy()
    unpaired = np.ones(len(place), np.bool_)
    alive = np.ones(len(place), np.bool_)
    taken = np.zeros(len(words) + _REACH + 1, np.bool_)
    parts: list[list[tuple[Array, Array, Array]]] = [[] for _ in _LOW]
    for ahead in range(1, _REACH + 1):
        alive &= place + ahead < len(words)
        who = np.flatnonzero(alive)
        at = place[who] + ahead
        word = words[at].astype(np.int64)
        adds = word & 0xFFC00000 == 0x91000000
        moves = word & 0x3B000000 == 0x39000000
        wide = np.where((word & 0x04800000 == 0x04800000) & (word >> 30 == 0), 4, word >> 30)
        user = (adds | moves) & (word >> 5 & 31 == register[who]) & ~taken[at]
        kind = np.where(adds, 0, 1 + wide)
        low = (word >> 10 & 0xFFF) * np.array([one.unit for one in _LOW])[kind]
        fits = user & (low < 4096)
        whole = page[who] + low
        fresh = fits & unpaired[who]
        target[who[fresh]] = whole[fresh]
        unpaired[who[fresh]] = False
        taken[at[fits]] = True
        for number in range(len(_LOW)):
            mine = fits & (kind == number)
            parts[number].append((at[mine], whole[mine], address[who[mine]]))
        alive[who[(word & 31 == register[who])]] = False
    found.add(_FIRST + len(_NEAR), first + 4 * place, target, address)
    for number, part in enumerate(parts):
        at, whole, owner = (np.concatenate(one) for one in zip(*part, strict=True))
        order = np.argsort(at, kind="stable")
        found.add(_FIRST + len(_NEAR) + 1 + number, first + 4 * at[order], whole[order], owner[order])
