# SPDX-License-Identifier: Apache-2.0
"""A release bundle at the door: verified whole, then stored once, then completed with its packages.

Refused at the door: everything that ``waybill.trust.verify`` refuses, a project that the trust does not grant, a stale sequence number,
the same delivery id with other bytes. Nothing of a refused bundle is kept but the audit entry (and a receipt, when its sender is trusted).
Secrets stay sealed in the stored delivery until the import opens them.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from waybill.app import access, documents, identity, ids, incoming_lanes, inventories, recalls, receipts, tasks
from waybill.app.pages import page_of
from waybill.app.peer_requests import usable_trust
from waybill.app.refusals import note_refusal
from waybill.app.revocations import current_peers
from waybill.app.situation import lacking, needs_of
from waybill.app.template_needs import missing_names
from waybill.domain.access import Caller, Permission
from waybill.domain.bundles import InboxBundle, InboxState, Need
from waybill.domain.projects import Project
from waybill.domain.releases import Release
from waybill.domain.tasks import Task, TaskState
from waybill.domain.trusts import Road, Trust, TrustState
from waybill.errors import ConflictError, FormatError, NotFoundError, TrustError, UnavailableError, WaybillError
from waybill.ports import Page, Ports, Work
from waybill.trust import verify

_KINDS = ("receive", "import")
_OPEN_TASKS = (TaskState.QUEUED, TaskState.RUNNING, TaskState.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The row of an accepted bundle. ``first_time`` is False when the same bytes were accepted before."""

    inbox: InboxBundle
    first_time: bool


def accept_bundle(ports: Ports, *, space_id: str, delivery: bytes, release: bytes, road: Road) -> Accepted:
    """The bundle is in the inbox with its ``receive`` task started, and a ``received`` receipt is on the outbox; once, however often it comes.

    Args:
        delivery: encoded envelope of the Delivery, at most 16 MiB.
        release: encoded envelope of the Release that the Delivery names.
        road: the road on which it came.
    Raises:
        FormatError, TrustError: the code of the first check that failed (security.md 3.1).
        ConflictError: bundle.conflict, the delivery id came before with other bytes; bundle.stale, an older number than the window holds;
            release.conflict, the same release id or version was imported with another digest.
    """
    try:
        verified = verify_at_door(ports, space_id=space_id, delivery=delivery, release=release)
        accepted, task = _store(ports, space_id, verified, delivery, release, road)
    except UnavailableError:
        raise
    except WaybillError as refusal:
        known = _accepted_before(ports, space_id, delivery)
        if known is not None:  # what was taken in its time is not refused because it came again after its expiry
            return Accepted(inbox=known, first_time=False)
        note_refusal(ports, space_id=space_id, delivery=delivery, refusal=refusal)
        raise
    if task is not None:
        tasks.start_soon(ports, task)
        receipts.wake_courier(ports, (accepted.inbox.trust_id,))
    return accepted


def verify_at_door(ports: Ports, *, space_id: str, delivery: bytes, release: bytes) -> verify.VerifiedBundle:
    """The bundle, proven by every check that needs no write; nothing was written.

    Raises:
        FormatError, TrustError: as ``verify.verify_bundle``.
    """
    now = ports.clock.now()
    with ports.ledger.read(space_id) as work:
        us, peers = identity.us(ports, work), current_peers(ports, work, now)
    return verify.verify_bundle(delivery, release, us=us, peers=peers, now=now)


def verify_stored(ports: Ports, work: Work, inbox: InboxBundle, *, at: datetime | None = None) -> verify.VerifiedBundle:
    """The accepted bundle, proven again from the stored envelopes as of now (or ``at``). Raises TrustError, when the trust no longer accepts it."""
    now = at or ports.clock.now()
    return verify.verify_bundle(
        documents.load(work, inbox.delivery_document).body,
        documents.load(work, inbox.release_document).body,
        us=identity.us(ports, work),
        peers=current_peers(ports, work, now),
        now=now,
    )


def needs_now(ports: Ports, *, space_id: str, inbox_id: str) -> tuple[Need, ...]:
    """The blobs of the bundle that this site's store does not hold yet, in manifest order."""
    with ports.ledger.read(space_id) as work:
        return lacking(work, work.of(InboxBundle).get(inbox_id).needs)


def mark_waiting(ports: Ports, *, space_id: str, inbox_id: str, tell: bool) -> InboxBundle:
    """The row and its task say what is lacking; with ``tell`` a ``missing`` receipt is on the outbox, once.

    ``bytes_received`` counts what is here of what the bundle needs.
    """
    trust_ids: tuple[str, ...] = ()
    with ports.ledger.write(space_id) as work:
        inbox = work.of(InboxBundle).get(inbox_id)
        missing = lacking(work, inbox.needs)
        if inbox.state is not InboxState.WAITING_PACKAGES or not missing:
            return inbox
        here = sum(need.size_bytes for need in inbox.needs) - sum(need.size_bytes for need in missing)
        if here != inbox.bytes_received:
            inbox = work.of(InboxBundle).replace(replace(inbox, bytes_received=here))
        if tell and not receipts.was_emitted(work, trust_id=inbox.trust_id, bundle_sha256=inbox.bundle_sha256, event="missing"):
            facts = receipts.ReceiptFacts(
                event="missing", release_sha256=inbox.release_sha256, bundle_sha256=inbox.bundle_sha256, code="package.missing"
            )
            receipts.emit(ports, work, trust=work.of(Trust).get(inbox.trust_id), facts=facts)
            trust_ids = (inbox.trust_id,)
    total = sum(need.size_bytes for need in inbox.needs)
    names = ", ".join(need.name for need in missing[:5]) + (" and more" if len(missing) > 5 else "")
    tasks.set_state(
        ports,
        space_id=space_id,
        task_id=inbox.task_id,
        state=TaskState.WAITING,
        details=f"Waiting for {len(missing)} of {len(inbox.needs)} packages: {names}",
        progress_done=here,
        progress_total=total,
    )
    receipts.wake_courier(ports, trust_ids)
    return inbox


def mark_ready(ports: Ports, *, space_id: str, inbox_id: str) -> InboxBundle:
    """Every package is here: state ``ready``, the receive task ended, the ``import`` task started (``import_task_id``), receipt and inventory out.

    Calling again returns the row as it is.

    Raises:
        ConflictError: package.missing, when a blob is not here.
        TrustError: the trust no longer accepts it (expired, retired, revoked); the bundle is ``refused`` then.
    """
    try:
        with ports.ledger.write(space_id) as work:
            inbox = work.of(InboxBundle).get(inbox_id)
            if inbox.state is InboxState.WAITING_PACKAGES:
                inbox = _make_ready(ports, work, inbox)
    except (FormatError, TrustError) as refusal:
        mark_refused(ports, space_id=space_id, inbox_id=inbox_id, refusal=refusal)
        raise
    tasks.finish(
        ports,
        space_id=space_id,
        task_id=inbox.task_id,
        state=TaskState.SUCCEEDED,
        message="Every package is here and verified",
        result={"inbox_id": inbox.id},
    )
    _start_import(ports, inbox)
    receipts.wake_courier(ports, (inbox.trust_id,))
    return inbox


def _start_import(ports: Ports, inbox: InboxBundle) -> None:
    if inbox.import_task_id is None:
        return
    with ports.ledger.read(inbox.space_id) as work:
        task = work.of(Task).get(inbox.import_task_id)
    if task.state is TaskState.QUEUED:
        tasks.start_soon(ports, task)


def mark_refused(ports: Ports, *, space_id: str, inbox_id: str, refusal: WaybillError) -> InboxBundle:
    """A bundle that is no longer acceptable is ``refused``, its tasks ended and the sender told; one imported or rejected is left alone."""
    with ports.ledger.write(space_id) as work:
        inbox = work.of(InboxBundle).get(inbox_id)
        if inbox.state not in (InboxState.WAITING_PACKAGES, InboxState.READY, InboxState.IMPORTING):
            return inbox
        inbox = work.of(InboxBundle).replace(replace(inbox, state=InboxState.REFUSED, reason=refusal.code))
        facts = receipts.ReceiptFacts(
            event="refused", release_sha256=inbox.release_sha256, bundle_sha256=inbox.bundle_sha256, code=refusal.code
        )
        receipts.emit(ports, work, trust=work.of(Trust).get(inbox.trust_id), facts=facts)
        work.audit(at=ports.clock.now(), actor="system", action="bundle.refused", subject=inbox.id, detail=refusal.code)
    for task_id in filter(None, (inbox.task_id, inbox.import_task_id)):
        tasks.finish(ports, space_id=space_id, task_id=task_id, state=TaskState.REFUSED, code=refusal.code, message=refusal.message)
    receipts.wake_courier(ports, (inbox.trust_id,))
    return inbox


def settle_refused(ports: Ports, *, space_id: str) -> int:
    """The stories of bundles that a recall refused while they waited are ended, and their tasks say so; returns how many.

    Nobody else would tell them: a recall changes rows only. For the control worker's sweep.
    """
    with ports.ledger.read(space_id) as work:
        waiting = [task for kind in _KINDS for state in _OPEN_TASKS for task in work.of(Task).where(kind=kind, state=state)]
        rows = {row.id: row for row in work.of(InboxBundle).among("id", [task.subject_id for task in waiting])}
    refused = [task for task in waiting if task.subject_id in rows and rows[task.subject_id].state is InboxState.REFUSED]
    for task in refused:
        tasks.finish(ports, space_id=space_id, task_id=task.id, state=TaskState.REFUSED, message=rows[task.subject_id].reason)
        ports.engine.cancel(task.workflow_id)
    return len(refused)


def list_inbox(
    ports: Ports, caller: Caller, *, space_id: str, limit: int = 50, cursor: str | None = None, state: str | None = None
) -> Page:
    """One page of received bundles, newest first."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return page_of(work.of(InboxBundle), limit=limit, cursor=cursor, equals={"state": state})


def get_inbox(ports: Ports, caller: Caller, *, space_id: str, inbox: str) -> InboxBundle:
    """The received bundle by its id or its bundle digest. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return find_inbox(work, inbox)


def find_inbox(work: Work, inbox: str) -> InboxBundle:
    """The received bundle by its id or its bundle digest. Raises NotFoundError record.absent."""
    found = work.of(InboxBundle).find(inbox) or work.of(InboxBundle).first(bundle_sha256=inbox)
    if found is None:
        raise NotFoundError("record.absent", "there is no such bundle in the inbox", field="inbox", found=inbox[:100])
    return found


def _accepted_before(ports: Ports, space_id: str, delivery: bytes) -> InboxBundle | None:
    with ports.ledger.read(space_id) as work:
        return work.of(InboxBundle).first(delivery_document=hashlib.sha256(delivery).hexdigest())


def _store(
    ports: Ports, space_id: str, verified: verify.VerifiedBundle, delivery: bytes, release: bytes, road: Road
) -> tuple[Accepted, Task | None]:
    trust_id = verified.peer.trust_id
    with ports.ledger.write(space_id) as work:
        first = work.of(InboxBundle).first(bundle_sha256=verified.bundle_sha256)
        if first is not None:
            return Accepted(inbox=first, first_time=False), None
        trust = usable_trust(work, trust_id)  # it may have been ended since the bundle was verified
        _check_new(work, verified)
        doc = verified.delivery
        incoming_lanes.accept_number(work, trust_id=trust_id, kind="delivery", epoch=doc.epoch, seq=doc.seq, sha256=verified.bundle_sha256)
        inbox, task = _rows(ports, work, verified, delivery, release, road)
        facts = receipts.ReceiptFacts(event="received", release_sha256=inbox.release_sha256, bundle_sha256=inbox.bundle_sha256)
        receipts.emit(ports, work, trust=trust, facts=facts)
        inventories.send_if_changed(ports, work, trust)  # what the sender plans with is fresh when it sends the packages
        if doc.recalls:
            recalls.apply_recalls(ports, work, trust=trust, release_sha256s=doc.recalls, reason="withdrawn by its sender")
        work.audit(
            at=inbox.received_at,
            actor=verified.delivery.sender.name,
            action="bundle.accepted",
            subject=inbox.id,
            detail=inbox.bundle_sha256,
        )
    return Accepted(inbox=inbox, first_time=True), task


def _check_new(work: Work, verified: verify.VerifiedBundle) -> None:
    """The bundle contradicts nothing that came before. Raises ConflictError."""
    trust_id, doc, release = verified.peer.trust_id, verified.delivery, verified.release
    if work.of(InboxBundle).first(trust_id=trust_id, delivery_id=doc.delivery_id) is not None:
        raise ConflictError("bundle.conflict", "the delivery id came before with other bytes", field="delivery_id", found=doc.delivery_id)
    for known in work.of(Release).where(release_id=release.release_id):
        _same_release(verified, "release_id", known.release_sha256)
    project = work.of(Project).first(owner_space_id=release.owner.space_id, remote_project_id=release.project.id)
    if project is not None:
        for known in work.of(Release).where(project_id=project.id, release_version=release.version):
            _same_release(verified, "version", known.release_sha256)
    claimed = [row for row in work.of(Project).where(remote_project_id=release.project.id) if row.owner_space_id != release.owner.space_id]
    if claimed or work.of(Project).find(release.project.id) is not None:
        raise ConflictError("release.conflict", "another Space owns the project with this id", field="project.id", found=release.project.id)


def _same_release(verified: verify.VerifiedBundle, field: str, known_sha256: str) -> None:
    if known_sha256 != verified.release_sha256:
        message = f"the release {verified.release.version} is here with other content"
        raise ConflictError("release.conflict", message, field=field, expected=known_sha256, found=verified.release_sha256)


def _rows(
    ports: Ports, work: Work, verified: verify.VerifiedBundle, delivery: bytes, release: bytes, road: Road
) -> tuple[InboxBundle, Task]:
    now, inbox_id = ports.clock.now(), ids.fresh(ports, "ibx")
    doc, needs = verified.release, needs_of(verified.release)
    known = work.of(Trust).first(peer_space_id=doc.owner.space_id, state=TrustState.ACTIVE)
    owner_name = known.name if known is not None else verified.owner.doc.name
    task = tasks.create(
        ports,
        work,
        kind="receive",
        title=f"Receive {owner_name} {doc.project.name} {doc.version}",
        subject_id=inbox_id,
        story="ReceiveBundle",
        workflow_id=f"receive:{inbox_id}",
        story_input={"inbox_id": inbox_id, "trust_id": verified.peer.trust_id, "road": road.value},
        created_by=verified.delivery.sender.name,
    )
    inbox = InboxBundle(
        id=inbox_id,
        space_id=work.space_id,
        trust_id=verified.peer.trust_id,
        delivery_id=verified.delivery.delivery_id,
        bundle_sha256=verified.bundle_sha256,
        delivery_document=documents.store(work, body=delivery, kind="delivery", created_at=now).sha256,
        release_sha256=verified.release_sha256,
        release_document=documents.store(work, body=release, kind="release", created_at=now).sha256,
        owner_space_id=doc.owner.space_id,
        owner_name=owner_name,
        project_name=doc.project.name,
        remote_project_id=doc.project.id,
        release_version=doc.version,
        seq=verified.delivery.seq,
        size_bytes=len(delivery) + len(release) + sum(need.size_bytes for need in needs),
        received_at=now,
        expires_at=verified.delivery.expires_at,
        state=InboxState.WAITING_PACKAGES,
        task_id=task.id,
        needs=needs,
    )
    return work.of(InboxBundle).add(inbox), task


def _make_ready(ports: Ports, work: Work, inbox: InboxBundle) -> InboxBundle:
    verified = verify_stored(ports, work, inbox)
    missing = lacking(work, inbox.needs)
    if missing:
        names = ", ".join(need.name for need in missing[:10])
        raise ConflictError("package.missing", "packages of the bundle are not here", field="needs", found=names)
    task = tasks.create(
        ports,
        work,
        kind="import",
        title=f"Import {inbox.owner_name} {inbox.project_name} {inbox.release_version}",
        subject_id=inbox.id,
        story="ImportRelease",
        workflow_id=f"import:{inbox.id}",
        story_input={"inbox_id": inbox.id, "bundle_sha256": inbox.bundle_sha256},
        created_by="system",
        details="Waiting for a decision",
    )
    total = sum(need.size_bytes for need in inbox.needs)
    ready = work.of(InboxBundle).replace(replace(inbox, state=InboxState.READY, import_task_id=task.id, bytes_received=total))
    trust = work.of(Trust).get(inbox.trust_id)
    facts = receipts.ReceiptFacts(
        event="ready",
        release_sha256=inbox.release_sha256,
        bundle_sha256=inbox.bundle_sha256,
        variables_missing=missing_names(work, inbox=inbox, delivery=verified.delivery, release=verified.release),
    )
    receipts.emit(ports, work, trust=trust, facts=facts)
    inventories.send_if_changed(ports, work, trust)
    return ready
