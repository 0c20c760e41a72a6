# SPDX-License-Identifier: Apache-2.0
"""Address fields of x86-64 programs."""

from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.predict import fields_elf, fields_go, x86_lengths
from waybill.delta.predict.elf import Image, code_and_data, int32_at, read_sections
from waybill.delta.predict.fields import ITSELF, Fields, Found, Kind

KINDS: Final = (
    *fields_elf.KINDS,
    *fields_go.KINDS,
    Kind("call", 4),
    Kind("jump", 4),
    Kind("branch", 4),
    Kind("operand", 4),
    Kind("short jump", 1),
)
_WINDOW: Final = 1 << 22
"""Bytes of code that are looked at together: what that takes does not grow with the file."""
_TAIL: Final = 8
"""The last bytes of a window are left alone."""
CODE: Final = len(KINDS) - 5
CALL, JUMP, BRANCH, OPERAND, SHORT = range(CODE, len(KINDS))


def find(old: bytes, image: Image) -> Fields:
    """The fields of ``old``, whose image is ``image``."""
    data = np.frombuffer(old, np.uint8)
    found = Found(len(old), KINDS)
    fields_elf.add_unwind(found, data, image)
    sections = read_sections(old)
    fields_elf.add_symbols(found, data, image, sections)
    fields_go.add_go(found, len(fields_elf.KINDS), data, image, sections)
    code, words = code_and_data(image, sections)
    named = [np.zeros(0, np.int64)]
    for offset, size in code:
        for start in range(0, size, _WINDOW):
            named.append(_add_code(found, data, image, offset + start, min(_WINDOW, size - start)))
    fields_elf.add_cases(found, data, image, words, np.concatenate(named))
    fields_elf.add_words(found, data, image, words)
    return found.fields()


def _add_code(found: Found, data: Octets, image: Image, offset: int, size: int) -> Array:
    """Adds the fields of ``size`` bytes of code at ``offset``; returns the addresses that operands name."""
    named = np.zeros(0, np.int64)
    if size <= _TAIL:
        return named
    code = data[offset : offset + size]
    length, where = x86_lengths.steps(np.concatenate([code, np.zeros(x86_lengths.AHEAD, np.uint8)]))
    start = x86_lengths.starts(length)
    inside = int(np.searchsorted(start, size - _TAIL - x86_lengths.AHEAD))
    late = start[inside:]
    start = np.concatenate([start[:inside], late[late + length[late] + _TAIL < size]])
    first, mod_rm = code[start], where[start]
    escaped, operand = start[first == 0x0F], start[mod_rm > 0]
    # a step, the opcode's bytes before the field
    chosen = (
        (CALL, start[first == 0xE8], 1),
        (JUMP, start[first == 0xE9], 1),
        (BRANCH, escaped[(code[escaped + 1] & 0xF0) == 0x80], 2),
        (SHORT, start[((first & 0xF0) == 0x70) | (first == 0xEB)], 1),
        (OPERAND, operand[(code[operand + mod_rm[mod_rm > 0]] & 0xC7) == 5], 0),
    )
    for kind, step, ahead in chosen:
        at = step + (ahead or where[step].astype(np.int64) + 1)
        value = int32_at(code, at) if kind != SHORT else code[at].astype(np.int8).astype(np.int64)
        target = image.addresses(offset + step + length[step]) + value
        good = image.mapped(target)
        found.add(kind, offset + at[good], target[good], ITSELF)
        named = target[good]
    return named
