# SPDX-License-Identifier: Apache-2.0
"""Runs one command and tells what it cost, its helpers included: seconds, CPU seconds, and memory.

CPU seconds are user and system time of the process and of every helper that it waited for, as the kernel counted them.
``process_bytes`` is the largest resident set of any one of these processes (never below that of this program, which the kernel inherits to its
children); ``tree_bytes`` is the largest sum over all of them at one moment, looked at every 50 ms.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_LOOK_SECONDS: Final = 0.05


class CommandError(Exception):
    """The command ended badly; the message says how, with the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one or several commands cost."""

    seconds: float
    cpu_seconds: float
    process_bytes: int
    tree_bytes: int

    def plus(self, other: "Cost") -> "Cost":
        """One after the other: times add up, memory does not."""
        return Cost(
            seconds=self.seconds + other.seconds,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            process_bytes=max(self.process_bytes, other.process_bytes),
            tree_bytes=max(self.tree_bytes, other.tree_bytes),
        )


NOTHING: Final = Cost(seconds=0, cpu_seconds=0, process_bytes=0, tree_bytes=0)


def measure(command: Sequence[str | Path], *, timeout_seconds: float, cwd: Path | None = None) -> Cost:
    """What ``command`` costs until it ends with status 0; raises CommandError for another end, or when it takes too long."""
    started = time.monotonic()
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        start_new_session=True,
    ) as process:
        watch = _Watch(process, started + timeout_seconds)
        watch.start()
        said = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.ended.set()
        watch.join()
    if process.returncode:
        reason = "took too long" if watch.killed else f"ended with {process.returncode}"
        raise CommandError(f"{Path(str(command[0])).name} {reason}: {said.decode(errors='replace').strip()[-400:]}")
    return Cost(
        seconds=round(time.monotonic() - started, 3),
        cpu_seconds=round(usage.ru_utime + usage.ru_stime, 3),
        process_bytes=usage.ru_maxrss * 1024,
        tree_bytes=max(watch.most, usage.ru_maxrss * 1024),
    )


class _Watch(threading.Thread):
    """Looks at the memory of a process and its helpers; kills them all when their time is over."""

    def __init__(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._deadline = deadline
        self.ended = threading.Event()
        self.most = 0
        self.killed = False

    def run(self) -> None:
        """Until the process has ended."""
        while not self.ended.wait(_LOOK_SECONDS):
            self.most = max(self.most, _tree_bytes(self._process.pid))
            if time.monotonic() > self._deadline and not self.killed:
                self.killed = True
                os.killpg(self._process.pid, signal.SIGKILL)


def _tree_bytes(pid: int) -> int:
    total = 0
    try:
        root = psutil.Process(pid)
        for one in [root, *root.children(recursive=True)]:
            try:
                total += one.memory_info().rss
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total
