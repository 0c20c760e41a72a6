# SPDX-License-Identifier: Apache-2.0
"""An upload becomes usable only after what the store holds was re-read and hashed."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.uploads import Uploads
    from waybill.domain.stories import StoryResult, VerifyUploadInput
    from workflows import options
    from workflows.telling import TaskRef, ending_of, finish, tell


@workflow.defn(name="VerifyUpload")
class VerifyUpload:
    """See the module."""

    @workflow.run
    async def run(self, given: VerifyUploadInput) -> StoryResult:
        """How the task ended."""
        task = TaskRef(space_id=given.space_id, task_id=given.task_id)
        await tell(task, "Re-reading and hashing what was uploaded", state="running")
        try:
            await workflow.execute_activity_method(Uploads.verify, given, summary="re-read and hash", **options.MOVING)
        except BaseException as error:
            ended = await finish(task, ending_of(error))
            if ended.state == "cancelled":
                raise
            return ended
        return await finish(task, StoryResult(state="succeeded", message="The bytes are those that were announced"))
