# SPDX-License-Identifier: Apache-2.0
"""Where the instructions of x86-64 code start, as far as lengths alone tell it.

The code is walked from many points at once, each some way before the stretch that it answers for: x86 code finds back to its own beat within a
few instructions. Prefixes count as steps of their own. A wrong guess (data between functions) costs bytes of a delta, never correctness.
"""

from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets

STRETCH: Final = 1 << 10
_LEAD: Final = 96
AHEAD: Final = 16
"""Bytes behind an offset that may be looked at: more than a step has."""
_TOGETHER: Final = 16
"""Steps of all walkers between two looks at who has come to an end."""
_MODRM: Final = 16
"""In a table of opcodes: a ModRM byte follows. The low four bits are the bytes of the immediate."""


def _one_byte() -> bytes:
    table = bytearray(256)
    for code in range(0x40):
        table[code] = (_MODRM, _MODRM, _MODRM, _MODRM, 1, 4, 0, 0)[code & 7]
    for code in (0x63, *range(0x84, 0x90), *range(0xD0, 0xD4), *range(0xD8, 0xE0), 0xF6, 0xF7, 0xFE, 0xFF):
        table[code] = _MODRM
    for code in (0x6B, 0x80, 0x82, 0x83, 0xC0, 0xC1, 0xC6):
        table[code] = _MODRM + 1
    for code in (0x69, 0x81, 0xC7):
        table[code] = _MODRM + 4
    for code in (0x6A, *range(0x70, 0x80), 0xA8, *range(0xB0, 0xB8), 0xCD, *range(0xD4, 0xD6), *range(0xE0, 0xE8), 0xEB):
        table[code] = 1
    for code in (0x68, 0xA9, *range(0xB8, 0xC0), 0xE8, 0xE9):
        table[code] = 4
    for code in range(0xA0, 0xA4):
        table[code] = 8
    table[0xC2] = table[0xCA] = 2
    table[0xC8] = 3
    return bytes(table)


def _two_bytes() -> bytes:
    table = bytearray([_MODRM] * 256)
    for code in (*range(0x04, 0x0D), 0x0E, *range(0x30, 0x38), 0x77, *range(0xA0, 0xA3), *range(0xA8, 0xAB), *range(0xC8, 0xD0)):
        table[code] = 0
    for code in (0x0F, *range(0x70, 0x74), 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6):
        table[code] = _MODRM + 1
    for code in range(0x80, 0x90):
        table[code] = 4
    return bytes(table)


def _mod_rm() -> bytes:
    """The bytes of a ModRM byte and what it calls for: itself, SIB, displacement."""
    table = bytearray(256)
    for code in range(256):
        mod, rm = code >> 6, code & 7
        displacement = (4 if rm == 5 else 0, 1, 4, 0)[mod]
        table[code] = 1 + (mod != 3 and rm == 4) + displacement
    return bytes(table)


def _looked_up(table: bytes, data: Octets) -> Octets:
    """The entry of ``table`` for every byte; many times faster than an index of one byte."""
    return np.frombuffer(data.tobytes().translate(table), np.uint8)


_ONE_BYTE: Final = _one_byte()
_OPERANDS: Final = _mod_rm()
ONE: Final = np.frombuffer(_ONE_BYTE, np.uint8)
TWO: Final = np.frombuffer(_two_bytes(), np.uint8)
_THREE: Final = np.full(256, _MODRM, np.uint8)
_THREE_A: Final = np.full(256, _MODRM + 1, np.uint8)


def steps(code: Octets) -> tuple[Octets, Octets]:
    """For every offset of ``code``: the length of a step that starts there (1 to 15), and where in it the ModRM byte is (0: there is none).

    Args:
        code: uint8, followed by AHEAD bytes that do not count (the result is so much shorter).
    """
    size = len(code) - AHEAD
    body = code[:size]
    after = code[1 : size + 1]
    operand = _looked_up(_OPERANDS, code).copy()
    operand[:-1] += (((code[:-1] & 0xC7) == 4) & ((code[1:] & 7) == 5)).view(np.uint8) << np.uint8(2)
    kind = _looked_up(_ONE_BYTE, body)
    where: Octets = kind >> np.uint8(4)
    length: Octets = (kind & 15) + where * operand[1 : size + 1] + np.uint8(1)
    test = np.flatnonzero((body & 0xFE) == 0xF6)
    test = test[(after[test] & 0x38) <= 8]
    length[test] += np.where(body[test] & 1, 4, 1).astype(np.uint8)
    _wide(code, body, length)
    _escaped(code, size, operand, length, where)
    return length, where


def _wide(code: Octets, body: Octets, length: Octets) -> None:
    """Prefixes that change the size of an immediate: REX.W before B8 to BF, 66 before one of four bytes."""
    wide = np.flatnonzero((body[1:] & 0xF8) == 0xB8) + 1
    wide = wide[(code[wide - 1] & 0xF8) == 0x48]
    length[wide] += 4
    short = np.flatnonzero(body[:-2] == 0x66) + 1
    short = np.where((code[short] & 0xF0) == 0x40, short + 1, short)
    opcode = code[short]
    long_test = (opcode == 0xF7) & ((code[short + 1] & 0x38) <= 8)
    short = short[(((ONE[opcode] & 15) == 4) & (opcode != 0xE8) & (opcode != 0xE9)) | long_test]
    short = short[(short < len(body)) & (length[np.minimum(short, len(body) - 1)] < 9)]
    length[short] -= 2


def _escaped(code: Octets, size: int, operand: Octets, length: Octets, where: Octets) -> None:
    """Opcodes behind 0F, 0F 38, 0F 3A, and the VEX and EVEX prefixes."""

    def put(at: Array, opcode: Array, table: Octets) -> None:
        kind = table[code[opcode]]
        place = opcode + 1 - at
        has = kind >= _MODRM
        length[at] = (place + (kind & 15) + np.where(has, operand[opcode + 1], 0)).astype(np.uint8)
        where[at] = np.where(has, place, 0).astype(np.uint8)

    body = code[:size]
    at = np.flatnonzero(body == 0x0F)
    second = code[at + 1]
    put(at, at + 1, TWO)
    put(at[second == 0x38], at[second == 0x38] + 2, _THREE)
    put(at[second == 0x3A], at[second == 0x3A] + 2, _THREE_A)
    at = np.flatnonzero(body == 0xC5)
    put(at, at + 2, TWO)
    for prefix, ahead in ((0xC4, 3), (0x62, 4)):
        at = np.flatnonzero(body == prefix)
        chosen = code[at + 1] & (7 if prefix == 0x62 else 31)
        for number, table in ((1, TWO), (2, _THREE), (3, _THREE_A), (5, _THREE), (6, _THREE)):
            put(at[chosen == number], at[chosen == number] + ahead, table)


def starts(length: Octets) -> Array:
    """The offsets at which a step starts when ``length`` tells each step's length, in ascending order."""
    size = len(length)
    count = -(-size // STRETCH)
    body = np.zeros((count, STRETCH), np.uint8)
    body.reshape(-1)[:size] = length
    # a row for each walker: its lead, its stretch, and room for its last step, where lengths of 0 hold it
    rows = np.zeros((count, _LEAD + STRETCH + AHEAD), np.uint8)
    rows[1:, :_LEAD] = body[:-1, -_LEAD:]
    rows[:, _LEAD:-AHEAD] = body
    step, mark = rows.reshape(-1), np.zeros(rows.size, np.bool_)
    at = np.arange(count) * rows.shape[1]
    at[:1] += _LEAD
    while len(at):
        for _ in range(_TOGETHER):
            mark[at] = True
            at = at + step[at]
        at = at[step[at] > 0]
    return np.flatnonzero(mark.reshape(rows.shape)[:, _LEAD:-AHEAD].reshape(-1)[:size])
