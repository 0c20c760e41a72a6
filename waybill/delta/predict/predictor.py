# SPDX-License-Identifier: Apache-2.0
"""The predictor for ELF files: the receiver foretells every address that moved, and the delta only tells where that is wrong."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from waybill.delta.io import Aligner, Array, Octets
from waybill.delta.numbers import Cursor, malformed, put, put_coded, take_coded
from waybill.delta.predict import names, residual
from waybill.delta.predict.coding import Reader, Writer
from waybill.delta.predict.elf import HEAD_MOST, Image, read_image, read_sections
from waybill.delta.predict.fields import UNLOADED, Fields, Kind, put_words, words_at
from waybill.delta.predict.model import Copies, Model
from waybill.delta.predict.packing import Packer, Unpacker
from waybill.delta.predict.pruning import prune
from waybill.delta.predict.regions import Regions, copied

BITS: Final = 0
PACKED: Final = 1
"""Which coder told the fields."""
_PRUNED_FAST: Final = 1 << 12
"""Bytes per record from which on the impatient have records pruned, or if they are no more than ``_FEW``: each takes about 20 microseconds."""
_FEW: Final = 512
_LEAPS: Final = 8
_LEAPS_FAST: Final = 3
"""So many records in a row may be left out at once by pruning."""
_LABELLED: Final = 16
"""Bytes at a target that its label is made of."""
_ODD: Final = 0x1E3779B97F4A7C15


class _Known(NamedTuple):
    """What can be seen in a file by itself."""

    image: Image
    fields: Fields
    names: Array


class Memo:
    """What was seen in old programs while a delta was made, for its proof, which meets the same ones; what has no room any more is seen twice."""

    def __init__(self, room: int = 1 << 27) -> None:
        self._room = room
        self._known: dict[bytes, _Known] = {}

    def keep(self, old: bytes, known: "_Known") -> None:
        """What is known of ``old``, if there is room for it."""
        size = sum(one.nbytes for one in (known.fields.at, known.fields.kind, known.fields.target, known.fields.base, known.names))
        if size <= self._room:
            self._room -= size
            self._known[hashlib.sha256(old).digest()] = known

    def known(self, old: bytes) -> "_Known | None":
        """What is known of ``old``, or None."""
        return self._known.get(hashlib.sha256(old).digest()) if self._known else None


class Aligned(NamedTuple):
    """An alignment: ``records`` are int64 of shape (k, 3). ``known`` saves time when the same old file is given to ``encode`` afterwards."""

    records: Array
    known: _Known


@dataclass(frozen=True, slots=True)
class ElfPredictor:
    """Foretells addresses in programs for one machine. ``name`` is its versioned identity, written into the delta: "elf-x86-64/1".

    Args:
        kinds: the kinds of its fields, those of code from number ``code`` on.
        find: the fields of a file, the same on both sides.
    """

    name: str
    machine: int
    kinds: Sequence[Kind]
    code: int
    find: Callable[[bytes, Image], Fields]

    def applies(self, old: bytes, new: bytes) -> bool:
        """Whether both are ELF64 files for this machine whose heads are beyond doubt."""
        return self._image(old) is not None and self._image(new) is not None

    def mask(self, data: bytes) -> bytes:
        """``data`` with a label in place of every address: a digest of what stands at the target, so that moving alone changes nothing."""
        return data if self._image(data) is None else self._masks(data, self._known(data))[0]

    def align(self, old: bytes, new: bytes, aligner: Aligner, mode: Literal["fast", "best"]) -> "Aligned":
        """The best records that are known for this predictor."""
        known = self._known(old)
        (old_labels, old_blank), (new_labels, new_blank) = self._masks(old, known), self._masks(new, self._known(new))
        found = aligner.align(old_labels, new_labels, mode)
        good = mode == "fast" and len(found) > max(_FEW, len(new) // _PRUNED_FAST)
        return Aligned(found if good else prune(old_blank, new_blank, found, _LEAPS_FAST if mode == "fast" else _LEAPS), known)

    def _known(self, data: bytes) -> "_Known":
        image = self._image(data)
        if image is None:
            raise malformed("the old program cannot be used")
        return _Known(image, self.find(data, image), names.find(data, read_sections(data)))

    def _masks(self, data: bytes, known: "_Known") -> tuple[bytes, bytes]:
        """``data`` with a label in place of every address; and with zeros in place of those in code, whose differences cost nothing."""
        fields = known.fields
        blank = np.frombuffer(data + bytes(_LABELLED), np.uint8).copy()
        for number, kind in enumerate(self.kinds):
            at = fields.at[fields.kind == number]
            put_words(blank, at, kind.size, kind.opcode(words_at(blank, at, kind.size)))
        for start, length in known.names.tolist():
            blank[start : start + length] = 0
        label = _labels(fields.target, known.image, blank)
        self._label(blank, fields, label, range(self.code))
        labelled = blank.copy()
        self._label(labelled, fields, label, range(self.code, len(self.kinds)))
        return labelled[: len(data)].tobytes(), blank[: len(data)].tobytes()

    def _label(self, blank: Octets, fields: Fields, label: Array, numbers: range) -> None:
        for number in numbers:
            kind, mine = self.kinds[number], fields.kind == number
            if kind.size >= 4:
                at = fields.at[mine]
                put_words(blank, at, kind.size, kind.put(words_at(blank, at, kind.size), label[mine] * kind.unit))

    def encode(self, old: bytes, records: Array, new: bytes, truth: Octets, *, fast: bool, known: "_Known | None" = None) -> bytes:
        """What the receiver needs beside the records and the extra bytes; only where :meth:`applies` says yes.

        Args:
            truth: what stands in ``new`` in the places of the copies, side by side.
        """
        image = self._image(new)
        if image is None:
            raise ValueError("the predictor does not apply")
        known = known or self._known(old)
        bare, writer, out = copied(old, records), Packer() if fast else Writer(), bytearray()
        put_coded(out, _less(new[: image.head_size], old))
        names.tell(out, names.copies(known.names, records), bare, truth)
        Model(self.kinds, self._copies(known, records, image), Regions(records, known.image, image), writer).run(bare, truth)
        bits = writer.close()
        put(out, PACKED if fast else BITS)
        put(out, len(bits))
        out += bits
        residual.put_residual(out, truth - bare, fast=fast)
        return bytes(out)

    def decode(self, old: bytes, records: Array, coded: bytes, memo: Memo | None = None) -> Octets:
        """All copied bytes of the new file in record order; raises FormatError delta.malformed."""
        cursor = Cursor(coded)
        image = self._image(_more(take_coded(cursor, HEAD_MOST, "the head of a program"), old), int(records[:, :2].sum()))
        if image is None:
            raise malformed("the head of the new program cannot be used")
        known = (memo and memo.known(old)) or self._known(old)
        bare = copied(old, records)
        names.hear(cursor, names.copies(known.names, records), bare)
        packed = cursor.number(PACKED, "the predictor's coder") == PACKED
        bits = cursor.take(cursor.number(cursor.left, "the predictor's bits"), "the predictor's bits")
        copies = self._copies(known, records, image)
        reader = Unpacker(bits, len(copies.at)) if packed else Reader(bits)
        Model(self.kinds, copies, Regions(records, known.image, image), reader).run(bare, None)
        reader.close()
        residual.add_residual(cursor, bare)
        cursor.end("a prediction")
        return bare

    def _image(self, data: bytes, size: int | None = None) -> Image | None:
        image = read_image(data[:HEAD_MOST], len(data) if size is None else size)
        return image if image is not None and image.machine == self.machine else None

    def _copies(self, old: "_Known", records: Array, new: Image) -> Copies:
        return Copies.of(old.fields, records, old.image, new, np.array([kind.size for kind in self.kinds], np.int64))


def _less(head: bytes, old: bytes) -> bytes:
    """How the head of a new file differs from that of the old one, byte by byte."""
    return bytes(new - was & 255 for new, was in zip(head, old.ljust(len(head), b"\0"), strict=False))


def _more(difference: bytes, old: bytes) -> bytes:
    """The inverse of :func:`_less`."""
    return bytes(more + was & 255 for more, was in zip(difference, old.ljust(len(difference), b"\0"), strict=False))


def _labels(targets: Array, image: Image, blank: Octets) -> Array:
    place = np.where(targets >= UNLOADED, targets - UNLOADED, image.offsets(targets))
    known = (place >= 0) & (place < len(blank) - _LABELLED)
    place = np.where(known, place, 0)
    first, second = words_at(blank, place, 8), words_at(blank, place + 8, 8)
    label = ((first * _ODD + second) * _ODD) >> 32 & 0xFFFFFFFF
    return np.where(known, label, 0)
