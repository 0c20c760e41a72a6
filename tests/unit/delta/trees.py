# SPDX-License-Identifier: Apache-2.0
"""Expanded files for tests: opening bytes, walking trees, and the one property that must always hold."""

from collections.abc import Callable, Iterator, Sequence

from waybill.delta.containers import find_parts
from waybill.delta.containers.base import Part
from waybill.delta.expand import Node, expand
from waybill.delta.io import BytesReader, MemorySpool, View, whole
from waybill.delta.limits import Limits
from waybill.delta.transforms import TRANSFORMS


def view(data: bytes) -> View:
    """``data`` as a view that does not begin at 0 of its reader."""
    return View(BytesReader(b"\x00\xff" + data), 2, len(data))


def opened(data: bytes, limits: Limits | None = None, skip: Callable[[Node], bool] | None = None) -> Node:
    """The tree of ``data``, checked."""
    root = expand(view(data), MemorySpool(), limits or Limits(), skip=skip)
    check(root)
    return root


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it, in order; headers and directories, which only transforms open, left out."""
    yield node
    for child in node.children:
        if child.codec not in TRANSFORMS:
            yield from walk(child)


def check(node: Node) -> None:
    """Children stand side by side and cover the plain bytes, or else the bytes, of their parent; no piece is empty."""
    around = node.where if node.plain is None else node.plain
    at = around.offset
    for child in node.children:
        assert child.where.source is around.source
        assert child.where.offset == at
        assert child.where.length > 0
        at += child.where.length
        check(child)
    assert not node.children or at == around.offset + around.length
    assert node.kind != "raw" or (not node.children and node.plain is None and node.name == "")


def members(data: bytes, limits: Limits | None = None) -> dict[str, bytes]:
    """Name and plain content of every named leaf, the raw ones left out."""
    leaves = (node for node in walk(opened(data, limits)) if node.name and not node.children)
    return {node.name: (node.where if node.plain is None else node.plain).read() for node in leaves}


def parts(data: bytes, limits: Limits | None = None) -> list[Part] | None:
    """What the first container that knows ``data`` says, headers and directories left out."""
    found = find_parts(whole(BytesReader(data)), limits or Limits())
    return None if found is None else [one for one in found if one.codec not in TRANSFORMS]


def kinds(data: bytes) -> Sequence[tuple[str, str, str]]:
    """(name, kind, codec) of every node but the root and the raw ones."""
    return [(node.name, node.kind, node.codec) for node in walk(opened(data)) if node.kind != "raw"][1:]
