# SPDX-License-Identifier: Apache-2.0
"""The sending side: a base file and a new file become a delta that is proven before anybody sees it.

Both files are opened; for every compressed stream of the new file an encoder is found that makes it again exactly; each piece of the content is then
copied from the base, patched against the piece that it was before, or put into a pool.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from waybill.delta import blocks, reader
from waybill.delta.apply import Assembly, Sink, make_blocks, open_sources
from waybill.delta.blocks import Tier
from waybill.delta.compose import Composer, Piece
from waybill.delta.discover import Memory, discover
from waybill.delta.draft import BlockDraft, Draft, StreamDraft
from waybill.delta.encoders import Encoder, EncoderId, memory_of
from waybill.delta.expand import Node, expand
from waybill.delta.io import BytesReader, ReaderAt, View, whole
from waybill.delta.limits import Limits
from waybill.delta.match import UNNAMED, Index, Leaf, file_host, fingerprint, index_of
from waybill.delta.model import POOL, Head
from waybill.delta.predict import Memo
from waybill.delta.tools import Tools
from waybill.delta.writer import encode

_TINY: Final = 2048
"""A delta below so many bytes consists of its own bookkeeping for a good part: with fewer pieces it may be smaller."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a delta became. Sizes in bytes. ``way``: ``opened`` when containers were opened, ``opaque`` when that did not pay."""

    size: int
    new_size: int
    base_sha256: bytes
    new_sha256: bytes
    encoders: tuple[EncoderId, ...]
    streams: int
    streams_kept: int
    """Compressed streams of the new file that no encoder re-makes: they travel as they are."""
    copied: int
    """Bytes of content that are copied from the base."""
    way: str


class _Content:
    """The content of the new file: pieces in order, and the streams around them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._memory = Memory()
        self._around: list[int] = []
        """Bytes of memory of the encoders of the streams around the current piece."""
        self.pieces: list[Piece] = []
        self.streams: list[StreamDraft] = []
        self.kept = 0
        self.remade = 0

    def add(self, node: Node) -> None:
        """Walks one node; an opened stream that no encoder re-makes is one piece of compressed bytes."""
        if node.plain is not None:
            self._stream(node, node.plain)
        elif node.children:
            for child in node.children:
                self.add(child)
        elif node.where.length:
            self.pieces.append(Piece(node.name if node.kind != "raw" else "", node.where))

    def _stream(self, node: Node, plain: View) -> None:
        made = discover(plain, node.where, node.codec, node.maker, self._affordable(node.codec), self._memory)
        if made is None:
            self.kept += 1
            self.pieces.append(Piece(node.name, node.where))
            return
        if not self._around:
            self.remade += node.where.length
        first, slot = len(self.pieces), len(self.streams)
        self.streams.append(StreamDraft(first, 0, made.encoder, made.corrections))
        self._around.append(memory_of(made.encoder.name))
        for child in node.children:
            self.add(child)
        self._around.pop()
        if len(self.pieces) == first:
            self.pieces.append(Piece(node.name or UNNAMED, plain))
        self.streams[slot] = StreamDraft(first, len(self.pieces) - first, made.encoder, made.corrections)

    def _affordable(self, codec: str) -> list[Encoder]:
        """The encoders that a receiver can run beside those of the streams around."""
        limits = self._tools.limits
        if len(self._around) == limits.stream_depth:
            return []
        left = limits.encoder_memory - sum(self._around)
        return [one for one in self._tools.encoders.of_codec(codec) if memory_of(one.name) <= left]


def make(base: ReaderAt, new: ReaderAt, out: Sink, *, tools: Tools, tier: Tier = "online") -> Summary:
    """Writes the delta from ``base`` to ``new`` to ``out``.

    Args:
        tier: ``online`` within a request, ``best`` in the background: ten times the time, a fraction of the bytes.
    Raises:
        WaybillError: only what ``tools`` raise; archives that cannot be understood are told as opaque bytes.
    Source: docs/formats/delta-v1.md.
    """
    head = Head(fingerprint(whole(base)), base.size, fingerprint(whole(new)), new.size)
    made = _Maker(base, new, head, tools, tier).opened()
    if tier == "best" and made.data.size < _TINY:
        shallow = _Maker(base, new, head, tools, tier).opened(depth=1)
        made = min(made, shallow, key=lambda one: one.data.size)
    if made.data.size * 2 > new.size and made.remade * 2 < new.size:
        opaque = _Maker(base, new, head, tools, tier).opaque()
        made = min(made, opaque, key=lambda one: one.data.size)
    for part in whole(made.data).chunks():
        out.append(part)
    return made.summary


@dataclass(frozen=True, slots=True)
class _Made:
    data: ReaderAt
    summary: Summary
    remade: int
    """Bytes of the new file in compressed streams that are made again: what they hold cannot be found in another stream's bytes."""


class _Maker:
    def __init__(self, base: ReaderAt, new: ReaderAt, head: Head, tools: Tools, tier: Tier) -> None:
        self._base, self._new, self._head, self._tools, self._tier = whole(base), whole(new), head, tools, tier

    def opened(self, *, depth: int | None = None) -> _Made:
        """With every container opened, or those of the first ``depth`` levels."""
        limits = self._tools.limits
        old, fresh = self._expanded(limits if depth is None else replace(limits, depth=depth))
        content = _Content(self._tools)
        content.add(fresh)
        return self._made(content, index_of(old), "opened")

    def opaque(self) -> _Made:
        """As bytes without structure."""
        content = _Content(self._tools)
        content.pieces.append(Piece("file", self._new))
        host = file_host(self._base)
        return self._made(content, Index(host, [Leaf("file", self._base, host, 0)]), "opaque")

    def _expanded(self, limits: Limits) -> tuple[Node, Node]:
        """Both files opened, but for the streams that stand in both as they are: these are copied without inflating."""
        spool = self._tools.spool
        known = _coded_digests(expand(self._new, spool(), limits, skip=lambda _: True))
        old = expand(self._base, spool(), limits, skip=lambda node: known.holds(node.where), progress=self._tools.progress)
        seen = _coded_digests(old)
        return old, expand(self._new, spool(), limits, skip=lambda node: seen.holds(node.where), progress=self._tools.progress)

    def _made(self, content: _Content, index: Index, way: str) -> _Made:
        draft = Draft(streams=content.streams)
        composer = Composer(index, draft, self._tools, self._tier)
        for piece in content.pieces:
            composer.add(piece)
        composer.finish()
        _add_corrections(draft)
        recipe, _ = draft.recipe()
        data = self._tools.spool()
        for part in encode(self._head, recipe, (block.payload.chunks() for block in draft.blocks)):
            data.append(part)
        self._prove(data, content, composer.memo)
        summary = Summary(
            size=data.size,
            new_size=self._new.length,
            base_sha256=self._head.base_sha256,
            new_sha256=self._head.result_sha256,
            encoders=recipe.encoders,
            streams=len(content.streams),
            streams_kept=content.kept,
            copied=composer.copied_bytes,
            way=way,
        )
        return _Made(data, summary, content.remade)

    def _prove(self, delta: ReaderAt, content: _Content, memo: Memo) -> None:
        """The receiver's own code makes exactly the content. That each stream is made again from it was proven when its encoder was found."""
        found = reader.read(delta, self._tools.limits)
        sources = open_sources(self._base, found.recipe, self._tools)
        make_blocks(sources, delta, found, self._tools, memo)
        wanted, made = hashlib.sha256(), hashlib.sha256()
        for piece in content.pieces:
            for part in piece.view.chunks(1 << 20):
                wanted.update(part)
        for part in Assembly(found.recipe, sources, ()).content():
            made.update(part)
        if wanted.digest() != made.digest():
            raise AssertionError("the delta does not make the content that it was made from")


def _add_corrections(draft: Draft) -> None:
    data = b"".join(one.corrections for one in draft.streams)
    if data:
        payload = blocks.pool(b"", data, "best")
        draft.corrections = BlockDraft(POOL, len(data), [], whole(BytesReader(payload)))
        draft.blocks.append(draft.corrections)


class _Digests:
    """Which compressed streams a file has, by length first: most are told apart without hashing."""

    def __init__(self, views: list[View]) -> None:
        self._by_length: dict[int, list[View]] = {}
        for one in views:
            self._by_length.setdefault(one.length, []).append(one)
        self._known: dict[int, set[bytes]] = {}

    def holds(self, view: View) -> bool:
        """Whether a stream with exactly these bytes is among them."""
        if view.length not in self._by_length:
            return False
        if view.length not in self._known:
            self._known[view.length] = {fingerprint(one) for one in self._by_length[view.length]}
        return fingerprint(view) in self._known[view.length]


def _coded_digests(root: Node) -> _Digests:
    return _Digests([node.where for node in _walk(root) if node.kind == "coded"])


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)
