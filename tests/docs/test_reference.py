# SPDX-License-Identifier: Apache-2.0
"""The generated reference is what the commands and the codes say now, and every help page is fit for a person."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from cli.__main__ import app
from cli.exits import Exit
from cli.reference import example_of, help_of, leaves, pages
from waybill.errors import CODES

REFERENCE = Path(__file__).resolve().parent.parent.parent / "docs" / "reference"
LEAVES = [path for path, _ in leaves()]
NAMES = [" ".join(path) for path in LEAVES]


@pytest.mark.parametrize("name", ["cli.md", "errors.md"])
def test_the_reference_is_up_to_date(name: str) -> None:
    """Change a command or a code, and run ``python -m cli.reference``."""
    assert (REFERENCE / name).read_text(encoding="utf-8") == pages()[name], "run: python -m cli.reference"


def test_every_code_and_every_exit_is_listed() -> None:
    """Each once."""
    errors, commands = pages()["errors.md"], pages()["cli.md"]
    assert all(errors.count(f"| `{code}` |") == 1 for code in CODES)
    assert all(f"| {int(code)} |" in commands for code in Exit)
    assert all(commands.count(f"### waybill {name}\n") == 1 for name in NAMES)


def test_the_first_page_fits_a_screen() -> None:
    """Every command with its line, the options and the exit codes in 54 lines of 80 columns."""
    page = help_of((), width=80)
    lines = page.splitlines()
    assert len(lines) <= 54
    assert max(len(line) for line in lines) <= 80
    assert all(f"\n  {path[0]} " in page for path in LEAVES)


@pytest.mark.parametrize("path", LEAVES, ids=NAMES)
def test_each_help_page_is_short_and_explains_each_argument(path: tuple[str, ...]) -> None:
    """At most 40 lines; no argument or option without words."""
    lines = help_of(path).splitlines()
    assert len(lines) <= 40
    bare = [line for line, following in pairwise([*lines, ""]) if re.fullmatch(r"  \S+( \S+)*", line) and not following.startswith("    ")]
    assert not bare, "these have no words"
    assert not [line for line in lines if re.fullmatch(r"  \S.*\s{2,}(Required\.|Default: .*|One of: .*)", line)], "nor these"


@pytest.mark.parametrize("path", LEAVES, ids=NAMES)
def test_each_example_is_a_command_that_parses(path: tuple[str, ...]) -> None:
    """Each leaf has an example of itself, and this program understands it."""
    example = example_of(path)
    assert example is not None
    line = example.split(" | ")[0].split(" > ")[0].split(" < ")[0]
    words = shlex.split(line)
    assert words[0] == "waybill"
    try:
        _, _, ignored = app.parse_args(_without_options_of_every_command(words[1:]), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        pytest.fail(f"{example}\n{error}", pytrace=False)
    assert not ignored
    chain, _, _ = app.parse_commands(_without_options_of_every_command(words[1:]))
    assert chain == path


def _without_options_of_every_command(words: list[str]) -> list[str]:
    """What the root command hands on."""
    left: list[str] = []
    skip = False
    for word in words:
        if skip or word in {"--ca", "--space", "--profile", "--url", "-o"}:
            skip = not skip
        else:
            left.append(word)
    return left
