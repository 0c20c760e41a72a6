# SPDX-License-Identifier: Apache-2.0
"""Carrier files: made in one go and read in one go; a person carries them in between."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.carriers import Carriers
    from waybill.domain.stories import CarrierInput, StoryResult
    from workflows import options
    from workflows.telling import TaskRef, ending_of, finish, tell


@workflow.defn(name="ExportCarrier")
class ExportCarrier:
    """Everything that waits for a trust stands in one file that can be taken along."""

    @workflow.run
    async def run(self, given: CarrierInput) -> StoryResult:
        """How the task ended."""
        return await _carry(given, exporting=True)


@workflow.defn(name="ImportCarrier")
class ImportCarrier:
    """A file that was brought has been read: its blobs stored, its messages accepted or refused one by one."""

    @workflow.run
    async def run(self, given: CarrierInput) -> StoryResult:
        """How the task ended."""
        return await _carry(given, exporting=False)


async def _carry(given: CarrierInput, *, exporting: bool) -> StoryResult:
    words = "Writing the carrier file" if exporting else "Reading the carrier file"
    work = Carriers.export if exporting else Carriers.import_carrier
    task = TaskRef(space_id=given.space_id, task_id=given.task_id)
    await tell(task, words, state="running")
    try:
        message = await workflow.execute_activity_method(work, given, summary=words.lower(), **options.MOVING)
    except BaseException as error:
        ended = await finish(task, ending_of(error))
        if ended.state == "cancelled":
            raise
        return ended
    return await finish(task, StoryResult(state="succeeded", message=message))
