# SPDX-License-Identifier: Apache-2.0
"""One blob over one trust, whoever calls: planned by the receiving side, moved in parts, verified where it arrives.

A story of its own, because several promotions may need the same blob: its id names the blob and the trust, so it moves once.
"""

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.transfers import Transfers
    from waybill.domain.stories import ReplicateInput, ReplicateResult
    from workflows import options


@workflow.defn(name="ReplicatePackage")
class ReplicatePackage:
    """See the module."""

    @workflow.run
    async def run(self, given: ReplicateInput) -> ReplicateResult:
        """What it cost to have the blob at the receiving side."""
        verb, move = {
            "upload": ("Sending", Transfers.upload),
            "download": ("Fetching", Transfers.download),
            "rebuild": ("Rebuilding", Transfers.rebuild),
        }[given.direction]
        workflow.set_current_details(f"{verb} {given.name}, {given.size_bytes} bytes")
        try:
            return await workflow.execute_activity_method(move, given, summary=f"{verb.lower()} {given.name}", **options.MOVING)
        except BaseException as error:
            if given.direction == "download" and is_cancelled_exception(error):
                # Compensation: parts that nobody waits for would stay in the store, paid for and unseen.
                await workflow.execute_activity_method(Transfers.abort, given, summary="drop unfinished parts", **options.MOVING)
            raise
