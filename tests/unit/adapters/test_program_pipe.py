# SPDX-License-Identifier: Apache-2.0
"""Helper programs of any kind: what they get, and that one that misbehaves is an error and is gone."""

import itertools
import sys

import psutil
import pytest

from adapters.program_pipe import Counted, ProgramPipe, RefusedError, run_program
from waybill.errors import WaybillError


def _python(code: str) -> tuple[str, ...]:
    """A command that runs ``code``; it finds nothing in its environment."""
    return (sys.executable, "-I", "-S", "-c", code)


def test_a_program_gets_nothing_but_its_input() -> None:
    """Its environment is empty but for what the loader itself sets, and its directory is the root."""
    code = "import os, sys; print({n for n in os.environ if not n.startswith('LC_')}, os.getcwd(), sys.stdin.read())"
    assert b"".join(run_program(_python(code), Counted([b"text"]))) == b"set() / text\n"


def test_a_program_that_ends_early_is_an_error() -> None:
    """It may write a little, and even succeed: without having read everything that is no result."""
    for code in ("import os; os.write(1, b'x'); os._exit(0)", "import os; os._exit(7)"):
        with pytest.raises(WaybillError, match=r"delta\.tool_failed"):
            list(run_program(_python(code), Counted(itertools.repeat(bytes(1 << 20), 20))))


def test_the_exit_code_that_means_no_is_told_apart() -> None:
    """A program may refuse, also before it has read everything."""
    with pytest.raises(RefusedError):
        list(run_program(_python("import os; os._exit(3)"), Counted(itertools.repeat(bytes(1 << 20), 20)), refusals=(3,)))


def test_a_program_that_stands_still_is_ended() -> None:
    """It neither reads nor writes: an error after the given time, and it is gone."""
    before = set(psutil.Process().children())
    with pytest.raises(WaybillError, match="stands still"):
        list(run_program(_python("import signal; signal.pause()"), Counted(itertools.repeat(bytes(1 << 20), 20)), stall_seconds=0.3))
    assert set(psutil.Process().children()) <= before


def test_a_program_that_floods_is_ended() -> None:
    """It writes without end: no more is taken than twice its input and a megabyte."""
    taken: list[bytes] = []
    with pytest.raises(WaybillError, match="far more than it reads"):
        taken.extend(run_program(_python("import os\nwhile True: os.write(1, bytes(1 << 16))"), Counted([b"x"])))
    assert sum(map(len, taken)) <= (1 << 20) + 2


def test_a_program_that_computes_too_long_is_ended() -> None:
    """The bound on computing time is the system's own."""
    with pytest.raises(WaybillError, match=r"delta\.tool_failed"):
        list(run_program(_python("while True: pass"), Counted([b"x"]), cpu_seconds=1))


def test_a_program_that_does_not_exist_is_an_error() -> None:
    """Starting is part of what may fail."""
    with pytest.raises(WaybillError, match="does not start"):
        ProgramPipe(("/does/not/exist",))


def test_a_program_left_in_the_middle_is_gone() -> None:
    """Closing the stream ends the process at once."""
    before = set(psutil.Process().children())
    made = run_program(
        _python("import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"), Counted(itertools.repeat(bytes(1 << 16)))
    )
    assert next(iter(made))
    del made
    assert set(psutil.Process().children()) <= before
