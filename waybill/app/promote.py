# SPDX-License-Identifier: Apache-2.0
"""Promotions: a frozen release sealed for one Remote Space, handed to the outbox of its trust, and followed.

Refused: a phase that is not complete, a blocked release, a trust that does not grant it, a way back into the custody chain, missing bytes.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from waybill.app import (
    access,
    deltas,
    documents,
    identity,
    ids,
    inventories,
    lanes,
    lookup,
    moved_bytes,
    progress,
    releases,
    sealing,
    tasks,
)
from waybill.app.sealing import Crossing
from waybill.app.trusts import courier_id
from waybill.domain.access import Caller, Permission
from waybill.domain.bundles import Need
from waybill.domain.lifecycles import Lifecycle
from waybill.domain.packages import Blob
from waybill.domain.progression import unmet_phase
from waybill.domain.projects import Project
from waybill.domain.promotions import Promotion, PromotionState
from waybill.domain.releases import Document, Release
from waybill.domain.spaces import SpaceKeys
from waybill.domain.tasks import Task
from waybill.domain.trusts import OutboxMessage, Road, Trust
from waybill.errors import ConflictError, FormatError, TrustError, UnavailableError
from waybill.formats import delivery, envelope
from waybill.formats.release import ReleaseDoc
from waybill.ports import Page, Ports, Scalar, Watch, Work
from waybill.trust.sign import sign_envelope

MAX_FOLLOW_DAYS: Final = 366

_ORDER: Final = (
    PromotionState.QUEUED,
    PromotionState.SEALED,
    PromotionState.IN_TRANSIT,
    PromotionState.RECEIVED,
    PromotionState.READY,
    PromotionState.IMPORTED,
    PromotionState.DEPLOYING,
    PromotionState.DEPLOYED,
    PromotionState.COMPLETED,
)
_ENDED: Final = frozenset({PromotionState.COMPLETED, PromotionState.REFUSED, PromotionState.FAILED, PromotionState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class SealResult:
    """``bundle_sha256`` is the Delivery's payload digest, ``document_sha256`` its envelope's; ``blobs`` is everything that the target needs."""

    bundle_sha256: str
    document_sha256: str
    blobs: tuple[Need, ...]


def start_promotion(
    ports: Ports, caller: Caller, *, space_id: str, release: str, trust: str, follow_days: int = 90, project: str | None = None
) -> tuple[Promotion, Task]:
    """The promotion of a release to a Remote Space, and its task; asked again while it is open or completed, the first one.

    Args:
        release: row id, or a version within ``project``. trust: id, slug, name or peer Space id.
        follow_days: how long receipts are waited for, 1 to ``MAX_FOLLOW_DAYS``.
    Raises:
        ConflictError: lifecycle.needed; lifecycle.forbidden, naming the phase; deployment.blocked; package.missing.
        TrustError: trust.unconfirmed, trust.retired, trust.direction_denied, trust.relay_denied, bundle.loop, trust.key_expired.
        FormatError: request.invalid.
    """
    access.require(caller, space_id, Permission.PROMOTION_START)
    if not 1 <= follow_days <= MAX_FOLLOW_DAYS:
        raise FormatError(
            "request.invalid", "it cannot be followed that long", field="follow_days", expected=f"1 to {MAX_FOLLOW_DAYS}", found=follow_days
        )
    with ports.ledger.write(space_id) as work:
        row = lookup.find_release(work, release, project=project)
        peer = lookup.find_trust(work, trust)
        first = _first_promotion(work, row, peer)
        if first is not None:
            promotion, task = first
        else:
            _check_promotable(ports, work, row, peer)
            promotion, task = _create(ports, work, caller, row, peer, follow_days)
    _start_quietly(ports, task)
    return promotion, task


def prepare(ports: Ports, *, space_id: str, promotion_id: str, watch: Watch) -> int:
    """Deltas against what the target holds lie in this site's store, and what it holds is counted as saved; returns how many deltas.

    For a target that fetches: nobody computes while it asks. Raises as ``deltas.settle``.
    """
    ways = deltas.prepare(ports, space_id=space_id, promotion_id=promotion_id, watch=watch)
    with ports.ledger.write(space_id) as work:
        promotion = work.of(Promotion).get(promotion_id)
        for way in ways:
            if way.how == deltas.NOTHING:
                promotion = moved_bytes.note(ports, work, promotion, moved_bytes.Cost.of(way))
    return sum(way.delta is not None for way in ways)


def seal(ports: Ports, *, space_id: str, promotion_id: str) -> SealResult:
    """The Delivery made, signed and on the outbox, once; later calls return the same.

    Raises:
        ConflictError: task.finished, when the promotion has ended; deployment.blocked.
        TrustError: as ``start_promotion``. UnavailableError: keystore.unavailable.
    """
    with ports.ledger.write(space_id) as work:
        promotion = work.of(Promotion).get(promotion_id)
        release = work.of(Release).get(promotion.release_row_id)
        doc = releases.read_doc(ports, work, release)
        blobs = sealing.blobs_of(doc)
        if promotion.delivery_sha256 is not None:
            return SealResult(
                bundle_sha256=promotion.delivery_sha256, document_sha256=_sealed_document(work, promotion).sha256, blobs=blobs
            )
        if promotion.finished_at is not None:
            raise ConflictError("task.finished", "the promotion has ended", field="promotion", found=promotion.state.value)
        _refuse_blocked(release)
        stored = _seal(ports, work, promotion, release, doc)
    _wake(ports, promotion.trust_id)
    return SealResult(bundle_sha256=stored.payload_sha256, document_sha256=stored.sha256, blobs=blobs)


def blobs_to_send(ports: Ports, *, space_id: str, promotion_id: str) -> tuple[Need, ...]:
    """Every blob that the promoted release names, each digest once."""
    with ports.ledger.read(space_id) as work:
        release = work.of(Release).get(work.of(Promotion).get(promotion_id).release_row_id)
        return sealing.blobs_of(releases.read_doc(ports, work, release))


def note_sent(ports: Ports, *, space_id: str, promotion_id: str, cost: moved_bytes.Cost) -> Promotion:
    """What one package cost is counted on the promotion, once per digest; the task's result lists it under ``packages``, its log says it."""
    with ports.ledger.write(space_id) as work:
        return moved_bytes.note(ports, work, work.of(Promotion).get(promotion_id), cost)


def note_held(ports: Ports, *, space_id: str, promotion_id: str) -> tuple[str, ...]:
    """The digests of what the target has signed that it holds, each counted on the promotion as not sent."""
    with ports.ledger.write(space_id) as work:
        promotion = work.of(Promotion).get(promotion_id)
        held = deltas.held_there(ports, work, promotion)
        for way in held:
            promotion = moved_bytes.note(ports, work, promotion, moved_bytes.Cost.of(way))
    return tuple(way.need.sha256 for way in held)


def set_state(
    ports: Ports, *, space_id: str, promotion_id: str, state: PromotionState, code: str | None = None, message: str | None = None
) -> Promotion:
    """The promotion shows this state; one that has ended, and one that a receipt took further, is left alone."""
    with ports.ledger.write(space_id) as work:
        promotion = work.of(Promotion).get(promotion_id)
        if promotion.finished_at is not None or not _is_ahead(state, promotion.state):
            return promotion
        ended = ports.clock.now() if state in _ENDED else None
        if ended is not None:
            work.audit(at=ended, actor=access.SYSTEM.name, action=f"promotion.{state.value}", subject=promotion.id, detail=code or "")
        return work.of(Promotion).replace(replace(promotion, state=state, code=code, message=message, finished_at=ended))


def withdraw(ports: Ports, *, space_id: str, promotion_id: str) -> bool:
    """True when the promotion was cancelled before any road took its bundle, so that nothing reaches the target; False when it is too late.

    Withdrawing again returns the same.
    """
    with ports.ledger.write(space_id) as work:
        promotion = work.of(Promotion).get(promotion_id)
        if promotion.state is PromotionState.CANCELLED:
            return True
        if promotion.finished_at is not None:
            return False
        if promotion.delivery_sha256 is not None:
            sent = work.of(OutboxMessage).first(document_sha256=_sealed_document(work, promotion).sha256, trust_id=promotion.trust_id)
            if sent is None or sent.state not in ("pending", "withdrawn"):
                return False
            # The lane keeps its number: the target sees a gap and can tell that something was withdrawn.
            work.of(OutboxMessage).replace(replace(sent, state="withdrawn"))
        now = ports.clock.now()
        work.audit(at=now, actor=access.SYSTEM.name, action="promotion.cancelled", subject=promotion.id)
        work.of(Promotion).replace(replace(promotion, state=PromotionState.CANCELLED, finished_at=now))
        return True


def list_promotions(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    project: str | None = None,
    release: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """One page of promotions, newest first, of one project or release where given."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        equals: dict[str, Scalar] = {}
        if project is not None:
            equals["project_id"] = lookup.find_project(work, project).id
        if release is not None:
            equals["release_row_id"] = lookup.find_release(work, release, project=project).id
        return work.of(Promotion).page(limit=limit, cursor=cursor, newest_first=True, **equals)


def get_promotion(ports: Ports, caller: Caller, *, space_id: str, promotion_id: str) -> Promotion:
    """One promotion. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return work.of(Promotion).get(promotion_id)


def _first_promotion(work: Work, release: Release, trust: Trust) -> tuple[Promotion, Task] | None:
    """The promotion of that release to that Space that is open or completed, or None."""
    for row in work.of(Promotion).where(newest_first=True, release_row_id=release.id, trust_id=trust.id):
        if row.finished_at is None or row.state is PromotionState.COMPLETED:
            return row, work.of(Task).get(row.task_id)
    return None


def _check_promotable(ports: Ports, work: Work, release: Release, trust: Trust) -> None:
    doc = releases.read_doc(ports, work, release)
    _refuse_blocked(release)
    sealing.check_trust(work, trust, ports.clock.now())
    allowed = trust.grants.projects
    if allowed and doc.project.id not in allowed and doc.project.name not in allowed:
        raise TrustError(
            "trust.direction_denied", f"the trust with {trust.name} does not grant this project", field="projects", found=doc.project.name
        )
    sealing.check_relay(work, release, doc, trust)
    _check_progression(work, release, trust)
    _check_present(work, doc)


def _check_progression(work: Work, release: Release, trust: Trust) -> None:
    """Nothing, when every mandatory phase before that of the Remote Space is complete.

    A Space that stands in no phase comes after all of them.
    """
    project = work.of(Project).get(release.project_id)
    if project.lifecycle_id is None:
        raise ConflictError(
            "lifecycle.needed", f"{project.name} has no lifecycle", field="lifecycle", expected="one of this Space's lifecycles"
        )
    lifecycle = work.of(Lifecycle).get(project.lifecycle_id)
    members = progress.members_of_trust(work, trust.id, lifecycle)
    completed = progress.completed_members(work, release, lifecycle)
    unmet = unmet_phase(lifecycle, completed, members[0] if members else trust.id)
    if unmet is not None:
        raise ConflictError(
            "lifecycle.forbidden",
            f"phase {unmet.name} of lifecycle {lifecycle.name} is not complete",
            field="lifecycle",
            expected=f"{unmet.name} complete",
            found=f"{sum(member in completed for member in unmet.members)} of {unmet.minimum or len(unmet.members)}",
        )


def _check_present(work: Work, doc: ReleaseDoc) -> None:
    needs = sealing.blobs_of(doc)
    present = {blob.id for blob in work.of(Blob).among("id", [need.sha256 for need in needs])}
    missing = [need.name for need in needs if need.sha256 not in present]
    if missing:
        raise ConflictError("package.missing", f"{len(missing)} packages are not here", field="packages", found=", ".join(missing[:10]))


def _refuse_blocked(release: Release) -> None:
    if release.blocked_reason is not None:
        message = f"release {release.release_version} is blocked"
        raise ConflictError("deployment.blocked", message, field="release", expected="not blocked", found=release.blocked_reason)


def _create(ports: Ports, work: Work, caller: Caller, release: Release, trust: Trust, follow_days: int) -> tuple[Promotion, Task]:
    now = ports.clock.now()
    promotion_id = ids.fresh(ports, "prm")
    project = work.of(Project).get(release.project_id)
    task = tasks.create(
        ports,
        work,
        kind="promotion",
        title=f"Promote {project.name} {release.release_version} to {trust.name}",
        subject_id=promotion_id,
        story="PromoteRelease",
        workflow_id=f"promote:{promotion_id}",
        story_input={
            "promotion_id": promotion_id,
            "trust_id": trust.id,
            "road": trust.road.value,
            "follow_seconds": follow_days * 24 * 3600,
            "prepare": trust.road is Road.ANSWER and inventories.newest(work, trust.id) is not None,
        },
        created_by=caller.name,
    )
    promotion = Promotion(
        id=promotion_id,
        space_id=work.space_id,
        release_row_id=release.id,
        project_id=release.project_id,
        trust_id=trust.id,
        state=PromotionState.QUEUED,
        task_id=task.id,
        created_at=now,
        created_by=caller.name,
        follow_until=now + timedelta(days=follow_days),
    )
    work.audit(at=now, actor=caller.name, action="promotion.started", subject=promotion.id, detail=f"{task.title} {release.release_sha256}")
    return work.of(Promotion).add(promotion), task


def _seal(ports: Ports, work: Work, promotion: Promotion, release: Release, doc: ReleaseDoc) -> Document:
    """Delivery, lane, outbox and promotion in one transaction: a number is never used twice and never lost."""
    now = ports.clock.now()
    trust = work.of(Trust).get(promotion.trust_id)
    place = lanes.next_place(work, trust_id=trust.id, kind="delivery", epoch=work.of(SpaceKeys).get(work.space_id).epoch)
    key = identity.signing_key(ports, work)
    crossing = Crossing(
        release=release,
        doc=doc,
        document=releases.release_document(work, release),
        trust=trust,
        delivery_id=ids.fresh(ports, "dlv"),
        now=now,
    )
    payload = delivery.encode(sealing.make_delivery(ports, work, crossing, place, key))
    stored = documents.store(work, body=sign_envelope(delivery.PAYLOAD_TYPE, payload, key), kind="delivery", created_at=now)
    lanes.take(work, place, payload_sha256=stored.payload_sha256)
    work.of(OutboxMessage).add(
        OutboxMessage(
            id=ids.fresh(ports, "out"),
            space_id=work.space_id,
            trust_id=trust.id,
            kind="delivery",
            seq=place.seq,
            document_sha256=stored.sha256,
            companion_sha256=release.document_sha256,
            state="pending",
            created_at=now,
        )
    )
    work.of(Promotion).replace(
        replace(
            promotion,
            state=PromotionState.SEALED,
            delivery_id=crossing.delivery_id,
            delivery_sha256=stored.payload_sha256,
            bytes_packages=sum(need.size_bytes for need in sealing.blobs_of(doc)),
        )
    )
    detail = f"{trust.name} bundle {stored.payload_sha256} release {release.release_sha256}"
    work.audit(at=now, actor=promotion.created_by, action="promotion.sealed", subject=promotion.id, detail=detail)
    return stored


def _sealed_document(work: Work, promotion: Promotion) -> Document:
    """The Delivery of a sealed promotion."""
    found = work.of(Document).first(payload_sha256=promotion.delivery_sha256, kind="delivery")
    if found is None or hashlib.sha256(envelope.decode(found.body).payload).hexdigest() != promotion.delivery_sha256:
        raise UnavailableError(
            "store.integrity", "the delivery in the database is not the one signed", field="promotion", found=promotion.id
        )
    return found


def _is_ahead(state: PromotionState, current: PromotionState) -> bool:
    if state in _ORDER and current in _ORDER:
        return _ORDER.index(state) > _ORDER.index(current)
    return state is not current


def _start_quietly(ports: Ports, task: Task) -> None:
    """The story starts now, or by the sweep when the engine is away: the promotion is recorded either way."""
    try:
        tasks.start(ports, task)
    except UnavailableError:
        return


def _wake(ports: Ports, trust_id: str) -> None:
    try:
        ports.engine.signal(courier_id(trust_id), "wake", trust_id)
    except UnavailableError:
        return
