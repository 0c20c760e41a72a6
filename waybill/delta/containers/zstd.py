# SPDX-License-Identifier: Apache-2.0
"""zstd files: one frame or many, with skippable frames between (RFC 8878). A frame is measured block by block; nothing needs to be decompressed."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from waybill.delta.containers.base import Part, Window
from waybill.delta.io import View
from waybill.delta.limits import Limits

MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = b"\x2a\x4d\x18"
_HEADER: Final = 18
_BLOCK_BYTES: Final = 1 << 17
_RLE, _RESERVED = 1, 3
_BLOCKS_FREE: Final = 1 << 16
_BLOCK_LEAST: Final = 256
"""Many blocks that are smaller than this on average are not measured to their end."""


class Zstd:
    """Every frame becomes a part; skippable frames stay raw."""

    name = "zstd"

    def sniff(self, head: bytes) -> bool:
        """By the magic number of a frame."""
        return head[:4] == MAGIC or is_skippable(head)

    def parts(self, view: View, limits: Limits, /) -> Iterable[Part] | None:
        """None when the frames do not fill the file."""
        ruler = Ruler(view)
        found: list[Part] = []
        at = 0
        for _ in range(limits.nodes):
            if at >= view.length:
                break
            head = ruler.window.read(at, _HEADER)
            if is_skippable(head):
                at += 8 + int.from_bytes(head[4:8], "little")
                continue
            frame = ruler.measure(at)
            if frame is None:
                return None
            found.append(Part(at, frame.length, "coded", codec="zstd", maker=frame.maker, plain_hint=frame.plain))
            at += frame.length
        return found if at == view.length else None


class Frame(NamedTuple):
    """``length`` in bytes; ``plain`` as its header says, if it does."""

    length: int
    plain: int | None
    maker: str


def is_skippable(head: bytes) -> bool:
    """Whether a skippable frame begins with ``head``."""
    return len(head) >= 8 and head[1:4] == _SKIPPABLE and head[0] >> 4 == 5


class Ruler:
    """Measures frames of one file. The blocks of all of them together are bounded, so that tiny ones cannot make it slow."""

    def __init__(self, view: View) -> None:
        self.window = Window(view, 64)
        self._size = view.length
        self._blocks = _BLOCKS_FREE + view.length // _BLOCK_LEAST

    def measure(self, start: int) -> Frame | None:
        """The frame at ``start``; None when it is broken or does not end in the file."""
        head = self.window.read(start, _HEADER)
        if len(head) < 6 or head[:4] != MAGIC or head[4] & 0x08:
            return None
        descriptor = head[4]
        single = descriptor >> 5 & 1
        dictionary = (0, 1, 2, 4)[descriptor & 3]
        content = (single, 2, 4, 8)[descriptor >> 6]
        plain_at = 5 + (1 - single) + dictionary
        plain = int.from_bytes(head[plain_at : plain_at + content], "little") + (256 if content == 2 else 0) if content else None
        end = self._after_blocks(start + plain_at + content)
        if end is None or (end := end + (4 if descriptor & 4 else 0)) > self._size:
            return None
        return Frame(end - start, plain, f"zstd descriptor={descriptor} window={0 if single else head[5]}")

    def _after_blocks(self, at: int) -> int | None:
        """Where the last of the blocks at ``at`` ends; None when they are broken."""
        last = 0
        while not last:
            header = int.from_bytes(self.window.read(at, 3), "little")
            last, kind, size = header & 1, header >> 1 & 3, header >> 3
            at += 3 + (1 if kind == _RLE else size)
            self._blocks -= 1
            if at > self._size or self._blocks < 0 or kind == _RESERVED or (kind != _RLE and size > _BLOCK_BYTES):
                return None
        return at
