# SPDX-License-Identifier: Apache-2.0
"""Receipts that came home: stored first, then applied to the promotion and to the remote cell, then the open promotion is told.

Applied by the numbers of the lane, not by arrival: any order of the same receipts ends in the same state.
A receipt for something that was never sent there is stored in quarantine and shown, and changes nothing (A87).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from waybill.app import documents
from waybill.app.moved_bytes import with_rest_saved
from waybill.domain.promotions import Promotion, PromotionState
from waybill.domain.receipts import ReceiptRow, RemoteCell
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment
from waybill.domain.stories import ReceiptSeen
from waybill.domain.trusts import Trust
from waybill.errors import ConflictError, UnavailableError
from waybill.formats import envelope
from waybill.formats import receipt as receipt_format
from waybill.formats.receipt import ReceiptDoc
from waybill.ports import Ports, Work
from waybill.trust.verify import VerifiedReceipt

ACTOR: Final = "peer"

_PROMOTION_STATES: Final = {
    "received": PromotionState.RECEIVED,
    "missing": PromotionState.RECEIVED,
    "ready": PromotionState.READY,
    "imported": PromotionState.IMPORTED,
    "queued": PromotionState.DEPLOYING,
    "started": PromotionState.DEPLOYING,
    "succeeded": PromotionState.DEPLOYED,
    "failed": PromotionState.FAILED,
    "cancelled": PromotionState.IMPORTED,
    "refused": PromotionState.REFUSED,
    "lifecycle_completed": PromotionState.COMPLETED,
}
"""What an event says about the whole promotion; other events are stored and shown, and change no state."""

_WHOLE_THERE: Final = frozenset({"ready", "imported"})
"""Events after which nothing of the bundle moves any more."""

_CELL_STATES: Final = {"queued": "queued", "started": "deploying", "succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was stored, and whom to tell after the commit (``notify``). ``row.quarantine_code`` set: stored, never applied."""

    row: ReceiptRow
    first_time: bool
    promotion_id: str | None
    signal: ReceiptSeen | None


def apply(ports: Ports, work: Work, *, trust: Trust, receipt: VerifiedReceipt, document_sha256: str) -> Applied:
    """The receipt stored, the promotion and the remote cell brought up to it. The same receipt again changes nothing.

    The caller stores the envelope's Document in the same transaction, before this.

    Args:
        document_sha256: SHA-256 of the envelope as it came.
    Raises:
        ConflictError: receipt.conflict, when its id or its number came before with other content: the first is kept.
    """
    doc = receipt.doc
    known = work.of(ReceiptRow).find(doc.receipt_id)
    if known is not None:
        _refuse_other(work, known, receipt)
        return Applied(row=known, first_time=False, promotion_id=known.promotion_id, signal=_signal(known))
    rival = work.of(ReceiptRow).first(trust_id=trust.id, direction="in", epoch=doc.epoch, seq=doc.seq)
    if rival is not None:
        raise _conflict(doc)
    promotion = work.of(Promotion).first(delivery_sha256=doc.delivery_sha256, trust_id=trust.id)
    release = work.of(Release).find(promotion.release_row_id) if promotion else None
    is_known = release is not None and release.release_sha256 == doc.release_sha256
    row = _row(ports, work, trust, doc, document_sha256, promotion if is_known else None)
    work.of(ReceiptRow).add(row)
    _close_gap(work, row, receipt.payload_sha256)
    _note(work, trust, row)
    if promotion is not None and release is not None and is_known:
        _apply_to_cell(work, row, release)
        _confirm_environment(work, trust, row)
        _apply_to_promotion(ports, work, promotion)
    return Applied(row=row, first_time=True, promotion_id=row.promotion_id, signal=_signal(row))


def notify(ports: Ports, applied: Applied) -> bool:
    """The open promotion knows of the receipt (True), or no story waits for it any more (False, normal). Call after the commit."""
    if applied.promotion_id is None or applied.signal is None:
        return False
    try:
        return ports.engine.signal(f"promote:{applied.promotion_id}", "receipt", applied.signal)
    except UnavailableError:
        # What counts is stored; the story reads the promotion's row again when it wakes.
        return False


def _row(ports: Ports, work: Work, trust: Trust, doc: ReceiptDoc, document_sha256: str, promotion: Promotion | None) -> ReceiptRow:
    lifecycle = doc.lifecycle
    previous = work.of(ReceiptRow).first(trust_id=trust.id, direction="in", epoch=doc.epoch, seq=doc.seq - 1)
    return ReceiptRow(
        id=doc.receipt_id,
        space_id=work.space_id,
        direction="in",
        trust_id=trust.id,
        epoch=doc.epoch,
        seq=doc.seq,
        event=doc.event,
        event_no=doc.event_no,
        release_sha256=doc.release_sha256,
        bundle_sha256=doc.delivery_sha256,
        document_sha256=document_sha256,
        happened_at=doc.happened_at,
        learned_at=ports.clock.now(),
        deployment_id=doc.deployment_id,
        environment_name=doc.environment.name if doc.environment else None,
        project_id=promotion.project_id if promotion else None,
        promotion_id=promotion.id if promotion else None,
        code=doc.code,
        lifecycle_name=lifecycle.name if lifecycle else None,
        phases_done=lifecycle.phases_done if lifecycle else None,
        phases_total=lifecycle.phases_total if lifecycle else None,
        gap=doc.seq > 1 and previous is None,
        quarantine_code=None if promotion else "receipt.unknown_bundle",
    )


def _close_gap(work: Work, row: ReceiptRow, payload_sha256: str) -> None:
    """The receipt after this one no longer stands behind a gap; a link that does not fit is told in the audit log (equivocation)."""
    rows = work.of(ReceiptRow)
    following = rows.first(trust_id=row.trust_id, direction="in", epoch=row.epoch, seq=row.seq + 1)
    if following is not None:
        if following.gap:
            rows.replace(replace(following, gap=False))
        _check_link(work, following, payload_sha256)
    previous = rows.first(trust_id=row.trust_id, direction="in", epoch=row.epoch, seq=row.seq - 1)
    if previous is not None:
        _check_link(work, row, documents.load(work, previous.document_sha256).payload_sha256)


def _check_link(work: Work, row: ReceiptRow, expected: str) -> None:
    body = documents.load(work, row.document_sha256).body
    found = receipt_format.decode(envelope.decode(body).payload).prev_receipt_sha256
    if found != expected:
        detail = f"number {row.seq} follows {found}, not {expected}"
        work.audit(at=row.learned_at, actor=ACTOR, action="receipt.link_broken", subject=row.id, detail=detail)


def _apply_to_cell(work: Work, row: ReceiptRow, release: Release) -> None:
    state = _CELL_STATES.get(row.event)
    if state is None or row.environment_name is None or row.project_id is None:
        return
    key = f"{row.project_id}:{row.trust_id}:{row.environment_name}"
    cell = work.of(RemoteCell).find(key)
    fresh = RemoteCell(
        id=key,
        space_id=work.space_id,
        project_id=row.project_id,
        trust_id=row.trust_id,
        environment_name=row.environment_name,
        release_version=release.release_version,
        release_sha256=row.release_sha256,
        state=state,
        happened_at=row.happened_at,
        learned_at=row.learned_at,
        receipt_id=row.id,
        deployment_key=row.deployment_id,
        event_no=row.event_no,
    )
    if cell is None:
        work.of(RemoteCell).add(_with_success(fresh, row, release))
        return
    shown = work.of(ReceiptRow).get(cell.receipt_id)
    if (row.epoch, row.seq) > (shown.epoch, shown.seq):
        newer = replace(fresh, last_success_version=cell.last_success_version, last_success_at=cell.last_success_at, revision=cell.revision)
    else:
        newer = cell
    changed = _with_success(newer, row, release)
    if changed != cell:
        work.of(RemoteCell).replace(changed)


def _with_success(cell: RemoteCell, row: ReceiptRow, release: Release) -> RemoteCell:
    """The cell, knowing of the success in ``row`` when it is the newest one; equal times are ordered by version so that arrival never decides."""
    if row.event != "succeeded":
        return cell
    mine = (row.happened_at, release.release_version)
    if cell.last_success_at is not None and mine <= (cell.last_success_at, cell.last_success_version or ""):
        return cell
    return replace(cell, last_success_version=release.release_version, last_success_at=row.happened_at)


def _confirm_environment(work: Work, trust: Trust, row: ReceiptRow) -> None:
    """An environment that was only typed is confirmed by the first receipt that mentions it (A44)."""
    if row.environment_name is None:
        return
    typed = work.of(Environment).first(trust_id=trust.id, name=row.environment_name)
    if typed is not None and not typed.confirmed:
        work.of(Environment).replace(replace(typed, confirmed=True))


def _apply_to_promotion(ports: Ports, work: Work, promotion: Promotion) -> None:
    """The promotion as all its receipts together say."""
    rows = sorted(work.of(ReceiptRow).where(promotion_id=promotion.id, direction="in"), key=lambda one: (one.epoch, one.seq))
    telling = _telling(rows)
    newest = rows[-1]
    changed = replace(promotion, last_event=newest.event, last_event_at=newest.happened_at)
    if telling is not None:
        state = _PROMOTION_STATES[telling.event]
        has_ended = state in (PromotionState.COMPLETED, PromotionState.REFUSED)
        changed = replace(
            changed,
            state=state,
            code=telling.code,
            # A failed deployment over there can be repeated over there: the promotion goes on being followed.
            finished_at=(promotion.finished_at or ports.clock.now()) if has_ended else None,
        )
    if any(row.event in _WHOLE_THERE for row in rows):
        changed = with_rest_saved(changed)
    if changed != promotion:
        work.of(Promotion).replace(changed)


def _telling(rows: Sequence[ReceiptRow]) -> ReceiptRow | None:
    """The receipt that decides the state: completion, else refusal, else the newest one that says anything."""
    for final in ("lifecycle_completed", "refused"):
        found = [row for row in rows if row.event == final]
        if found:
            return found[-1]
    return next((row for row in reversed(rows) if row.event in _PROMOTION_STATES), None)


def _note(work: Work, trust: Trust, row: ReceiptRow) -> None:
    action = "receipt.quarantined" if row.quarantine_code else "receipt.applied"
    detail = f"{trust.name} {row.event} number {row.seq} bundle {row.bundle_sha256} {row.quarantine_code or ''}".rstrip()
    work.audit(at=row.learned_at, actor=trust.name, action=action, subject=row.id, detail=detail)


def _signal(row: ReceiptRow) -> ReceiptSeen | None:
    return ReceiptSeen(receipt_id=row.id, event=row.event, code=row.code) if row.promotion_id is not None else None


def _refuse_other(work: Work, known: ReceiptRow, receipt: VerifiedReceipt) -> None:
    if documents.load(work, known.document_sha256).payload_sha256 != receipt.payload_sha256 or known.direction != "in":
        raise _conflict(receipt.doc)


def _conflict(doc: ReceiptDoc) -> ConflictError:
    return ConflictError("receipt.conflict", "the same receipt number came before with other content", field="seq", found=doc.seq)
