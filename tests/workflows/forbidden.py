# SPDX-License-Identifier: Apache-2.0
"""A story that asks the machine's clock: what replay must catch, since the next run would see another time."""

from datetime import UTC, datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.uploads import Uploads
    from waybill.domain.stories import StoryResult, VerifyUploadInput
    from workflows import options
    from workflows.telling import TaskRef, finish, tell


@workflow.defn(name="VerifyUpload")
class VerifyUpload:
    """Takes the steps of the true one, and looks at the clock between them."""

    @workflow.run
    async def run(self, given: VerifyUploadInput) -> StoryResult:
        """How the task ended."""
        task = TaskRef(space_id=given.space_id, task_id=given.task_id)
        await tell(task, f"Started at {datetime.now(UTC)}", state="running")
        await workflow.execute_activity_method(Uploads.verify, given, summary="re-read and hash", **options.MOVING)
        return await finish(task, StoryResult(state="succeeded"))
