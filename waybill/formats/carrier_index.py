# SPDX-License-Identifier: Apache-2.0
"""The signed index that opens every carrier file: what the file holds, in order, with digests and sizes.

Byte-level description: docs/formats/carrier-v1.md, section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.errors import FormatError
from waybill.formats import canonical
from waybill.formats.fields import SCHEMA_MINOR, Fields, check_unique, open_document, schema, write_time

PAYLOAD_TYPE: Final = "application/vnd.waybill.carrier-index.v1+json"
MAX_ENTRIES: Final = 20_000
MAX_VOLUMES: Final = 1_000
MAX_BLOB_BYTES: Final = 2**50
ENVELOPE_KINDS: Final = ("release", "delivery", "receipt", "inventory", "need_list", "recall", "identity", "revocation")
BLOB_ROLES: Final = ("package", "step_package", "attachment", "delta", "part")


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierEnvelope:
    """An envelope of the file; digest and size are those of the envelope's own bytes."""

    kind: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierBlob:
    """Opaque bytes of the file. ``base`` and ``target`` are digests: from what and to what a delta leads, or of what a part is a part."""

    role: str
    sha256: str
    size_bytes: int
    base: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierIndexDoc:
    """What an index says. ``volume`` counts from 1 to ``volumes``; each volume's index lists that volume only."""

    set_id: str
    volume: int
    volumes: int
    sender_space_id: str
    target_space_id: str
    created_at: datetime
    envelopes: tuple[CarrierEnvelope, ...]
    blobs: tuple[CarrierBlob, ...]
    minor: int = SCHEMA_MINOR


def encode(doc: CarrierIndexDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode``."""
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "blobs": [_blob_to_json(one) for one in doc.blobs],
            "created_at": write_time(doc.created_at),
            "envelopes": [{"kind": one.kind, "sha256": one.sha256, "size": one.size_bytes} for one in doc.envelopes],
            "sender_space_id": doc.sender_space_id,
            "set_id": doc.set_id,
            "target_space_id": doc.target_space_id,
            "volume": doc.volume,
            "volumes": doc.volumes,
        }
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> CarrierIndexDoc:
    """The index in ``payload``.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported, package.digest_unsupported.
    Source: docs/formats/carrier-v1.md, section 2.
    """
    fields = open_document(payload)
    doc = CarrierIndexDoc(
        set_id=fields.id("set_id", "car"),
        volume=fields.integer("volume", least=1, most=MAX_VOLUMES),
        volumes=fields.integer("volumes", least=1, most=MAX_VOLUMES),
        sender_space_id=fields.id("sender_space_id", "spc"),
        target_space_id=fields.id("target_space_id", "spc"),
        created_at=fields.time("created_at"),
        envelopes=tuple(_read_envelope(one) for one in fields.children("envelopes", most=MAX_ENTRIES)),
        blobs=tuple(_read_blob(one) for one in fields.children("blobs", most=MAX_ENTRIES)),
        minor=fields.minor,
    )
    if doc.volume > doc.volumes:
        raise fields.invalid("volume", "at most volumes", doc.volume)
    fields.end()
    check_unique([one.sha256 for one in doc.envelopes], field="/envelopes")
    check_unique([one.sha256 for one in doc.blobs], field="/blobs")
    return doc


def check_volumes(indexes: Sequence[CarrierIndexDoc]) -> None:
    """Every volume of one set is there, once.

    Raises:
        FormatError: carrier.volume_missing, naming the numbers that lack; carrier.malformed, when the indexes are not of one set.
    """
    first = indexes[0]
    if any((one.set_id, one.volumes, one.sender_space_id) != (first.set_id, first.volumes, first.sender_space_id) for one in indexes):
        raise FormatError("carrier.malformed", "The volumes are not of one set", field="set_id")
    missing = sorted(set(range(1, first.volumes + 1)) - {one.volume for one in indexes})
    if missing:
        raise FormatError(
            "carrier.volume_missing",
            "Not every volume of the set is here",
            field="volume",
            expected=f"{first.volumes} volumes",
            found=f"without {', '.join(str(number) for number in missing[:20])}",
        )


def _read_envelope(fields: Fields) -> CarrierEnvelope:
    envelope = CarrierEnvelope(
        kind=fields.choice("kind", ENVELOPE_KINDS),
        sha256=fields.digest("sha256"),
        size_bytes=fields.integer("size", least=1, most=MAX_BLOB_BYTES),
    )
    fields.end()
    return envelope


def _blob_to_json(one: CarrierBlob) -> JsonValue:
    return {"base": one.base, "role": one.role, "sha256": one.sha256, "size": one.size_bytes, "target": one.target}


def _read_blob(fields: Fields) -> CarrierBlob:
    blob = CarrierBlob(
        role=fields.choice("role", BLOB_ROLES),
        sha256=fields.digest("sha256"),
        size_bytes=fields.integer("size", most=MAX_BLOB_BYTES),
        base=fields.optional("base", fields.digest),
        target=fields.optional("target", fields.digest),
    )
    if (blob.target is not None) != (blob.role in ("delta", "part")) or (blob.base is not None) != (blob.role == "delta"):
        raise fields.invalid("target", "base and target for a delta, target for a part, none otherwise", blob.role)
    fields.end()
    return blob
