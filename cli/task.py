# SPDX-License-Identifier: Apache-2.0
"""``waybill task …``: long work, its log and its timeline."""

from cyclopts import App

from cli.client import items
from cli.output import show_many, show_one
from cli.session import connect
from cli.waiting import follow

task_app = App(name="task", help="Long work: state, log, timeline.")

_TASK = ("title", "kind", "state", "details", "created_by", "started_at", "finished_at", "code", "message", "subject_id", "id")


@task_app.command(name="list")
def task_list(*, state: str | None = None, kind: str | None = None, limit: int = 50) -> None:
    """List tasks, newest first."""
    with connect() as client:
        show_many(
            items(client, client.space_path("/tasks"), limit=limit, state=state, kind=kind),
            columns=("title", "kind", "state", "details", "id"),
            empty="no tasks",
        )


@task_app.command(name="show")
def task_show(task: str, /) -> None:
    """Show a task."""
    with connect() as client:
        show_one(client.get(client.space_path(f"/tasks/{task}")), fields=_TASK)


@task_app.command(name="watch")
def task_watch(task: str, /, *, timeout: float = 3600) -> None:
    """Follow a task until it ends. Ctrl-C only stops following."""
    with connect() as client:
        found = client.get(client.space_path(f"/tasks/{task}"))
        found, code = follow(client, found, wait=True, timeout_seconds=timeout)
        show_one(found, fields=_TASK)
    raise SystemExit(int(code))


@task_app.command(name="log")
def task_log(task: str, /, *, after: int = 0) -> None:
    """Print a task's log."""
    with connect() as client:
        while True:
            page = client.get(client.space_path(f"/tasks/{task}/lines"), after=after, limit=1000)
            for line in page["items"]:
                print(f"{line['seq']:>6} {line['occurred_at']} {line['level']:<9} {line['message']}")
                after = line["seq"]
            if len(page["items"]) < 1000:
                return


@task_app.command(name="timeline")
def task_timeline(task: str, /) -> None:
    """Show what happened in the workflow behind a task."""
    with connect() as client:
        show_many(
            client.get(client.space_path(f"/tasks/{task}/timeline"))["items"],
            columns=("lane", "name", "status", "started_at", "ended_at", "attempt", "summary", "failure"),
            name="name",
            empty="nothing happened yet",
        )


@task_app.command(name="cancel")
def task_cancel(task: str, /) -> None:
    """Ask a task to stop; what it has done is undone where that is possible, and said where not."""
    with connect() as client:
        made = client.post(client.space_path(f"/tasks/{task}/cancel"), {}, idempotent=True)
        found, _ = follow(client, made, wait=True, timeout_seconds=60)
        show_one(found, fields=_TASK)
