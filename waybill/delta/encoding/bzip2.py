# SPDX-License-Identifier: Apache-2.0
"""bzip2 streams: one encoder per block size, which the stream itself names."""

import bz2
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from waybill.delta.encoding.writes import refuse_corrections
from waybill.delta.io import View


@dataclass(frozen=True, slots=True)
class Bzip2:
    """``level`` hundred thousand plain bytes per block."""

    level: int
    codec: str = "bzip2"

    @property
    def name(self) -> str:
        """``bzip2:LEVEL``."""
        return f"bzip2:{self.level}"

    def frame(self, plain: View, coded: View) -> bytes | None:  # noqa: ARG002 - the port has it
        """Nothing to tell; None for a stream of another level."""
        return b"" if coded.length > 4 and coded.read_at(0, 4) == b"BZh%d" % self.level else None

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The bzip2 stream of ``plain``; takes no corrections."""
        refuse_corrections(corrections, self.name)
        engine = bz2.BZ2Compressor(self.level)
        for data in plain:
            if made := engine.compress(data):
                yield made
        yield engine.flush()


BZIP2_ENCODERS: Final = tuple(Bzip2(level) for level in range(9, 0, -1))
