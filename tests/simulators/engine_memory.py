# SPDX-License-Identifier: Apache-2.0
"""A workflow engine that runs nothing: it records what it was asked, and answers as a test has told it.

Starting twice under one id is one start, as with the real engine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from waybill.domain.ids import JsonValue
from waybill.errors import UnavailableError
from waybill.ports import TimelineRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """One story that was started."""

    story: str
    workflow_id: str
    story_input: Mapping[str, JsonValue]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One signal or update that was sent."""

    workflow_id: str
    name: str
    argument: object


@dataclass(slots=True, kw_only=True)
class MemoryEngine:
    """The engine port. ``is_down`` makes every call fail; ``answer_update`` is what updates get; ``details`` and ``timelines`` are by workflow id."""

    started: dict[str, Started] = field(default_factory=dict)
    signals: list[Told] = field(default_factory=list)
    updates: list[Told] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    details: dict[str, str] = field(default_factory=dict)
    timelines: dict[str, Sequence[TimelineRow]] = field(default_factory=dict)
    answer_update: Callable[[Told], str] = lambda _told: "accepted"
    is_down: bool = False

    def start(self, *, story: str, workflow_id: str, story_input: Mapping[str, JsonValue], summary: str) -> None:
        """The start is recorded once per id."""
        self.check()
        self.started.setdefault(workflow_id, Started(story=story, workflow_id=workflow_id, story_input=dict(story_input), summary=summary))

    def signal(self, workflow_id: str, name: str, argument: object) -> bool:
        """True when that story was started and has not ended."""
        self.check()
        if not self._runs(workflow_id):
            return False
        self.signals.append(Told(workflow_id=workflow_id, name=name, argument=argument))
        return True

    def update(self, workflow_id: str, name: str, argument: object, *, update_id: str) -> str:
        """What ``answer_update`` says."""
        self.check()
        told = Told(workflow_id=workflow_id, name=name, argument=argument)
        answer = self.answer_update(told)
        self.updates.append(told)
        return answer

    def cancel(self, workflow_id: str) -> bool:
        """True when that story ran; it has ended then."""
        self.check()
        if not self._runs(workflow_id):
            return False
        self.cancelled.append(workflow_id)
        self.ended.add(workflow_id)
        return True

    def describe(self, workflow_id: str) -> str | None:
        """The details that a test has set for it."""
        self.check()
        return self.details.get(workflow_id) if self._runs(workflow_id) else None

    def timeline(self, workflow_id: str) -> Sequence[TimelineRow]:
        """The timeline that a test has set for it."""
        self.check()
        return self.timelines.get(workflow_id, ())

    def check(self) -> None:
        """Nothing, unless the engine is down."""
        if self.is_down:
            raise UnavailableError("engine.unavailable", "the engine of this test is down")

    def _runs(self, workflow_id: str) -> bool:
        return workflow_id in self.started and workflow_id not in self.ended
