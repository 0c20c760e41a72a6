# SPDX-License-Identifier: Apache-2.0
"""Lifecycles: the order in which a release may reach environments and Spaces."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Members are ids: ``env_…`` for an environment of this Space, ``trs_…`` for a Remote Space (A27).

    ``minimum`` members must be complete (0 means all). An ``optional`` phase never holds back the next one.
    """

    name: str
    members: tuple[str, ...]
    minimum: int = 0
    optional: bool = False
    automatic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """Ordered phases, owned by one Space."""

    id: str
    space_id: str
    slug: str
    name: str
    phases: tuple[Phase, ...]
    revision: int = 1
