# SPDX-License-Identifier: Apache-2.0
"""Contents to compress, and what encoders make of them."""

import itertools

from waybill.delta.encoder_vectors import noise, vector
from waybill.delta.encoders import Encoder
from waybill.delta.io import BytesReader, View, whole


def view(data: bytes) -> View:
    """``data`` as a view."""
    return whole(BytesReader(data))


def made(encoder: Encoder, plain: bytes, corrections: bytes = b"", stride: int = 1 << 18) -> bytes:
    """The stream of ``plain``, which comes in chunks of ``stride``."""
    return b"".join(encoder.encode(view(plain).chunks(stride), corrections))


def mixed(size: int) -> bytes:
    """Text, zeros and noise in turns."""
    parts = (vector("text")[:30_000], bytes(20_000), noise("mixed", 9_000))
    return b"".join(itertools.islice(itertools.cycle(parts), size // 50_000 * 3 + 3))[:size]
