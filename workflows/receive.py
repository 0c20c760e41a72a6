# SPDX-License-Identifier: Apache-2.0
"""A verified bundle in the inbox becomes ready to import: its packages are fetched where we call, awaited where we are called.

A package that cannot be had is no end: the story says what is lacking, and asks again.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.inbox import BundleRef, Inbox, Lacking, Waiting
    from waybill.domain.bundles import Need
    from waybill.domain.stories import ReceiveInput, ReplicateInput, ReplicateResult, StoryResult
    from workflows import options
    from workflows.replicating import replicate_all
    from workflows.telling import TaskRef, ending_of, finish, note, tell


@workflow.defn(name="ReceiveBundle")
class ReceiveBundle:
    """See the module."""

    @workflow.init
    def __init__(self, given: ReceiveInput) -> None:
        self._given = given
        self._task = TaskRef(space_id=given.space_id, task_id=given.task_id)
        self._bundle = BundleRef(space_id=given.space_id, inbox_id=given.inbox_id)
        self._arrived = False
        self._in_vain = False

    @workflow.signal
    def blob_arrived(self, _sha256: str) -> None:
        """A blob that this bundle may need is in the store."""
        self._arrived = True

    @workflow.run
    async def run(self, _given: ReceiveInput) -> StoryResult:
        """The bundle is ready to import, and a story of its own waits for the decision."""
        try:
            await self._complete()
        except BaseException as error:
            ended = await finish(self._task, ending_of(error))
            if ended.state == "cancelled":
                raise
            return ended
        return await finish(self._task, StoryResult(state="succeeded", message="Every package is here; ready to import"))

    async def _complete(self) -> None:
        while True:
            self._arrived = False
            lacking = await workflow.execute_activity_method(Inbox.needs, self._bundle, summary="compare with the store", **options.QUICK)
            if not lacking.needs:
                if await self._mark_ready():
                    return
                continue
            if lacking.deltas:
                await self._rebuild(lacking)
                continue
            await self._say_lacking()
            if self._given.road != "call" or not await self._fetch(lacking):
                await self._wait_for_blobs(lacking)

    async def _mark_ready(self) -> bool:
        """False when a package vanished since it was looked for: it is lacking again."""
        try:
            await workflow.execute_activity_method(Inbox.mark_ready, self._bundle, summary="ready to import", **options.QUICK)
        except ActivityError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type == "package.missing":
                return False
            raise
        return True

    async def _say_lacking(self) -> None:
        """A connected sender is about to bring the packages, or we to fetch them: only what has not come after a while is missing."""
        tell = self._given.road == "carrier" or self._in_vain
        waiting = Waiting(space_id=self._given.space_id, inbox_id=self._given.inbox_id, tell=tell)
        await workflow.execute_activity_method(Inbox.mark_waiting, waiting, summary="say what is lacking", **options.QUICK)

    async def _fetch(self, lacking: Lacking) -> bool:
        """True when everything that was lacking has come; False when some of it cannot be had now."""
        total, done = sum(need.size_bytes for need in lacking.needs), 0
        words = f"Fetching {len(lacking.needs)} packages from {lacking.peer_name}"
        await tell(self._task, words, state="running", progress_done=0, progress_total=total)

        async def moved(blob: ReplicateInput, _result: ReplicateResult) -> None:
            nonlocal done
            done += blob.size_bytes
            await tell(self._task, f"{blob.name} has come from {lacking.peer_name}", progress_done=done, progress_total=total)

        try:
            await replicate_all([self._wanted(lacking, need, "download") for need in lacking.needs], on_moved=moved)
        except ChildWorkflowError as error:
            if is_cancelled_exception(error):
                raise
            ended = ending_of(error)
            await note(self._task, f"A package could not be fetched: {ended.code}: {ended.message}", level="warning")
            return False
        return True

    async def _rebuild(self, lacking: Lacking) -> None:
        """Every delta that lies here was used, or refused so that its sender brings the package whole."""
        await tell(self._task, f"Rebuilding {len(lacking.deltas)} packages from deltas of {lacking.peer_name}", state="running")

        async def done(_blob: ReplicateInput, _result: ReplicateResult) -> None:
            """The activity has said it in the log."""

        here = [need for need in lacking.needs if need.sha256 in lacking.deltas]
        await replicate_all([self._wanted(lacking, need, "rebuild") for need in here], on_moved=done)

    def _wanted(self, lacking: Lacking, need: Need, direction: str) -> ReplicateInput:
        return ReplicateInput(
            space_id=self._given.space_id,
            task_id=self._given.task_id,
            trust_id=self._given.trust_id,
            direction=direction,
            bundle_sha256=lacking.bundle_sha256,
            sha256=need.sha256,
            size_bytes=need.size_bytes,
            role=need.role,
            name=need.name,
        )

    async def _wait_for_blobs(self, lacking: Lacking) -> None:
        words = f"Waiting for {len(lacking.needs)} packages from {lacking.peer_name}"
        await tell(self._task, words, state="waiting")
        if workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new(self._given)
        try:
            await workflow.wait_condition(
                lambda: self._arrived, timeout=timedelta(seconds=self._given.recheck_seconds), timeout_summary="look into the store again"
            )
        except TimeoutError:
            self._in_vain = True
