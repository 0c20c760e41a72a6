# SPDX-License-Identifier: Apache-2.0
"""``waybill task …``: long work, its log and its timeline."""

from typing import Annotated, Any

from cyclopts import Parameter

from cli.client import items
from cli.exits import Exit
from cli.help_page import noun
from cli.output import chosen_format, heading, print_json, show_many, show_one
from cli.parameters import Limit, TaskId, Timeout
from cli.session import connect
from cli.waiting import follow

task_app = noun("task", "Long work: state, log, timeline.")

_TASK = ("title", "kind", "state", "details", "created_by", "started_at", "finished_at", "code", "message", "subject_id", "id")


@task_app.command(name="list")
def task_list(
    *,
    state: Annotated[str | None, Parameter(help="Only those in this state, such as running or waiting.")] = None,
    kind: Annotated[str | None, Parameter(help="Only those of this kind, such as promote or deploy.")] = None,
    limit: Limit = 50,
) -> None:
    """List tasks, newest first.

    Example: waybill task list --state waiting
    """
    with connect() as client:
        show_many(
            items(client, client.space_path("/tasks"), limit=limit, state=state, kind=kind),
            columns=("title", "kind", "state", "details", "id"),
            empty="no tasks",
        )


@task_app.command(name="show")
def task_show(task: TaskId, /) -> None:
    """Show a task.

    Example: waybill task show tsk_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        show_one(client.get(client.space_path(f"/tasks/{task}")), fields=_TASK)


@task_app.command(name="watch")
def task_watch(task: TaskId, /, *, timeout: Timeout = 3600) -> None:
    """Follow a task until it ends; Ctrl-C only stops following.

    Example: waybill task watch tsk_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        found = client.get(client.space_path(f"/tasks/{task}"))
        found, code = follow(client, found, wait=True, timeout_seconds=timeout)
        show_one(found, fields=_TASK)
    raise SystemExit(int(code))


@task_app.command(name="log")
def task_log(task: TaskId, /, *, after: Annotated[int, Parameter(help="Begin behind the line with this number.")] = 0) -> None:
    """Print a task's log.

    Example: waybill task log tsk_0123456789abcdef0123456789abcdef
    """
    lines: list[dict[str, Any]] = []
    with connect() as client:
        while True:
            page = client.get(client.space_path(f"/tasks/{task}/lines"), after=after, limit=1000)["items"]
            for line in page:
                after = line["seq"]
                heading(f"{line['seq']:>6} {line['occurred_at']} {line['level']:<9} {line['message']}")
            if chosen_format() != "table":
                lines += page
            if len(page) < 1000:
                break
    if chosen_format() == "json":
        print_json(lines)
    elif chosen_format() == "name":
        show_many(lines, columns=(), name="seq", empty="")


@task_app.command(name="timeline")
def task_timeline(task: TaskId, /) -> None:
    """Show what happened in the workflow behind a task.

    Example: waybill task timeline tsk_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        show_many(
            client.get(client.space_path(f"/tasks/{task}/timeline"))["items"],
            columns=("lane", "name", "status", "started_at", "ended_at", "attempt", "summary", "failure"),
            name="name",
            empty="nothing happened yet",
        )


@task_app.command(name="cancel")
def task_cancel(task: TaskId, /) -> None:
    """Ask a task to stop; exit 8 when it could not be stopped any more.

    What it has done is undone where that is possible, and said where not.

    Example: waybill task cancel tsk_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        made = client.post(client.space_path(f"/tasks/{task}/cancel"), {}, idempotent=True)
        found, code = follow(client, made, wait=True, timeout_seconds=60, expected=frozenset({"cancelled"}))
        show_one(found, fields=_TASK)
    raise SystemExit(int(Exit(code)))
