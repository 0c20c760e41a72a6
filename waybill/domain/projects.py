# SPDX-License-Identifier: Apache-2.0
"""Projects and their processes. The process schema v1 is docs/formats/release-v1.md, section ``process``."""

from dataclasses import dataclass, field
from datetime import datetime

from waybill.domain.ids import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Something that is released. With an ``owner_space_id`` it is a remote project: read-only but for what is customised here (A66, A68).

    ``remote_project_id`` is its id at the owner. ``trust_id`` is the trust through which its releases come.
    """

    id: str
    space_id: str
    slug: str
    name: str
    group: str = ""
    lifecycle_id: str | None = None
    owner_space_id: str | None = None
    owner_name: str | None = None
    remote_project_id: str | None = None
    trust_id: str | None = None
    created_at: datetime | None = None
    revision: int = 1

    @property
    def is_remote(self) -> bool:
        """True when another Space owns it."""
        return self.owner_space_id is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRef:
    """Which step package an action runs. ``version`` is exact in a frozen process, else exact or a major such as ``1``."""

    package_id: str
    version: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageUse:
    """A package that an action needs, under the name by which its inputs refer to it."""

    ref_name: str
    package_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionScopes:
    """Where an action runs; empty means everywhere. Environments are ids."""

    environments: tuple[str, ...] = ()
    tenant_tags: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step of a process. ``inputs`` may hold bindings ``#{Variable}``, resolved when it is deployed.

    ``start``: ``after_previous`` | ``with_previous``. ``condition``: ``success`` | ``failure`` | ``always``.
    ``roles`` choose machines of the environment; ``pool`` a worker pool instead. ``window`` bounds how many machines run at once.
    What this version cannot execute is refused when the process is saved (``process.unsupported``).
    """

    id: str
    name: str
    step: StepRef
    inputs: dict[str, JsonValue] = field(default_factory=dict)
    start: str = "after_previous"
    condition: str = "success"
    required: bool = True
    roles: tuple[str, ...] = ()
    pool: str | None = None
    window: int | None = None
    scopes: ActionScopes = ActionScopes()
    packages: tuple[PackageUse, ...] = ()
    retries: int = 0
    timeout_s: int = 1800
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The actions of a project, in order; ``id`` is the project's id."""

    id: str
    space_id: str
    actions: tuple[Action, ...]
    revision: int = 1
