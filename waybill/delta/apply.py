# SPDX-License-Identifier: Apache-2.0
"""The receiving side: a base file and a delta become the new file, or nothing.

The base is compared with its digest before anything is opened. The result goes to the caller's sink while its SHA-256 is computed; the sink is scratch:
the caller shows it to nobody before ``apply`` has returned.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from waybill.delta import codecs, predict, reader, records
from waybill.delta.codecs import zstd
from waybill.delta.encoders import Encoder
from waybill.delta.io import STRIDE, ReaderAt, View, whole
from waybill.delta.limits import Limits
from waybill.delta.model import NO_PREDICTOR, POOL, Block, Range, Recipe
from waybill.delta.numbers import malformed
from waybill.delta.tools import Tools
from waybill.errors import FormatError

PREFIX_LEAST: Final = 8
"""A shorter prefix is as good as none, and zstd takes none that short."""


class Sink(Protocol):
    """Takes the new file from front to back."""

    def append(self, data: bytes) -> None:
        """The next bytes."""


def apply(base: ReaderAt, delta: ReaderAt, sink: Sink, *, tools: Tools) -> bytes:
    """Rebuilds the file that ``delta`` describes; returns its SHA-256 (32 bytes).

    Raises:
        FormatError: delta.malformed, delta.unsupported, delta.base_mismatch, delta.encoder_unavailable, delta.expansion_exceeded,
            delta.output_exceeded, delta.result_mismatch. What the sink holds then is to be thrown away.
    Source: docs/formats/delta-v1.md.
    """
    found = reader.read(delta, tools.limits)
    check_base(base, found)
    encoders = [tools.encoders.by_id(one) for one in found.recipe.encoders]
    sources = open_sources(base, found.recipe, tools)
    make_blocks(sources, delta, found, tools)
    digest, size = hashlib.sha256(), 0
    for data in Assembly(found.recipe, sources, encoders).result():
        size += len(data)
        if size > found.head.result_size:
            raise FormatError(
                "delta.output_exceeded",
                "the rebuilt file is longer than announced",
                expected=found.head.result_size,
                found=f"{size} or more",
            )
        digest.update(data)
        sink.append(data)
        tools.progress("rebuild", size, found.head.result_size)
    if size != found.head.result_size or digest.digest() != found.head.result_sha256:
        raise FormatError(
            "delta.result_mismatch",
            "the rebuilt file has another SHA-256",
            expected=found.head.result_sha256.hex(),
            found=digest.hexdigest(),
        )
    return digest.digest()


def check_base(base: ReaderAt, found: reader.Delta) -> None:
    """The base is exactly the file against which the delta was made; otherwise delta.base_mismatch."""
    if base.size != found.head.base_size:
        raise FormatError("delta.base_mismatch", "the base has another size", expected=found.head.base_size, found=base.size)
    digest = hashlib.sha256()
    for data in whole(base).chunks(1 << 20):
        digest.update(data)
    if digest.digest() != found.head.base_sha256:
        raise FormatError(
            "delta.base_mismatch", "the base has another SHA-256", expected=found.head.base_sha256.hex(), found=digest.hexdigest()
        )


def open_sources(base: ReaderAt, recipe: Recipe, tools: Tools) -> list[View]:
    """Source 0 and the opened sources, each exactly as long as announced."""
    sources = [whole(base)]
    spool = tools.spool()
    total = sum(one.size for one in recipe.opened)
    done = 0
    for one in recipe.opened:
        start = spool.size
        try:
            for data in codecs.decode(one.codec, view_of(sources, one.where), one.size):
                spool.append(data)
                done += len(data)
                tools.progress("open", done, total)
        except codecs.CodecError as error:
            raise malformed("an opened source does not decompress") from error
        if spool.size - start != one.size:
            raise malformed("an opened source has another size than announced", one.size, spool.size - start)
        sources.append(View(spool, start, one.size))
    return sources


def make_blocks(sources: list[View], delta: ReaderAt, found: reader.Delta, tools: Tools, memo: predict.Memo | None = None) -> None:
    """Appends the output of every block to ``sources``; with ``memo`` what is known of old programs already is not sought again."""
    spool = tools.spool()
    used: dict[int, int] = {}
    for block, (offset, length) in zip(found.recipe.blocks, found.payloads, strict=True):
        payload = View(delta, offset, length)
        start = spool.size
        base = b"".join(view_of(sources, place).read() for place in block.base)
        if block.kind == POOL:
            for data in _pool(base, payload, block.size, tools.limits):
                spool.append(data)
        else:
            taken = used.get(block.extra, 0)
            spare = sources[block.extra].sub(taken, min(block.size, sources[block.extra].size - taken))
            data, count = records.decode(base, payload.read(), spare.read(), block.size, _predictor(block), tools.limits, memo)
            used[block.extra] = taken + count
            spool.append(data)
        if spool.size - start != block.size:
            raise malformed("a block has another size than announced", block.size, spool.size - start)
        sources.append(View(spool, start, block.size))


def view_of(sources: Sequence[View], place: Range) -> View:
    """The bytes of a range."""
    return sources[place.source].sub(place.offset, place.length)


def _predictor(block: Block) -> predict.ElfPredictor | None:
    return None if block.predictor == NO_PREDICTOR else predict.by_name(block.predictor)


def _pool(prefix: bytes, payload: View, size: int, limits: Limits) -> Iterator[bytes]:
    if not payload.length:
        return
    dictionary = zstd.ZstdDict(prefix, is_raw=True).as_prefix if len(prefix) >= PREFIX_LEAST else None
    decoder = zstd.ZstdDecompressor(dictionary, {zstd.DecompressionParameter.window_log_max: limits.window_log})
    coded, made = payload.chunks(), 0
    while not decoder.eof:
        part = next(coded, None) if decoder.needs_input else b""
        if part is None:
            raise malformed("a block is cut off")
        try:
            data = decoder.decompress(part, STRIDE)
        except zstd.ZstdError as error:
            raise malformed("a block does not decompress") from error
        made += len(data)
        if made > size:
            raise malformed("a block is longer than announced", size, f"{made} or more")
        yield data
    if decoder.unused_data or next(coded, None) is not None:
        raise malformed("bytes follow after the end of a block")


class Assembly:
    """The content of the new file in order, with every stream compressed again while it passes."""

    def __init__(self, recipe: Recipe, sources: Sequence[View], encoders: Sequence[Encoder]) -> None:
        self._recipe = recipe
        self._sources = sources
        self._encoders = encoders
        self._next = 0
        self._corrected = 0

    def result(self) -> Iterator[bytes]:
        """The new file."""
        return self._span(0, len(self._recipe.segments))

    def content(self) -> Iterator[bytes]:
        """The content before anything is compressed again."""
        return self._ranges(0, len(self._recipe.segments))

    def _span(self, first: int, last: int) -> Iterator[bytes]:
        streams = self._recipe.streams
        while self._next < len(streams) and streams[self._next].first < last:
            stream = streams[self._next]
            self._next += 1
            yield from self._ranges(first, stream.first)
            first = stream.first + stream.count
            inside = self._span(stream.first, first)
            yield from self._encoders[stream.encoder].encode(inside, self._corrections(stream.corrections))
            for _ in inside:
                raise malformed("an encoder ended before its content")
        yield from self._ranges(first, last)

    def _ranges(self, first: int, last: int) -> Iterator[bytes]:
        for place in self._recipe.segments[first:last]:
            yield from view_of(self._sources, place).chunks()

    def _corrections(self, length: int) -> bytes:
        if not length:
            return b""
        self._corrected += length
        return self._sources[self._recipe.corrections].read_at(self._corrected - length, length)
