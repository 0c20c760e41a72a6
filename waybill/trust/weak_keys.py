# SPDX-License-Identifier: Apache-2.0
"""Refuses keys and signatures that anybody can forge for, which the library would accept.

Ed25519: the 14 encodings of points of small order (8 points and 6 aliases) and every non-canonical encoding, for the key A and for R.
X25519: points of low order and non-canonical coordinates.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from waybill.errors import TrustError

PRIME: Final = 2**255 - 19
_ORDER_EIGHT: Final = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER_Y: Final = frozenset({0, 1, PRIME - 1, _ORDER_EIGHT, PRIME - _ORDER_EIGHT})
_PROBE: Final = bytes(range(32))


def is_weak_point(encoded: bytes) -> bool:
    """True when ``encoded`` (32 bytes) is no canonical Edwards point, or one whose order divides eight.

    Whether the point is on the curve at all is found by the library when it verifies.
    Source: RFC 8032, section 5.1.3; "Taming the many EdDSAs", table 1.
    """
    number = int.from_bytes(encoded, "little")
    y = number & ((1 << 255) - 1)
    # The points with x = 0 have y = 1 or y = -1, so an alias by the sign of x falls under the same set.
    return y >= PRIME or y in _SMALL_ORDER_Y


def check_ed25519_public(raw: bytes) -> bytes:
    """``raw`` itself, when no small-order or non-canonical point. Raises TrustError trust.key_weak."""
    if len(raw) != 32 or is_weak_point(raw):
        raise TrustError("trust.key_weak", "The Ed25519 key has small order or is not in canonical form", found=raw.hex())
    return raw


def check_x25519_public(raw: bytes) -> bytes:
    """``raw`` itself, when a key agreement with it has a secret result. Raises TrustError trust.key_weak."""
    weak = len(raw) != 32 or int.from_bytes(raw, "little") >= PRIME
    if not weak:
        try:
            X25519PrivateKey.from_private_bytes(_PROBE).exchange(X25519PublicKey.from_public_bytes(raw))
        except ValueError:
            weak = True
    if weak:
        raise TrustError("trust.key_weak", "The X25519 key has low order or is not in canonical form", found=raw.hex())
    return raw
