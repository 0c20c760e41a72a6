# SPDX-License-Identifier: Apache-2.0
"""Starts the processes of one site in order, restarts what dies, and stops all of them.

It knows nothing of Waybill: a ``Program`` is a command, a log file and a question that says when it is ready.
It refuses to leave anything behind: each child has a process group of its own and dies with its parent.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from waybill.errors import UnavailableError

STOP_GRACE_SECONDS = 10.0
RESTART_PAUSE_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process of a site. ``ready`` answers at once: True when others may rely on it."""

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None


class Supervisor:
    """The running processes of one site."""

    def __init__(self, *, say: Callable[[str], None]) -> None:
        self._say = say
        self._programs: dict[str, Program] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._next_start: dict[str, float] = {}

    @property
    def processes(self) -> Mapping[str, subprocess.Popen[bytes]]:
        """The processes by their program's name."""
        return self._processes

    def start(self, programs: Sequence[Program], *, timeout_seconds: float = 60.0) -> None:
        """All ``programs`` run and are ready; they were started at once, so none may need another of the same call.

        Raises:
            UnavailableError: site.unavailable with the end of the log, when one is not ready in time.
        """
        for program in programs:
            self._programs[program.name] = program
            self._processes[program.name] = _spawn(program)
        deadline = time.monotonic() + timeout_seconds
        waiting = list(programs)
        while waiting:
            waiting = [program for program in waiting if not program.ready()]
            for program in waiting:
                if (code := self._processes[program.name].poll()) is not None:
                    raise _not_ready(program, f"ended with {code}")
            if waiting and time.monotonic() > deadline:
                raise _not_ready(waiting[0], f"not ready after {timeout_seconds:.0f} s")
            time.sleep(0.05)

    def watch(self) -> None:
        """Every program that has died since was started again, at most once a second each."""
        now = time.monotonic()
        for name, process in list(self._processes.items()):
            if process.poll() is None or self._next_start.get(name, 0.0) > now:
                continue
            self._say(f"{name} ended with {process.returncode}; starting it again")
            self._next_start[name] = now + RESTART_PAUSE_SECONDS
            self._processes[name] = _spawn(self._programs[name])

    def drop(self, name: str) -> None:
        """The program is stopped and no longer watched."""
        process = self._processes.pop(name, None)
        self._programs.pop(name, None)
        if process is not None:
            _stop([process])

    def stop(self) -> None:
        """Everything has ended, the last started first; what does not go in time is killed."""
        order = list(reversed(self._processes.values()))
        self._processes.clear()
        self._programs.clear()
        _stop(order)


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    program.log.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ", "HOME") if name in os.environ}
    with program.log.open("ab") as log:
        return subprocess.Popen(
            list(program.command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**kept, **program.environment},
            cwd=program.directory,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + STOP_GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _not_ready(program: Program, why: str) -> UnavailableError:
    tail = ""
    if program.log.exists():
        tail = " | ".join(program.log.read_text(errors="replace").splitlines()[-5:])
    return UnavailableError("site.unavailable", f"{program.name} {why}; see {program.log}: {tail}", field=program.name)
