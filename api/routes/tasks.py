# SPDX-License-Identifier: Apache-2.0
"""Tasks: state, log as text or as live events, timeline, cancel."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api import queries, sse
from api.deps import Context, Here, InSpace, Pages, link_next, operation, tag
from api.idempotency import OnceOnly
from api.schemas.base import Listing
from api.schemas.tasks import LogLineShape, TaskShape, TimelineAnswer
from waybill.app import tasks
from waybill.domain.access import Permission
from waybill.domain.tasks import LogLine, Task, TaskState

router = APIRouter(prefix="/api/v1/spaces/{space}/tasks", tags=["tasks"])

LOG_BATCH = 1000
Filter = Annotated[str | None, Query(max_length=400)]


def existing(task: str, here: InSpace) -> Task:
    """The task that the path names. A stream must know that before its first byte."""
    return tasks.get_task(here.ports, here.caller, space_id=here.space_id, task=task)


Existing = Annotated[Task, Depends(existing)]


@router.get("", response_model=Listing[TaskShape], **operation("tasks_list", Permission.SPACE_READ))
def tasks_list(
    here: InSpace,
    page: Pages,
    request: Request,
    response: Response,
    kind: Filter = None,
    state: TaskState | None = None,
    subject: Annotated[str | None, Query(max_length=400, description="id of what the task is about")] = None,
) -> Any:
    """Tasks, newest first."""
    rows = queries.task_list(here, page, kind=kind, state=state, subject_id=subject)
    link_next(request, response, rows.next_cursor)
    return rows


@router.get("/{task}", response_model=TaskShape, **operation("tasks_get", Permission.SPACE_READ))
def tasks_get(row: Existing, here: InSpace, response: Response) -> Any:
    """One task."""
    tag(response, row.revision)
    return queries.task(here, row)


@router.post("/{task}/cancel", response_model=TaskShape, **operation("tasks_cancel", Permission.TASK_CANCEL, status=202))
def tasks_cancel(task: str, here: InSpace, once: OnceOnly) -> Response:
    """Cancellation is requested; the task settles what it began."""
    return once(lambda: queries.task_started(here, tasks.cancel(here.ports, here.caller, space_id=here.space_id, task=task)))


@router.get("/{task}/lines", response_model=Listing[LogLineShape], **operation("tasks_log_lines", Permission.SPACE_READ))
def tasks_log_lines(
    row: Existing, here: InSpace, after: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 500
) -> Any:
    """Lines of the log after a number; ``next_cursor`` is the number to go on from."""
    lines = tasks.read_log(here.ports, here.caller, space_id=here.space_id, task=row.id, after=after, limit=limit)
    shapes = [LogLineShape.model_validate(line) for line in lines]
    return Listing(items=shapes, next_cursor=str(lines[-1].seq) if len(lines) == limit else None)


@router.get("/{task}/log", response_class=StreamingResponse, **operation("tasks_log", Permission.SPACE_READ))
def tasks_log(row: Existing, here: InSpace, timestamps: bool = True) -> StreamingResponse:
    """The whole log as text, for reading and for keeping."""
    headers = {"Content-Disposition": f'attachment; filename="{row.id}.log"'}
    return StreamingResponse(_text(here, row.id, timestamps=timestamps), media_type="text/plain; charset=utf-8", headers=headers)


@router.get("/{task}/events", response_class=EventSourceResponse, **operation("tasks_events", Permission.SPACE_READ))
async def tasks_events(
    row: Existing, here: InSpace, context: Context, last_event_id: Annotated[str | None, Header()] = None
) -> AsyncIterator[ServerSentEvent]:
    """Live: ``log``, ``state``, ``progress`` and ``end`` events; ``Last-Event-ID`` resumes without a gap."""
    after = sse.first_line_after(last_event_id)
    async for event in sse.follow(here, task_id=row.id, after=after, poll_seconds=context.settings.events_poll_seconds):
        yield event


@router.get("/{task}/timeline", response_model=TimelineAnswer, **operation("tasks_timeline", Permission.SPACE_READ))
def tasks_timeline(row: Existing, here: InSpace) -> Any:
    """What happened in the workflow behind the task, also long after the engine forgot it."""
    return {"items": tasks.timeline(here.ports, here.caller, space_id=here.space_id, task=row.id)}


def _text(here: Here, task_id: str, *, timestamps: bool) -> Iterator[bytes]:
    after = 0
    while True:
        lines = tasks.read_log(here.ports, here.caller, space_id=here.space_id, task=task_id, after=after, limit=LOG_BATCH)
        for line in lines:
            yield _line(line, timestamps=timestamps)
        if len(lines) < LOG_BATCH:
            return
        after = lines[-1].seq


def _line(line: LogLine, *, timestamps: bool) -> bytes:
    """One line; control characters are shown, not sent: a terminal must not obey a log."""
    words = "".join(character if character.isprintable() or character == "\t" else f"\\x{ord(character):02x}" for character in line.message)
    head = f"{line.occurred_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ} {line.level:<9} " if timestamps else ""
    return f"{head}{words}\n".encode("utf-8", "replace")
