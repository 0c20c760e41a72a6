# SPDX-License-Identifier: Apache-2.0
"""Signatures of an envelope against keys that are trusted already; strict Ed25519.

The algorithm is that of the trusted key; an envelope has no say in it. A key counts once, however often it stands in an envelope or a trust.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from waybill.errors import FormatError, TrustError
from waybill.formats.envelope import Envelope, pae
from waybill.trust.weak_keys import is_weak_point

MAX_CANDIDATES: Final = 16
K = TypeVar("K")


def is_valid(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """True when ``signature`` (64 bytes) over ``message`` was made with the Ed25519 key, and neither could be forged by anybody.

    Source: RFC 8032, section 5.1.7, with small-order and non-canonical A and R refused; S >= L is refused by the library.
    """
    if len(signature) != 64 or len(public_key) != 32 or is_weak_point(public_key) or is_weak_point(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verified_by(env: Envelope, candidates: Sequence[tuple[str, bytes, K]], *, threshold: int = 1) -> tuple[K, ...]:
    """The owners of the candidate keys that signed ``env``, each distinct key once.

    Args:
        env: at most 8 signatures; the decoder saw to it.
        candidates: (SPKI SHA-256 in hex, raw public key, whatever the caller wants back) of trusted keys only.
        threshold: how many distinct keys must have signed.
    Raises:
        TrustError: signature.untrusted, when no signature names a candidate; signature.invalid, when none that does is valid;
            signature.threshold_not_met.
        FormatError: limit.exceeded, when more than 16 candidates are named.
    Source: DSSE 1.0.2 protocol, "Verify"; docs/formats/envelope-v1.md, section 4.
    """
    keyids = {one.keyid for one in env.signatures}
    named = [one for one in candidates if one[0] in keyids]
    if not named:
        raise TrustError("signature.untrusted", "No trusted key is named by the signatures", found=", ".join(sorted(keyids))[:200])
    if len({one[0] for one in named}) > MAX_CANDIDATES:
        raise FormatError("limit.exceeded", "Too many candidate keys", expected=f"at most {MAX_CANDIDATES}")
    message = pae(env.payload_type, env.payload)
    good = {
        spki_sha256
        for spki_sha256, public_key, _ in named
        if any(one.keyid == spki_sha256 and is_valid(public_key, one.sig, message) for one in env.signatures)
    }
    if not good:
        raise TrustError("signature.invalid", "The signature does not fit the bytes")
    if len(good) < threshold:
        raise TrustError("signature.threshold_not_met", "Too few different keys have signed", expected=threshold, found=len(good))
    return tuple(owner for spki_sha256, _, owner in named if spki_sha256 in good)
