# SPDX-License-Identifier: Apache-2.0
"""The processes of a running site, found as an operator would find them: by their command lines."""

import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from sites.layout import SiteLayout

T = TypeVar("T")
ROLES = {"api": ("-m", "web"), "control": ("--role", "control"), "transfer": ("--role", "transfer"), "steps": ("--role", "steps")}


def until(question: Callable[[], T | None], what: str, *, seconds: float = 60.0, pause: float = 0.1) -> T:
    """The first answer that is true. Fails the test, naming ``what``, when none comes in ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)


def process_of(layout: SiteLayout, role: str) -> int | None:
    """The process id of the site's ``role`` (``api | control | transfer | steps``); None while it does not run."""
    for pid, command in _commands():
        own = any(Path(word).is_relative_to(layout.directory) for word in command if word.endswith(".toml"))
        if own and any(pair == ROLES[role] for pair in itertools.pairwise(command)):
            return pid
    return None


def kill(layout: SiteLayout, role: str) -> int:
    """The process was ended as by ``kill -9`` and is gone; returns its id."""
    pid = until(lambda: process_of(layout, role), f"the {role} process of {layout.directory.name} runs")
    os.kill(pid, signal.SIGKILL)
    until(lambda: process_of(layout, role) != pid, f"{pid} is gone", pause=0.005)
    return pid


def group_of_site(layout: SiteLayout) -> dict[int, str]:
    """Every living process whose command line names a file of the site: id to command."""
    home = str(layout.directory)
    return {pid: " ".join(command) for pid, command in _commands() if any(home in word for word in command)}


def _commands() -> list[tuple[int, list[str]]]:
    found = []
    for home in Path("/proc").iterdir():
        if home.name.isdigit():
            try:
                words = (home / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue  # it ended meanwhile
            if words != [""]:
                found.append((int(home.name), words))
    return found
