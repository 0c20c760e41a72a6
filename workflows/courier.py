# SPDX-License-Identifier: Apache-2.0
"""The courier of a trust that this side calls: takes the outbox to the peer, brings back what the peer has, for as long as the trust lives.

This is how receipts return on the calling roads; on the others the peer's courier, or a carrier file, does the same.
It ends by itself when the trust is no longer called.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.messages import Messages, Round, TrustRef
    from waybill.domain.stories import CourierInput, StoryResult
    from workflows import options


@workflow.defn(name="Courier")
class Courier:
    """See the module."""

    def __init__(self) -> None:
        self._awake = True
        self._failures = 0

    @workflow.signal
    def wake(self, _why: str) -> None:
        """Something waits on the outbox: look now."""
        self._awake = True

    @workflow.run
    async def run(self, given: CourierInput) -> StoryResult:
        """The trust is no longer called."""
        rounds = 0
        while True:
            self._awake = False
            done = await self._round(given)
            if done.over:
                return StoryResult(state="succeeded", message="The trust is no longer called")
            rounds += 1
            if workflow.info().is_continue_as_new_suggested() or rounds >= options.COURIER_ROUNDS:
                workflow.continue_as_new(
                    CourierInput(
                        space_id=given.space_id,
                        trust_id=given.trust_id,
                        poll_seconds=given.poll_seconds,
                        rounds=given.rounds + rounds,
                    )
                )
            await self._rest(given)

    async def _round(self, given: CourierInput) -> Round:
        trust = TrustRef(space_id=given.space_id, trust_id=given.trust_id)
        try:
            done = await workflow.execute_activity_method(Messages.round, trust, summary="exchange messages", **options.EXCHANGE)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self._failures += 1
            workflow.set_current_details(f"No exchange since {self._failures} tries ({_code_of(error)}); the next one follows by itself")
            return Round()
        self._failures = 0
        workflow.set_current_details(f"Last exchange: {done.sent} sent, {done.received} received, {len(done.refused)} refused")
        return done

    async def _rest(self, given: CourierInput) -> None:
        pause = given.poll_seconds * min(2 ** min(self._failures, 6), options.COURIER_BACKOFF)
        try:
            await workflow.wait_condition(lambda: self._awake, timeout=timedelta(seconds=pause), timeout_summary="next exchange")
        except TimeoutError:
            return


def _code_of(error: ActivityError) -> str:
    return error.cause.type or "internal.error" if isinstance(error.cause, ApplicationError) else "the worker did not answer"
