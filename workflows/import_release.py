# SPDX-License-Identifier: Apache-2.0
"""A bundle that is ready waits for a person's decision, for as long as it takes, and then does what was decided.

A decision names the digests of the bundle and of the preview that was shown; one about other bytes is refused before it counts.
The first decision wins; the same one again gets the same answer.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.inbox import BundleRef, Inbox
    from waybill.domain.stories import ImportDecision, ImportInput, StoryResult
    from waybill.errors import ConflictError, FormatError
    from workflows import options
    from workflows.telling import TaskRef, ending_of, finish, tell


@workflow.defn(name="ImportRelease")
class ImportRelease:
    """See the module."""

    @workflow.init
    def __init__(self, given: ImportInput) -> None:
        self._given = given
        self._task = TaskRef(space_id=given.space_id, task_id=given.task_id)
        self._decision: ImportDecision | None = None

    @workflow.update
    def decide(self, decision: ImportDecision) -> str:
        """The verdict that counts."""
        if self._decision is None:
            self._decision = decision
        return self._decision.verdict

    @decide.validator
    def _may_decide(self, decision: ImportDecision) -> None:
        if decision.verdict not in {"approve", "reject"}:
            raise FormatError("request.invalid", "A verdict is approve or reject", field="verdict", found=decision.verdict)
        if decision.bundle_sha256 != self._given.bundle_sha256:
            raise ConflictError("bundle.changed", "The decision is about another bundle", field="bundle_sha256")
        if self._decision is not None and self._decision.decision_id != decision.decision_id:
            raise ConflictError("bundle.decided", "The bundle has been decided already", found=self._decision.verdict)

    @workflow.run
    async def run(self, _given: ImportInput) -> StoryResult:
        """How the import ended."""
        try:
            result = await self._decide_and_apply()
        except BaseException as error:
            ended = await finish(self._task, ending_of(error))
            if ended.state == "cancelled":
                raise
            return ended
        await workflow.wait_condition(workflow.all_handlers_finished)
        return await finish(self._task, result)

    async def _decide_and_apply(self) -> StoryResult:
        await tell(self._task, "Waiting for a person to approve or reject it", state="waiting")
        await workflow.wait_condition(lambda: self._decision is not None)
        bundle = BundleRef(space_id=self._given.space_id, inbox_id=self._given.inbox_id)
        if self._decision is not None and self._decision.verdict == "reject":
            await workflow.execute_activity_method(Inbox.apply_rejection, bundle, summary="reject and tell the sender", **options.QUICK)
            return StoryResult(state="refused", message="Rejected by a person of this Space")
        await tell(self._task, "Importing the release", state="running")
        await workflow.execute_activity_method(Inbox.apply_import, bundle, summary="import the release", **options.QUICK)
        return StoryResult(state="succeeded", message="Imported; it can be deployed")
