# SPDX-License-Identifier: Apache-2.0
"""The deployment receipt: an in-toto Statement v1, signed by the target, that says what happened to a bundle there.

No log text, no value, no name of a tenant. Byte-level description: docs/formats/receipt-v1.md.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.formats import canonical
from waybill.formats.delivery import AuditCheckpoint, checkpoint_to_json, read_checkpoint
from waybill.formats.fields import SCHEMA_MINOR, Fields, check_unique, schema, write_optional_time, write_time

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:waybill:deployment-receipt:v1"
RELEASE_SUBJECT: Final = "release"
MAX_PACKAGES: Final = 5_000
MAX_NAMES: Final = 10_000
MAX_APPROVALS: Final = 100
MAX_GAPS: Final = 1_000

EVENTS: Final = (
    "received",
    "refused",
    "imported",
    "missing",
    "ready",
    "queued",
    "started",
    "succeeded",
    "failed",
    "cancelled",
    "lifecycle_completed",
    "promoted_onward",
    "recall_applied",
)
"""The one vocabulary of events. An unknown event is stored and shown, and changes no state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptParty:
    """A Space and the SPKI digest of its signing key."""

    space_id: str
    key_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptPackage:
    """A package that was deployed."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptEnvironment:
    """Where, in the words of the target."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptApprovals:
    """How many people of a role approved; never who."""

    role: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptLifecycle:
    """The lifecycle that was chosen at the target, and how far the release is in it."""

    name: str
    phases_done: int
    phases_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceGap:
    """Deliveries that the target never saw: numbers ``first`` to ``last``."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptDoc:
    """What a receipt says. ``source`` is whom it is for, ``target`` who signed it; ``delivery_sha256`` is the bundle digest."""

    receipt_id: str
    epoch: int
    seq: int
    prev_receipt_sha256: str | None
    release_sha256: str
    delivery_sha256: str
    source: ReceiptParty
    target: ReceiptParty
    event: str
    event_no: int
    happened_at: datetime
    reader_version: str
    packages: tuple[ReceiptPackage, ...] = ()
    deployment_id: str | None = None
    environment: ReceiptEnvironment | None = None
    tenant_ref: str | None = None
    code: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    target_release_id: str | None = None
    variables_set: tuple[str, ...] = ()
    variables_missing: tuple[str, ...] = ()
    approvals: tuple[ReceiptApprovals, ...] = ()
    lifecycle: ReceiptLifecycle | None = None
    audit_checkpoint: AuditCheckpoint | None = None
    gaps: tuple[SequenceGap, ...] = ()
    minor: int = SCHEMA_MINOR


def encode(doc: ReceiptDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode``."""
    subjects: list[JsonValue] = [_subject(RELEASE_SUBJECT, doc.release_sha256)]
    subjects += [_subject(one.name, one.sha256) for one in doc.packages]
    payload = canonical.encode(
        {"_type": STATEMENT_TYPE, "predicate": _predicate_to_json(doc), "predicateType": PREDICATE_TYPE, "subject": subjects}
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> ReceiptDoc:
    """The receipt in ``payload``. Signature, source and target are checked in waybill/trust/verify.py, not here.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported, package.digest_unsupported.
    Source: docs/formats/receipt-v1.md; in-toto Attestation Framework, Statement v1.
    """
    statement = Fields(canonical.decode(payload), at="", lenient=False)
    statement.choice("_type", (STATEMENT_TYPE,))
    statement.choice("predicateType", (PREDICATE_TYPE,))
    subjects = tuple(_read_subject(one) for one in statement.children("subject", most=MAX_PACKAGES + 1))
    if not subjects or subjects[0].name != RELEASE_SUBJECT:
        raise statement.invalid("subject", "the release first")
    fields = statement.child("predicate").versioned()
    doc = ReceiptDoc(
        receipt_id=fields.id("receipt_id", "rcp"),
        epoch=fields.integer("epoch", least=1),
        seq=fields.integer("seq", least=1),
        prev_receipt_sha256=fields.optional("prev_receipt_sha256", fields.digest),
        release_sha256=subjects[0].sha256,
        packages=subjects[1:],
        delivery_sha256=fields.digest("delivery_sha256"),
        source=_read_party(fields.child("source")),
        target=_read_party(fields.child("target")),
        event=fields.token("event"),
        event_no=fields.integer("event_no"),
        happened_at=fields.time("happened_at"),
        reader_version=fields.token("reader_version"),
        deployment_id=fields.optional("deployment_id", lambda name: fields.id(name, "dep")),
        environment=fields.optional("environment", lambda name: _read_environment(fields.child(name))),
        tenant_ref=fields.optional("tenant_ref", fields.token),
        code=fields.optional("code", fields.token),
        started_at=fields.optional("started_at", fields.time),
        finished_at=fields.optional("finished_at", fields.time),
        target_release_id=fields.optional("target_release_id", lambda name: fields.id(name, "rel")),
        variables_set=fields.texts("variables_set", most=MAX_NAMES),
        variables_missing=fields.texts("variables_missing", most=MAX_NAMES),
        approvals=tuple(_read_approvals(one) for one in fields.children("approvals", most=MAX_APPROVALS)),
        lifecycle=fields.optional("lifecycle", lambda name: _read_lifecycle(fields.child(name))),
        audit_checkpoint=fields.optional("audit_checkpoint", lambda name: read_checkpoint(fields.child(name))),
        gaps=tuple(_read_gap(one) for one in fields.children("gaps", most=MAX_GAPS)),
        minor=fields.minor,
    )
    fields.end()
    statement.end()
    check_unique([f"{one.name}\n{one.sha256}" for one in doc.packages], field="/subject")
    return doc


def _subject(name: str, sha256: str) -> JsonValue:
    return {"digest": {"sha256": sha256}, "name": name}


def _read_subject(fields: Fields) -> ReceiptPackage:
    digest = fields.child("digest")
    subject = ReceiptPackage(name=fields.name("name", most=500), sha256=digest.digest("sha256"))
    digest.end()
    fields.end()
    return subject


def _predicate_to_json(doc: ReceiptDoc) -> JsonValue:
    environment = doc.environment
    lifecycle = doc.lifecycle
    return {
        **schema(doc.minor),
        "approvals": [{"count": one.count, "role": one.role} for one in doc.approvals],
        "audit_checkpoint": checkpoint_to_json(doc.audit_checkpoint),
        "code": doc.code,
        "delivery_sha256": doc.delivery_sha256,
        "deployment_id": doc.deployment_id,
        "environment": None if environment is None else {"id": environment.id, "name": environment.name},
        "epoch": doc.epoch,
        "event": doc.event,
        "event_no": doc.event_no,
        "finished_at": write_optional_time(doc.finished_at),
        "gaps": [{"first": one.first, "last": one.last} for one in doc.gaps],
        "happened_at": write_time(doc.happened_at),
        "lifecycle": None
        if lifecycle is None
        else {"name": lifecycle.name, "phases_done": lifecycle.phases_done, "phases_total": lifecycle.phases_total},
        "prev_receipt_sha256": doc.prev_receipt_sha256,
        "reader_version": doc.reader_version,
        "receipt_id": doc.receipt_id,
        "seq": doc.seq,
        "source": {"key_sha256": doc.source.key_sha256, "space_id": doc.source.space_id},
        "started_at": write_optional_time(doc.started_at),
        "target": {"key_sha256": doc.target.key_sha256, "space_id": doc.target.space_id},
        "target_release_id": doc.target_release_id,
        "tenant_ref": doc.tenant_ref,
        "variables_missing": list(doc.variables_missing),
        "variables_set": list(doc.variables_set),
    }


def _read_party(fields: Fields) -> ReceiptParty:
    party = ReceiptParty(space_id=fields.id("space_id", "spc"), key_sha256=fields.digest("key_sha256"))
    fields.end()
    return party


def _read_environment(fields: Fields) -> ReceiptEnvironment:
    environment = ReceiptEnvironment(id=fields.id("id", "env"), name=fields.name("name"))
    fields.end()
    return environment


def _read_approvals(fields: Fields) -> ReceiptApprovals:
    approvals = ReceiptApprovals(role=fields.name("role"), count=fields.integer("count", most=1_000_000))
    fields.end()
    return approvals


def _read_lifecycle(fields: Fields) -> ReceiptLifecycle:
    lifecycle = ReceiptLifecycle(
        name=fields.name("name"),
        phases_done=fields.integer("phases_done", most=1000),
        phases_total=fields.integer("phases_total", most=1000),
    )
    if lifecycle.phases_done > lifecycle.phases_total:
        raise fields.invalid("phases_done", "at most phases_total")
    fields.end()
    return lifecycle


def _read_gap(fields: Fields) -> SequenceGap:
    gap = SequenceGap(first=fields.integer("first", least=1), last=fields.integer("last", least=1))
    if gap.first > gap.last:
        raise fields.invalid("first", "at most last")
    fields.end()
    return gap
