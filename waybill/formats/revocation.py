# SPDX-License-Identifier: Apache-2.0
"""The revocation: a Space tells its peers, under its identity key, that one of its keys must not be accepted any more.

It travels alone or inside a Delivery. Byte-level description: docs/formats/revocation-v1.md.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from waybill.formats import canonical
from waybill.formats.fields import SCHEMA_MINOR, open_document, schema, write_optional_time, write_time
from waybill.formats.identity import RevokedKey, read_revoked

PAYLOAD_TYPE: Final = "application/vnd.waybill.revocation.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationDoc:
    """What a revocation says: one key of ``space_id``; ``issued_at`` is when it was signed."""

    space_id: str
    issued_at: datetime
    revoked: RevokedKey
    minor: int = SCHEMA_MINOR


def encode(doc: RevocationDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode``."""
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "issued_at": write_time(doc.issued_at),
            "revoked": {
                "compromised_since": write_optional_time(doc.revoked.compromised_since),
                "key_sha256": doc.revoked.key_sha256,
                "reason": doc.revoked.reason,
                "revoked_at": write_time(doc.revoked.revoked_at),
            },
            "space_id": doc.space_id,
        }
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> RevocationDoc:
    """The revocation in ``payload``.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported, package.digest_unsupported.
    Source: docs/formats/revocation-v1.md.
    """
    fields = open_document(payload)
    doc = RevocationDoc(
        space_id=fields.id("space_id", "spc"),
        issued_at=fields.time("issued_at"),
        revoked=read_revoked(fields.child("revoked")),
        minor=fields.minor,
    )
    fields.end()
    return doc
