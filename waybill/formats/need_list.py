# SPDX-License-Identifier: Apache-2.0
"""The need list: exactly which bytes a target lacks for one Delivery. Byte-level description: docs/formats/need-list-v1.md."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.formats import canonical
from waybill.formats.fields import SCHEMA_MINOR, Fields, check_unique, open_document, schema, write_time

PAYLOAD_TYPE: Final = "application/vnd.waybill.need-list.v1+json"
MAX_NEEDS: Final = 10_000
MAX_BASES: Final = 100
MAX_RANGES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """The bytes ``[start, end)``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededBlob:
    """A blob that is lacking. ``bases`` are held and may serve for a delta. ``ranges`` empty means the whole blob."""

    sha256: str
    size_bytes: int
    bases: tuple[str, ...] = ()
    ranges: tuple[ByteRange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedListDoc:
    """What a need list says."""

    sender_space_id: str
    target_space_id: str
    epoch: int
    seq: int
    prev_sha256: str | None
    created_at: datetime
    delivery_sha256: str
    needs: tuple[NeededBlob, ...]
    minor: int = SCHEMA_MINOR


def encode(doc: NeedListDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode``."""
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "created_at": write_time(doc.created_at),
            "delivery_sha256": doc.delivery_sha256,
            "epoch": doc.epoch,
            "needs": [_need_to_json(one) for one in doc.needs],
            "prev_sha256": doc.prev_sha256,
            "sender_space_id": doc.sender_space_id,
            "seq": doc.seq,
            "target_space_id": doc.target_space_id,
        }
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> NeedListDoc:
    """The need list in ``payload``.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported, package.digest_unsupported.
    Source: docs/formats/need-list-v1.md.
    """
    fields = open_document(payload)
    doc = NeedListDoc(
        sender_space_id=fields.id("sender_space_id", "spc"),
        target_space_id=fields.id("target_space_id", "spc"),
        epoch=fields.integer("epoch", least=1),
        seq=fields.integer("seq", least=1),
        prev_sha256=fields.optional("prev_sha256", fields.digest),
        created_at=fields.time("created_at"),
        delivery_sha256=fields.digest("delivery_sha256"),
        needs=tuple(_read_need(one) for one in fields.children("needs", most=MAX_NEEDS)),
        minor=fields.minor,
    )
    fields.end()
    check_unique([one.sha256 for one in doc.needs], field="/needs")
    return doc


def _need_to_json(one: NeededBlob) -> JsonValue:
    ranges: list[JsonValue] = [{"end": part.end, "start": part.start} for part in one.ranges]
    return {"bases": list(one.bases), "ranges": ranges, "sha256": one.sha256, "size": one.size_bytes}


def _read_need(fields: Fields) -> NeededBlob:
    need = NeededBlob(
        sha256=fields.digest("sha256"),
        size_bytes=fields.integer("size"),
        bases=fields.digests("bases", most=MAX_BASES),
        ranges=tuple(_read_range(one) for one in fields.children("ranges", most=MAX_RANGES)),
    )
    end = 0
    for part in need.ranges:
        if not end <= part.start < part.end <= need.size_bytes:
            raise fields.invalid("ranges", "ranges in order, apart, inside the blob", f"{part.start}-{part.end}")
        end = part.end
    fields.end()
    return need


def _read_range(fields: Fields) -> ByteRange:
    part = ByteRange(start=fields.integer("start"), end=fields.integer("end"))
    fields.end()
    return part
