# SPDX-License-Identifier: Apache-2.0
"""A recipe while it is made: places are told by what they lie in, and become numbered ranges at the end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from waybill.delta.encoders import Encoder, EncoderId, identity_of
from waybill.delta.io import View
from waybill.delta.match import Host
from waybill.delta.model import CODECS, Block, Opened, Range, Recipe, Stream


@dataclass(slots=True, eq=False)
class BlockDraft:
    """A block whose payload is known. ``base`` are places; ``extra`` is the block that holds the extra bytes of a patch."""

    kind: int
    size: int
    base: "list[Place]"
    payload: View
    extra: "BlockDraft | None" = None
    predictor: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """``length`` bytes at ``offset`` of a source of the base or of the output of a block."""

    home: Host | BlockDraft
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class StreamDraft:
    """Pieces ``first`` to ``first + count - 1`` are compressed again by ``encoder``."""

    first: int
    count: int
    encoder: Encoder
    corrections: bytes


@dataclass(slots=True)
class Draft:
    """``pieces`` has the places of each piece of the content, in order; the piece of an empty stream has one empty place."""

    blocks: list[BlockDraft] = field(default_factory=list)
    pieces: list[list[Place]] = field(default_factory=list)
    streams: Sequence[StreamDraft] = ()
    corrections: BlockDraft | None = None

    def recipe(self) -> tuple[Recipe, list[Host]]:
        """The recipe, and the hosts of its opened sources in order."""
        segments, starts = self._joined()
        homes = [place.home for place in segments] + [place.home for block in self.blocks for place in block.base]
        hosts = _in_order(home for home in homes if isinstance(home, Host))
        numbers: dict[int, int] = {id(host): number for number, host in enumerate(hosts, 1)}
        numbers.update({id(block): number for number, block in enumerate(self.blocks, 1 + len(hosts))})
        encoders: dict[str, EncoderId] = {}
        for one in self.streams:
            if one.encoder.name not in encoders:
                encoders[one.encoder.name] = identity_of(one.encoder)
        order = {name: number for number, name in enumerate(encoders)}

        def ranged(places: Iterable[Place]) -> tuple[Range, ...]:
            return tuple(Range(numbers.get(id(place.home), 0), place.offset, place.length) for place in places)

        recipe = Recipe(
            encoders=tuple(encoders.values()),
            opened=tuple(
                Opened(host.codec, Range(numbers.get(id(host.parent), 0), host.offset, host.length), host.view.length) for host in hosts
            ),
            blocks=tuple(
                Block(
                    one.kind,
                    one.size,
                    ranged(one.base),
                    one.payload.length,
                    numbers[id(one.extra)] if one.extra else 0,
                    one.predictor,
                )
                for one in self.blocks
            ),
            segments=ranged(segments),
            streams=[
                Stream(
                    starts[one.first],
                    starts[one.first + one.count] - starts[one.first],
                    order[one.encoder.name],
                    len(one.corrections),
                )
                for one in self.streams
            ],
            corrections=numbers[id(self.corrections)] if self.corrections else 0,
        )
        return recipe, hosts

    def _joined(self) -> tuple[list[Place], dict[int, int]]:
        """Segments: places that continue each other are one, but for the border of a stream. And for each such border its first segment."""
        borders = {border for one in self.streams for border in (one.first, one.first + one.count)}
        out: list[Place] = []
        starts: dict[int, int] = {}
        for number, places in enumerate(self.pieces):
            if fresh := number in borders:
                starts[number] = len(out)
            for place in places:
                last = out[-1] if out and not fresh else None
                if last and last.home is place.home and last.offset + last.length == place.offset:
                    out[-1] = Place(last.home, last.offset, last.length + place.length)
                else:
                    out.append(place)
                fresh = False
        starts[len(self.pieces)] = len(out)
        return out, starts


def _in_order(homes: Iterable[Host]) -> list[Host]:
    """Each host once, a parent before those inside it; the file itself is source 0 and not among them."""
    found: dict[int, Host] = {}

    def add(host: Host) -> None:
        if host.parent is None or id(host) in found:
            return
        add(host.parent)
        found[id(host)] = host

    for host in homes:
        add(host)
    return sorted(found.values(), key=lambda host: (_depth(host), _root_offset(host), CODECS.index(host.codec), host.offset))


def _depth(host: Host) -> int:
    return 0 if host.parent is None else 1 + _depth(host.parent)


def _root_offset(host: Host) -> int:
    return host.offset if host.parent is None or host.parent.parent is None else _root_offset(host.parent)


def view_of(place: Place) -> View:
    """The bytes of a place in the base."""
    if not isinstance(place.home, Host):
        raise TypeError("only places in the base have bytes yet")
    return place.home.view.sub(place.offset, place.length)
