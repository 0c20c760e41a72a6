# SPDX-License-Identifier: Apache-2.0
"""What one run of the engine works with: encoders that run here, an aligner if there is one, scratch room, bounds, and an ear."""

from collections.abc import Callable
from dataclasses import dataclass, field

from waybill.delta.encoders import EncoderSet
from waybill.delta.io import Aligner, Progress, Spool
from waybill.delta.limits import Limits


def silent(stage: str, done: int, total: int) -> None:
    """Hears nothing."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Without an aligner deltas of native code are larger; without an encoder so are those of archives that it made. Both stay correct."""

    encoders: EncoderSet
    spool: Callable[[], Spool]
    aligner: Aligner | None = None
    limits: Limits = field(default_factory=Limits)
    progress: Progress = silent
