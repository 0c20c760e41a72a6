# SPDX-License-Identifier: Apache-2.0
"""Which old piece a new piece comes from: one with the same content, else one of the same name, else one whose name differs in its version only."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from waybill.delta.expand import Node
from waybill.delta.io import View

UNNAMED: Final = "content"
"""The name of what a compressed file holds that says no name."""
_EQUAL_LEAST: Final = 32
"""A shorter piece is not worth a range of its own."""
_AT_ONCE: Final = 1 << 20
"""Bytes that are hashed in one piece."""
_VERSION: Final = re.compile(r"[0-9a-f]{7,}|\d+")


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """A source of the base: the file itself (``parent`` None), or the plain content of the stream at ``offset`` of ``parent``."""

    parent: "Host | None"
    offset: int
    length: int
    codec: str
    view: View


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A piece of the base: ``view`` are its bytes, which stand at ``offset`` of ``host``. ``name`` is "" for headers and padding."""

    name: str
    view: View
    host: Host
    offset: int
    coded: bool = False
    """True for a compressed stream as it stands: good to be copied, never a base of a patch."""


def file_host(view: View) -> Host:
    """The file itself as a source."""
    return Host(None, 0, view.length, "", view)


def index_of(root: Node) -> "Index":
    """Every piece of an expanded file, and every compressed stream of it as well."""
    file = file_host(root.where)
    return Index(file, _leaves(root, file))


def _leaves(node: Node, host: Host) -> Iterator[Leaf]:
    at = node.where.offset - host.view.offset
    if node.codec == "tar-header":
        yield Leaf("", node.where, host, at)  # as it stands: opened, each of thousands would be a source
    elif node.plain is not None:
        yield Leaf(node.name, node.where, host, at, coded=True)
        inner = Host(host, at, node.where.length, node.codec, node.plain)
        if not node.children:
            yield Leaf(node.name or UNNAMED, node.plain, inner, 0)
        for child in node.children:
            yield from _leaves(child, inner)
    elif node.children:
        for child in node.children:
            yield from _leaves(child, host)
    elif node.where.length:
        yield Leaf(node.name if node.kind != "raw" else "", node.where, host, at, coded=node.kind == "coded")


def fingerprint(view: View) -> bytes:
    """SHA-256 of the bytes of ``view``."""
    if view.length <= _AT_ONCE:
        return hashlib.sha256(view.read()).digest()
    digest = hashlib.sha256()
    for data in view.chunks(_AT_ONCE):
        digest.update(data)
    return digest.digest()


def normal(name: str) -> str:
    """``name`` without its numbers and hexadecimal runs, so that ``libfoo-1.2.so`` meets ``libfoo-1.3.so``."""
    return _VERSION.sub("#", name.lower())


class Index:
    """The pieces of the base, by content and by name."""

    def __init__(self, file: Host, pieces: Iterable[Leaf]) -> None:
        self.file = file
        self.pieces = list(pieces)
        self._by_size: dict[int, list[Leaf]] = defaultdict(list)
        self._digests: dict[int, dict[bytes, list[Leaf]]] = {}
        self._by_name: dict[str, list[Leaf]] = defaultdict(list)
        for one in self.pieces:
            if one.view.length >= _EQUAL_LEAST:
                self._by_size[one.view.length].append(one)
            if one.name and not one.coded:
                for key in _keys(one.name):
                    self._by_name[key].append(one)

    def holds_size(self, length: int) -> bool:
        """Whether any piece has this length: otherwise nobody needs to hash."""
        return length in self._by_size

    def equal(self, view: View, after: Callable[[Leaf], bool]) -> Leaf | None:
        """A piece with exactly these bytes; of several one for which ``after`` is true, because it continues the last copy."""
        if not self.holds_size(view.length):
            return None
        if view.length not in self._digests:
            known: dict[bytes, list[Leaf]] = defaultdict(list)
            for one in self._by_size[view.length]:
                known[fingerprint(one.view)].append(one)
            self._digests[view.length] = known
        found = self._digests[view.length].get(fingerprint(view), [])
        return next((one for one in found if after(one)), found[0] if found else None)

    def counterpart(self, name: str, length: int) -> Leaf | None:
        """The piece that the one called ``name`` was before: by its name, then by ever looser names; of several the one nearest in size."""
        for key in _keys(name):
            if found := self._by_name.get(key):
                return min(found, key=lambda one: abs(one.view.length - length))
        return None


def _keys(name: str) -> list[str]:
    loose = normal(name)
    return [f"={name}", f"~{loose}", f"/{loose.rsplit('/', 1)[-1]}"]
