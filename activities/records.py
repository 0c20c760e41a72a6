# SPDX-License-Identifier: Apache-2.0
"""The projection of a story that people read: its task's state, words, progress and log.

The workflow's history is the truth; these rows are what the pages show, and they outlive the engine's retention.
"""

from dataclasses import dataclass

from temporalio import activity

from waybill.app import tasks
from waybill.domain.tasks import TaskState
from waybill.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTask:
    """What a task shall show. None leaves a field as it is; ``progress_*`` in bytes or steps."""

    space_id: str
    task_id: str
    state: str | None = None
    details: str | None = None
    progress_done: int | None = None
    progress_total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteTask:
    """One line for a task's log. ``level`` as in ``waybill.domain.tasks.LogLine``."""

    space_id: str
    task_id: str
    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishTask:
    """How a task ended; ``code`` is set unless it succeeded."""

    space_id: str
    task_id: str
    state: str
    code: str | None = None
    message: str | None = None


class Records:
    """Writes the rows of tasks."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="records.show", no_thread_cancel_exception=True)
    def show(self, given: ShowTask) -> None:
        """The task shows this; a finished one is left as it ended."""
        tasks.set_state(
            self._ports,
            space_id=given.space_id,
            task_id=given.task_id,
            state=None if given.state is None else TaskState(given.state),
            details=given.details,
            progress_done=given.progress_done,
            progress_total=given.progress_total,
        )

    @activity.defn(name="records.note", no_thread_cancel_exception=True)
    def note(self, given: NoteTask) -> None:
        """The line stands in the task's log."""
        tasks.log(self._ports, space_id=given.space_id, task_id=given.task_id, level=given.level, message=given.message)

    @activity.defn(name="records.finish", no_thread_cancel_exception=True)
    def finish(self, given: FinishTask) -> None:
        """The task has ended, and the timeline of its story is archived with it; the first end wins."""
        tasks.finish(
            self._ports,
            space_id=given.space_id,
            task_id=given.task_id,
            state=TaskState(given.state),
            code=given.code,
            message=given.message,
        )
