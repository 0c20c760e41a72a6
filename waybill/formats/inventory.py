# SPDX-License-Identifier: Apache-2.0
"""The inventory: which packages a target holds, told to the Space that sent or named them.

It never names a package that came from somebody else. Byte-level description: docs/formats/inventory-v1.md.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from waybill.formats import canonical
from waybill.formats.fields import SCHEMA_MINOR, Fields, check_unique, open_document, schema, write_time

PAYLOAD_TYPE: Final = "application/vnd.waybill.inventory.v1+json"
MAX_PACKAGES: Final = 20_000
MAX_ENCODERS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryPackage:
    """A blob that the target holds whole and hashed."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryEncoder:
    """What the target can run to rebuild archives. ``sha256``: over its name, a zero byte, and its identity digest of delta-v1."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryDoc:
    """What an inventory says. ``complete`` False: what is not listed may still be there."""

    sender_space_id: str
    target_space_id: str
    epoch: int
    seq: int
    prev_sha256: str | None
    as_of: datetime
    packages: tuple[InventoryPackage, ...]
    encoders: tuple[InventoryEncoder, ...] = ()
    complete: bool = True
    minor: int = SCHEMA_MINOR


def encode(doc: InventoryDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode``."""
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "as_of": write_time(doc.as_of),
            "complete": doc.complete,
            "encoders": [{"name": one.name, "sha256": one.sha256} for one in doc.encoders],
            "epoch": doc.epoch,
            "packages": [{"sha256": one.sha256, "size": one.size_bytes} for one in doc.packages],
            "prev_sha256": doc.prev_sha256,
            "sender_space_id": doc.sender_space_id,
            "seq": doc.seq,
            "target_space_id": doc.target_space_id,
        }
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> InventoryDoc:
    """The inventory in ``payload``.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported, package.digest_unsupported.
    Source: docs/formats/inventory-v1.md.
    """
    fields = open_document(payload)
    doc = InventoryDoc(
        sender_space_id=fields.id("sender_space_id", "spc"),
        target_space_id=fields.id("target_space_id", "spc"),
        epoch=fields.integer("epoch", least=1),
        seq=fields.integer("seq", least=1),
        prev_sha256=fields.optional("prev_sha256", fields.digest),
        as_of=fields.time("as_of"),
        packages=tuple(_read_package(one) for one in fields.children("packages", most=MAX_PACKAGES)),
        encoders=tuple(_read_encoder(one) for one in fields.children("encoders", most=MAX_ENCODERS)),
        complete=fields.boolean("complete"),
        minor=fields.minor,
    )
    fields.end()
    check_unique([one.sha256 for one in doc.packages], field="/packages")
    return doc


def _read_package(fields: Fields) -> InventoryPackage:
    package = InventoryPackage(sha256=fields.digest("sha256"), size_bytes=fields.integer("size"))
    fields.end()
    return package


def _read_encoder(fields: Fields) -> InventoryEncoder:
    encoder = InventoryEncoder(name=fields.name("name"), sha256=fields.digest("sha256"))
    fields.end()
    return encoder
