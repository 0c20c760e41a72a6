# SPDX-License-Identifier: Apache-2.0
"""Tasks, their logs and timelines as the API shows them."""

from datetime import datetime

from pydantic import Field

from api.schemas.base import Json, Shape
from waybill.domain.tasks import TaskState


class TaskShape(Shape):
    """Long work as people see it. ``details`` says in words what it does or waits for; ``links`` lead on."""

    id: str
    kind: str
    title: str
    state: TaskState
    details: str
    subject_id: str
    created_at: datetime
    created_by: str
    started_at: datetime | None
    finished_at: datetime | None
    progress_done: int
    progress_total: int
    code: str | None
    message: str | None
    result: dict[str, Json]
    revision: int
    links: dict[str, str] = Field(default_factory=dict)


class LogLineShape(Shape):
    """One line of a log. ``occurred_at`` by the clock where it happened, ``observed_at`` by ours."""

    seq: int
    level: str
    message: str
    occurred_at: datetime
    observed_at: datetime
    run_id: str | None


class TimelineShape(Shape):
    """One thing that happened or happens in the workflow behind a task. Times are ISO 8601 UTC."""

    id: int
    lane: str
    name: str
    status: str
    started_at: str
    ended_at: str | None
    attempt: int
    summary: str | None
    failure: str | None


class TimelineAnswer(Shape):
    """The whole timeline."""

    items: list[TimelineShape]
