# SPDX-License-Identifier: Apache-2.0
"""The one reader of the format delta-v1 (docs/formats/delta-v1.md). What it returns keeps every rule of the format; anything else is refused.

Nothing of the base is read, opened or allocated before the whole recipe was checked against the announced sizes and the limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waybill.delta.encoders import EncoderId, memory_of
from waybill.delta.io import Array, ReaderAt, View
from waybill.delta.limits import Limits
from waybill.delta.model import CODECS, MAGIC, NO_PREDICTOR, PATCH, POOL, Block, Head, Opened, Range, Recipe, Stream
from waybill.delta.numbers import CHECKSUM, Cursor, array_of_column, array_of_signed_column, checksum, malformed, take_coded, take_columns
from waybill.errors import FormatError

_HEAD_MOST: Final = 4 + 64 + 30
_SIZE_MOST: Final = 1 << 56
_NAME_MOST: Final = 64
_TABLE_MOST: Final = 1024
_COLUMNS: Final = (5, 6, 3, 3, 4)
"""Columns of: opened sources, blocks, ranges of blocks, segments, streams."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A delta whose recipe keeps the rules. ``payloads`` are (offset, length) in the file, one for each block."""

    head: Head
    recipe: Recipe
    payloads: tuple[tuple[int, int], ...]
    recipe_size: int


def read(delta: ReaderAt, limits: Limits) -> Delta:
    """Head and recipe of ``delta``, checked.

    Raises:
        FormatError: delta.malformed; delta.expansion_exceeded, when it would open or make more than ``limits`` allow; delta.unsupported, when it
            needs a codec that does not exist here.
    Source: docs/formats/delta-v1.md.
    """
    head, at, size = _head(delta)
    if not is_whole(delta):
        raise malformed("the delta was changed or cut off on its way: its checksum is wrong")
    end = delta.size - CHECKSUM
    if size > min(limits.recipe_bytes, end - at):
        raise malformed("the recipe is longer than allowed, or cut off", min(limits.recipe_bytes, end - at), size)
    cursor = Cursor(delta.read_at(at, size))
    recipe = _recipe(cursor, limits)
    cursor.end("the recipe")
    at += size
    payloads = []
    for block in recipe.blocks:
        payloads.append((at, block.payload))
        at += block.payload
    if at != end:
        raise malformed("the delta has another length than its parts", at, end)
    _check(head, recipe, limits)
    return Delta(head=head, recipe=recipe, payloads=tuple(payloads), recipe_size=size)


def is_whole(delta: ReaderAt) -> bool:
    """Whether the checksum at the end is right; False for what is too short to have one."""
    if delta.size < CHECKSUM:
        return False
    return checksum(View(delta, 0, delta.size - CHECKSUM).chunks()) == delta.read_at(delta.size - CHECKSUM, CHECKSUM)


def _head(delta: ReaderAt) -> tuple[Head, int, int]:
    """The head, where the recipe begins, and its length."""
    data = delta.read_at(0, min(_HEAD_MOST, delta.size))
    if data[:4] != MAGIC:
        raise malformed("this is not a delta", MAGIC.hex(), data[:4].hex())
    cursor = Cursor(data[4:])
    base, result = cursor.take(32, "the digest of the base"), cursor.take(32, "the digest of the result")
    base_size = cursor.number(_SIZE_MOST, "the size of the base")
    result_size = cursor.number(_SIZE_MOST, "the size of the result")
    recipe_size = cursor.number(_SIZE_MOST, "the length of the recipe")
    head = Head(base_sha256=base, base_size=base_size, result_sha256=result, result_size=result_size)
    return head, len(data) - cursor.left, recipe_size


def _recipe(cursor: Cursor, limits: Limits) -> Recipe:
    table = Cursor(take_coded(cursor, 1 << 20, "the table of the recipe"))
    encoders = tuple(
        EncoderId(name=_name(table, "the name of an encoder"), digest=table.take(16, "the digest of an encoder"))
        for _ in range(table.number(_TABLE_MOST, "the number of encoders"))
    )
    predictors = [_name(table, "the name of a predictor") for _ in range(table.number(_TABLE_MOST, "the number of predictors"))]
    counts = [table.number(limits.nodes, "a count of the recipe") for _ in range(5)]
    corrections = table.number(counts[0] + counts[1], "the source of corrections")
    table.end("the table of the recipe")
    if sum(counts) > limits.nodes:
        raise FormatError(
            "delta.expansion_exceeded", "the recipe has too many parts", expected=f"at most {limits.nodes}", found=sum(counts)
        )
    each = [count for count, columns in zip(counts, _COLUMNS, strict=True) for _ in range(columns)]
    columns = take_columns(cursor, each, limits.recipe_bytes, "the recipe")
    opened, blocks, ranges, segments, streams = _grouped(columns)
    return Recipe(
        encoders=encoders,
        opened=_opened(opened, counts[0]),
        blocks=_blocks(blocks, counts[1], _ranges(ranges, counts[2]), predictors),
        segments=_ranges(segments, counts[3]),
        streams=_streams(streams, counts[4], len(encoders)),
        corrections=corrections,
    )


def _name(table: Cursor, what: str) -> str:
    raw = table.take(table.number(_NAME_MOST, what), what)
    if not raw or not all(33 <= byte < 127 for byte in raw):
        raise malformed(f"{what} is not printable text", found=raw.hex())
    return raw.decode("ascii")


def _grouped(columns: list[bytes]) -> list[list[bytes]]:
    out, at = [], 0
    for width in _COLUMNS:
        out.append(columns[at : at + width])
        at += width
    return out


def _ranges(columns: list[bytes], count: int) -> list[Range]:
    sources = array_of_column(columns[0], count).tolist()
    seeks = array_of_signed_column(columns[1], count).tolist()
    lengths = array_of_column(columns[2], count).tolist()
    ends: dict[int, int] = {}
    out = []
    for source, seek, length in zip(sources, seeks, lengths, strict=True):
        offset = ends.get(source, 0) + seek
        out.append(Range(source, offset, length))
        ends[source] = offset + length
    return out


def _opened(columns: list[bytes], count: int) -> tuple[Opened, ...]:
    codecs = array_of_column(columns[0], count).tolist()
    if unknown := [one for one in codecs if one >= len(CODECS)]:
        raise FormatError("delta.unsupported", "the delta opens a stream of an unknown codec", expected=", ".join(CODECS), found=unknown[0])
    sizes = array_of_column(columns[4], count).tolist()
    return tuple(Opened(CODECS[codec], where, size) for codec, where, size in zip(codecs, _ranges(columns[1:4], count), sizes, strict=True))


def _blocks(columns: list[bytes], count: int, ranges: list[Range], predictors: list[str]) -> tuple[Block, ...]:
    numbers = [array_of_column(one, count).tolist() for one in columns]
    out, at = [], 0
    for kind, size, payload, extra, predictor, bases in zip(*numbers, strict=True):
        if kind not in (POOL, PATCH):
            raise FormatError("delta.unsupported", "the delta has a block of an unknown kind", expected="0 or 1", found=kind)
        if predictor > len(predictors) or (kind == POOL and (predictor or extra)):
            raise malformed("a block names a predictor or source that it cannot have")
        if bases > len(ranges) - at:
            raise malformed("a block has more ranges than there are", len(ranges) - at, bases)
        name = predictors[predictor - 1] if predictor else NO_PREDICTOR
        out.append(Block(kind, size, tuple(ranges[at : at + bases]), payload, extra, name))
        at += bases
    if at != len(ranges):
        raise malformed("ranges of blocks are left over", at, len(ranges))
    return tuple(out)


def _streams(columns: list[bytes], count: int, encoders: int) -> list[Stream]:
    starts: Array = array_of_column(columns[0], count)
    rows = [one.tolist() for one in (starts.cumsum(), *(array_of_column(column, count) for column in columns[1:]))]
    out = [Stream(*row) for row in zip(*rows, strict=True)]
    for one in out:
        if one.encoder >= encoders:
            raise malformed("a stream names an encoder that is not in the table", f"below {encoders}", one.encoder)
    return out


def _check(head: Head, recipe: Recipe, limits: Limits) -> None:
    """Every range lies inside of a source that exists by then, streams are nested, and nothing becomes larger than allowed."""
    sizes = [head.base_size]
    for one in recipe.opened:
        _inside(one.where, sizes, len(sizes))
        sizes.append(one.size)
    _bounded("the opened sources", sum(sizes[1:]), limits.expansion_of(head.base_size))
    work = 0
    for block in recipe.blocks:
        base = 0
        for place in block.base:
            _inside(place, sizes, len(sizes))
            base += place.length
        if block.kind == PATCH and block.extra >= len(sizes):
            raise malformed("a block takes its extra bytes from a later source", f"below {len(sizes)}", block.extra)
        _bounded("a block", base + block.size, limits.block_bytes)
        work += base
        sizes.append(block.size)
    made = sum(sizes[recipe.block_source :])
    _bounded("the blocks", made, 2 * limits.expansion_of(head.result_size))
    _bounded("the bases of the blocks", work, 8 * (sum(sizes) + limits.block_bytes))
    content = 0
    for place in recipe.segments:
        _inside(place, sizes, len(sizes))
        content += place.length
    _bounded("the content", content, limits.expansion_of(head.result_size))
    _nested(recipe, limits)
    needed = sum(one.corrections for one in recipe.streams)
    if needed != (sizes[recipe.corrections] if recipe.corrections else 0):
        raise malformed("the corrections have another length than the streams need", needed, sizes[recipe.corrections])


def _inside(place: Range, sizes: Sequence[int], known: int) -> None:
    if place.source >= known:
        raise malformed("a range names a source that does not exist yet", f"below {known}", place.source)
    if place.offset < 0 or place.offset + place.length > sizes[place.source]:
        raise malformed("a range lies outside of its source", f"0 to {sizes[place.source]}", f"{place.offset} + {place.length}")


def _bounded(what: str, found: int, most: int) -> None:
    if found > most:
        raise FormatError("delta.expansion_exceeded", f"{what} would be too large", expected=f"at most {most} bytes", found=found)


def _nested(recipe: Recipe, limits: Limits) -> None:
    """Streams come in order of their start, an outer one before those inside it, none crosses the end of another, and all that are open fit into memory."""
    needs = [memory_of(one.name) for one in recipe.encoders]
    open_: list[tuple[int, int]] = []  # end and memory of each
    for one in recipe.streams:
        while open_ and open_[-1][0] <= one.first:
            open_.pop()
        end, most = one.first + one.count, open_[-1][0] if open_ else len(recipe.segments)
        if not one.count or end > most:
            raise malformed("a stream is empty or crosses the end of another", f"at most {most}", end)
        open_.append((end, needs[one.encoder]))
        if len(open_) > limits.stream_depth:
            raise malformed("streams are nested too deeply", limits.stream_depth, len(open_))
        if (needed := sum(memory for _, memory in open_)) > limits.encoder_memory:
            raise FormatError(
                "delta.expansion_exceeded",
                "the encoders need too much memory",
                expected=f"at most {limits.encoder_memory} bytes",
                found=needed,
            )
