# SPDX-License-Identifier: Apache-2.0
"""Receipts that leave this Space: signed, numbered, linked to the one before, on the outbox in the same transaction as what they tell.

Refused: a receipt under a trust that does not grant ``send_receipts``. No value and no log text ever stands in one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from waybill.app import access, documents, identity, ids, incoming_lanes, lanes
from waybill.app.pages import page_of
from waybill.domain.access import Caller, Permission
from waybill.domain.receipts import ReceiptRow
from waybill.domain.spaces import SpaceKeys
from waybill.domain.trusts import OutboxMessage, Trust, TrustState
from waybill.errors import UnavailableError
from waybill.formats import receipt as receipt_format
from waybill.formats.delivery import AuditCheckpoint
from waybill.formats.receipt import (
    ReceiptApprovals,
    ReceiptDoc,
    ReceiptEnvironment,
    ReceiptLifecycle,
    ReceiptPackage,
    ReceiptParty,
    SequenceGap,
)
from waybill.ports import Page, Ports, Work
from waybill.trust import sign, verify
from waybill.trust.keys import SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFacts:
    """What one receipt tells. ``event`` is of the vocabulary of docs/formats/receipt-v1.md; ``approvals`` are role and count."""

    event: str
    release_sha256: str
    bundle_sha256: str
    event_no: int = 0
    deployment_id: str | None = None
    environment_id: str | None = None
    environment_name: str | None = None
    tenant_ref: str | None = None
    code: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    release_row_id: str | None = None
    project_id: str | None = None
    variables_set: tuple[str, ...] = ()
    variables_missing: tuple[str, ...] = ()
    approvals: tuple[tuple[str, int], ...] = ()
    lifecycle_name: str | None = None
    phases_done: int | None = None
    phases_total: int | None = None
    packages: tuple[ReceiptPackage, ...] = ()


def emit(ports: Ports, work: Work, *, trust: Trust, facts: ReceiptFacts) -> ReceiptRow | None:
    """The receipt is signed, stored and on the outbox of the trust; None when the trust does not grant ``send_receipts`` or is not active.

    Call ``wake_courier`` after the commit.
    """
    if trust.state is not TrustState.ACTIVE or not trust.grants.send_receipts:
        return None
    now = ports.clock.now()
    place = lanes.next_place(work, trust_id=trust.id, kind="receipt", epoch=work.of(SpaceKeys).get(work.space_id).epoch)
    key = identity.signing_key(ports, work)
    doc = _document(ports, work, trust, facts, place, key, now)
    body = sign.sign_envelope(receipt_format.PAYLOAD_TYPE, receipt_format.encode(doc), key)
    document = documents.store(work, body=body, kind="receipt", created_at=now)
    lanes.take(work, place, payload_sha256=document.payload_sha256)
    message = OutboxMessage(
        id=ids.fresh(ports, "out"),
        space_id=work.space_id,
        trust_id=trust.id,
        kind="receipt",
        seq=place.seq,
        document_sha256=document.sha256,
        companion_sha256=None,
        state="pending",
        created_at=now,
    )
    work.of(OutboxMessage).add(message)
    return work.of(ReceiptRow).add(_row(work, trust, facts, doc, document.sha256, now))


def was_emitted(work: Work, *, trust_id: str, bundle_sha256: str, event: str) -> bool:
    """True when a receipt with this event about this bundle has been signed for the trust before."""
    return work.of(ReceiptRow).first(direction="out", trust_id=trust_id, bundle_sha256=bundle_sha256, event=event) is not None


def wake_courier(ports: Ports, trust_ids: Sequence[str]) -> None:
    """The couriers of these trusts were told that something waits. A courier that does not run, or an engine that is away, is no fault."""
    for trust_id in dict.fromkeys(trust_ids):
        try:
            ports.engine.signal(f"courier:{trust_id}", "wake", "outbox")
        except UnavailableError:
            return  # the courier looks by itself before long


def list_receipts(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    limit: int = 50,
    cursor: str | None = None,
    direction: str | None = None,
    trust_id: str | None = None,
    deployment_id: str | None = None,
    promotion_id: str | None = None,
    release_sha256: str | None = None,
) -> Page:
    """One page of receipts, newest first, quarantined ones among them."""
    access.require(caller, space_id, Permission.SPACE_READ)
    equals = {
        "direction": direction,
        "trust_id": trust_id,
        "deployment_id": deployment_id,
        "promotion_id": promotion_id,
        "release_sha256": release_sha256,
    }
    with ports.ledger.read(space_id) as work:
        return page_of(work.of(ReceiptRow), limit=limit, cursor=cursor, equals=equals)


def get_receipt(ports: Ports, caller: Caller, *, space_id: str, receipt: str) -> tuple[ReceiptRow, bytes]:
    """The receipt and its envelope as it was signed. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        row = work.of(ReceiptRow).get(receipt)
        return row, documents.load(work, row.document_sha256).body


def _document(
    ports: Ports, work: Work, trust: Trust, facts: ReceiptFacts, place: lanes.NextPlace, key: SigningKey, now: datetime
) -> ReceiptDoc:
    size, root = work.audit_checkpoint()
    peer = verify.peer_of(trust, now)
    gaps = incoming_lanes.open_gaps(work, trust_id=trust.id, kind="delivery")
    names_may_leave = trust.grants.send_missing_names
    return ReceiptDoc(
        receipt_id=ids.fresh(ports, "rcp"),
        epoch=place.lane.epoch,
        seq=place.seq,
        prev_receipt_sha256=place.prev_sha256,
        release_sha256=facts.release_sha256,
        delivery_sha256=facts.bundle_sha256,
        source=ReceiptParty(space_id=trust.peer_space_id, key_sha256=peer.identity.signing[0].spki_sha256),
        target=ReceiptParty(space_id=work.space_id, key_sha256=key.spki_sha256),
        event=facts.event,
        event_no=facts.event_no,
        happened_at=now,
        reader_version=ports.site.version,
        packages=facts.packages,
        deployment_id=facts.deployment_id,
        environment=_environment(facts),
        tenant_ref=facts.tenant_ref,
        code=facts.code,
        started_at=facts.started_at,
        finished_at=facts.finished_at,
        target_release_id=facts.release_row_id,
        variables_set=facts.variables_set if names_may_leave else (),
        variables_missing=facts.variables_missing if names_may_leave else (),
        approvals=tuple(ReceiptApprovals(role=role, count=count) for role, count in facts.approvals),
        lifecycle=_lifecycle(facts),
        audit_checkpoint=AuditCheckpoint(origin=work.space_id, size=size, root=root),
        gaps=tuple(SequenceGap(first=first, last=last) for first, last in gaps),
    )


def _environment(facts: ReceiptFacts) -> ReceiptEnvironment | None:
    if facts.environment_id is None or facts.environment_name is None:
        return None
    return ReceiptEnvironment(id=facts.environment_id, name=facts.environment_name)


def _lifecycle(facts: ReceiptFacts) -> ReceiptLifecycle | None:
    if facts.lifecycle_name is None:
        return None
    return ReceiptLifecycle(name=facts.lifecycle_name, phases_done=facts.phases_done or 0, phases_total=facts.phases_total or 0)


def _row(work: Work, trust: Trust, facts: ReceiptFacts, doc: ReceiptDoc, document_sha256: str, now: datetime) -> ReceiptRow:
    return ReceiptRow(
        id=doc.receipt_id,
        space_id=work.space_id,
        direction="out",
        trust_id=trust.id,
        epoch=doc.epoch,
        seq=doc.seq,
        event=doc.event,
        event_no=doc.event_no,
        release_sha256=doc.release_sha256,
        bundle_sha256=doc.delivery_sha256,
        document_sha256=document_sha256,
        happened_at=now,
        learned_at=now,
        deployment_id=doc.deployment_id,
        environment_name=facts.environment_name,
        project_id=facts.project_id,
        code=doc.code,
        lifecycle_name=facts.lifecycle_name,
        phases_done=facts.phases_done,
        phases_total=facts.phases_total,
    )
