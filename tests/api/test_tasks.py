# SPDX-License-Identifier: Apache-2.0
"""Tasks: lists in pages, logs as text and as events that resume, timelines."""

import json
import threading
from typing import Any

import pytest

from tests.api import rows
from tests.api.test_problems import check_problem
from tests.api.world import World
from waybill.app import tasks
from waybill.domain.tasks import Task, TaskState
from waybill.ports import TimelineRow


def events_of(world: World, task: Task, *, after: bytes | None = None) -> list[dict[str, Any]]:
    """Every event of a task that has ended, or ends while this reads."""
    headers = {name.encode(): value.encode() for name, value in world.as_admin().items()}
    if after is not None:
        headers[b"Last-Event-ID"] = after
    answer = world.client.get(f"{world.base}/tasks/{task.id}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in answer.text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append({**fields, "data": json.loads(fields["data"])})
    return events


def ended_task(world: World, lines: int) -> Task:
    """A task with a log that has succeeded."""
    task = rows.make_task(world)
    rows.write_log(world, task, lines)
    return rows.change_task(world, task, state=TaskState.SUCCEEDED, details="Done", progress_done=5, progress_total=5)


def test_events_tell_everything_and_end(world: World) -> None:
    """Lines in order, the state, the progress, and at last the end; every id is the number of a line."""
    events = events_of(world, ended_task(world, 3))
    assert [event["event"] for event in events] == ["log", "log", "log", "state", "progress", "end"]
    assert [event["id"] for event in events] == ["1", "2", "3", "3", "3", "3"]
    assert events[0]["data"]["message"] == "line 1"
    assert events[3]["data"] == {"state": "succeeded", "details": "Done"}
    assert events[4]["data"] == {"done": 5, "total": 5}
    assert events[5]["data"]["state"] == "succeeded"


def test_events_resume_without_a_gap(world: World) -> None:
    """After a break the listener names the last id that it saw, and gets the rest and nothing twice."""
    task = ended_task(world, 1203)
    assert [event["data"]["seq"] for event in events_of(world, task, after=b"1200") if event["event"] == "log"] == [1201, 1202, 1203]
    assert [event["data"]["seq"] for event in events_of(world, task) if event["event"] == "log"] == list(range(1, 1204))


@pytest.mark.parametrize("last", ["x", "-1", "1e3", "9" * 40, "٣"])
def test_a_strange_last_id_begins_at_the_beginning(world: World, last: str) -> None:
    """An id that is not ours loses nothing."""
    events = events_of(world, ended_task(world, 2), after=last.encode())
    assert [event["event"] for event in events].count("log") == 2


def test_events_follow_a_running_task(world: World) -> None:
    """What is written while somebody listens arrives, and the last lines come before the end."""
    task = rows.make_task(world)
    rows.write_log(world, task, 1)

    def work() -> None:
        rows.write_log(world, task, 1, message="second")
        rows.change_task(world, task, state=TaskState.WAITING, details="Waiting for Prod")
        rows.write_log(world, task, 1, message="third")
        rows.change_task(world, task, state=TaskState.FAILED, code="step.failed", message="the step said no")

    worker = threading.Timer(0.1, work)
    worker.start()
    events = events_of(world, task)
    worker.join()
    assert [event["data"]["message"] for event in events if event["event"] == "log"] == ["line 1", "second", "third"]
    assert events[0]["event"] == "log"
    assert events[-1]["event"] == "end"
    assert events[-1]["data"] == {"state": "failed", "code": "step.failed", "message": "the step said no"}


def test_events_of_nothing_are_a_problem(world: World) -> None:
    """A stream that cannot be is refused before it begins."""
    check_problem(world.client.get(f"{world.base}/tasks/nothing/events", headers=world.as_admin()), 404, "record.absent")


def test_a_log_is_text_that_no_terminal_obeys(world: World) -> None:
    """The whole log, past one batch, with escape sequences made visible."""
    task = rows.make_task(world)
    rows.write_log(world, task, 2300)
    rows.write_log(world, task, 1, message="\x1b]8;;http://evil\x07 räk\r\nsmörgås")
    answer = world.client.get(f"{world.base}/tasks/{task.id}/log?timestamps=false", headers=world.as_admin())
    lines = answer.text.splitlines()
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert len(lines) == 2301
    assert lines[-1] == r"\x1b]8;;http://evil\x07 räk\x0d\x0asmörgås"
    assert world.client.get(f"{world.base}/tasks/{task.id}/log", headers=world.as_admin()).text.startswith("2026-")


def test_lines_are_paged_by_number(world: World) -> None:
    """Lines after a number, and the number to go on from."""
    task = ended_task(world, 5)
    page = world.get(f"/tasks/{task.id}/lines?limit=2")
    assert ([line["seq"] for line in page["items"]], page["next_cursor"]) == ([1, 2], "2")
    assert [line["seq"] for line in world.get(f"/tasks/{task.id}/lines?after=4")["items"]] == [5]


def test_lists_are_paged_newest_first(world: World) -> None:
    """Following next_cursor or the Link header shows every task once; a foreign cursor is refused."""
    made = [rows.make_task(world).id for _ in range(7)]
    seen, path = [], f"{world.base}/tasks?limit=3"
    while path:
        answer = world.client.get(path, headers=world.as_admin())
        seen += [task["id"] for task in answer.json()["items"]]
        path = answer.headers["Link"].split(">")[0].lstrip("<") if answer.json()["next_cursor"] else ""
        assert bool(path) == ("Link" in answer.headers)
    assert seen == made[::-1]
    check_problem(world.client.get(f"{world.base}/tasks?cursor=nonsense", headers=world.as_admin()), 400, "cursor.invalid")
    foreign = world.get("/tasks?limit=3")["next_cursor"]
    check_problem(world.client.get(f"{world.base}/promotions", params={"cursor": foreign}, headers=world.as_admin()), 400, "cursor.invalid")


def test_tasks_are_filtered(world: World) -> None:
    """By kind, state and subject."""
    wanted = rows.make_task(world, kind="promotion", state=TaskState.WAITING, subject_id="prm_1")
    rows.make_task(world)
    for query in ("kind=promotion", "state=waiting", "subject=prm_1"):
        assert [task["id"] for task in world.get(f"/tasks?{query}")["items"]] == [wanted.id]
    assert world.client.get(f"{world.base}/tasks?state=nonsense", headers=world.as_admin()).status_code == 422


def test_a_task_leads_on(world: World) -> None:
    """The links of a task work."""
    task = ended_task(world, 1)
    links = world.get(f"/tasks/{task.id}")["links"]
    assert set(links) == {"self", "log", "events", "timeline"}
    for link in links.values():
        assert world.client.get(link, headers=world.as_admin()).status_code == 200


def test_the_timeline_outlives_the_engine(world: World) -> None:
    """What the engine knows while it knows it, later what was archived with the task."""
    task = rows.make_task(world)
    row = TimelineRow(
        id=1,
        lane="activity",
        name="seal",
        status="completed",
        started_at="2026-03-02T09:00:00Z",
        ended_at=None,
        attempt=1,
        summary="s",
        failure=None,
    )
    world.site.engine.timelines[task.workflow_id] = [row]
    assert world.get(f"/tasks/{task.id}/timeline")["items"][0]["name"] == "seal"
    tasks.finish(world.site.ports, space_id=world.space.id, task_id=task.id, state=TaskState.SUCCEEDED)
    world.site.engine.timelines.clear()
    assert world.get(f"/tasks/{task.id}/timeline")["items"][0]["summary"] == "s"


def test_cancelling_is_accepted(world: World) -> None:
    """202 with the task and where to look; a task that has ended is a conflict."""
    task = rows.make_task(world)
    world.site.ports.engine.start(story=task.story, workflow_id=task.workflow_id, story_input={}, summary="")
    answer = world.client.post(f"{world.base}/tasks/{task.id}/cancel", headers=world.as_admin())
    assert answer.status_code == 202
    assert world.client.get(answer.headers["Location"], headers=world.as_admin()).json()["id"] == task.id
    done = ended_task(world, 0)
    check_problem(world.client.post(f"{world.base}/tasks/{done.id}/cancel", headers=world.as_admin()), 409, "task.finished")
