# SPDX-License-Identifier: Apache-2.0
"""The yardstick: a workflow that does nothing but call that many activities that do nothing, one after the other."""

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn(name="bare.nothing")
def do_nothing(given: str) -> str:
    """``given`` itself."""
    return given


@workflow.defn(name="Bare")
class Bare:
    """See the module."""

    @workflow.run
    async def run(self, count: int, local: int) -> int:
        """The number of activities: ``count`` by way of the server, and ``local`` in the workflow's own worker, evenly between them."""
        done = 0
        for number in range(count):
            await workflow.execute_activity(do_nothing, "x", start_to_close_timeout=timedelta(seconds=60))
            while done * count < local * (number + 1):
                await workflow.execute_local_activity(do_nothing, "x", start_to_close_timeout=timedelta(seconds=60))
                done += 1
        return count + done
