# SPDX-License-Identifier: Apache-2.0
"""One run of a step on one machine, in the steps namespace: handed to the machine once, then settled from the ledger.

The machine's activity has one attempt only. Whether a further run is made is the deployment's decision, never a retry of ours.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from activities.step_runs import RunSettling
    from waybill.domain.stories import RunEnded, RunStepInput, machine_queue
    from workflows import options


@workflow.defn(name="RunStep")
class RunStep:
    """See the module."""

    @workflow.run
    async def run(self, given: RunStepInput) -> RunEnded:
        """How the run ended, as the ledger has it."""
        workflow.set_current_details("Waiting for the machine, then for the step")
        try:
            await workflow.execute_activity(
                "execute_step",
                given,
                task_queue=machine_queue(given.machine_id),
                result_type=str,
                start_to_close_timeout=timedelta(seconds=given.timeout_seconds) + options.STEP_MARGIN,
                schedule_to_start_timeout=options.STEP_PICKUP,
                heartbeat_timeout=options.STEP_HEARTBEAT,
                retry_policy=options.NEVER_AGAIN,
                cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary="execute the step",
            )
        except BaseException as error:
            if not (is_cancelled_exception(error) or isinstance(error, Exception)):
                raise
        # Dead, silent, cancelled or done: what the machine posted decides, and without a word from it the run was interrupted.
        return await workflow.execute_activity_method(RunSettling.settle, given, summary="settle the run", **options.QUICK)
