# SPDX-License-Identifier: Apache-2.0
"""The timeline of a workflow, read from its history: what ran, when, how often it was tried, and how it ended.

A row opens with one event and closes with another that refers back to it.
An activity that runs or is retried right now is not in the history: it is merged from the pending activities.
Texts are decoded by the converter; a text that does not open is left out, never shown as ciphertext.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.converter import DataConverter

from waybill.errors import WaybillError
from waybill.ports import TimelineRow

MAX_ROWS: Final = 2000
_MAX_TEXT: Final = 400

_ENDED: Final = {
    "completed": "done", "fired": "done", "signaled": "done", "continued_as_new": "done", "failed": "failed", "terminated": "failed",
    "canceled": "cancelled", "timed_out": "timed_out",
}  # fmt: skip

_CLOSES: Final = {
    "activity_task": "scheduled_event_id",
    "timer": "started_event_id",
    "workflow_execution_update": "accepted_event_id",
    "start_child_workflow_execution": "initiated_event_id",
    "child_workflow_execution": "initiated_event_id",
    "signal_external_workflow_execution": "initiated_event_id",
    "request_cancel_external_workflow_execution": "initiated_event_id",
    "external_workflow_execution": "initiated_event_id",
}
"""Prefix of a later event, and the attribute by which it names the event that opened the row."""


@dataclass(slots=True)
class _Draft:
    id: int
    lane: str
    name: str
    started_at: str
    status: str = "open"
    ended_at: str | None = None
    attempt: int = 1
    key: str = ""
    summary: Payload | None = None
    failure: Failure | None = None


@dataclass(slots=True)
class _Reading:
    rows: dict[int, _Draft] = field(default_factory=dict)
    root: _Draft | None = None

    def take(self, event: HistoryEvent) -> None:
        kind = (event.WhichOneof("attributes") or "").removesuffix("_event_attributes")
        facts = getattr(event, f"{kind}_event_attributes", None)
        at = event.event_time.ToDatetime(UTC).isoformat()
        if facts is None:
            return
        if kind == "workflow_execution_started":
            self.root = self.rows[event.event_id] = _Draft(event.event_id, "workflow", facts.workflow_type.name, at, attempt=facts.attempt)
        elif opened := _opening(kind, facts):
            self._open(event, opened, at, facts)
        elif kind.startswith("workflow_execution_") and kind.removeprefix("workflow_execution_") in _ENDED:
            self._end_root(kind, facts, at)
        else:
            self._close(kind, facts, at)

    def _open(self, event: HistoryEvent, opened: tuple[str, str, str], at: str, facts: Any) -> None:
        lane, name, status = opened
        row = _Draft(event.event_id, lane, name, at, status, None if status == "open" else at)
        row.key = str(getattr(facts, "activity_id", "") or getattr(facts, "protocol_instance_id", ""))
        if event.user_metadata.HasField("summary"):
            row.summary = event.user_metadata.summary
        self.rows[event.event_id] = row

    def _end_root(self, kind: str, facts: Any, at: str) -> None:
        if self.root is not None:
            self.root.status, self.root.ended_at = _ENDED[kind.removeprefix("workflow_execution_")], at
            self.root.failure = getattr(facts, "failure", None)

    def _close(self, kind: str, facts: Any, at: str) -> None:
        prefix = next((prefix for prefix in _CLOSES if kind.startswith(prefix + "_")), None)
        row = self.rows.get(getattr(facts, _CLOSES[prefix], 0)) if prefix else None
        if prefix is None or row is None:
            return
        verb = kind.removeprefix(prefix + "_")
        if verb == "started":
            row.attempt = int(getattr(facts, "attempt", 1) or 1)
            if prefix == "activity_task" and facts.HasField("last_failure"):
                row.failure = facts.last_failure
        elif verb != "cancel_requested" or prefix == "external_workflow_execution":
            row.status, row.ended_at = _ENDED.get(verb, "done"), at
            if prefix == "workflow_execution_update":
                if facts.outcome.HasField("failure"):
                    row.status, row.failure = "failed", facts.outcome.failure
            elif row.status != "done":
                row.failure = getattr(facts, "failure", None) or row.failure

    def merge(self, pending: Iterable[PendingActivityInfo]) -> None:
        waiting = {row.key: row for row in self.rows.values() if row.lane == "activity" and row.status == "open"}
        for info in pending:
            if (row := waiting.get(info.activity_id)) is not None:
                row.attempt = info.attempt
                row.status = "retrying" if info.HasField("last_failure") else "open"
                row.failure = info.last_failure if info.HasField("last_failure") else None


def _opening(kind: str, facts: Any) -> tuple[str, str, str] | None:
    """Lane, name and first status of the row that this event opens, or None."""
    match kind:
        case "activity_task_scheduled":
            return "activity", facts.activity_type.name, "open"
        case "timer_started":
            return "timer", "timer", "open"
        case "start_child_workflow_execution_initiated":
            return "child", f"{facts.workflow_type.name} {facts.workflow_id}", "open"
        case "signal_external_workflow_execution_initiated":
            return "signal", f"{facts.signal_name} to {facts.workflow_execution.workflow_id}", "open"
        case "request_cancel_external_workflow_execution_initiated":
            return "signal", f"cancel to {facts.workflow_execution.workflow_id}", "open"
        case "workflow_execution_update_accepted":
            return "update", facts.accepted_request.input.name, "open"
        case "workflow_execution_signaled":
            return "signal", facts.signal_name, "done"
        case "workflow_execution_cancel_requested":
            return "workflow", "cancel requested", "done"
        case "workflow_task_failed":  # the story is stuck until somebody repairs it: shown, not hidden
            return "workflow", "workflow task failed", "failed"
        case "workflow_task_timed_out":
            return "workflow", "workflow task timed out", "timed_out"
        case _:
            return None


async def build_rows(
    events: Sequence[HistoryEvent], pending: Iterable[PendingActivityInfo], converter: DataConverter
) -> tuple[TimelineRow, ...]:
    """The rows of one run, in the order in which they began; the first 2,000.

    Args:
        events: the history of one run, from its first event.
        pending: what the server says about activities that have not ended.
        converter: opens summaries and failures.
    """
    reading = _Reading()
    for event in events:
        # A sticky queue that ran out is how a restarted worker takes over: not worth a row.
        if (
            event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT
            or event.workflow_task_timed_out_event_attributes.timeout_type != 2
        ):
            reading.take(event)
    reading.merge(pending)
    return tuple([await _finish(row, converter) for row in list(reading.rows.values())[:MAX_ROWS]])


async def _finish(row: _Draft, converter: DataConverter) -> TimelineRow:
    return TimelineRow(
        id=row.id,
        lane=row.lane,
        name=row.name,
        status=row.status,
        started_at=row.started_at,
        ended_at=row.ended_at,
        attempt=row.attempt,
        summary=await _summary(row.summary, converter),
        failure=await _failure(row.failure, converter),
    )


async def _summary(payload: Payload | None, converter: DataConverter) -> str | None:
    if payload is None:
        return None
    try:
        return str((await converter.decode([payload]))[0])[:_MAX_TEXT]
    except (WaybillError, RuntimeError, ValueError, KeyError):
        return None


async def _failure(failure: Failure | None, converter: DataConverter) -> str | None:
    if failure is None or not (failure.message or failure.WhichOneof("failure_info")):
        return None
    try:
        error = await converter.decode_failure(failure)
    except (WaybillError, RuntimeError, ValueError, KeyError):
        return failure.application_failure_info.type or "a failure that does not open here"
    while error.__cause__ is not None:
        error = error.__cause__
    code = getattr(error, "type", None)
    return f"{code}: {error}"[:_MAX_TEXT] if code and not str(error).startswith(str(code)) else str(error)[:_MAX_TEXT]
