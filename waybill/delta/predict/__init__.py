# SPDX-License-Identifier: Apache-2.0
"""Address prediction: what both sides can foretell about the addresses in a program is not sent.

Read in this order: ``elf`` (where a file is loaded), ``fields`` (what a field is), ``fields_*`` (where the fields are), ``regions`` (where old
addresses went), ``predictor`` (how the fields are told), ``coding`` (bits), ``residual`` (the bytes between the fields).
The name of a predictor is part of a delta. Whoever changes which fields are found, or how they are told, gives it a new number.
"""

from typing import Final, Literal, Protocol

from waybill.delta.io import Aligner, Array
from waybill.delta.predict import fields_aarch64, fields_x86_64
from waybill.delta.predict.elf import AARCH64, X86_64
from waybill.delta.predict.predictor import ElfPredictor
from waybill.errors import FormatError


class Predictor(Protocol):
    """Foretells the copied bytes of a new file from the old file and its alignment."""

    @property
    def name(self) -> str:
        """Versioned identity, written into the delta: "elf-x86-64/1"."""

    def applies(self, old: bytes, new: bytes) -> bool:
        """Whether it knows both files."""

    def mask(self, data: bytes) -> bytes:
        """Bytes of the same length with addresses blanked, in which an aligner finds more."""

    def align(self, old: bytes, new: bytes, aligner: Aligner, mode: Literal["fast", "best"]) -> Array:
        """Records for :meth:`encode`: those of the masked files without the ones that cost more than they save."""

    def encode(self, old: bytes, records: Array, new: bytes, *, fast: bool) -> bytes:
        """All that the receiver needs beside the records (int64 of shape (k, 3)) and the extra bytes; ``fast`` costs bytes."""

    def decode(self, old: bytes, records: Array, coded: bytes) -> bytes:
        """The copied bytes of the new file in record order. Raises FormatError: delta.malformed."""


PREDICTORS: Final[tuple[Predictor, ...]] = (
    ElfPredictor("elf-x86-64/1", X86_64, fields_x86_64.KINDS, fields_x86_64.CODE, fields_x86_64.find),
    ElfPredictor("elf-aarch64/1", AARCH64, fields_aarch64.KINDS, fields_aarch64.CODE, fields_aarch64.find),
)


def by_name(name: str) -> Predictor:
    """The predictor of that identity.

    Raises:
        FormatError: delta.unsupported, when this version has none of that name.
    """
    for one in PREDICTORS:
        if one.name == name:
            return one
    raise FormatError(
        "delta.unsupported",
        "the delta needs a predictor that this version does not know",
        expected=[p.name for p in PREDICTORS],
        found=name,
    )
