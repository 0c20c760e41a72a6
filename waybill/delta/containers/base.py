# SPDX-License-Identifier: Apache-2.0
"""What a container is to the engine: a list of places worth looking at. What lies between them is never interpreted."""

from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, Protocol

from waybill.delta.io import View
from waybill.delta.limits import Limits

HEAD: Final = 512
"""How many bytes of a file ``sniff`` is shown, at most."""
_STRIDE: Final = 1 << 14


class Part(NamedTuple):
    """A member of a container. Headers, padding and directories are no parts: they are what lies between the parts."""

    offset: int
    """In the view, in bytes; parts come in ascending order and do not overlap, otherwise the later ones are ignored."""
    length: int
    kind: Literal["member", "coded"]
    """``member``: content as it is; ``coded``: compressed by ``codec``. A coded stream may end before its place does."""
    name: str = ""
    """The whole name inside of its container, "" for the one content of a compressed file. It guides the matching and is never used as a path."""
    codec: str = ""
    maker: str = ""
    """What is known about the program that made the stream: streams of one maker are likely made again by the same encoder."""
    plain_hint: int | None = None
    """The plain size that the container names, in bytes. A claim."""
    then: Callable[[int], Iterable["Part"]] | None = None
    """Where only decompression tells where a stream ends: the parts behind it, given its end. They replace whatever would have followed."""


class Container(Protocol):
    """One kind of container."""

    @property
    def name(self) -> str:
        """For people."""

    def sniff(self, head: bytes) -> bool:
        """Whether a file that begins with ``head`` (at most ``HEAD`` bytes) can be one. Cheap: it is asked for every member of every archive."""

    def parts(self, view: View, limits: Limits, /) -> Iterable[Part] | None:
        """The parts of ``view``, or None when it is none of this kind or contradicts itself. Whatever the bytes, nothing is raised."""


class Window:
    """Small reads that mostly go forward, answered from larger ones."""

    def __init__(self, view: View, stride: int = _STRIDE) -> None:
        self._view = view
        self._stride = stride
        self._start = 0
        self._data = b""

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``, fewer only at the end of the view."""
        at = offset - self._start
        if at < 0 or at + length > len(self._data):
            if not 0 <= offset < self._view.length:
                return b""
            self._start, at = offset, 0
            self._data = self._view.read_at(offset, min(max(self._stride, length), self._view.length - offset))
        return self._data[at : at + length]


def text(name: bytes) -> str:
    """A member's name for matching: what is no UTF-8 is replaced."""
    return name.decode("utf-8", "replace")
