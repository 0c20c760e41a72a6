# SPDX-License-Identifier: Apache-2.0
"""What a delta says about itself, for people and for tests. Nothing of it is proven before the delta is applied."""

from collections import Counter
from typing import Any

from waybill.delta import reader
from waybill.delta.io import ReaderAt
from waybill.delta.limits import Limits
from waybill.delta.model import POOL


def inspect(delta: ReaderAt, limits: Limits) -> dict[str, Any]:
    """Digests, sizes and the parts of ``delta``; sizes in bytes.

    Raises:
        FormatError: delta.*, as the receiver would.
    """
    found = reader.read(delta, limits)
    recipe = found.recipe
    copied = sum(place.length for place in recipe.segments if place.source < recipe.block_source)
    used = Counter(recipe.encoders[one.encoder].name for one in recipe.streams)
    return {
        "base_sha256": found.head.base_sha256.hex(),
        "base_size": found.head.base_size,
        "result_sha256": found.head.result_sha256.hex(),
        "result_size": found.head.result_size,
        "delta_size": delta.size,
        "share": round(delta.size / max(1, found.head.result_size), 6),
        "recipe_size": found.recipe_size,
        "content_size": sum(place.length for place in recipe.segments),
        "copied": copied,
        "segments": len(recipe.segments),
        "opened": dict(sorted(Counter(one.codec for one in recipe.opened).items())),
        "streams": len(recipe.streams),
        "encoders": [{"name": one.name, "digest": one.digest.hex(), "streams": used[one.name]} for one in recipe.encoders],
        "blocks": [
            {
                "kind": "pool" if block.kind == POOL else "patch",
                "size": block.size,
                "base": sum(place.length for place in block.base),
                "payload": block.payload,
                "predictor": block.predictor,
            }
            for block in recipe.blocks
        ],
    }
