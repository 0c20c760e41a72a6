# SPDX-License-Identifier: Apache-2.0
"""Many blobs over one trust, a few at a time, shared with whoever else moves the same blob."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from waybill.domain.stories import ReplicateInput, ReplicateResult
    from workflows import options
    from workflows.replicate import ReplicatePackage


async def replicate_all(blobs: Sequence[ReplicateInput], *, on_moved: Callable[[ReplicateInput, ReplicateResult], Awaitable[None]]) -> None:
    """Every blob is at the receiving side; ``on_moved`` heard of each.

    The first refusal ends the waiting and cancels the others.
    """
    gate = asyncio.Semaphore(options.BLOBS_AT_ONCE)

    async def one(blob: ReplicateInput) -> None:
        async with gate:
            await on_moved(blob, await _replicate(blob))

    moving = [asyncio.create_task(one(blob)) for blob in blobs]
    try:
        for task in moving:
            await task
    except BaseException:
        for task in moving:
            task.cancel()
        if moving:
            await workflow.wait(moving)
        raise


async def _replicate(blob: ReplicateInput) -> ReplicateResult:
    while True:
        try:
            return await workflow.execute_child_workflow(
                ReplicatePackage.run,
                blob,
                id=f"replicate:{blob.space_id}:{blob.direction}:{blob.trust_id}:{blob.sha256[:12]}",
                parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
                cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
                static_summary=f"{blob.direction} {blob.name}"[:150],
            )
        except WorkflowAlreadyStartedError:
            # Another promotion moves it right now. When it is through, ours finds it there and costs nothing.
            await workflow.sleep(options.BUSY_BLOB, summary="another promotion moves this blob")
