# SPDX-License-Identifier: Apache-2.0
"""What undoes the transforms: numbers that an archive derives from its own bytes are put in again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from waybill.delta.encoding.writes import refuse_corrections
from waybill.delta.transforms import MOST, TRANSFORMS
from waybill.errors import FormatError


@dataclass(frozen=True, slots=True)
class Transformed:
    """The encoder of one transform."""

    codec: str

    @property
    def name(self) -> str:
        """``CODEC:1``."""
        return f"{self.codec}:1"

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The bytes as they stand in the archive; takes no corrections.

        Raises:
            FormatError: delta.expansion_exceeded, for more bytes than a transform may hold.
        """
        refuse_corrections(corrections, self.name)
        held = bytearray()
        for part in plain:
            held += part
            if len(held) > MOST:
                raise FormatError("delta.expansion_exceeded", "too much for a transform", field=self.name, expected=MOST)
        if held:
            yield TRANSFORMS[self.codec].close(bytes(held))


TRANSFORM_ENCODERS: Final = tuple(Transformed(codec) for codec in TRANSFORMS)
