# SPDX-License-Identifier: Apache-2.0
"""Live values for the shell's completion: names of projects, environments and so on, asked of the site that this command line would use.

It refuses to disturb a prompt: a site that is slow, unknown or not signed in to gives no values and no message.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cli.client import Client
from cli.profile import load_profile

COMPLETION_SECONDS = 2.0
_FLAGS = ("--profile", "--space", "--url", "--ca")

Completer = Callable[[object], list[tuple[str, str]]]


def _completer(path: str, value: str, *description: str, keep: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> Completer:
    def complete(_context: object) -> list[tuple[str, str]]:
        return [(str(row[value]), " ".join(str(row.get(name) or "") for name in description)) for row in _rows(path) if keep(row)]

    return complete


def flags_in(words: Sequence[str]) -> dict[str, str | None]:
    """The site and Space that the words typed so far choose."""
    found: dict[str, str | None] = {flag[2:]: None for flag in _FLAGS}
    for word, following in zip(words, [*words[1:], None], strict=True):
        name, separator, value = word.partition("=")
        if name in _FLAGS:
            found[name[2:]] = value if separator else following
    return found


def _rows(path: str) -> Iterable[Mapping[str, Any]]:
    chosen = flags_in(sys.argv[2:])
    profile = load_profile(name=chosen["profile"], url=chosen["url"], space=chosen["space"], ca=chosen["ca"])
    with Client(profile, timeout_seconds=COMPLETION_SECONDS) as client:
        rows: list[Mapping[str, Any]] = client.get(path if path.startswith("/api") else client.space_path(path))["items"]
    return rows


spaces = _completer("/api/v1/spaces", "slug", "name")
projects = _completer("/projects", "slug", "name")
versions = _completer("/releases", "release_version", "project_name")
environments = _completer("/environments", "name", "slug")
tenants = _completer("/tenants", "slug", "name")
trusts = _completer("/trusts", "slug", "state")
lifecycles = _completer("/lifecycles", "slug", "name")
machines = _completer("/machines", "name")
tasks = _completer("/tasks", "id", "title", "state")
bundles = _completer("/inbox", "id", "project_name", "release_version", "state")
promotions = _completer("/promotions", "id", "project_name", "release_version", "state")
deployments = _completer("/deployments", "id", "project_name", "release_version", "state")
