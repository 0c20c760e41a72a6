# SPDX-License-Identifier: Apache-2.0
"""Tasks: long work as people see it, with its log."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from waybill.domain.ids import JsonValue


class TaskState(StrEnum):
    """``waiting`` means for a person or another site; ``details`` says in words for what."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"


FINISHED_TASKS = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of long work. ``kind``: ``promotion | receive | import | deployment | carrier_export | carrier_import | verify_upload``.

    ``story`` and ``story_input`` say which workflow does it, so that a start that a crash swallowed can be repeated; ``workflow_id`` is deterministic.
    ``subject_id`` is the promotion, inbox bundle, deployment or carrier that the task is about.
    """

    id: str
    space_id: str
    kind: str
    title: str
    state: TaskState
    details: str
    workflow_id: str
    story: str
    story_input: dict[str, JsonValue]
    subject_id: str
    created_at: datetime
    created_by: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    progress_done: int = 0
    progress_total: int = 0
    code: str | None = None
    message: str | None = None
    result: dict[str, JsonValue] = field(default_factory=dict)
    timeline: list[JsonValue] = field(default_factory=list)
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a task's log. ``level``: ``verbose | info | highlight | wait | warning | error``. ``run_id`` is set for lines of a step."""

    task_id: str
    seq: int
    level: str
    message: str
    occurred_at: datetime
    observed_at: datetime
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A carrier file under way: ``out`` made here, ``in`` brought here. ``sha256`` and ``size_bytes`` of the whole file once known."""

    id: str
    space_id: str
    direction: str
    trust_id: str | None
    task_id: str
    state: str
    created_at: datetime
    created_by: str
    sha256: str | None = None
    size_bytes: int | None = None
    summary: dict[str, JsonValue] = field(default_factory=dict)
    revision: int = 1
