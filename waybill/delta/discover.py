# SPDX-License-Identifier: Apache-2.0
"""Which encoder makes a stream again, exactly. Nothing is believed: a stream counts as re-made when every byte has been made and compared.

An encoder is given up at its first differing byte, which most encoders show within the first blocks. Which one comes first is learned: streams of
one maker were mostly made by one encoder. What is spent on encoders that fail is bounded by what the streams of the package hold.
Only if every encoder that makes exact streams fails is one asked that needs corrections.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Final, cast

from waybill.delta.encoders import CorrectingEncoder, Encoder, FramedEncoder
from waybill.delta.io import STRIDE, View
from waybill.delta.transforms import TRANSFORMS
from waybill.errors import WaybillError

_FIRST_STRIDE: Final = 1 << 14
_EARLY: Final = 1 << 18
"""Up to so many bytes reads are small, since most encoders that fail do so with their first block; then they double."""
_SMALL: Final = 1 << 16
"""Plain bytes below which a helper program is not worth asking early."""
_LARGE: Final = 1 << 20
"""Plain bytes from which every encoder is tried, whatever happened to the maker's other streams."""
_CORRECT_LEAST: Final = 1 << 10
"""Shorter streams cost less than their corrections."""
_FLOOR: Final = 1 << 28
_WASTE_RATIO: Final = 2
_CORRECTING_RATIO: Final = 8
_CORRECTING_WEIGHT: Final = 4
_START: Final = {"node": 1 << 15, "gnu-gzip": 1 << 17, "zstd-program": 1 << 17, "tokens": 1 << 18}
"""What asking an encoder of a helper program costs, in bytes deflated; of any other, that many:"""
_START_HERE: Final = 1 << 11
_WEIGHT: Final = {"xz": 16, "lzma": 16, "zstd": 4, "bzip2": 4}
"""What encoding a byte costs, in bytes deflated."""
_UNIX: Final = 3
_FACT: Final = re.compile(r"(\w+)=(\d+)")


@dataclass(frozen=True, slots=True)
class Remade:
    """``encoder`` makes the stream from its plain bytes and ``corrections``; that was tried."""

    encoder: Encoder
    corrections: bytes = b""


@dataclass(slots=True)
class _Record:
    """What happened to the streams of one maker: names of the encoders that won, the last winner first, and losses since the last win."""

    winners: list[str] = field(default_factory=list)
    losses: int = 0

    @property
    def attempts(self) -> int:
        """How many encoders a further stream is worth."""
        if self.losses < 4:
            return 1 << 16
        return 8 if self.losses < 16 else 2


class Memory:
    """What was learned from the streams of one package so far; make a new one for each package."""

    def __init__(self) -> None:
        self._makers: dict[tuple[str, str], _Record] = {}
        self._broken: set[str] = set()
        self._seen = 0
        self._wasted = 0
        self._corrected = 0

    @property
    def spent(self) -> bool:
        """Whether failed attempts have cost all that they may: twice what deflating all streams costs, and some."""
        return self._wasted > _FLOOR + _WASTE_RATIO * self._seen

    @property
    def correcting_spent(self) -> bool:
        """Whether corrections have cost all that they may."""
        return self._corrected > _FLOOR + _CORRECTING_RATIO * self._seen

    def see(self, length: int) -> None:
        """A stream of ``length`` plain bytes comes up."""
        self._seen += length

    def waste(self, encoder: Encoder, length: int) -> None:
        """``encoder`` was given ``length`` plain bytes in vain."""
        self._wasted += _START.get(_family(encoder.name), _START_HERE) + length * _WEIGHT.get(encoder.codec, 1)

    def correct(self, encoder: Encoder, length: int) -> None:
        """``encoder`` sought corrections for ``length`` plain bytes."""
        self._corrected += _START.get(_family(encoder.name), _START_HERE) + length * _CORRECTING_WEIGHT

    def attempts(self, codec: str, maker: str) -> int:
        """How many encoders the next stream of ``maker`` is worth."""
        return self._record(codec, maker).attempts

    def ordered(self, codec: str, maker: str, length: int, encoders: Sequence[Encoder]) -> Iterator[Encoder]:
        """``encoders`` in the order in which they should be tried on a stream of ``length`` plain bytes."""
        winners = self._record(codec, maker).winners
        last = next((one for one in encoders if one.name == winners[0] and not self.is_broken(one.name)), None) if winners else None
        if last is not None:
            yield last  # nearly always right: the rest is not even put into order
        of_others = [name for (other, _), record in self._makers.items() if other == codec for name in record.winners]
        first = dict.fromkeys((*winners, *_likely(codec, maker, length), *of_others))
        rank = {name: number for number, name in enumerate(first)}
        for one in sorted(encoders, key=lambda one: rank.get(one.name, len(rank))):
            if one is not last and not self.is_broken(one.name):
                yield one

    def win(self, codec: str, maker: str, name: str) -> None:
        """The encoder ``name`` re-made a stream of ``maker``."""
        record = self._record(codec, maker)
        record.losses = 0
        winners = record.winners
        if winners[:1] != [name]:
            if name in winners:
                winners.remove(name)
            winners.insert(0, name)

    def lose(self, codec: str, maker: str) -> None:
        """No exact encoder re-made a stream of ``maker``."""
        self._record(codec, maker).losses += 1

    def fail(self, name: str) -> None:
        """The encoder ``name`` broke down; neither it nor its family, which the same program makes, is asked again."""
        self._broken.add(_family(name))

    def is_broken(self, name: str) -> bool:
        """Whether the encoder ``name``, or one of its family, broke down before."""
        return _family(name) in self._broken

    def _record(self, codec: str, maker: str) -> _Record:
        return self._makers.setdefault((codec, maker), _Record())


def discover(plain: View, coded: View, codec: str, maker: str, encoders: Sequence[Encoder], memory: Memory) -> Remade | None:
    """How to make ``coded`` from ``plain``; None when nothing makes it, or finding out would cost too much.

    Args:
        plain: what ``coded`` decompresses to.
        maker: what the container says about the program that wrote it; only guides the order.
        encoders: those of this codec, the likelier ones first.
    """
    memory.see(plain.length)
    if len(encoders) == 1 and encoders[0].codec in TRANSFORMS:
        return Remade(encoders[0]) if _makes(encoders[0], b"", plain, coded, memory) else None
    found = _exact(plain, coded, codec, maker, encoders, memory)
    if found is not None:
        memory.win(codec, maker, found.encoder.name)
        return found
    memory.lose(codec, maker)
    return _corrected(plain, coded, encoders, memory)


def _exact(plain: View, coded: View, codec: str, maker: str, encoders: Sequence[Encoder], memory: Memory) -> Remade | None:
    left = memory.attempts(codec, maker) if plain.length < _LARGE else len(encoders)
    for encoder in memory.ordered(codec, maker, plain.length, encoders):
        if left == 0 or memory.spent:
            return None
        if _corrects(type(encoder)):
            continue
        corrections = cast(FramedEncoder, encoder).frame(plain, coded) if _frames(type(encoder)) else b""
        if corrections is not None:
            left -= 1
            if _makes(encoder, corrections, plain, coded, memory):
                return Remade(encoder, corrections)
    return None


def _corrected(plain: View, coded: View, encoders: Sequence[Encoder], memory: Memory) -> Remade | None:
    if plain.length < _CORRECT_LEAST:
        return None
    for encoder in encoders:
        if not _corrects(type(encoder)) or memory.is_broken(encoder.name) or memory.correcting_spent:
            continue
        memory.correct(encoder, plain.length)
        try:
            corrections = cast(CorrectingEncoder, encoder).correct(plain, coded)
        except WaybillError:
            memory.fail(encoder.name)
            continue
        if corrections is not None and len(corrections) * 2 < coded.length and _makes(encoder, corrections, plain, coded, memory):
            return Remade(encoder, corrections)
    return None


@cache
def _corrects(kind: type[Encoder]) -> bool:
    """Whether encoders of this class are a ``CorrectingEncoder``. To ask the protocol costs more than to make a short stream."""
    return hasattr(kind, "correct")


@cache
def _frames(kind: type[Encoder]) -> bool:
    """Whether encoders of this class are a ``FramedEncoder``."""
    return hasattr(kind, "frame")


def _makes(encoder: Encoder, corrections: bytes, plain: View, coded: View, memory: Memory) -> bool:
    """Whether ``encoder`` makes exactly ``coded``. Ends at the first difference."""
    fed = _Fed(plain)
    made = encoder.encode(iter(fed), corrections)
    same = False
    try:
        same = _equal(made, coded)
    except WaybillError:
        memory.fail(encoder.name)
    finally:
        if isinstance(made, Generator):
            made.close()
    if not same:
        memory.waste(encoder, fed.length)
    return same


def _equal(made: Iterable[bytes], coded: View) -> bool:
    at = 0
    for data in made:
        if at + len(data) > coded.length or coded.read_at(at, len(data)) != data:
            return False
        at += len(data)
    return at == coded.length


class _Fed:
    """The bytes of a view, and how many of them were taken."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.length = 0

    def __iter__(self) -> Iterator[bytes]:
        stride = _FIRST_STRIDE
        while self.length < self._view.length:
            data = self._view.read_at(self.length, min(stride, self._view.length - self.length))
            self.length += len(data)
            if self.length >= _EARLY:
                stride = min(STRIDE, stride * 2)
            yield data


def _likely(codec: str, maker: str, length: int) -> tuple[str, ...]:
    """Names of encoders that the maker's own words make likely, the likeliest first.

    A gzip stream without a file name is npm's, with the name and from Unix it is GNU gzip's, else some zlib's.
    """
    if codec != "deflate":
        return ()
    facts = _facts(maker)
    gzip = maker.startswith("gzip")
    effort = facts.get("xfl", 0) if gzip else {2: 2, 6: 4}.get(facts.get("flags", 0) & 6, 0)
    level = {2: 9, 4: 1}.get(effort, 6)
    zlib, node, gnu = f"zlib:{level}:8", f"node:{level}:8", f"gnu-gzip:{level}"
    if length < _SMALL:
        return (gnu, zlib) if gzip and facts.get("os") == _UNIX and facts.get("flags", 0) & 8 else (zlib,)
    if gzip and facts.get("flags") == 0:
        ordered = node, zlib, gnu
    elif gzip and facts.get("os") == _UNIX:
        ordered = gnu, zlib, node
    else:
        ordered = zlib, node, gnu
    return *ordered, "zlib:6:8", "zlib:9:8", "node:9:8", "gnu-gzip:6", "node:6:8"


@lru_cache(1024)
def _facts(maker: str) -> dict[str, int]:
    return {name: int(value) for name, value in _FACT.findall(maker[:1000]) if len(value) < 10}


def _family(name: str) -> str:
    return name.partition(":")[0]
