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
    async def run(self, count: int) -> int:
        """``count``, after as many activities."""
        for _ in range(count):
            await workflow.execute_activity("bare.nothing", "x", start_to_close_timeout=timedelta(seconds=60))
        return count
