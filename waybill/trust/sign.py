# SPDX-License-Identifier: Apache-2.0
"""Makes signed envelopes. Ed25519, deterministic: the same bytes and key give the same envelope."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from waybill.errors import FormatError
from waybill.formats import envelope, peer
from waybill.formats.envelope import Envelope, Signature
from waybill.trust.keys import SigningKey

_PEER_TYPES = (peer.REQUEST_PAYLOAD_TYPE, peer.ANSWER_PAYLOAD_TYPE)


def sign_envelope(payload_type: str, payload: bytes, key: SigningKey, *more: SigningKey) -> bytes:
    """The envelope over exactly ``payload``, signed with ``key`` and, for a threshold, with ``more``.

    Args:
        payload_type: the PAYLOAD_TYPE of the document's module.
        payload: what its ``encode`` gave.
        key: the Space's signing key; the identity key for identity documents and revocations.
    Raises:
        FormatError: limit.exceeded, when the envelope would be larger than a reader takes.
    Source: docs/formats/envelope-v1.md.
    """
    message = envelope.pae(payload_type, payload)
    signatures = tuple(_signature(message, one) for one in (key, *more))
    data = envelope.encode(Envelope(payload_type=payload_type, payload=payload, signatures=signatures))
    most = peer.MAX_ENVELOPE_BYTES if payload_type in _PEER_TYPES else envelope.MAX_ENVELOPE_BYTES
    if len(data) > most:
        raise FormatError("limit.exceeded", "The document is too large to be sent", expected=f"at most {most} bytes", found=len(data))
    return data


def add_signatures(signed: bytes, keys: Sequence[SigningKey]) -> bytes:
    """The same envelope with further signatures, for a threshold. Raises FormatError as ``envelope.decode``."""
    env = envelope.decode(signed)
    message = envelope.pae(env.payload_type, env.payload)
    more = tuple(_signature(message, key) for key in keys)
    return envelope.encode(Envelope(payload_type=env.payload_type, payload=env.payload, signatures=env.signatures + more))


def _signature(message: bytes, key: SigningKey) -> Signature:
    return Signature(keyid=key.spki_sha256, sig=Ed25519PrivateKey.from_private_bytes(key.private_key).sign(message))
