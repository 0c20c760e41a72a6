# SPDX-License-Identifier: Apache-2.0
"""The tutorial does what it says: every command of it runs in order on real sites, and prints the lines that it shows."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.pages import Block, Reader, blocks_of, missing_line
from tests.servers import find_server

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "tutorial" / "first-promotion.md"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a reader's terminal has: our commands, the two servers and Node on PATH, and a home of their own."""
    servers = {str(find_server(name).parent) for name in ("temporal", "versitygw")}
    if shutil.which("node") is None:
        pytest.fail("Node is needed: machines run steps in it", pytrace=False)
    path = [str(Path(sys.executable).parent), *sorted(servers), os.environ["PATH"]]
    return {"PATH": os.pathsep.join(path), "HOME": str(tmp_path), "LANG": "C.UTF-8", "TERM": "dumb"}


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)
def test_every_command_of_the_tutorial_runs_as_it_stands(tmp_path: Path, environment: dict[str, str]) -> None:
    """Two connected sites and an air-gapped one, made, used and stopped by the page's own commands."""
    reader = Reader(tmp_path, environment)
    try:
        for block in blocks_of(PAGE.read_text(encoding="utf-8")):
            reader.run(block)
        reader.close()
    finally:
        reader.kill()


def test_a_page_is_read_as_its_first_lines_say() -> None:
    """Shell and terminal blocks are found with what must be printed; a text block after other words belongs to none."""
    page = "# T\n\n```sh\necho a\n```\n\n```text\na\n```\n\n```sh terminal\nserve\n```\nThen:\n```text\nb\n```\n"
    first, second = blocks_of(page)
    assert first == Block(line=3, commands="echo a\n", in_terminal=False, expected=("a",))
    assert second == Block(line=11, commands="serve\n", in_terminal=True, expected=())


@pytest.mark.parametrize(
    ("expected", "output", "missing"),
    [
        (("state  succeeded",), "x\nstate      succeeded\n", None),
        (("wrote …: … KiB",), "wrote a.wbc: 3.1 KiB\n", None),
        (("a", "b"), "b\na\n", "b"),
        (("state succeeded",), "state failed\n", "state succeeded"),
        (("a.b",), "axb\n", "a.b"),
    ],
)
def test_what_is_shown_must_be_printed_in_order(expected: tuple[str, ...], output: str, missing: str | None) -> None:
    """Spaces count as one, an ellipsis stands for anything, and order matters."""
    assert missing_line(expected, output) == missing


def test_a_failing_command_fails_the_page(tmp_path: Path, environment: dict[str, str]) -> None:
    """A block in which any command fails is reported with its line and its output."""
    reader = Reader(tmp_path, environment)
    try:
        with pytest.raises(pytest.fail.Exception, match="line 7 failed"):
            reader.run(Block(line=7, commands="echo before\nfalse | cat\necho after\n", in_terminal=False, expected=()))
    finally:
        reader.kill()
