# SPDX-License-Identifier: Apache-2.0
"""What the command line prints: data on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

Format = Literal["table", "json", "name"]

_FORMAT: list[Format] = ["table"]


def choose_format(chosen: Format) -> None:
    """Later output has this format; set once, by the root command."""
    _FORMAT[0] = chosen


def chosen_format() -> Format:
    """The format of this run."""
    return _FORMAT[0]


def console_of_errors() -> Console:
    """The console for progress and remarks, on standard error."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A remark for people."""
    print(text, file=sys.stderr, flush=True)


def show_one(value: Mapping[str, Any], *, fields: Sequence[str], name: str = "id") -> None:
    """One thing: as JSON whole, as a name alone, or the named fields as lines."""
    if chosen_format() == "json":
        print(json.dumps(value, indent=2, ensure_ascii=False))
    elif chosen_format() == "name":
        print(value.get(name, ""))
    else:
        width = max(len(field) for field in fields)
        for field in fields:
            print(f"{field.replace('_', ' '):{width}}  {cell(_dig(value, field))}")


def show_many(values: Sequence[Mapping[str, Any]], *, columns: Sequence[str], name: str = "id", empty: str) -> None:
    """Several things: a JSON list, names line by line, or a table; ``empty`` says what is absent and how to make one."""
    if chosen_format() == "json":
        print(json.dumps(list(values), indent=2, ensure_ascii=False))
        return
    if chosen_format() == "name":
        for value in values:
            print(value.get(name, ""))
        return
    if not values:
        say(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.rsplit(".", 1)[-1].replace("_", " "), overflow="fold")
    for value in values:
        table.add_row(*(cell(_dig(value, column)) for column in columns))
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


def cell(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(cell(entry) for entry in value) or "-"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def human_bytes(count: float) -> str:
    """``count`` bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def _dig(value: Mapping[str, Any], path: str) -> Any:
    found: Any = value
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
