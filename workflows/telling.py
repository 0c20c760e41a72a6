# SPDX-License-Identifier: Apache-2.0
"""How stories say what they do and how they end: in the engine's own view and on the task that people read."""

import asyncio
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.records import FinishTask, NoteTask, Records, ShowTask
    from waybill.domain.stories import StoryResult
    from workflows import options


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRef:
    """The task that people read a story by."""

    space_id: str
    task_id: str


async def tell(
    task: TaskRef, words: str, *, state: str | None = None, progress_done: int | None = None, progress_total: int | None = None
) -> None:
    """The engine's current details and the task both say ``words``; ``state`` is a ``TaskState``, None leaves it."""
    workflow.set_current_details(words)
    shown = ShowTask(
        space_id=task.space_id,
        task_id=task.task_id,
        state=state,
        details=words,
        progress_done=progress_done,
        progress_total=progress_total,
    )
    await workflow.execute_local_activity_method(Records.show, shown, **options.SHOWN)


async def note(task: TaskRef, message: str, *, level: str = "info") -> None:
    """The line stands in the task's log."""
    given = NoteTask(space_id=task.space_id, task_id=task.task_id, level=level, message=message)
    await workflow.execute_local_activity_method(Records.note, given, **options.SHOWN)


async def finish(task: TaskRef, result: StoryResult) -> StoryResult:
    """The task has ended as ``result`` says, with the story's timeline archived; returns ``result``."""
    workflow.set_current_details(result.message or result.state)
    ended = FinishTask(space_id=task.space_id, task_id=task.task_id, state=result.state, code=result.code, message=result.message)
    await workflow.execute_activity_method(Records.finish, ended, summary=f"archive: {result.state}", **options.QUICK)
    return result


def ending_of(error: BaseException) -> StoryResult:
    """How a story ends that met ``error``: cancelled, or failed with the code of the refusal.

    Anything that is no ending is raised again: continue-as-new, an eviction, and a mistake in our own code,
    which must leave the story where it is until a repaired worker takes it on.
    """
    if is_cancelled_exception(error):
        return StoryResult(state="cancelled", message="Cancelled")
    if not isinstance(error, FailureError):
        raise error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ApplicationError) and cause.type:
            return StoryResult(state="failed", code=cause.type, message=cause.message)
        cause = cause.__cause__
    return StoryResult(state="failed", code="internal.error", message=str(error))


def stop_if_cancelled() -> None:
    """Nothing, unless somebody cancelled the story while it waited for an effect that ended well all the same."""
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError
