# SPDX-License-Identifier: Apache-2.0
"""How plain bytes reach an encoder: in writes of one size, so that its output never depends on how the bytes came."""

from collections.abc import Iterable, Iterator
from typing import Final

from waybill.delta.numbers import malformed
from waybill.errors import FormatError

WHOLE: Final = 0
"""The write size of an encoder that gets everything in one write."""
GATHERED_MOST: Final = 1 << 27
"""Plain bytes that are held in memory for an encoder that wants all of them at once."""


def writes(plain: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of exactly ``size``, but for the last one, which is shorter and never empty.

    Args:
        size: bytes per piece, or WHOLE for a single piece.
    Raises:
        FormatError: delta.expansion_exceeded, when a single piece would have more than GATHERED_MOST bytes.
    """
    held: list[bytes] = []
    have = 0
    for data in plain:
        if size == WHOLE:
            held.append(data)
            have += len(data)
            if have > GATHERED_MOST:
                raise FormatError(
                    "delta.expansion_exceeded", "too much for an encoder that wants everything at once", expected=GATHERED_MOST
                )
            continue
        start = 0
        while have + len(data) - start >= size:
            taken = data[start : start + size - have]
            start += len(taken)
            yield b"".join((*held, taken)) if held else taken
            held, have = [], 0
        if start < len(data):
            held.append(data[start:] if start else data)
            have += len(data) - start
    if have:
        yield b"".join(held)


def refuse_corrections(corrections: bytes, name: str) -> None:
    """Nothing happens for an encoder that needs no corrections and got none.

    Raises:
        FormatError: delta.malformed.
    """
    if corrections:
        raise malformed(f"{name} takes no corrections", 0, len(corrections))
