# SPDX-License-Identifier: Apache-2.0
"""What holds for one run of the command line: which site, which Space, whether to wait, whether to ask."""

import os
import shlex
import sys
from dataclasses import dataclass

from cli.client import Client
from cli.profile import load_profile
from waybill.errors import WaybillError


@dataclass(slots=True)
class Session:
    """The root command fills this once; commands read it."""

    profile: str | None = None
    url: str | None = None
    space: str | None = None
    ca: str | None = None
    yes: bool = False
    progress: str = "auto"


CURRENT = Session()


def connect() -> Client:
    """A client of the chosen site, signed in. Raises PolicyError authn.required."""
    return Client(load_profile(name=CURRENT.profile, url=CURRENT.url, space=CURRENT.space, ca=CURRENT.ca))


def authority() -> str | None:
    """The authority file that was named by flag or environment; of a site that nobody has signed in to yet."""
    return CURRENT.ca or os.environ.get("WAYBILL_CA")


def may_ask() -> bool:
    """True when a person sits before this run and may be asked something."""
    return sys.stdin.isatty() and not os.environ.get("CI") and not CURRENT.yes


def again(*command: str) -> str:
    """``waybill`` with ``command``, at the same site and in the same Space as this run; to be pasted."""
    flags = [("--profile", CURRENT.profile), ("--space", CURRENT.space), ("--url", CURRENT.url), ("--ca", CURRENT.ca)]
    return shlex.join(["waybill", *(part for name, value in flags if value for part in (name, value)), *command])


def confirm(question: str, *, typed: str) -> None:
    """A person typed ``typed``, or ``--yes`` was given.

    Raises:
        WaybillError: cli.usage, when something else was typed, or nobody can be asked.
    """
    if CURRENT.yes:
        return
    if not may_ask():
        raise WaybillError("cli.usage", "this cannot be undone and nobody can be asked here; add --yes", field="--yes")
    print(f"{question}; type {typed} to go on: ", end="", file=sys.stderr, flush=True)
    if input() != typed:
        raise WaybillError("cli.usage", f"{typed} was not typed; nothing was changed", field="confirmation")
