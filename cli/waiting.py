# SPDX-License-Identifier: Apache-2.0
"""Follows a task until it ends or waits for a person, with its log and progress on standard error.

Ctrl-C only stops following: the task goes on, and the line to follow it again is printed.
"""

import sys
import time
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cli.client import Client
from cli.exits import Exit
from cli.output import console_of_errors, human_bytes, say
from cli.session import CURRENT
from waybill.errors import UnavailableError

ENDED = {"succeeded", "failed", "cancelled", "refused"}
_LEVEL_MARKS = {"warning": "! ", "error": "x ", "highlight": "* ", "wait": "~ "}


def follow(
    client: Client, task: dict[str, Any], *, wait: bool, timeout_seconds: float, until_waiting: bool = False
) -> tuple[dict[str, Any], Exit]:
    """The task as it is when following ends, and the exit code that says how.

    Args:
        wait: False returns at once.
        until_waiting: also stop when the task waits for a person or another site.
    """
    if not wait:
        say(f"started {task['id']}; follow it with: waybill task watch {task['id']}")
        return task, Exit.OK
    path = client.space_path(f"/tasks/{task['id']}")
    deadline = time.monotonic() + timeout_seconds
    after = 0
    try:
        with _Bar() as bar:
            while True:
                after = _drain(client, path, after)
                task = client.get(path)
                bar.show(task)
                if task["state"] in ENDED or (until_waiting and task["state"] == "waiting"):
                    after = _drain(client, path, after)
                    break
                if time.monotonic() > deadline:
                    say(
                        f"still {task['state']} after {timeout_seconds:.0f} s: {task['details']}; follow it with: waybill task watch {task['id']}"
                    )
                    return task, Exit.TIMED_OUT
                time.sleep(0.3)
    except KeyboardInterrupt:
        say(f"\nthe task goes on; follow it with: waybill task watch {task['id']}")
        return task, Exit.INTERRUPTED
    return task, _exit_of(task)


def _drain(client: Client, path: str, after: int) -> int:
    """Log lines since ``after`` on standard error; a site that does not answer now is asked again later."""
    if CURRENT.progress == "none":
        return after
    try:
        page = client.get(f"{path}/lines", after=after, limit=1000)
    except UnavailableError:
        return after
    for line in page["items"]:
        say(f"{line['occurred_at'][11:19]} {_LEVEL_MARKS.get(line['level'], '  ')}{line['message']}")
        after = line["seq"]
    return after


def _exit_of(task: dict[str, Any]) -> Exit:
    if task["state"] in {"succeeded", "waiting"}:
        if task["state"] == "waiting":
            say(f"waiting: {task['details']}")
        return Exit.OK
    say(f"{task['state']}: {task.get('message') or task['details']}" + (f" ({task['code']})" if task.get("code") else ""))
    return Exit.UNSUCCESSFUL


class _Bar:
    """Progress of bytes on a terminal; nothing when standard error is a file or progress is off."""

    def __init__(self) -> None:
        self._live: Progress | None = None
        self._row: Any = None

    def __enter__(self) -> "_Bar":
        if CURRENT.progress == "auto" and sys.stderr.isatty():
            self._live = byte_progress()
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, task: dict[str, Any]) -> None:
        """The task's bytes done and total."""
        if self._live is None or not task["progress_total"]:
            return
        if self._row is None:
            self._row = self._live.add_task(task["title"], total=task["progress_total"])
        self._live.update(self._row, completed=task["progress_done"], total=task["progress_total"])


def byte_progress() -> Progress:
    """A bar with bytes, rate and time left, on standard error."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn(),
        console=console_of_errors(),
    )  # fmt: skip


def sent_line(done: int, seconds: float) -> str:
    """How much was moved how fast, in words."""
    rate = done / seconds if seconds > 0 else 0.0
    return f"{human_bytes(done)} in {seconds:.1f} s ({human_bytes(rate)}/s)"
