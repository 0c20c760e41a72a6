# SPDX-License-Identifier: Apache-2.0
"""Encoders make compressed streams again, bit for bit. Here are their ports, their identity, and the table of those that run in this process.

A name tells what an encoder is, its digest proves it: two machines whose zlib differs have the same names and different digests. A delta names each
encoder that it needs by both. A sender relies only on encoders that the receiver has shown; so a difference costs bytes and never makes a wrong file.

The digest is the first 16 bytes of SHA-256 over two SHA-256: the first covers what the encoder makes of the vectors FRAME of
``waybill.delta.encoder_vectors``, the second what its *engine*, which may be itself, makes of the vectors ENGINE. Encoders that compress the same way in
different frames share an engine. Before each output stands its length, 64 bits little endian. A correcting encoder has samples instead: what it makes of
vectors with corrections that never change; before each output stand its corrections in the same manner.

To add an encoder: write it in the file of its codec in ``encoding/``, or in ``adapters`` if it needs a process, and add it to a table.
Refused here: encoders that need a file, a process or the machine's clock.
"""

import hashlib
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol, runtime_checkable

from waybill.delta.encoder_vectors import ENGINE, FRAME, vector
from waybill.delta.encoding.bzip2 import BZIP2_ENCODERS
from waybill.delta.encoding.deflate import DEFLATE_ENCODERS
from waybill.delta.encoding.transforms import TRANSFORM_ENCODERS
from waybill.delta.encoding.xz import LZMA_ENCODERS, XZ_ENCODERS
from waybill.delta.encoding.zstd import ZSTD_ENCODERS
from waybill.delta.io import BytesReader, View, whole
from waybill.errors import FormatError

Sample = tuple[str, bytes]
"""A vector of ``waybill.delta.encoder_vectors``, and corrections."""


class Encoder(Protocol):
    """Makes streams of one codec. Equal encoders make equal streams; a process remembers who they are."""

    @property
    def name(self) -> str:
        """Family and parameters, such as ``zlib:6:8``; stable, at most 64 characters of ASCII."""

    @property
    def codec(self) -> str:
        """What decodes its streams: ``deflate | xz | zstd | bzip2 | lzma``, or a transform."""

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The stream of ``plain``, while it is read. How ``plain`` is cut into chunks changes nothing.

        Args:
            corrections: what ``frame`` or ``correct`` said about the stream; they may come from a stranger.
        Raises:
            FormatError: delta.malformed, for corrections that this encoder cannot have said.
            UnavailableError: delta.tool_failed, when a helper program ended early or too late.
        """


@runtime_checkable
class FramedEncoder(Encoder, Protocol):
    """An encoder that can tell from the outside of a stream whether it may have made it."""

    def frame(self, plain: View, coded: View) -> bytes | None:
        """The corrections that say what the frame of ``coded`` says, often none; None when this encoder cannot have made it. Cheap, and no proof."""


@runtime_checkable
class CorrectingEncoder(Encoder, Protocol):
    """An encoder that can be led to make streams that others made."""

    def correct(self, plain: View, coded: View) -> bytes | None:
        """Corrections with which ``encode`` makes exactly ``coded`` of ``plain``; None when there are none. Costs several times an encoding."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Vectors of ``waybill.delta.encoder_vectors`` by name, and the corrections with which it shows what it makes of each."""


@runtime_checkable
class DerivedEncoder(Encoder, Protocol):
    """An encoder whose compression is that of another one, in another frame."""

    @property
    def engine(self) -> Encoder:
        """The other one, or itself."""


@dataclass(frozen=True, slots=True, order=True)
class EncoderId:
    """An encoder as a delta names it: ``name``, and 16 bytes of digest."""

    name: str
    digest: bytes


class EncoderSet:
    """The encoders of one machine, in the order in which they are worth trying.

    Raises:
        ValueError: two of them have the same name.
    """

    def __init__(self, encoders: Iterable[Encoder]) -> None:
        self._by_name: dict[str, Encoder] = {}
        for one in encoders:
            if one.name in self._by_name:
                raise ValueError(f"two encoders have the name {one.name}")
            self._by_name[one.name] = one
        self._by_codec = {codec: tuple(one for one in self if one.codec == codec) for codec in {one.codec for one in self}}

    def __iter__(self) -> Iterator[Encoder]:
        """All of them."""
        return iter(self._by_name.values())

    def of_codec(self, codec: str) -> tuple[Encoder, ...]:
        """Those that make streams of ``codec``; none for a codec that nobody here makes."""
        return self._by_codec.get(codec, ())

    def by_id(self, wanted: EncoderId) -> Encoder:
        """The encoder that has this name and proves to be the same.

        Raises:
            FormatError: delta.encoder_unavailable.
        """
        found = self._by_name.get(wanted.name)
        if found is None:
            raise FormatError("delta.encoder_unavailable", "no encoder of this name runs here", field=wanted.name)
        mine = identity_of(found)
        if mine != wanted:
            raise FormatError(
                "delta.encoder_unavailable", "the encoder of this name makes other bytes here",
                field=wanted.name, expected=wanted.digest.hex(), found=mine.digest.hex(),
            )  # fmt: skip
        return found

    def ids(self) -> tuple[EncoderId, ...]:
        """Who they all are, to be shown to senders. Computes for about fifteen seconds the first time."""
        return tuple(identity_of(one) for one in self)

    def among(self, shown: Collection[EncoderId]) -> "EncoderSet":
        """Only those that a receiver has shown, with the same digests."""
        digests = {one.name: one.digest for one in shown}
        return EncoderSet(one for one in self if one.name in digests and identity_of(one).digest == digests[one.name])


PURE_ENCODERS: Final[tuple[Encoder, ...]] = (
    *DEFLATE_ENCODERS,
    *XZ_ENCODERS,
    *ZSTD_ENCODERS,
    *BZIP2_ENCODERS,
    *LZMA_ENCODERS,
    *TRANSFORM_ENCODERS,
)

_MEMORY: Final = {
    "xz": (3, 9, 17, 32, 48, 94, 94, 186, 370, 674),
    "lzma": (3, 9, 17, 32, 48, 94, 94, 186, 370, 674),
    "zstd": (4, 4, 8, 8, 8, 8, 8, 16, 16, 24, 24, 32, 48, 64, 64, 64, 64, 72, 88, 104, 200, 400, 740),
}
"""MiB by level, as ``xz(1)`` names them and as was measured for zstd with its workers; of any other encoder, with the program that runs it:"""
_MEMORY_OF_OTHERS: Final = 64


@cache
def memory_of(name: str) -> int:
    """Bytes that the encoder ``name`` may need while it runs, its helper program included."""
    family, _, rest = name.partition(":")
    levels = _MEMORY.get(family, ())
    digits = rest.partition(":")[0].rstrip("e")
    level = int(digits) if digits.isdigit() else 0
    return (levels[level] if level < len(levels) else max(levels, default=_MEMORY_OF_OTHERS)) << 20


_LOCK: Final = threading.Lock()
_KNOWN: Final[dict[tuple[Encoder, tuple[Sample, ...]], bytes]] = {}


def identity_of(encoder: Encoder) -> EncoderId:
    """Who ``encoder`` is on this machine. Computes for up to a second the first time, then this process remembers it.

    Raises:
        UnavailableError: delta.tool_failed, when its helper program fails.
    """
    if isinstance(encoder, CorrectingEncoder):
        parts = _digest(encoder, encoder.samples)
    else:
        parts = _digest(encoder, _plain(FRAME)) + _digest(
            encoder.engine if isinstance(encoder, DerivedEncoder) else encoder, _plain(ENGINE)
        )
    return EncoderId(encoder.name, hashlib.sha256(parts).digest()[:16])


def _plain(names: tuple[str, ...]) -> tuple[Sample, ...]:
    return tuple((name, b"") for name in names)


def _digest(encoder: Encoder, samples: tuple[Sample, ...]) -> bytes:
    with _LOCK:
        found = _KNOWN.get((encoder, samples))
    if found is None:
        total = hashlib.sha256()
        for name, corrections in samples:
            made = b"".join(encoder.encode(whole(BytesReader(vector(name))).chunks(), corrections))
            for part in (corrections, made) if corrections else (made,):
                total.update(len(part).to_bytes(8, "little") + part)
        found = total.digest()
        with _LOCK:
            _KNOWN[encoder, samples] = found
    return found
