# SPDX-License-Identifier: Apache-2.0
"""Tasks: started after the commit or by the sweep, cancelled through their story, and kept with their timeline."""

from datetime import timedelta

import pytest

from tests.simulators.spaces import Home, make_home
from waybill.app import tasks
from waybill.app.access import SYSTEM
from waybill.domain.access import AccessGrant, Caller
from waybill.domain.tasks import Task, TaskState
from waybill.errors import ConflictError, NotFoundError, PolicyError
from waybill.ports import TimelineRow

ROW = TimelineRow(
    id=1,
    lane="activity",
    name="deployments.begin",
    status="completed",
    started_at="2026-03-02T09:00:00Z",
    ended_at="2026-03-02T09:00:01Z",
    attempt=1,
    summary="plan",
    failure=None,
)


@pytest.fixture
def home() -> Home:
    """A Space of its own."""
    return make_home("DevTest")


def make(home: Home, number: int = 1) -> Task:
    """A queued task about nothing in particular."""
    with home.ports.ledger.write(home.space_id) as work:
        return tasks.create(
            home.ports,
            work,
            kind="deployment",
            title="Deploy something",
            subject_id=f"dep_{number:032x}",
            story="DeployRelease",
            workflow_id=f"deploy:{number}",
            story_input={"deployment_id": f"dep_{number:032x}"},
            created_by="ann",
        )


def test_a_task_carries_its_own_story_input(home: Home) -> None:
    """Space and task ids are added, so that a swallowed start can be repeated from the row alone."""
    task = make(home)
    assert task.story_input == {"deployment_id": task.subject_id, "space_id": home.space_id, "task_id": task.id}
    assert task.state is TaskState.QUEUED


def test_the_sweep_starts_what_a_crash_left_queued_and_nothing_twice(home: Home) -> None:
    """A fresh task is left to its maker; an old one is started; the engine knows each workflow id once."""
    task = make(home)
    assert tasks.start_queued(home.ports, space_id=home.space_id) == 0
    home.site.clock.advance(timedelta(seconds=30))
    assert tasks.start_queued(home.ports, space_id=home.space_id) == 1
    assert tasks.start_queued(home.ports, space_id=home.space_id) == 1
    assert list(home.site.engine.started) == [task.workflow_id]


def test_cancelling_a_task_that_never_started_starts_it_first(home: Home) -> None:
    """There is one place where a subject is settled: its story."""
    task = make(home)
    tasks.cancel(home.ports, SYSTEM, space_id=home.space_id, task=task.id)
    assert list(home.site.engine.started) == [task.workflow_id]
    assert home.site.engine.cancelled == [task.workflow_id]


def test_a_finished_task_is_not_cancelled_and_its_first_end_stays(home: Home) -> None:
    """The end is final, also for late words and states."""
    task = make(home)
    ended = tasks.finish(home.ports, space_id=home.space_id, task_id=task.id, state=TaskState.FAILED, code="step.failed", message="no")
    assert tasks.finish(home.ports, space_id=home.space_id, task_id=task.id, state=TaskState.SUCCEEDED) == ended
    assert tasks.set_state(home.ports, space_id=home.space_id, task_id=task.id, state=TaskState.RUNNING) == ended
    with pytest.raises(ConflictError) as caught:
        tasks.cancel(home.ports, SYSTEM, space_id=home.space_id, task=task.id)
    assert caught.value.code == "task.finished"


def test_the_timeline_outlives_the_engine(home: Home) -> None:
    """While the engine knows the story it is asked; afterwards the archive answers the same."""
    task = make(home)
    home.site.engine.timelines[task.workflow_id] = [ROW]
    assert tasks.timeline(home.ports, SYSTEM, space_id=home.space_id, task=task.id) == (ROW,)
    tasks.finish(home.ports, space_id=home.space_id, task_id=task.id, state=TaskState.SUCCEEDED)
    home.site.engine.timelines.clear()
    assert tasks.timeline(home.ports, SYSTEM, space_id=home.space_id, task=task.id) == (ROW,)


def test_words_and_progress_are_kept_when_only_one_changes(home: Home) -> None:
    """What is not given stays; the first running state notes when it began."""
    task = make(home)
    tasks.set_state(home.ports, space_id=home.space_id, task_id=task.id, state=TaskState.RUNNING, details="Fetching", progress_total=10)
    shown = tasks.set_state(home.ports, space_id=home.space_id, task_id=task.id, progress_done=4)
    assert (shown.details, shown.progress_done, shown.progress_total) == ("Fetching", 4, 10)
    assert shown.started_at is not None


def test_the_log_is_numbered_and_read_on_from_a_line(home: Home) -> None:
    """A reader asks for what came after the last line that it has."""
    task = make(home)
    numbers = [tasks.log(home.ports, space_id=home.space_id, task_id=task.id, level="info", message=text) for text in ("one", "two")]
    after = tasks.read_log(home.ports, SYSTEM, space_id=home.space_id, task=task.id, after=numbers[0])
    assert [line.message for line in after] == ["two"]


def test_rights_are_checked_and_other_spaces_are_absent(home: Home) -> None:
    """Reading needs a right in the Space; cancelling needs its own."""
    task = make(home)
    reader = Caller(id="acc", name="bob", kind="person", grants=(AccessGrant(space_id=home.space_id, permissions=("space.read",)),))
    stranger = Caller(id="acc", name="eve", kind="person")
    assert tasks.get_task(home.ports, reader, space_id=home.space_id, task=task.id) == task
    with pytest.raises(PolicyError):
        tasks.cancel(home.ports, reader, space_id=home.space_id, task=task.id)
    with pytest.raises(NotFoundError):
        tasks.get_task(home.ports, stranger, space_id=home.space_id, task=task.id)


def test_lists_are_filtered_by_kind_state_and_subject(home: Home) -> None:
    """The newest comes first."""
    one, other = make(home, 1), make(home, 2)
    page = tasks.list_tasks(home.ports, SYSTEM, space_id=home.space_id, kind="deployment")
    assert [row.id for row in page.items] == [other.id, one.id]
    page = tasks.list_tasks(home.ports, SYSTEM, space_id=home.space_id, subject_id=one.subject_id, state="queued")
    assert [row.id for row in page.items] == [one.id]
