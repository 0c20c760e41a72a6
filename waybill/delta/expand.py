# SPDX-License-Identifier: Apache-2.0
"""Opens a file: containers inside of containers become a tree whose leaves, side by side, are the file.

Nothing in a file can make this fail. What is broken, contradicts itself, or would cost more than its share stays closed: that costs bytes of the
delta, never more. All bounds are those of one file together: opened bytes, pieces, depth, names.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from waybill.delta.codecs import CodecError, decode_prefix
from waybill.delta.containers import find_parts
from waybill.delta.containers.base import Part
from waybill.delta.io import Progress, Spool, View
from waybill.delta.limits import Limits

Kind = Literal["raw", "member", "coded", "container"]
_LEAST: Final = 32
"""A shorter member is not worth a piece of its own: it stays with the headers around it."""
_NAMES: Final = 1 << 27
"""Characters of all names of one file; later members have none."""
_NEWS: Final = 1 << 22
"""Opened bytes from one word of progress to the next."""
_PART_WORK: Final = 1 << 12
"""A part counts as so many bytes of work."""
_RESERVE: Final = 3
"""Pieces that the last part of a container can need: what lies before it, the part, and the rest."""


@dataclass(slots=True)
class Node:
    """A piece of a file, and what was found in it.

    ``name``: names of the nesting joined by "/", such as ``data.tar.xz/usr/lib/libx.so``; raw pieces have none.
    ``kind``: ``raw`` headers, padding, or what could not be opened | ``member`` stored content | ``coded`` a compressed stream, open or closed |
    ``container`` stored content that was opened.
    ``where``: the bytes as they stand in the file or in the opened stream around them.
    ``plain``: of an opened stream what it decompresses to, in the spool.
    ``children`` cover ``plain``, or else ``where``, side by side and without a gap. None: a leaf.
    """

    name: str
    kind: Kind
    where: View
    codec: str = ""
    plain: View | None = None
    maker: str = ""
    children: Sequence["Node"] = ()


def expand(
    view: View, spool: Spool, limits: Limits, *, skip: Callable[[Node], bool] | None = None, progress: Progress | None = None
) -> Node:
    """The tree of ``view``; its root has no name.

    Args:
        spool: takes the opened bytes, also those of streams that turn out to be broken.
        skip: asked before a compressed stream is opened, with the node as it is then: true leaves it closed, of kind ``coded``.
        progress: hears "open", opened bytes so far, 0; raising from it ends the work.
    """
    return _Opening(view, spool, limits, skip, progress).member(view, "", 0)


class _Opening:
    """One run, with what is left of every bound."""

    def __init__(self, view: View, spool: Spool, limits: Limits, skip: Callable[[Node], bool] | None, progress: Progress | None) -> None:
        self._spool = spool
        self._limits = limits
        self._skip = skip
        self._progress = progress
        self._bytes = limits.expansion_of(view.length)
        self._nodes = limits.nodes - _RESERVE * (limits.depth + 1)
        self._names = _NAMES
        self._opened = self._work = 0

    def member(self, view: View, name: str, depth: int) -> Node:
        """Stored content: a container when something in it can be told apart."""
        children = self._children(view, name, depth)
        return Node(name, "container" if children else "member", view, children=children)

    def _children(self, view: View, name: str, depth: int) -> Sequence[Node]:
        """What ``view`` is made of; nothing when nothing in it can be told apart."""
        parts = find_parts(view, self._limits) if depth < self._limits.depth and view.length >= _LEAST else None
        if parts is None:
            return ()
        children: list[Node] = []
        at = 0
        for node in self._nodes_of(iter(parts), view, name, depth + 1):
            if (start := node.where.offset - view.offset) > at:
                children.append(Node("", "raw", view.sub(at, start - at)))
            children.append(node)
            at = start + node.where.length
        if all(node.kind == "raw" for node in children):
            return ()
        if at < view.length:
            children.append(Node("", "raw", view.sub(at, view.length - at)))
        return children

    def _nodes_of(self, parts: Iterator[Part], view: View, name: str, depth: int) -> Iterator[Node]:
        """Nodes in ascending order, none over another, until the parts or the pieces that are allowed come to an end."""
        end = 0
        while self._nodes > 0 and (part := next(parts, None)) is not None:
            self._heard(_PART_WORK)
            if part.offset < end or part.offset + part.length > view.length:
                return
            if part.length < _LEAST:
                continue
            self._nodes -= 2
            where = view.sub(part.offset, part.length)
            full = self._joined(name, part.name)
            node = self.member(where, full, depth) if part.kind == "member" else self._coded(part, where, full, depth)
            yield node
            end = part.offset + node.where.length
            if part.then is not None and node.plain is not None:
                parts = iter(part.then(end))

    def _coded(self, part: Part, where: View, name: str, depth: int) -> Node:
        node = Node(name, "coded", where, part.codec, maker=part.maker)
        if self._skip is not None and self._skip(node):
            return node
        start = self._spool.size
        used = self._decoded(part.codec, where) if self._bytes >= max(1, part.plain_hint or 0) else 0
        if not used or self._spool.size == start:
            return Node("", "raw", where)
        node.where = where.sub(0, used)
        node.plain = View(self._spool, start, self._spool.size - start)
        node.children = self._children(node.plain, name, depth)
        return node

    def _decoded(self, codec: str, where: View) -> int:
        """Appends the plain bytes to the spool and returns the length of the stream; 0 when it is broken or too much."""
        stream = decode_prefix(codec, where, self._bytes, self._limits)
        try:
            for data in stream:
                self._opened += len(data)
                self._spool.append(data)
                self._heard(len(data))
        except CodecError:
            return 0
        finally:
            self._bytes -= stream.made  # what was made in vain counts too
        return stream.used

    def _joined(self, outer: str, inner: str) -> str:
        if not inner:
            return outer
        if self._names <= 0:
            return ""
        name = f"{outer}/{inner}" if outer else inner
        name = name[: self._limits.name_bytes]
        self._names -= len(name)
        return name

    def _heard(self, work: int) -> None:
        self._work += work
        if self._work >= _NEWS:
            self._work = 0
            if self._progress is not None:
                self._progress("open", self._opened, 0)
