# SPDX-License-Identifier: Apache-2.0
"""How ``--help`` looks: two aligned columns without boxes, so that a page fits a screen and reads well in a pipe.

It leaves the options of every command to ``waybill --help``.
"""

import textwrap
from typing import Any

from cyclopts import App, Group
from cyclopts.help import HelpEntry, HelpPanel
from rich.console import Console, ConsoleOptions

EVERYWHERE = Group("Options of every command", sort_key=90)
_ARGUMENTS, _OPTIONS = Group("Arguments", sort_key=1), Group("Options", sort_key=2)
_WIDEST_LABEL = 26


def noun(name: str, help: str) -> App:
    """A command that only groups others."""
    return App(name=name, help=help, group_arguments=_ARGUMENTS, group_parameters=_OPTIONS)


class HelpPage:
    """A formatter of help panels."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """The panel's title and its entries in two columns."""
        title = _text(panel.title)
        if title == EVERYWHERE.name and not any("--help" in entry.names for entry in panel.entries):
            _print(console, "Options of every command, such as --space and -o json: see waybill --help.")
            return
        rows = [(_label(entry), _words(entry)) for entry in panel.entries]
        if not rows:
            return
        width = min(_WIDEST_LABEL, max(len(label) for label, _ in rows))
        _print(console, f"{title}:")
        for label, words in rows:
            _print_row(console, label, words, width=width, console_width=options.max_width)

    def render_usage(self, console: Console, _options: ConsoleOptions, usage: Any) -> None:
        """The usage line."""
        if usage:
            _print(console, f"Usage: {_text(usage).strip().removeprefix('Usage:').strip()}\n")

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """What the command does; the example is never broken, so that it can be pasted."""
        for paragraph in _text(description).strip().split("\n\n"):
            joined = " ".join(paragraph.split())
            _print(console, (joined if joined.startswith("Example:") else textwrap.fill(joined, options.max_width)) + "\n")


def _print_row(console: Console, label: str, words: str, *, width: int, console_width: int) -> None:
    indent = " " * (width + 4)
    lines = textwrap.wrap(words, max(20, console_width - len(indent)), break_long_words=False, break_on_hyphens=False) or [""]
    if len(label) > width:
        _print(console, f"  {label}")
        lines = ["", *lines]
    else:
        lines[0] = f"  {label:{width}}  {lines[0]}"
    for number, line in enumerate(lines):
        if line:
            _print(console, line if number == 0 else indent + line)


def _label(entry: HelpEntry) -> str:
    names = ", ".join((*([entry.positional_label] if entry.positional_label else []), *entry.positive_names, *entry.positive_shorts))
    if entry.negative_names:
        names += ", " + ", ".join(entry.negative_names)
    return f"{names} {entry.metavar}" if entry.metavar and not entry.choices and not entry.positional_label else names


def _words(entry: HelpEntry) -> str:
    said = [_text(entry.description)]
    if entry.choices:
        said.append(f"One of: {', '.join(entry.choices)}.")
    if entry.required and not entry.positional_label:
        said.append("Required.")
    if entry.default not in (None, "", "False"):
        said.append(f"Default: {entry.default}.")
    return " ".join(part for part in said if part)


def _text(value: Any) -> str:
    """The plain text of whatever the help machinery hands over."""
    if value is None or isinstance(value, str):
        return value or ""
    if hasattr(value, "plain"):
        return str(value.plain)
    plain = Console(width=10_000, force_terminal=False, no_color=True, highlight=False, markup=False, emoji=False)
    with plain.capture() as captured:
        plain.print(value, end="")
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _print(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)
