# SPDX-License-Identifier: Apache-2.0
"""Following a task: the log on standard error, data on standard output, and an exit code by outcome; Ctrl-C leaves it running."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from cli.parameters import seconds_of
from tests.api import rows
from tests.unit.cli.runner import CommandLine, Served
from waybill.domain.tasks import TaskState


@pytest.mark.parametrize(
    ("state", "expected"),
    [(TaskState.SUCCEEDED, 0), (TaskState.FAILED, 8), (TaskState.CANCELLED, 8), (TaskState.REFUSED, 8), (TaskState.RUNNING, 7)],
)
def test_the_outcome_is_the_exit_code(waybill: CommandLine, served: Served, state: TaskState, expected: int) -> None:
    """0 when it succeeded, 8 when it ended otherwise, 7 when it had not ended in time."""
    task = rows.make_task(served.world, state=state)
    rows.write_log(served.world, task, 3)
    ended = waybill("-o", "json", "task", "watch", task.id, "--timeout", "0")
    assert ended.code == expected, ended.err
    assert ended.json["id"] == task.id
    assert "line 1" in ended.err
    assert "line 1" not in ended.out


def test_waiting_too_long_says_how_to_go_on(waybill: CommandLine, served: Served) -> None:
    """The printed command follows the same task, at the same site and in the same Space."""
    task = rows.make_task(served.world, state=TaskState.RUNNING)
    ended = waybill("--space", "devtest", "--profile", "default", "task", "watch", task.id, "--timeout", "0s")
    assert f"waybill --profile default --space devtest task watch {task.id}" in ended.err


def test_progress_none_is_quiet(waybill: CommandLine, served: Served) -> None:
    """Nothing of the log is printed then."""
    task = rows.make_task(served.world, state=TaskState.SUCCEEDED)
    rows.write_log(served.world, task, 3)
    assert "line 1" not in waybill("--progress", "none", "task", "watch", task.id).err


def test_a_log_line_cannot_redraw_the_screen(waybill: CommandLine, served: Served) -> None:
    """What a step prints reaches the terminal as text."""
    task = rows.make_task(served.world, state=TaskState.SUCCEEDED)
    rows.write_log(served.world, task, 1, message="\u001b[2Jcleared\u0007")
    for command in (("task", "watch", task.id), ("task", "log", task.id), ("-o", "json", "task", "log", task.id)):
        ended = waybill(*command)
        assert "cleared" in ended.out + ended.err
        assert not {"\u001b", "\u0007"} & set(ended.out + ended.err)


def test_a_log_longer_than_a_page_comes_whole(waybill: CommandLine, served: Served) -> None:
    """Every line once and in order."""
    task = rows.make_task(served.world, state=TaskState.SUCCEEDED)
    rows.write_log(served.world, task, 2100)
    assert [line["seq"] for line in waybill("-o", "json", "task", "log", task.id).json] == list(range(1, 2101))
    followed = waybill("task", "watch", task.id).err.splitlines()
    assert [line.split()[-1] for line in followed if " line " in line] == [str(number) for number in range(1, 2101)]


def test_ctrl_c_detaches(signed_in_config: Path, served: Served) -> None:
    """Exit 130; the task is not cancelled, and the command to go on is printed."""
    task = rows.make_task(served.world, state=TaskState.RUNNING)
    rows.write_log(served.world, task, 1)
    environment = {"PATH": os.environ["PATH"], "WAYBILL_CONFIG": str(signed_in_config), "LANG": "C.UTF-8"}
    command = ["env", "--default-signal=INT", sys.executable, "-m", "cli", "-o", "json", "task", "watch", task.id]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        while "line 1" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"it goes on; follow it with: waybill task watch {task.id}" in err
    assert '"state": "running"' in out
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_error(signed_in_config: Path, served: Served) -> None:
    """``waybill … | head`` ends quietly."""
    task = rows.make_task(served.world, state=TaskState.SUCCEEDED)
    rows.write_log(served.world, task, 1000, message="a long line " * 20)
    environment = {"PATH": os.environ["PATH"], "WAYBILL_CONFIG": str(signed_in_config), "LANG": "C.UTF-8"}
    command = f"{sys.executable} -m cli task log {task.id} | head -1"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 1


def test_waiting_gives_up_in_time(waybill: CommandLine) -> None:
    """A release that never comes: exit 7, soon after the time that was given."""
    began = time.monotonic()
    ended = waybill("inbox", "wait", "Nothing", "1.0.0", "--timeout", "1s")
    assert (ended.code, "is not ready after 1 s" in ended.err) == (7, True)
    assert timedelta(seconds=time.monotonic() - began) < timedelta(seconds=30)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("0", 0)])
def test_times_have_units(text: str, seconds: float) -> None:
    """Seconds, minutes, hours and days."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "soon", "-1s", "inf", "nan", "1w"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Also what Python would take for a number."""
    with pytest.raises(ValueError, match=r"."):
        seconds_of(text)
