# SPDX-License-Identifier: Apache-2.0
"""A release on its way to a Remote Space: sealed, handed to the road, its packages sent where we call, then followed by receipts.

It lives for days or weeks and says in words what it waits for.
Receipts only call it to look: what they change stands in the ledger, so one that is lost or late does no harm.
A cancellation withdraws the bundle when no road took it yet; after that nothing here can take it back.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.messages import Messages, TrustRef
    from activities.promotions import LookAt, PromotionRef, Promotions, Sent, SetPromotion, WhereItIs
    from activities.transfers import Transfers
    from waybill.domain.bundles import Need
    from waybill.domain.promotions import PromotionState
    from waybill.domain.stories import PromoteCarried, PromoteInput, ReceiptSeen, ReplicateInput, ReplicateResult, StoryResult
    from workflows import options
    from workflows.following import ARRIVED, is_over, may_have_lost, result_of, waiting_words, words_of
    from workflows.replicating import replicate_all
    from workflows.telling import TaskRef, ending_of, finish, note, tell


@workflow.defn(name="PromoteRelease")
class PromoteRelease:
    """See the module."""

    @workflow.init
    def __init__(self, given: PromoteInput) -> None:
        self._given = given
        self._task = TaskRef(space_id=given.space_id, task_id=given.task_id)
        self._promotion = PromotionRef(space_id=given.space_id, promotion_id=given.promotion_id)
        self._receipts: dict[str, str] = {}
        self._news = False
        self._said = ""

    @workflow.signal
    def receipt(self, seen: ReceiptSeen) -> None:
        """A verified receipt about this promotion was stored; the same one again is not news."""
        if seen.receipt_id not in self._receipts:
            self._receipts[seen.receipt_id] = seen.event
            self._news = True

    @workflow.run
    async def run(self, given: PromoteInput) -> StoryResult:
        """How the promotion ended."""
        try:
            carried = given.carried or await self._send()
            result = await self._follow(carried)
        except BaseException as error:
            ended = await self._settle(ending_of(error))
            await finish(self._task, ended)
            if ended.state == "cancelled":
                raise
            return ended
        return await finish(self._task, result)

    async def _send(self) -> PromoteCarried:
        deadline = workflow.now() + timedelta(seconds=self._given.follow_seconds)
        if self._given.prepare:
            await self._prepare()
        await self._tell("Sealing the release for its target", state="running")
        sealed = await workflow.execute_activity_method(
            Promotions.seal, self._promotion, summary="seal and sign the bundle", **options.QUICK
        )
        carried = PromoteCarried(
            document_sha256=sealed.document_sha256,
            bundle_sha256=sealed.bundle_sha256,
            peer_name=sealed.peer_name,
            deadline_unix=deadline.timestamp(),
        )
        arrived = await self._hand_over(carried)
        if not arrived or self._given.road != "call":
            return carried
        held = await workflow.execute_local_activity_method(Promotions.note_held, self._promotion, **options.SHOWN)
        await self._send_packages(carried, [blob for blob in sealed.blobs if blob.sha256 not in held])
        return replace(carried, spared=tuple(blob for blob in sealed.blobs if blob.sha256 in held))

    async def _prepare(self) -> None:
        """A target that fetches finds the deltas ready, since nobody computes while it asks; on the other roads they are made when they are sent."""
        await self._tell("Comparing the packages with what the target holds", state="running")
        await workflow.execute_activity_method(
            Transfers.prepare, self._promotion, summary="make deltas against what the target holds", **options.MOVING
        )

    async def _hand_over(self, carried: PromoteCarried) -> bool:
        """True once the target has the bundle; False when the promotion is over before, or its time."""
        if self._given.road == "call":
            trust = TrustRef(space_id=self._given.space_id, trust_id=self._given.trust_id)
            await workflow.execute_local_activity_method(Messages.wake_courier, trust, **options.SHOWN)
        pause = options.FIRST_LOOK.total_seconds()
        where = WhereItIs(road_state="pending", state=PromotionState.SEALED.value)
        while True:
            await self._tell(waiting_words(self._given.road, where, carried.peer_name), state="waiting")
            if not await self._news_within(min(pause, self._given.recheck_seconds), carried):
                return False
            where = await self._look(carried)
            if is_over(where):
                return False
            if where.state in ARRIVED or where.road_state == "acknowledged":
                return True
            pause *= 2

    async def _send_packages(self, carried: PromoteCarried, needs: Sequence[Need]) -> None:
        total = sum(need.size_bytes for need in needs)
        done = 0
        if needs:
            await self._tell(f"Sending {len(needs)} packages to {carried.peer_name}", state="running", done=0, total=total)

        async def moved(blob: ReplicateInput, result: ReplicateResult) -> None:
            nonlocal done
            done += blob.size_bytes
            await workflow.execute_local_activity_method(
                Promotions.note_sent,
                Sent(
                    space_id=blob.space_id,
                    promotion_id=self._given.promotion_id,
                    sha256=blob.sha256,
                    how=result.how,
                    bytes_sent=result.bytes_sent,
                    bytes_saved=result.bytes_saved,
                    name=blob.name,
                    words=result.words,
                ),
                **options.SHOWN,
            )
            await self._tell(f"{carried.peer_name} has {blob.name}", done=done, total=total)

        blobs = [
            ReplicateInput(
                space_id=self._given.space_id,
                task_id=self._given.task_id,
                trust_id=self._given.trust_id,
                direction="upload",
                bundle_sha256=carried.bundle_sha256,
                sha256=need.sha256,
                size_bytes=need.size_bytes,
                role=need.role,
                name=need.name,
            )
            for need in needs
        ]
        await replicate_all(blobs, on_moved=moved)

    async def _follow(self, carried: PromoteCarried) -> StoryResult:
        while True:
            where = await self._look(carried)
            if is_over(where):
                return result_of(where, carried.peer_name)
            await self._tell(words_of(where, self._given.road, carried.peer_name), state="waiting")
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                self._continue_as_new(carried)
            doubtful = may_have_lost(where, carried.spared)
            if not await self._news_within(self._given.recheck_seconds * (1 if doubtful else options.FOLLOW_FACTOR), carried):
                return await self._give_up(await self._look(carried), carried)
            if doubtful and not self._news:
                await self._send_packages(carried, carried.spared)
                carried = replace(carried, spared=())

    async def _news_within(self, seconds: float, carried: PromoteCarried) -> bool:
        """True when there is news or it is time to look; False when the time for following is over."""
        left = carried.deadline_unix - workflow.now().timestamp()
        if left <= 0:
            return False
        try:
            await workflow.wait_condition(lambda: self._news, timeout=min(seconds, left), timeout_summary="wait for a receipt")
        except TimeoutError:
            pass
        return True

    async def _look(self, carried: PromoteCarried) -> WhereItIs:
        self._news = False
        look = LookAt(space_id=self._given.space_id, promotion_id=self._given.promotion_id, document_sha256=carried.document_sha256)
        return await workflow.execute_activity_method(Promotions.look, look, summary="look where it is", **options.QUICK)

    async def _give_up(self, where: WhereItIs, carried: PromoteCarried) -> StoryResult:
        if is_over(where):
            return result_of(where, carried.peer_name)
        if where.state not in ARRIVED:
            await self._set_state(PromotionState.UNKNOWN, code="peer.unavailable", message="No receipt came until the follow time was over")
            return StoryResult(
                state="failed", code="peer.unavailable", message=f"No receipt from {carried.peer_name} until the follow time was over"
            )
        return StoryResult(state="succeeded", message=f"Followed until its time was over; last word: {where.last_event or where.state}")

    async def _settle(self, ended: StoryResult) -> StoryResult:
        """The promotion's row says how the story ended; a cancelled bundle is withdrawn if it still can be."""
        if ended.state != "cancelled":
            await self._set_state(PromotionState.FAILED, code=ended.code, message=ended.message)
            return ended
        withdrawn = await workflow.execute_activity_method(
            Promotions.withdraw, self._promotion, summary="withdraw the bundle", **options.QUICK
        )
        if withdrawn:
            return StoryResult(state="cancelled", message="Withdrawn before anything left this Space")
        await note(self._task, "The bundle had left already: its target may still import it; ask them to reject it", level="warning")
        return StoryResult(state="cancelled", message="No longer followed; the bundle had left already")

    async def _set_state(self, state: PromotionState, *, code: str | None, message: str | None) -> None:
        shown = SetPromotion(
            space_id=self._given.space_id, promotion_id=self._given.promotion_id, state=state.value, code=code, message=message
        )
        await workflow.execute_activity_method(Promotions.set_state, shown, summary=f"promotion {state.value}", **options.QUICK)

    async def _tell(self, words: str, *, state: str | None = None, done: int | None = None, total: int | None = None) -> None:
        if words != self._said:
            self._said = words
            await tell(self._task, words, state=state, progress_done=done, progress_total=total)

    def _continue_as_new(self, carried: PromoteCarried) -> None:
        given = self._given
        workflow.continue_as_new(
            PromoteInput(
                space_id=given.space_id,
                task_id=given.task_id,
                promotion_id=given.promotion_id,
                trust_id=given.trust_id,
                road=given.road,
                follow_seconds=given.follow_seconds,
                recheck_seconds=given.recheck_seconds,
                carried=carried,
            )
        )
