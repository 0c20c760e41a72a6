# SPDX-License-Identifier: Apache-2.0
"""How the bytes of blocks are coded: pools by zstd with old content as prefix, patches by alignment with one old piece."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from waybill.delta import predict, records
from waybill.delta.apply import PREFIX_LEAST
from waybill.delta.codecs import zstd
from waybill.delta.io import Aligner, Array

Tier = Literal["online", "best"]
WINDOW_LOG: Final = 27
_BINARY_PROBE: Final = 4096
_TEXT_RECORD: Final = 1 << 12
"""Bytes of text that a record must tell on average: with more records a pool tells text in fewer bytes."""


def pool(prefix: bytes, data: bytes, tier: Tier) -> bytes:
    """``data`` as one zstd frame whose prefix is ``prefix``; together at most 2^27 bytes.

    At level 19 the default tables see the end of a long prefix only, so their sizes are given.
    """
    if not data:
        return b""
    c = zstd.CompressionParameter
    window = min(WINDOW_LOG, max(12, (len(prefix) + len(data)).bit_length()))
    options: dict[Any, int] = {
        c.window_log: window,
        c.enable_long_distance_matching: int(len(prefix) > 1 << 20),
        c.content_size_flag: 0,
        c.compression_level: 19 if tier == "best" else 6,
    }
    if tier == "best":
        options.update({c.chain_log: min(26, window + 1), c.hash_log: min(24, window), c.target_length: 4096, c.search_log: 9})
    dictionary = zstd.ZstdDict(prefix, is_raw=True).as_prefix if len(prefix) >= PREFIX_LEAST else None
    return zstd.compress(data, options=options, zstd_dict=dictionary)


def is_binary(probe: bytes) -> bool:
    """Whether a piece that begins with ``probe`` is better told by alignment than by text matches."""
    return b"\0" in probe[:_BINARY_PROBE]


@dataclass(frozen=True, slots=True)
class Patch:
    """A coded patch: ``extra`` are the bytes that must stand in a pool."""

    payload: bytes
    extra: bytes
    predictor: str


def patch(old: bytes, new: bytes, aligner: Aligner, tier: Tier, memo: predict.Memo) -> Patch | None:
    """``new`` told by ``old``, in the smallest way that is known; None when they have too little in common, and then a pool is smaller.

    Args:
        memo: keeps what was seen in ``old``.
    """
    if not old or not new:
        return None
    foretold = next((one for one in predict.PREDICTORS if one.applies(old, new)), None)
    mode: Literal["fast", "best"] = "fast" if tier == "online" else "best"
    found = aligner.align(old, new, mode) if foretold is None else foretold.align(old, new, aligner, mode)
    if _hopeless(found.records if isinstance(found, predict.Aligned) else found, new):
        return None
    if isinstance(found, predict.Aligned):
        memo.keep(old, found.known)
    payload, extra = records.encode(old, new, found, foretold, fast=tier == "online")
    return Patch(payload, extra, foretold.name if foretold else "")


def _hopeless(found: Array, new: bytes) -> bool:
    if not is_binary(new):
        return len(found) * _TEXT_RECORD > len(new)
    return int(found[:, 0].sum()) * 16 < len(new)
