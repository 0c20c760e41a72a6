# SPDX-License-Identifier: Apache-2.0
"""What the command line prints: data on standard output, everything else on standard error.

Text from elsewhere never reaches a terminal with control characters in it: a name from a Remote Space could otherwise redraw the screen.
"""

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

Format = Literal["table", "json", "name"]

_FORMAT: list[Format] = ["table"]
_PIPE_WIDTH = 2000
_UNSAFE = {"Cc", "Cf", "Cs", "Co"}


def choose_format(chosen: Format) -> None:
    """Later output has this format; set once, by the root command."""
    _FORMAT[0] = chosen


def chosen_format() -> Format:
    """The format of this run."""
    return _FORMAT[0]


def console_of_errors() -> Console:
    """The console for progress and remarks, on standard error."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """A remark for people, after the data that was printed before it."""
    sys.stdout.flush()
    print(printable(text), file=sys.stderr, flush=True)


def heading(text: str) -> None:
    """A line between tables: data for people, so it stands on standard output, and only in the table format."""
    if chosen_format() == "table":
        print(printable(text), flush=True)


def printable(text: str) -> str:
    """``text`` with each control, format and surrogate character but line ends and tabs written as an escape."""
    return "".join(
        one if one in "\n\t" or unicodedata.category(one) not in _UNSAFE else one.encode("unicode_escape", "replace").decode()
        for one in text
    )


def print_json(value: Any) -> None:
    """``value`` as JSON; what a terminal would obey is escaped by JSON itself."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print("".join(one if one == "\n" or unicodedata.category(one) not in _UNSAFE else json.dumps(one)[1:-1] for one in text))


def show_one(value: Mapping[str, Any], *, fields: Sequence[str], name: str = "id") -> None:
    """One thing: as JSON whole, as a name alone, or the named fields as lines; a list of things becomes a table below them."""
    if chosen_format() == "json":
        print_json(value)
        return
    if chosen_format() == "name":
        print(printable(str(value.get(name, ""))))
        return
    lists = [field for field in fields if _is_list_of_things(_dig(value, field))]
    plain = [field for field in fields if field not in lists]
    width = max((len(field) for field in plain), default=0)
    for field in plain:
        print(f"{field.replace('_', ' '):{width}}  {cell(_dig(value, field))}")
    for field in lists:
        rows = _dig(value, field)
        print(f"\n{field.replace('_', ' ')}")
        _print_table(rows, list(dict.fromkeys(key for row in rows for key in row)))


def show_many(values: Sequence[Mapping[str, Any]], *, columns: Sequence[str], name: str = "id", empty: str) -> None:
    """Several things: a JSON list, names line by line, or a table; ``empty`` says what is absent and how to make one."""
    if chosen_format() == "json":
        print_json(list(values))
    elif chosen_format() == "name":
        for value in values:
            print(printable(str(value.get(name, ""))))
    elif not values:
        say(empty)
    else:
        _print_table(values, columns)


def cell(value: Any) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(cell(entry) for entry in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(_entry(str(key), one) for key, one in value.items() if one not in (None, False, "", [], {})) or "-"
    return printable(str(value))


def human_bytes(count: float) -> str:
    """``count`` bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def _entry(key: str, value: Any) -> str:
    words = printable(key.replace("_", " "))
    return words if value is True else f"{words}: {cell(value)}"


def _print_table(values: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(printable(column.rsplit(".", 1)[-1].replace("_", " ")), overflow="fold")
    for value in values:
        table.add_row(*(cell(_dig(value, column)) for column in columns))
    if sys.stdout.isatty():
        Console(highlight=False, markup=False, emoji=False).print(table)
        return
    # In a pipe nothing is folded and nothing is padded, so that a line stays a line.
    console = Console(highlight=False, markup=False, emoji=False, width=_PIPE_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(table, crop=False, soft_wrap=True)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _is_list_of_things(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _dig(value: Mapping[str, Any], path: str) -> Any:
    found: Any = value
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
