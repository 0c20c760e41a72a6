# SPDX-License-Identifier: Apache-2.0
"""Follows a task until it ends or waits for a person, with its log and progress on standard error.

Ctrl-C only stops following: the task goes on, and the line to follow it again is printed.
"""

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cli.client import Client
from cli.exits import Exit
from cli.output import console_of_errors, human_bytes, printable, say
from cli.session import CURRENT, again
from waybill.errors import UnavailableError

ENDED = frozenset({"succeeded", "failed", "cancelled", "refused"})
PATIENCE_SECONDS = 60.0
"""For how long a site that stopped answering, because it is restarted, is asked again."""
_ROUND_SECONDS = 0.3
_LEVEL_MARKS = {"warning": "! ", "error": "x ", "highlight": "* ", "wait": "~ "}


def follow(
    client: Client,
    task: dict[str, Any],
    *,
    wait: bool,
    timeout_seconds: float,
    until_waiting: bool = False,
    expected: frozenset[str] = frozenset({"succeeded"}),
) -> tuple[dict[str, Any], Exit]:
    """The task as it is when following ends, and the exit code that says how.

    Args:
        wait: False returns at once.
        until_waiting: also stop when the task waits for a person or another site.
        expected: the states that count as success.
    """
    later = again("task", "watch", task["id"])
    if not wait:
        say(f"started; follow it with: {later}")
        return task, Exit.OK
    try:
        task = _until(client, task, deadline=time.monotonic() + timeout_seconds, until_waiting=until_waiting)
    except KeyboardInterrupt:
        say(f"\nit goes on; follow it with: {later}")
        return task, Exit.INTERRUPTED
    except UnavailableError:
        say(f"lost sight of it; when the site answers: {later}")
        raise
    if task["state"] not in ENDED and not (until_waiting and task["state"] == "waiting"):
        say(f"still {task['state']} after {timeout_seconds:.0f} s: {task['details']}; follow it with: {later}")
        return task, Exit.TIMED_OUT
    if task["state"] == "waiting":
        say(f"{task['details']}; follow on with: {later}")
        return task, Exit.OK
    return task, _exit_of(task, expected)


def _until(client: Client, task: dict[str, Any], *, deadline: float, until_waiting: bool) -> dict[str, Any]:
    """The task when it has ended, waits (if that counts), or the deadline is over."""
    path = client.space_path(f"/tasks/{task['id']}")
    after, heard = 0, time.monotonic()
    with _Bar() as bar:
        while True:
            try:
                after = _drain(client, path, after)
                task = client.get(path)
                heard = time.monotonic()
            except UnavailableError:
                if time.monotonic() > min(heard + PATIENCE_SECONDS, deadline):
                    raise
            bar.show(task)
            if task["state"] in ENDED or (until_waiting and task["state"] == "waiting"):
                _drain(client, path, after)
                return task
            if time.monotonic() > deadline:
                return task
            time.sleep(_ROUND_SECONDS)


def _drain(client: Client, path: str, after: int) -> int:
    """Every log line since ``after`` on standard error."""
    if CURRENT.progress == "none":
        return after
    while True:
        page = client.get(f"{path}/lines", after=after, limit=1000)["items"]
        for line in page:
            say(f"{line['occurred_at'][11:19]} {_LEVEL_MARKS.get(line['level'], '  ')}{line['message']}")
            after = line["seq"]
        if len(page) < 1000:
            return after


def _exit_of(task: dict[str, Any], expected: frozenset[str]) -> Exit:
    if task["state"] in expected:
        return Exit.OK
    say(f"{task['state']}: {task.get('message') or task['details']}" + (f" [{task['code']}]" if task.get("code") else ""))
    return Exit.UNSUCCESSFUL


class _Bar:
    """Progress of bytes on a terminal; nothing when standard error is a file or progress is off."""

    def __init__(self) -> None:
        self._live: Progress | None = None
        self._row: TaskID | None = None

    def __enter__(self) -> Self:
        if progress_is_shown():
            self._live = byte_progress()
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, task: dict[str, Any]) -> None:
        """The task's bytes done and total."""
        if self._live is None or not task["progress_total"]:
            return
        if self._row is None:
            self._row = self._live.add_task(printable(task["title"]), total=task["progress_total"])
        self._live.update(self._row, completed=task["progress_done"], total=task["progress_total"])


def progress_is_shown() -> bool:
    """True when a bar may move: progress is on and standard error is a terminal."""
    return CURRENT.progress == "auto" and sys.stderr.isatty()


def byte_progress() -> Progress:
    """A bar with bytes, rate and time left, on standard error; it shows nothing where none may move."""
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(),
        TimeRemainingColumn(), console=console_of_errors(), disable=not progress_is_shown(),
    )  # fmt: skip


def sent_line(done: int, seconds: float) -> str:
    """How much was moved how fast, in words."""
    rate = done / seconds if seconds > 0 else 0.0
    return f"{human_bytes(done)} in {seconds:.1f} s ({human_bytes(rate)}/s)"
