# SPDX-License-Identifier: Apache-2.0
"""What holds for one run of the command line: which site, which Space, whether to wait, whether to ask."""

import os
import sys
from dataclasses import dataclass, field

from cli.client import Client
from cli.profile import load_profile


@dataclass(slots=True)
class Session:
    """The root command fills this once; commands read it."""

    profile: str | None = None
    url: str | None = None
    space: str | None = None
    ca: str | None = None
    yes: bool = False
    progress: str = "auto"
    echoed: list[str] = field(default_factory=list)


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
