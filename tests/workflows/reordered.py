# SPDX-License-Identifier: Apache-2.0
"""A story whose steps were swapped by mistake: what replay must catch. In a module of its own, as the sandbox wants it."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.uploads import Uploads
    from waybill.domain.stories import StoryResult, VerifyUploadInput
    from workflows import options
    from workflows.telling import TaskRef, finish


@workflow.defn(name="VerifyUpload")
class VerifyUpload:
    """Ends the task before the upload is verified, and says nothing before."""

    @workflow.run
    async def run(self, given: VerifyUploadInput) -> StoryResult:
        """How the task ended."""
        task = TaskRef(space_id=given.space_id, task_id=given.task_id)
        result = await finish(task, StoryResult(state="succeeded"))
        await workflow.execute_activity_method(Uploads.verify, given, summary="re-read and hash", **options.MOVING)
        return result
