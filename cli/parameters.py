# SPDX-License-Identifier: Apache-2.0
"""The arguments and options that several commands share: one help text and one completion for each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from cli import completing

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """``90``, ``90s``, ``30m``, ``2h`` or ``1d`` in seconds. Raises ValueError for anything else."""
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    found = float(number) * unit
    if not 0 <= found < float("inf"):
        raise ValueError("a time is a number with s, m, h or d, such as 30m")
    return found


def _convert_seconds(_type: object, tokens: Sequence[Token]) -> float:
    try:
        return seconds_of(tokens[0].value)
    except ValueError:
        raise ValueError("a time is a number with s, m, h or d, such as 30m") from None


def _shown(value: float) -> str:
    return f"{value / 60:.0f}m"


Timeout = Annotated[
    float,
    Parameter(
        help="Stop waiting after this time, such as 30m; what runs goes on.",
        metavar="TIME",
        converter=_convert_seconds,
        show_default=_shown,
    ),
]
Wait = Annotated[bool, Parameter(help="Follow it until it ends, or only start it.", negative="--no-wait")]
Limit = Annotated[int, Parameter(help="Show at most so many.")]

ProjectName = Annotated[str, Parameter(help="The project, by slug or id.", completer=completing.projects)]
ProjectOption = Annotated[str | None, Parameter(help="The project, by slug or id.", completer=completing.projects)]
ReleaseVersion = Annotated[str, Parameter(help="The version of the release.", completer=completing.versions)]
EnvironmentName = Annotated[str, Parameter(help="The environment, by slug, name or id.", completer=completing.environments)]
TenantOption = Annotated[str | None, Parameter(help="The tenant, by slug, name or id.", completer=completing.tenants)]
TrustName = Annotated[str, Parameter(help="The Remote Space, by slug or id.", completer=completing.trusts)]
LifecycleOption = Annotated[str | None, Parameter(help="The lifecycle, by slug or id.", completer=completing.lifecycles)]
TaskId = Annotated[str, Parameter(help="The task's id.", completer=completing.tasks)]
BundleId = Annotated[str, Parameter(help="The received bundle's id.", completer=completing.bundles)]
PromotionId = Annotated[str, Parameter(help="The promotion's id.", completer=completing.promotions)]
DeploymentId = Annotated[str, Parameter(help="The deployment's id.", completer=completing.deployments)]
MachineName = Annotated[str, Parameter(help="The machine, by name or id.", completer=completing.machines)]

Value = Annotated[str | None, Parameter(help="The value, for anything but a secret.")]
ValueFile = Annotated[Path | None, Parameter(help="Read the value from this file.")]
ValueStdin = Annotated[bool, Parameter(help="Read the value from standard input.")]
