# SPDX-License-Identifier: Apache-2.0
"""The one writer of the format delta-v1 (docs/formats/delta-v1.md)."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence

from waybill.delta.model import CODECS, MAGIC, Block, Head, Range, Recipe
from waybill.delta.numbers import CHECKSUM, column, put, put_coded, put_columns, signed_column


def encode(head: Head, recipe: Recipe, payloads: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The whole delta in parts; ``payloads`` are those of the blocks, in order, each in parts."""
    coded = encode_recipe(recipe)
    digest = hashlib.sha256()
    for part in itertools.chain([encode_head(head, len(coded)), coded], itertools.chain.from_iterable(payloads)):
        digest.update(part)
        yield part
    yield digest.digest()[:CHECKSUM]


def encode_head(head: Head, recipe_size: int) -> bytes:
    """What stands before the recipe, whose length in bytes is ``recipe_size``."""
    out = bytearray(MAGIC + head.base_sha256 + head.result_sha256)
    put(out, head.base_size)
    put(out, head.result_size)
    put(out, recipe_size)
    return bytes(out)


def encode_recipe(recipe: Recipe) -> bytes:
    """Names and counts, then the columns of all numbers. Payloads of the blocks follow it in the delta, in order."""
    names = _names(block.predictor for block in recipe.blocks if block.predictor)
    counts = bytearray()
    put(counts, len(recipe.encoders))
    for one in recipe.encoders:
        name = one.name.encode()
        put(counts, len(name))
        counts += name + one.digest
    put(counts, len(names))
    for text in names:
        put(counts, len(text))
        counts += text.encode()
    for number in (
        len(recipe.opened),
        len(recipe.blocks),
        sum(len(b.base) for b in recipe.blocks),
        len(recipe.segments),
        len(recipe.streams),
    ):
        put(counts, number)
    put(counts, recipe.corrections)
    out = bytearray()
    put_coded(out, bytes(counts))
    put_columns(out, [*_opened(recipe), *_blocks(recipe.blocks, names), *_segments(recipe.segments), *_streams(recipe)])
    return bytes(out)


def _names(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))


def _seeks(ranges: Iterable[Range]) -> list[int]:
    """How far each range starts from where the last range of the same source ended."""
    ends: dict[int, int] = {}
    seeks = []
    for one in ranges:
        seeks.append(one.offset - ends.get(one.source, 0))
        ends[one.source] = one.offset + one.length
    return seeks


def _opened(recipe: Recipe) -> list[bytes]:
    places = [one.where for one in recipe.opened]
    return [
        bytes(CODECS.index(one.codec) for one in recipe.opened),
        column(place.source for place in places),
        signed_column(_seeks(places)),
        column(place.length for place in places),
        column(one.size for one in recipe.opened),
    ]


def _blocks(blocks: Sequence[Block], names: list[str]) -> list[bytes]:
    ranges = [one for block in blocks for one in block.base]
    return [
        column(block.kind for block in blocks),
        column(block.size for block in blocks),
        column(block.payload for block in blocks),
        column(block.extra for block in blocks),
        column(names.index(block.predictor) + 1 if block.predictor else 0 for block in blocks),
        column(len(block.base) for block in blocks),
        column(one.source for one in ranges),
        signed_column(_seeks(ranges)),
        column(one.length for one in ranges),
    ]


def _segments(segments: Sequence[Range]) -> list[bytes]:
    return [
        column(one.source for one in segments),
        signed_column(_seeks(segments)),
        column(one.length for one in segments),
    ]


def _streams(recipe: Recipe) -> list[bytes]:
    starts = [0, *(one.first for one in recipe.streams)]
    return [
        column(after - before for before, after in itertools.pairwise(starts)),
        column(one.count for one in recipe.streams),
        column(one.encoder for one in recipe.streams),
        column(one.corrections for one in recipe.streams),
    ]
