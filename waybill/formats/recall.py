# SPDX-License-Identifier: Apache-2.0
"""The recall: the sender of a release withdraws it; a receipt proves that it arrived. Byte-level description: docs/formats/recall-v1.md."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from waybill.formats import canonical
from waybill.formats.fields import MAX_NOTES, SCHEMA_MINOR, open_document, schema, write_time

PAYLOAD_TYPE: Final = "application/vnd.waybill.recall.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallDoc:
    """What a recall says."""

    sender_space_id: str
    target_space_id: str
    epoch: int
    seq: int
    prev_sha256: str | None
    created_at: datetime
    release_sha256: str
    reason: str
    minor: int = SCHEMA_MINOR


def encode(doc: RecallDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode``."""
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "created_at": write_time(doc.created_at),
            "epoch": doc.epoch,
            "prev_sha256": doc.prev_sha256,
            "reason": doc.reason,
            "release_sha256": doc.release_sha256,
            "sender_space_id": doc.sender_space_id,
            "seq": doc.seq,
            "target_space_id": doc.target_space_id,
        }
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> RecallDoc:
    """The recall in ``payload``.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported, package.digest_unsupported.
    Source: docs/formats/recall-v1.md.
    """
    fields = open_document(payload)
    doc = RecallDoc(
        sender_space_id=fields.id("sender_space_id", "spc"),
        target_space_id=fields.id("target_space_id", "spc"),
        epoch=fields.integer("epoch", least=1),
        seq=fields.integer("seq", least=1),
        prev_sha256=fields.optional("prev_sha256", fields.digest),
        created_at=fields.time("created_at"),
        release_sha256=fields.digest("release_sha256"),
        reason=fields.text("reason", most=MAX_NOTES),
        minor=fields.minor,
    )
    fields.end()
    return doc
