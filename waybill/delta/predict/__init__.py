# SPDX-License-Identifier: Apache-2.0
"""Address prediction: what both sides can foretell about the addresses in a program is not sent.

Read in this order: ``elf`` (where a file is loaded), ``fields`` (what a field is), ``fields_*`` (where the fields are), ``regions`` (where old
addresses went), ``predictor`` (how the fields are told), ``coding`` (bits), ``residual`` (the bytes between the fields).
The name of a predictor is part of a delta. Whoever changes which fields are found, or how they are told, gives it a new number.
"""

from typing import Final

from waybill.delta.predict import fields_aarch64, fields_x86_64
from waybill.delta.predict.elf import AARCH64, X86_64
from waybill.delta.predict.predictor import Aligned as Aligned
from waybill.delta.predict.predictor import ElfPredictor as ElfPredictor
from waybill.delta.predict.predictor import Memo as Memo
from waybill.errors import FormatError

PREDICTORS: Final[tuple[ElfPredictor, ...]] = (
    ElfPredictor("elf-x86-64/1", X86_64, fields_x86_64.KINDS, fields_x86_64.CODE, fields_x86_64.find),
    ElfPredictor("elf-aarch64/1", AARCH64, fields_aarch64.KINDS, fields_aarch64.CODE, fields_aarch64.find),
)


def by_name(name: str) -> ElfPredictor:
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
