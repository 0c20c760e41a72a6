# SPDX-License-Identifier: Apache-2.0
"""The signed envelope: DSSE 1.0.2 over opaque bytes.

Decoding proves only the form. No key, certificate or algorithm is read from an envelope: a verifier takes them from its own trust.
The payload is decoded once and that very object is handed on, so nothing else can be verified than what is used.
Byte-level description: docs/formats/envelope-v1.md.
"""

from dataclasses import dataclass
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.errors import FormatError, TrustError
from waybill.formats import base64_strict, canonical

MAX_ENVELOPE_BYTES: Final = 16 * 1024 * 1024
MAX_SIGNATURES: Final = 8
MAX_SIGNATURE_BYTES: Final = 8192
MAX_TYPE_CHARACTERS: Final = 200
MAX_NODES: Final = 1_000
"""Values of an envelope, unknown members included: a flood of signatures is refused before it is built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature. ``keyid`` narrows the candidate keys and proves nothing; ours is the SHA-256 of the key's SPKI, in lower-case hex."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload, its type and the signatures over both. Nothing here is verified."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: type and payload, each with its length, so that neither can run into the other.

    Source: DSSE 1.0.2 protocol, "PAE".
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def encode(env: Envelope) -> bytes:
    """``env`` as strict JSON; base64 in the standard alphabet."""
    signatures: list[JsonValue] = [{"keyid": one.keyid, "sig": base64_strict.encode(one.sig)} for one in env.signatures]
    return canonical.encode({"payload": base64_strict.encode(env.payload), "payloadType": env.payload_type, "signatures": signatures})


def decode(data: bytes, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> Envelope:
    """The envelope in ``data``, read strictly; unknown members are ignored, as DSSE asks.

    Args:
        data: the envelope as it came.
        max_bytes: most bytes of ``data``; checked before anything else.
    Raises:
        FormatError: limit.exceeded, over ``max_bytes`` or 8 signatures; envelope.malformed, for anything that is not such an envelope.
        TrustError: signature.missing, when no signature is there.
    Source: docs/formats/envelope-v1.md, section 3.
    """
    if len(data) > max_bytes:
        raise FormatError("limit.exceeded", "The envelope is too large", expected=f"at most {max_bytes} bytes", found=len(data))
    try:
        value = canonical.decode(data, max_bytes=max_bytes, max_string_bytes=max_bytes, max_nodes=MAX_NODES)
    except FormatError as error:
        code = error.code if error.code == "limit.exceeded" else "envelope.malformed"
        raise FormatError(code, error.message, field=error.field, expected=error.expected, found=error.found) from error
    if not isinstance(value, dict):
        raise FormatError("envelope.malformed", "The envelope is not an object")
    signatures = _signatures(value.get("signatures"))
    payload_type = _text(value, "payloadType")
    if len(payload_type) > MAX_TYPE_CHARACTERS:
        raise FormatError("envelope.malformed", "payloadType is too long", field="payloadType")
    payload = base64_strict.decode(_text(value, "payload"), code="envelope.malformed", field="payload")
    return Envelope(payload_type=payload_type, payload=payload, signatures=signatures)


def _text(members: dict[str, JsonValue], name: str) -> str:
    found = members.get(name)
    if not isinstance(found, str):
        raise FormatError("envelope.malformed", f"{name} must be text", field=name)
    return found


def _signatures(value: JsonValue) -> tuple[Signature, ...]:
    if value is None or value == []:
        raise TrustError("signature.missing", "The envelope carries no signature", field="signatures")
    if not isinstance(value, list):
        raise FormatError("envelope.malformed", "signatures must be a list", field="signatures")
    if len(value) > MAX_SIGNATURES:
        raise FormatError(
            "limit.exceeded", "Too many signatures", field="signatures", expected=f"at most {MAX_SIGNATURES}", found=len(value)
        )
    return tuple(_signature(item) for item in value)


def _signature(item: JsonValue) -> Signature:
    if not isinstance(item, dict):
        raise FormatError("envelope.malformed", "A signature must be an object", field="signatures")
    if not item.get("sig"):
        raise TrustError("signature.missing", "An entry of signatures carries no signature", field="sig")
    sig = base64_strict.decode(_text(item, "sig"), code="envelope.malformed", field="sig")
    if len(sig) > MAX_SIGNATURE_BYTES:
        raise FormatError("limit.exceeded", "A signature is too long", field="sig", expected=f"at most {MAX_SIGNATURE_BYTES} bytes")
    return Signature(keyid=_text(item, "keyid"), sig=sig)
