# SPDX-License-Identifier: Apache-2.0
"""The import of a received bundle: answers given before, and a decision bound to what was shown. What it writes is ``import_rows``.

Refused: a decision about other bytes or another preview than are here now; another Space's lifecycle; a second decision.
An import adds to the remote project ``Owner: Project``; it never merges with a local project of the same name (A66).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from waybill.app import access, import_rows, lookup, preview, receipts, secrets, tasks, template_needs
from waybill.app.deploy_receipts import progress_of
from waybill.app.receive import find_inbox, mark_refused, verify_stored
from waybill.domain.access import Caller, Permission
from waybill.domain.bundles import Answer, InboxBundle, InboxState
from waybill.domain.projects import Project
from waybill.domain.readiness import HeldValue
from waybill.domain.releases import Release
from waybill.domain.stories import ImportDecision
from waybill.domain.tasks import Task, TaskState
from waybill.domain.trusts import Trust
from waybill.domain.values import check_value, is_sealed
from waybill.errors import ConflictError, FormatError, TrustError
from waybill.ports import Ports, Work

APPROVE, REJECT = "approve", "reject"
MAX_REASON = 1000
_DECIDED = (InboxState.IMPORTING, InboxState.IMPORTED, InboxState.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerInput:
    """One value for one template. ``variable``: id or name; ``environment`` and ``tenant``: id, slug or name; ``value`` in clear, stored sealed if secret."""

    variable: str
    environment: str
    tenant: str | None
    value: str


def put_answers(ports: Ports, caller: Caller, *, space_id: str, inbox: str, answers: Sequence[AnswerInput]) -> tuple[Answer, ...]:
    """The answers are stored, each over an earlier one for the same template, environment and tenant; all or none.

    Raises:
        FormatError: template.value_invalid, the value does not fit the type; request.invalid, no such template.
        ConflictError: bundle.decided.
    """
    access.require(caller, space_id, Permission.BUNDLE_DECIDE)
    with ports.ledger.write(space_id) as work:
        row = find_inbox(work, inbox)
        if row.state not in (InboxState.WAITING_PACKAGES, InboxState.READY):
            raise ConflictError("bundle.decided", "the bundle has been decided already", field="inbox", found=row.state.value)
        verified = verify_stored(ports, work, row)
        values = template_needs.bundle_values(work, project=None, inbox=row, delivery=verified.delivery, release=verified.release)
        templates = [one for one in values if one.template is not None]
        stored = [
            _put(ports, work, row, templates, answer, caller=caller, field=f"answers/{number}") for number, answer in enumerate(answers)
        ]
        work.audit(at=ports.clock.now(), actor=caller.name, action="bundle.answered", subject=row.id, detail=f"{len(stored)} values")
    return tuple(stored)


def decide(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    inbox: str,
    verdict: str,
    bundle_sha256: str,
    preview_sha256: str,
    lifecycle: str | None = None,
    reason: str | None = None,
) -> InboxBundle:
    """The decision is stored, and the waiting ``ImportRelease`` story is told; the same decision again returns the row.

    Args:
        verdict: ``approve`` or ``reject``; a rejection needs a ``reason``.
        lifecycle: id, slug or name of one of this Space's lifecycles; required to approve unless one is preselected.
    Raises:
        ConflictError: bundle.changed, bundle.decided, bundle.not_ready, lifecycle.needed.
        TrustError: bundle.expired, trust.retired, when that came about since it arrived.
    """
    access.require(caller, space_id, Permission.BUNDLE_DECIDE)
    _check_verdict(verdict, reason)
    with ports.ledger.write(space_id) as work:
        row = find_inbox(work, inbox)
        if row.state in _DECIDED and row.decided_at is not None:
            _check_same(row, verdict, bundle_sha256, preview_sha256)
        else:
            row = _decide(ports, work, row, caller, verdict, bundle_sha256, preview_sha256, lifecycle, reason)
        task = None if row.import_task_id is None else work.of(Task).get(row.import_task_id)
    if task is None:
        raise ConflictError("bundle.not_ready", "the bundle waits for packages", field="inbox", found=row.state.value)
    decision = ImportDecision(
        decision_id=f"{row.id}:{verdict}",
        verdict=verdict,
        bundle_sha256=bundle_sha256,
        preview_sha256=preview_sha256,
        actor_id=caller.id,
    )
    if task.state in (TaskState.QUEUED, TaskState.RUNNING, TaskState.WAITING):
        tasks.start(ports, task)  # nobody may have started the story yet; starting twice is nothing
        ports.engine.update(task.workflow_id, "decide", decision, update_id=decision.decision_id)
    elif verdict == APPROVE:  # somebody cancelled the story that would have done it
        apply_import(ports, space_id=space_id, inbox_id=row.id)
    else:
        apply_rejection(ports, space_id=space_id, inbox_id=row.id)
    with ports.ledger.read(space_id) as work:
        return work.of(InboxBundle).get(row.id)


def apply_import(ports: Ports, *, space_id: str, inbox_id: str) -> Release:
    """The remote project, the release, its values and step packages exist here, an ``imported`` receipt is out; again returns the same release.

    Raises:
        ConflictError: bundle.not_ready, nobody approved it; release.conflict. TrustError: secret.decrypt_failed.
    """
    try:
        inbox, release = _apply(ports, space_id, inbox_id)
    except (FormatError, TrustError) as refusal:
        mark_refused(ports, space_id=space_id, inbox_id=inbox_id, refusal=refusal)
        raise
    _finish(ports, inbox, TaskState.SUCCEEDED, result=release.id)
    return release


def apply_rejection(ports: Ports, *, space_id: str, inbox_id: str) -> InboxBundle:
    """The bundle is ``rejected`` and a ``refused`` receipt is out; again returns the row. Raises ConflictError bundle.not_ready."""
    with ports.ledger.write(space_id) as work:
        inbox = work.of(InboxBundle).get(inbox_id)
        if inbox.state is not InboxState.REJECTED or inbox.decided_at is None:
            raise ConflictError("bundle.not_ready", "nobody has rejected the bundle", field="inbox", found=inbox.state.value)
        told = receipts.was_emitted(work, trust_id=inbox.trust_id, bundle_sha256=inbox.bundle_sha256, event="refused")
        if not told:
            facts = receipts.ReceiptFacts(
                event="refused", release_sha256=inbox.release_sha256, bundle_sha256=inbox.bundle_sha256, code="bundle.rejected"
            )
            receipts.emit(ports, work, trust=work.of(Trust).get(inbox.trust_id), facts=facts)
            work.audit(
                at=ports.clock.now(),
                actor=inbox.decided_by or "system",
                action="bundle.rejected",
                subject=inbox.id,
                detail=inbox.reason or "",
            )
    _finish(ports, inbox, TaskState.REFUSED, result=None)
    return inbox


def _apply(ports: Ports, space_id: str, inbox_id: str) -> tuple[InboxBundle, Release]:
    with ports.ledger.read(space_id) as work:
        inbox = work.of(InboxBundle).get(inbox_id)
        verified = None if inbox.state is InboxState.IMPORTED else _approved(ports, work, inbox)
    manifests = {} if verified is None else import_rows.read_manifests(ports, verified.release)
    with ports.ledger.write(space_id) as work:
        inbox = work.of(InboxBundle).get(inbox_id)
        if inbox.state is InboxState.IMPORTED and inbox.release_row_id is not None:
            return inbox, work.of(Release).get(inbox.release_row_id)
        verified = _approved(ports, work, inbox)
        release = import_rows.write(ports, work, inbox=inbox, verified=verified, manifests=manifests)
        imported = replace(inbox, state=InboxState.IMPORTED, release_row_id=release.id)
        work.of(InboxBundle).replace(imported)
        _tell_imported(ports, work, imported, release, verified.peer.trust_id)
        work.audit(
            at=ports.clock.now(), actor=inbox.decided_by or "system", action="bundle.imported", subject=inbox.id, detail=inbox.bundle_sha256
        )
    return imported, release


def _put(
    ports: Ports,
    work: Work,
    inbox: InboxBundle,
    templates: Sequence[HeldValue],
    answer: AnswerInput,
    *,
    caller: Caller,
    field: str,
) -> Answer:
    template = next((one for one in templates if answer.variable in (one.variable_id, one.name)), None)
    if template is None or template.template is None:
        raise FormatError("request.invalid", "the bundle has no such template", field=f"{field}/variable", found=answer.variable[:100])
    value = check_value(template.type, answer.value, field=f"{field}/value", choices=template.template.choices)
    environment = lookup.find_own_environment(work, answer.environment)
    tenant = None if answer.tenant is None else lookup.find_tenant(work, answer.tenant)
    key = f"{inbox.id}:{template.variable_id}:{environment.id}:{tenant.id if tenant else ''}"
    secret = is_sealed(template.type)
    sealed = (
        secrets.seal_local(ports, value, table=secrets.ANSWERS, column="sealed", row_id=key, space_id=work.space_id) if secret else None
    )
    row = Answer(
        id=key,
        space_id=work.space_id,
        inbox_id=inbox.id,
        variable_id=template.variable_id,
        environment_id=environment.id,
        tenant_id=tenant.id if tenant else None,
        value=None if secret else value,
        sealed=sealed,
        answered_by=caller.name,
        answered_at=ports.clock.now(),
    )
    earlier = work.of(Answer).find(key)
    if earlier is None:
        return work.of(Answer).add(row)
    return work.of(Answer).replace(replace(row, revision=earlier.revision))


def _check_verdict(verdict: str, reason: str | None) -> None:
    if verdict not in (APPROVE, REJECT):
        raise FormatError("request.invalid", "that is no verdict", field="verdict", expected="approve or reject", found=verdict[:40])
    if verdict == REJECT and not (reason or "").strip():
        raise FormatError("request.invalid", "a rejection needs a reason", field="reason", expected="why")
    if len(reason or "") > MAX_REASON:
        raise FormatError("request.invalid", "the reason is too long", field="reason", expected=f"at most {MAX_REASON} characters")


def _check_same(row: InboxBundle, verdict: str, bundle_sha256: str, preview_sha256: str) -> None:
    rejected = row.state is InboxState.REJECTED
    same = (verdict == REJECT) == rejected and row.bundle_sha256 == bundle_sha256 and row.preview_sha256 == preview_sha256
    if not same:
        raise ConflictError("bundle.decided", "the bundle has been decided already", field="inbox", found=row.state.value)


def _decide(
    ports: Ports,
    work: Work,
    row: InboxBundle,
    caller: Caller,
    verdict: str,
    bundle_sha256: str,
    preview_sha256: str,
    lifecycle: str | None,
    reason: str | None,
) -> InboxBundle:
    if row.state is not InboxState.READY:
        raise ConflictError("bundle.not_ready", "the bundle cannot be decided yet", field="inbox", found=row.state.value)
    shown = preview.compute(ports, work, row)
    for field, expected, found in (("bundle_sha256", row.bundle_sha256, bundle_sha256), ("preview_sha256", shown.sha256, preview_sha256)):
        if expected != found:
            raise ConflictError(
                "bundle.changed", "what was shown is not what is here now", field=field, expected=expected, found=found[:64]
            )
    lifecycle_id = None
    if verdict == APPROVE:
        lifecycle_id = _chosen_lifecycle(work, shown, lifecycle)
    decided = replace(
        row,
        state=InboxState.IMPORTING if verdict == APPROVE else InboxState.REJECTED,
        lifecycle_id=lifecycle_id,
        preview_sha256=preview_sha256,
        decided_at=ports.clock.now(),
        decided_by=caller.name,
        reason=reason,
    )
    detail = f"{bundle_sha256} {preview_sha256}"
    work.audit(at=ports.clock.now(), actor=caller.name, action=f"bundle.{verdict}", subject=row.id, detail=detail)
    return work.of(InboxBundle).replace(decided)


def _chosen_lifecycle(work: Work, shown: preview.Preview, lifecycle: str | None) -> str:
    if lifecycle is not None:
        return lookup.find_lifecycle(work, lifecycle).id
    preselected = [one.lifecycle_id for one in shown.lifecycles if one.preselected]
    if not preselected:
        raise ConflictError("lifecycle.needed", "choose one of this Space's lifecycles", field="lifecycle", expected="a lifecycle")
    return preselected[0]


def _approved(ports: Ports, work: Work, inbox: InboxBundle) -> import_rows.VerifiedBundle:
    """The bundle, proven again as of the decision: an expiry between decision and import does not undo what a person decided in time."""
    if inbox.state is not InboxState.IMPORTING or inbox.decided_at is None:
        raise ConflictError("bundle.not_ready", "nobody has approved the bundle", field="inbox", found=inbox.state.value)
    return verify_stored(ports, work, inbox, at=inbox.decided_at)


def _tell_imported(ports: Ports, work: Work, inbox: InboxBundle, release: Release, trust_id: str) -> None:
    lifecycle, done, total = progress_of(work, release)
    project = work.of(Project).get(release.project_id)
    facts = receipts.ReceiptFacts(
        event="imported",
        release_sha256=inbox.release_sha256,
        bundle_sha256=inbox.bundle_sha256,
        release_row_id=release.id,
        project_id=project.id,
        approvals=(("import", 1),),
        variables_missing=import_rows.missing_names(ports, work, project=project, release=release),
        lifecycle_name=lifecycle.name if lifecycle else None,
        phases_done=done,
        phases_total=total,
    )
    receipts.emit(ports, work, trust=work.of(Trust).get(trust_id), facts=facts)


def _finish(ports: Ports, inbox: InboxBundle, state: TaskState, *, result: str | None) -> None:
    if inbox.import_task_id is not None:
        message = "Imported" if state is TaskState.SUCCEEDED else f"Rejected: {inbox.reason or ''}"
        outcome = {"inbox_id": inbox.id, **({} if result is None else {"release_row_id": result})}
        tasks.finish(
            ports,
            space_id=inbox.space_id,
            task_id=inbox.import_task_id,
            state=state,
            code=None if state is TaskState.SUCCEEDED else "bundle.rejected",
            message=message,
            result=dict(outcome),
        )
    receipts.wake_courier(ports, (inbox.trust_id,))
