# SPDX-License-Identifier: Apache-2.0
"""The Delivery: one release sent by one Space to one target, with what is meant for that target alone.

Order, expiry, recipient, sealed secrets, environment names of the target, history and custody. It names its Release by digest.
The SHA-256 of its payload is the bundle digest: what approvals and receipts name. Byte-level description: docs/formats/delivery-v1.md.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.domain.variables import Scope, Template, ValueType
from waybill.formats import base64_strict, canonical, values
from waybill.formats.fields import MAX_NOTES, SCHEMA_MINOR, Fields, check_unique, open_document, schema, write_optional_time, write_time

PAYLOAD_TYPE: Final = "application/vnd.waybill.delivery.v1+json"
MAX_LIFETIME: Final = timedelta(days=366)
MAX_VALUES: Final = 10_000
MAX_ENVIRONMENTS: Final = 1_000
MAX_HISTORY: Final = 1_000
MAX_CUSTODY: Final = 16
MAX_RECALLS: Final = 1_000
MAX_ENVELOPES: Final = 32
MAX_SMALL_ENVELOPE_BYTES: Final = 512 * 1024
MAX_SEALED_BYTES: Final = 70_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySender:
    """Who signed the Delivery: the owner or a relay. ``key_sha256`` is the SPKI digest of the signing key."""

    space_id: str
    name: str
    key_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTarget:
    """For whom it is meant. ``enc_key_sha256`` is the SPKI digest of the key to which the secrets are sealed."""

    space_id: str
    enc_key_sha256: str
    suite: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRef:
    """The Release that travels beside: digest and size of its payload."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryEnvironment:
    """An environment of the target, as the sender knows it: ``id`` is the sender's reference, used in scopes."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryValue:
    """A value meant for the target. Exactly one of ``value``, ``sealed`` (see waybill/trust/seal.py) and ``template`` is set."""

    variable_id: str
    name: str
    type: ValueType
    scope: Scope = Scope()
    value: str | None = None
    sealed: bytes | None = None
    template: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """Where the release ran before, as receipts or the sender's own deployments prove it."""

    space: str
    environment: str
    state: str
    finished_at: datetime | None
    receipt_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyLink:
    """One earlier crossing: the Space that sent, the payload digest of its Delivery, and whether the next Space verified the Release."""

    space_id: str
    delivery_sha256: str
    release_verified: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryBasis:
    """The inventory of the target on which the sender planned."""

    sha256: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCheckpoint:
    """The newest checkpoint of the signer's audit log; the reader is its witness."""

    origin: str
    size: int
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDoc:
    """What a Delivery says. ``custody`` is empty when the sender is the owner, else the owner's link comes first."""

    delivery_id: str
    epoch: int
    seq: int
    prev_delivery_sha256: str | None
    created_at: datetime
    not_before: datetime
    expires_at: datetime
    sender: DeliverySender
    target: DeliveryTarget
    release: ReleaseRef
    environments: tuple[DeliveryEnvironment, ...] = ()
    values: tuple[DeliveryValue, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    custody: tuple[CustodyLink, ...] = ()
    recalls: tuple[str, ...] = ()
    identities: tuple[bytes, ...] = ()
    revocations: tuple[bytes, ...] = ()
    onward: tuple[bytes, ...] = ()
    inventory_basis: InventoryBasis | None = None
    audit_checkpoint: AuditCheckpoint | None = None
    minor: int = SCHEMA_MINOR


def encode(doc: DeliveryDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode``."""
    listed: list[JsonValue] = [_value_to_json(one) for one in doc.values]
    basis = doc.inventory_basis
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "audit_checkpoint": checkpoint_to_json(doc.audit_checkpoint),
            "created_at": write_time(doc.created_at),
            "custody": [_custody_to_json(one) for one in doc.custody],
            "delivery_id": doc.delivery_id,
            "environments": [{"id": one.id, "name": one.name} for one in doc.environments],
            "epoch": doc.epoch,
            "expires_at": write_time(doc.expires_at),
            "history": [_history_to_json(one) for one in doc.history],
            "identities": [base64_strict.encode(one) for one in doc.identities],
            "inventory_basis": None if basis is None else {"seq": basis.seq, "sha256": basis.sha256},
            "not_before": write_time(doc.not_before),
            "onward": [base64_strict.encode(one) for one in doc.onward],
            "prev_delivery_sha256": doc.prev_delivery_sha256,
            "recalls": list(doc.recalls),
            "release": {"sha256": doc.release.sha256, "size": doc.release.size_bytes},
            "revocations": [base64_strict.encode(one) for one in doc.revocations],
            "sender": {"key_sha256": doc.sender.key_sha256, "name": doc.sender.name, "space_id": doc.sender.space_id},
            "seq": doc.seq,
            "target": {"enc_key_sha256": doc.target.enc_key_sha256, "space_id": doc.target.space_id, "suite": doc.target.suite},
            "values": listed,
        }
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> DeliveryDoc:
    """The Delivery in ``payload``. Signature, recipient, time and order are checked in waybill/trust/verify.py and by the ledger, not here.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported, package.digest_unsupported;
            bundle.secret_in_clear, when a secret has a clear value.
    Source: docs/formats/delivery-v1.md.
    """
    fields = open_document(payload)
    small = MAX_SMALL_ENVELOPE_BYTES
    doc = DeliveryDoc(
        delivery_id=fields.id("delivery_id", "dlv"),
        epoch=fields.integer("epoch", least=1),
        seq=fields.integer("seq", least=1),
        prev_delivery_sha256=fields.optional("prev_delivery_sha256", fields.digest),
        created_at=fields.time("created_at"),
        not_before=fields.time("not_before"),
        expires_at=fields.time("expires_at"),
        sender=_read_sender(fields.child("sender")),
        target=_read_target(fields.child("target")),
        release=_read_release(fields.child("release")),
        environments=tuple(_read_environment(one) for one in fields.children("environments", most=MAX_ENVIRONMENTS)),
        values=tuple(_read_value(one) for one in fields.children("values", most=MAX_VALUES)),
        history=tuple(_read_history(one) for one in fields.children("history", most=MAX_HISTORY)),
        custody=tuple(_read_custody(one) for one in fields.children("custody", most=MAX_CUSTODY)),
        recalls=fields.digests("recalls", most=MAX_RECALLS),
        identities=fields.blobs("identities", most=MAX_ENVELOPES, most_bytes=small),
        revocations=fields.blobs("revocations", most=MAX_ENVELOPES, most_bytes=small),
        onward=fields.blobs("onward", most=MAX_ENVELOPES, most_bytes=small),
        inventory_basis=fields.optional("inventory_basis", lambda name: _read_basis(fields.child(name))),
        audit_checkpoint=fields.optional("audit_checkpoint", lambda name: read_checkpoint(fields.child(name))),
        minor=fields.minor,
    )
    _check_times(fields, doc)
    check_unique([one.variable_id for one in doc.values], field="/values")
    check_unique([one.id for one in doc.environments], field="/environments")
    fields.end()
    return doc


def checkpoint_to_json(checkpoint: AuditCheckpoint | None) -> JsonValue:
    """``checkpoint`` as it is signed, in Deliveries and receipts."""
    return None if checkpoint is None else {"origin": checkpoint.origin, "root": checkpoint.root, "size": checkpoint.size}


def read_checkpoint(fields: Fields) -> AuditCheckpoint:
    """The checkpoint in ``fields``."""
    checkpoint = AuditCheckpoint(origin=fields.name("origin"), size=fields.integer("size"), root=fields.digest("root"))
    fields.end()
    return checkpoint


def _check_times(fields: Fields, doc: DeliveryDoc) -> None:
    if not doc.not_before < doc.expires_at:
        raise fields.invalid("expires_at", "later than not_before")
    if doc.expires_at - doc.created_at > MAX_LIFETIME:
        raise fields.invalid("expires_at", f"at most {MAX_LIFETIME.days} days after created_at")


def _value_to_json(one: DeliveryValue) -> JsonValue:
    chosen: dict[str, JsonValue] = {}
    if one.value is not None:
        chosen["value"] = one.value
    if one.sealed is not None:
        chosen["ct"] = base64_strict.encode(one.sealed)
    if one.template is not None:
        chosen["template"] = values.template_to_json(one.template)
    scope = values.scope_to_json(one.scope)
    return {"name": one.name, "scope": scope, "type": one.type.value, "variable_id": one.variable_id, **chosen}


def _read_value(fields: Fields) -> DeliveryValue:
    kind = values.read_type(fields)
    chosen = [name for name in ("value", "ct", "template") if fields.has(name)]
    if len(chosen) != 1:
        raise fields.invalid("value", "exactly one of value, ct and template", ", ".join(chosen))
    value = DeliveryValue(
        variable_id=fields.id("variable_id", "var"),
        name=values.read_name(fields),
        type=kind,
        scope=values.read_scope(fields.child("scope")),
        value=values.read_clear_value(fields, type=kind) if chosen == ["value"] else None,
        sealed=fields.binary("ct", most=MAX_SEALED_BYTES) if chosen == ["ct"] else None,
        template=values.read_template(fields.child("template"), type=kind) if chosen == ["template"] else None,
    )
    fields.end()
    return value


def _history_to_json(one: HistoryEntry) -> JsonValue:
    return {
        "environment": one.environment,
        "finished_at": write_optional_time(one.finished_at),
        "receipt_sha256": one.receipt_sha256,
        "space": one.space,
        "state": one.state,
    }


def _read_history(fields: Fields) -> HistoryEntry:
    entry = HistoryEntry(
        space=fields.name("space"),
        environment=fields.name("environment"),
        state=fields.token("state"),
        finished_at=fields.optional("finished_at", fields.time),
        receipt_sha256=fields.optional("receipt_sha256", fields.digest),
    )
    fields.end()
    return entry


def _custody_to_json(one: CustodyLink) -> JsonValue:
    return {
        "delivery_sha256": one.delivery_sha256,
        "note": one.note,
        "release_verified": one.release_verified,
        "space_id": one.space_id,
    }


def _read_custody(fields: Fields) -> CustodyLink:
    link = CustodyLink(
        space_id=fields.id("space_id", "spc"),
        delivery_sha256=fields.digest("delivery_sha256"),
        release_verified=fields.boolean("release_verified"),
        note=fields.text("note", least=0, most=MAX_NOTES),
    )
    fields.end()
    return link


def _read_sender(fields: Fields) -> DeliverySender:
    sender = DeliverySender(space_id=fields.id("space_id", "spc"), name=fields.name("name"), key_sha256=fields.digest("key_sha256"))
    fields.end()
    return sender


def _read_target(fields: Fields) -> DeliveryTarget:
    target = DeliveryTarget(
        space_id=fields.id("space_id", "spc"),
        enc_key_sha256=fields.digest("enc_key_sha256"),
        suite=fields.integer("suite", least=1, most=65535),
    )
    fields.end()
    return target


def _read_release(fields: Fields) -> ReleaseRef:
    ref = ReleaseRef(sha256=fields.digest("sha256"), size_bytes=fields.integer("size", least=1, most=canonical.MAX_PAYLOAD_BYTES))
    fields.end()
    return ref


def _read_environment(fields: Fields) -> DeliveryEnvironment:
    environment = DeliveryEnvironment(id=fields.id("id"), name=fields.name("name"))
    fields.end()
    return environment


def _read_basis(fields: Fields) -> InventoryBasis:
    basis = InventoryBasis(sha256=fields.digest("sha256"), seq=fields.integer("seq", least=1))
    fields.end()
    return basis
