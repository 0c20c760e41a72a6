# SPDX-License-Identifier: Apache-2.0
"""Runs a page of documentation as a reader would: its shell blocks, in order, exactly as they stand.

The convention stands at the top of docs/tutorial/first-promotion.md: ``sh`` runs in the one shell of the reader, ``sh terminal`` in a terminal
of its own until the end, and a ``text`` block right after one of them is what must be printed, line by line and in order.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK_SECONDS = 240.0
_FENCE = re.compile(r"^```(?P<kind>[a-z]*)(?P<more>[^\n]*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Commands of a page; ``expected`` are the lines that must appear."""

    line: int
    commands: str
    in_terminal: bool
    expected: tuple[str, ...]


def blocks_of(page: str) -> Iterator[Block]:
    """The shell blocks of a page with what is said about their output."""
    found = list(_FENCE.finditer(page))
    for number, match in enumerate(found):
        if match["kind"] != "sh":
            continue
        following = found[number + 1] if number + 1 < len(found) else None
        between = page[match.end() : following.start()].strip() if following else ""
        told = following is not None and following["kind"] == "text" and not between
        yield Block(
            line=page.count("\n", 0, match.start()) + 1,
            commands=match["body"],
            in_terminal=match["more"].strip() == "terminal",
            expected=tuple(line for line in following["body"].splitlines() if line.strip()) if told and following else (),
        )


def missing_line(expected: tuple[str, ...], output: str) -> str | None:
    """The first expected line that does not come in its order; spaces count as one, ``…`` stands for anything."""
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    for wanted in expected:
        pattern = re.compile(".*".join(re.escape(part) for part in " ".join(wanted.split()).split("…")))
        if not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return None


class Reader:
    """The reader's terminals. The first is one shell for all blocks, with ``set -euo pipefail`` so that nothing fails unseen."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory, self._environment = directory, dict(environment)
        self._shell = self._start(["bash", "--noprofile", "--norc"], directory, directory / "shell.log", stdin=subprocess.PIPE)
        self._terminals: list[tuple[Block, subprocess.Popen[bytes]]] = []
        self._tell("set -euo pipefail")

    def run(self, block: Block) -> None:
        """The block has run and printed what the page says; else the test fails and shows what was printed."""
        output = self._in_terminal(block) if block.in_terminal else self._in_shell(block)
        missing = missing_line(block.expected, output)
        if missing is not None:
            pytest.fail(f"line {block.line}: the page says {missing!r}, but this was printed:\n{output}", pytrace=False)

    def close(self) -> None:
        """Each terminal got Ctrl-C and ended, and so did the shell."""
        self._tell("exit")
        self._shell.wait(20)
        for _, process in reversed(self._terminals):
            os.killpg(process.pid, signal.SIGINT)
        ended = {block.commands.strip(): process.wait(60) for block, process in self._terminals}
        assert all(code == 0 for code in ended.values()), f"Ctrl-C must end each cleanly: {ended}"

    def kill(self) -> None:
        """Nothing of the reader's runs any more, whatever happened."""
        for process in (self._shell, *(process for _, process in self._terminals)):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _in_shell(self, block: Block) -> str:
        script, mark = self._directory / f"line-{block.line}.sh", f"--- line {block.line} is done"
        script.write_text(block.commands)
        log = self._directory / "shell.log"
        before = log.stat().st_size
        self._tell(f"source '{script}' < /dev/null; echo '{mark}'")
        deadline = time.monotonic() + BLOCK_SECONDS
        while True:
            output = log.read_bytes()[before:].decode(errors="replace")
            if mark in output:
                return output.replace(mark, "")
            if self._shell.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"line {block.line} failed ({self._shell.poll()}):\n{block.commands}\n{output}", pytrace=False)
            time.sleep(0.05)

    def _in_terminal(self, block: Block) -> str:
        script, log = self._directory / f"line-{block.line}.sh", self._directory / f"line-{block.line}.log"
        script.write_text(block.commands)
        process = self._start(["bash", "-euo", "pipefail", str(script)], self._where(), log, stdin=subprocess.DEVNULL)
        self._terminals.append((block, process))
        deadline = time.monotonic() + BLOCK_SECONDS
        while True:
            output = log.read_text(errors="replace")
            if missing_line(block.expected, output) is None:
                return output
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"line {block.line} did not get ready ({process.poll()}):\n{output}", pytrace=False)
            time.sleep(0.05)

    def _where(self) -> Path:
        """The directory that the shell is in now; a reader opens another terminal there."""
        return Path(os.readlink(f"/proc/{self._shell.pid}/cwd"))

    def _start(self, command: list[str], directory: Path, log: Path, *, stdin: int) -> "subprocess.Popen[bytes]":
        with log.open("ab") as sink:
            return subprocess.Popen(
                # A terminal of a person obeys Ctrl-C, also when these tests themselves were started in the background.
                ["env", "--default-signal=INT", *command],
                cwd=directory,
                env=self._environment,
                stdin=stdin,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _tell(self, line: str) -> None:
        if self._shell.poll() is None and self._shell.stdin is not None:
            self._shell.stdin.write(line.encode() + b"\n")
            self._shell.stdin.flush()
