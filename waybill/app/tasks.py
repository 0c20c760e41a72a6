# SPDX-License-Identifier: Apache-2.0
"""Tasks: long work as people see it. Created in the transaction of its subject, started after the commit.

Refused: cancelling a finished task, reading another Space's task. The story settles its own subject; nothing here does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta

from waybill.app import access, ids
from waybill.app.pages import page_of
from waybill.domain.access import Caller, Permission
from waybill.domain.ids import JsonValue
from waybill.domain.tasks import FINISHED_TASKS, LogLine, Task, TaskState
from waybill.errors import ConflictError, UnavailableError
from waybill.ports import Page, Ports, TimelineRow, Work

START_GRACE = timedelta(seconds=20)
"""How long a queued task is left to whoever created it, before the sweep starts it as well."""

_END_LEVELS = {
    TaskState.SUCCEEDED: "highlight", TaskState.FAILED: "error", TaskState.REFUSED: "error", TaskState.CANCELLED: "warning",
}  # fmt: skip


def create(
    ports: Ports,
    work: Work,
    *,
    kind: str,
    title: str,
    subject_id: str,
    story: str,
    workflow_id: str,
    story_input: Mapping[str, JsonValue],
    created_by: str,
    details: str = "Waiting for a worker",
) -> Task:
    """A queued task stored in the caller's transaction; ``start`` it after the commit.

    Args:
        story: the workflow type, as in ``waybill.domain.stories``.
        story_input: the fields of the story's input without ``space_id`` and ``task_id``, which are added here. Ids and digests only.
    Raises:
        ConflictError: record.conflict, when a task with this ``workflow_id`` exists.
    """
    task_id = ids.fresh(ports, "tsk")
    task = Task(
        id=task_id,
        space_id=work.space_id,
        kind=kind,
        title=title,
        state=TaskState.QUEUED,
        details=details,
        workflow_id=workflow_id,
        story=story,
        story_input={**story_input, "space_id": work.space_id, "task_id": task_id},
        subject_id=subject_id,
        created_at=ports.clock.now(),
        created_by=created_by,
    )
    return work.of(Task).add(task)


def start(ports: Ports, task: Task) -> None:
    """The task's story runs; a story of the same workflow id that runs or has ended is left alone.

    Raises:
        UnavailableError: engine.unavailable. The task stays queued and the sweep starts it later.
    """
    ports.engine.start(story=task.story, workflow_id=task.workflow_id, story_input=task.story_input, summary=task.title)


def start_soon(ports: Ports, task: Task) -> None:
    """The task's story runs now, or as soon as the sweep finds the engine back: what is stored is a promise already."""
    try:
        start(ports, task)
    except UnavailableError:
        return  # the subject is committed; failing its request now would only make the caller repeat what is done


def start_queued(ports: Ports, *, space_id: str) -> int:
    """Every task that is queued for longer than ``START_GRACE`` has been started; returns how many.

    A crash between commit and start loses nothing: starting is idempotent by workflow id.
    """
    before = ports.clock.now() - START_GRACE
    with ports.ledger.read(space_id) as work:
        queued = [task for task in work.of(Task).where(state=TaskState.QUEUED) if task.created_at <= before]
    for task in queued:
        start(ports, task)
    return len(queued)


def set_state(
    ports: Ports,
    *,
    space_id: str,
    task_id: str,
    state: TaskState | None = None,
    details: str | None = None,
    progress_done: int | None = None,
    progress_total: int | None = None,
) -> Task:
    """The task shows this state, these words and this progress (bytes or steps); a finished task is left as it ended."""
    with ports.ledger.write(space_id) as work:
        task = work.of(Task).get(task_id)
        if task.state in FINISHED_TASKS:
            return task
        changed = replace(
            task,
            state=task.state if state is None else state,
            details=task.details if details is None else details,
            progress_done=task.progress_done if progress_done is None else progress_done,
            progress_total=task.progress_total if progress_total is None else progress_total,
            started_at=task.started_at or (ports.clock.now() if state is not None and state is not TaskState.QUEUED else None),
        )
        if changed == task:
            return task
        if changed.details != task.details:
            tell(ports, work, task_id, "wait" if changed.state is TaskState.WAITING else "info", changed.details)
        return work.of(Task).replace(changed)


def log(ports: Ports, *, space_id: str, task_id: str, level: str, message: str) -> int:
    """One line appended to the task's log; returns its number. Never pass a secret: step output goes through ``runs.append_log``."""
    with ports.ledger.write(space_id) as work:
        return tell(ports, work, task_id, level, message)


def tell(ports: Ports, work: Work, task_id: str, level: str, message: str) -> int:
    """As ``log``, in the caller's transaction."""
    now = ports.clock.now()
    return work.append_log(task_id, [LogLine(task_id=task_id, seq=0, level=level, message=message, occurred_at=now, observed_at=now)])


def finish(
    ports: Ports,
    *,
    space_id: str,
    task_id: str,
    state: TaskState,
    code: str | None = None,
    message: str | None = None,
    result: Mapping[str, JsonValue] | None = None,
) -> Task:
    """The task has ended with ``state``, and the timeline of its workflow is archived with it; the first end wins."""
    with ports.ledger.read(space_id) as work:
        task = work.of(Task).get(task_id)
    if task.state in FINISHED_TASKS:
        return task
    rows = ports.engine.timeline(task.workflow_id)
    with ports.ledger.write(space_id) as work:
        task = work.of(Task).get(task_id)
        if task.state in FINISHED_TASKS:
            return task
        if message:
            tell(ports, work, task_id, _END_LEVELS[state], message if code is None else f"{message} [{code}]")
        return work.of(Task).replace(_ended(ports, task, state, code, message, result, rows))


def cancel(ports: Ports, caller: Caller, *, space_id: str, task: str) -> Task:
    """Cancellation of the task's story is requested; the story itself settles its subject and ends the task.

    A story that was never started is started first, so that there is exactly one place where a subject is settled.
    When the engine no longer runs the story, the task is ended here.

    Raises:
        ConflictError: task.finished, when it has ended already.
        PolicyError: authz.denied, without ``task.cancel``.
    """
    access.require(caller, space_id, Permission.TASK_CANCEL)
    with ports.ledger.write(space_id) as work:
        row = work.of(Task).get(task)
        if row.state in FINISHED_TASKS:
            raise ConflictError("task.finished", "the task has ended already", found=row.state.value)
        work.audit(at=ports.clock.now(), actor=caller.name, action="task.cancelled", subject=row.id, detail=row.title)
    if not ports.engine.cancel(row.workflow_id):
        start(ports, row)
        if not ports.engine.cancel(row.workflow_id):
            return finish(ports, space_id=space_id, task_id=row.id, state=TaskState.CANCELLED, message="its story had ended already")
    return get_task(ports, caller, space_id=space_id, task=row.id)


def list_tasks(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    limit: int = 50,
    cursor: str | None = None,
    kind: str | None = None,
    state: str | None = None,
    subject_id: str | None = None,
) -> Page:
    """One page of tasks, newest first, of this kind, state and subject where given."""
    access.require(caller, space_id, Permission.SPACE_READ)
    equals = {"kind": kind, "state": state, "subject_id": subject_id}
    with ports.ledger.read(space_id) as work:
        return page_of(work.of(Task), limit=limit, cursor=cursor, equals=equals)


def get_task(ports: Ports, caller: Caller, *, space_id: str, task: str) -> Task:
    """The task. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return work.of(Task).get(task)


def read_log(ports: Ports, caller: Caller, *, space_id: str, task: str, after: int = 0, limit: int = 1000) -> Sequence[LogLine]:
    """Lines of the task's log with ``seq > after``, in order."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        work.of(Task).get(task)
        return work.read_log(task, after=after, limit=limit)


def timeline(ports: Ports, caller: Caller, *, space_id: str, task: str) -> tuple[TimelineRow, ...]:
    """What happened in the task's workflow: the engine's word while it knows it, then what was archived at the end."""
    row = get_task(ports, caller, space_id=space_id, task=task)
    live = ports.engine.timeline(row.workflow_id)
    return tuple(live) if live else tuple(_archived(entry) for entry in row.timeline)


def _ended(
    ports: Ports,
    task: Task,
    state: TaskState,
    code: str | None,
    message: str | None,
    result: Mapping[str, JsonValue] | None,
    rows: Sequence[TimelineRow],
) -> Task:
    return replace(
        task,
        state=state,
        code=code,
        message=message,
        details=message or state.value.capitalize(),
        result={**task.result, **(result or {})},
        timeline=[asdict(row) for row in rows],
        finished_at=ports.clock.now(),
    )


def _archived(entry: JsonValue) -> TimelineRow:
    if not isinstance(entry, dict):
        raise TypeError("an archived timeline holds objects")
    number, attempt = entry["id"], entry["attempt"]
    return TimelineRow(
        id=int(number) if isinstance(number, int) else 0,
        lane=str(entry["lane"]),
        name=str(entry["name"]),
        status=str(entry["status"]),
        started_at=str(entry["started_at"]),
        ended_at=_text(entry["ended_at"]),
        attempt=int(attempt) if isinstance(attempt, int) else 1,
        summary=_text(entry["summary"]),
        failure=_text(entry["failure"]),
    )


def _text(value: JsonValue) -> str | None:
    return None if value is None else str(value)
