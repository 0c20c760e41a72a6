# SPDX-License-Identifier: Apache-2.0
"""The lines of an import preview, as people and the API see them. Names and digests only; never a secret."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageLine:
    """One package of the manifest. ``change``: ``added | changed | unchanged | removed`` against the last imported release."""

    ref_names: tuple[str, ...]
    package_id: str
    version: str
    size_bytes: int
    sha256: str
    present: bool
    change: str
    previous_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionLine:
    """One action of the process; ``runs_in`` names the local environments where it would run."""

    action_id: str
    name: str
    position: int
    step_package_id: str
    step_version: str
    change: str
    changed_fields: tuple[str, ...]
    runs_in: tuple[str, ...]
    skipped_in: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableLine:
    """One value that travels. ``origin``: ``release`` or ``delivery``; ``value`` is None for a secret, which is only marked as set.

    ``change`` of a secret that was there before is ``unknown``: it is not opened to be compared.
    """

    variable_id: str
    name: str
    type: str
    scope: tuple[str, ...]
    origin: str
    is_secret: bool
    value: str | None
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateLine:
    """A value that this Space is asked for. ``state``: ``missing | answered | default | optional``; never the value."""

    variable_id: str
    name: str
    type: str
    label: str
    help: str
    choices: tuple[str, ...]
    mandatory: bool
    environment_id: str
    environment_name: str
    tenant_id: str | None
    tenant_name: str | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPackageLine:
    """One step package of the closure."""

    package_id: str
    version: str
    size_bytes: int
    sha256: str
    present: bool
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentLine:
    """An environment that the sender names, and the local one of equal name; ``local_id`` None means that nothing matches (A42)."""

    sender_id: str
    name: str
    local_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleLine:
    """A lifecycle of this Space that could be chosen; at most one is preselected, ambiguity is never guessed (A71)."""

    lifecycle_id: str
    name: str
    preselected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyLine:
    """One Space that held the bundle before, oldest first."""

    space_id: str
    delivery_sha256: str
    release_verified: bool
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """What the source states about an earlier deployment; its word, never a local result (A56)."""

    space: str
    environment: str
    state: str
    finished_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Everything that a person decides on. ``sha256`` covers all other fields as canonical JSON.

    ``only_changes`` is True when an earlier release of the project was imported: then ``change`` tells what is new, and
    what is ``unchanged`` need not be reviewed again. ``project_change``: ``created`` or ``extended``.
    """

    inbox_id: str
    bundle_sha256: str
    release_sha256: str
    release_version: str
    previous_version: str | None
    channel: str
    notes: str
    frozen_at: str
    expires_at: str
    project_name: str
    project_change: str
    owner_space_id: str
    owner_name: str
    sender_space_id: str
    sender_name: str
    sender_fingerprint: str
    custody: tuple[CustodyLine, ...]
    packages: tuple[PackageLine, ...]
    step_packages: tuple[StepPackageLine, ...]
    actions: tuple[ActionLine, ...]
    removed_actions: tuple[str, ...]
    variables: tuple[VariableLine, ...]
    removed_variables: tuple[str, ...]
    templates: tuple[TemplateLine, ...]
    environments: tuple[EnvironmentLine, ...]
    lifecycles: tuple[LifecycleLine, ...]
    history: tuple[HistoryLine, ...]
    warnings: tuple[str, ...]
    only_changes: bool
    sha256: str
