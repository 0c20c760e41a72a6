# SPDX-License-Identifier: Apache-2.0
"""Every bound of the delta engine in one place. A bound that is reached costs bytes or ends in a code; it never costs the machine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run, for the sender and for the receiver."""

    expansion_ratio: int = 100
    """Opened bytes per byte of the file, beyond ``expansion_floor``."""
    expansion_floor: int = 1 << 26
    """Opened bytes that are always allowed."""
    expanded_bytes: int = 1 << 38
    """Opened bytes of one file, in all."""
    nodes: int = 1_000_000
    """Pieces of one file; ranges, streams and sources of one delta."""
    depth: int = 8
    """Containers inside containers."""
    name_bytes: int = 4096
    """A longer member name is cut: names only guide the matching."""
    block_bytes: int = 1 << 27
    """Base and output of one block together: what both sides hold in memory at once."""
    recipe_bytes: int = 1 << 28
    """The recipe of a delta, decoded."""
    window_log: int = 27
    """Largest zstd window that is accepted from a stranger."""
    stream_depth: int = 4
    """Streams inside streams of one delta."""
    encoder_memory: int = 800 << 20
    """What the encoders of streams inside each other may need together."""
    lzma_memory: int = 1 << 28
    """Largest memory of an xz decoder for a stranger's stream."""

    @property
    def group_bytes(self) -> int:
        """New bytes of one block as a sender makes it: about as many old ones stand beside them."""
        return self.block_bytes // 8 * 3

    def expansion_of(self, size: int) -> int:
        """How many bytes a file of ``size`` bytes may open to."""
        return min(self.expanded_bytes, max(self.expansion_floor, size * self.expansion_ratio))
