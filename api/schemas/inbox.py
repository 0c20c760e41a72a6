# SPDX-License-Identifier: Apache-2.0
"""Received bundles, their preview, and what people decide, as the API takes and shows them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.base import Reference, Request, Sha256, Shape, Text, example
from waybill.domain.bundles import InboxState


class NeedShape(Shape):
    """A blob that this Space lacked when the bundle came."""

    sha256: str
    size_bytes: int
    role: str
    name: str


class InboxShape(Shape):
    """A verified bundle. ``bundle_sha256`` is what a decision and every receipt name."""

    id: str
    trust_id: str
    trust_name: str | None = None
    delivery_id: str
    bundle_sha256: str
    release_sha256: str
    owner_space_id: str
    owner_name: str
    project_name: str
    release_version: str
    seq: int
    size_bytes: int
    received_at: datetime
    expires_at: datetime
    state: InboxState
    task_id: str
    needs: list[NeedShape]
    bytes_received: int
    lifecycle_id: str | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    import_task_id: str | None
    release_row_id: str | None
    revision: int


class AnswerBody(Request):
    """One value for one template. ``variable``: id or name; ``environment`` and ``tenant``: id, slug or name."""

    variable: Reference
    environment: Reference
    tenant: Reference | None = None
    value: str = Field(max_length=256 * 1024)


class AnswersPut(Request):
    """Values for templates, all stored or none."""

    model_config = example({"answers": [{"variable": "PaymentKey", "environment": "Production", "value": "given at import"}]})

    answers: list[AnswerBody] = Field(max_length=2000)


class AnswerShape(Shape):
    """An answer that was stored; its value is not shown."""

    id: str
    variable_id: str
    environment_id: str
    tenant_id: str | None
    answered_by: str
    answered_at: datetime


class Decision(Request):
    """A person's word, bound to exactly the bytes and the preview that were shown."""

    model_config = example(
        {
            "verdict": "approve",
            "bundle_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "preview_sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
            "lifecycle": "default",
        }
    )

    verdict: Literal["approve", "reject"]
    bundle_sha256: Sha256
    preview_sha256: Sha256
    lifecycle: Reference | None = None
    reason: Text | None = None


class PackageLineShape(Shape):
    """One package of the manifest, compared with the last imported release."""

    ref_names: list[str]
    package_id: str
    version: str
    size_bytes: int
    sha256: str
    present: bool
    change: str
    previous_version: str | None


class ActionLineShape(Shape):
    """One action, and in which local environments it would run."""

    action_id: str
    name: str
    position: int
    step_package_id: str
    step_version: str
    change: str
    changed_fields: list[str]
    runs_in: list[str]
    skipped_in: list[str]


class VariableLineShape(Shape):
    """One value that travels; null for a secret."""

    variable_id: str
    name: str
    type: str
    scope: list[str]
    origin: str
    is_secret: bool
    value: str | None
    change: str


class TemplateLineShape(Shape):
    """A value that this Space is asked for, and whether it was given."""

    variable_id: str
    name: str
    type: str
    label: str
    help: str
    choices: list[str]
    mandatory: bool
    environment_id: str
    environment_name: str
    tenant_id: str | None
    tenant_name: str | None
    state: str


class StepPackageLineShape(Shape):
    """One step package of the closure."""

    package_id: str
    version: str
    size_bytes: int
    sha256: str
    present: bool
    change: str


class EnvironmentLineShape(Shape):
    """An environment that the sender names, and the local one of equal name."""

    sender_id: str
    name: str
    local_id: str | None


class LifecycleLineShape(Shape):
    """A lifecycle of this Space that could be chosen."""

    lifecycle_id: str
    name: str
    preselected: bool


class CustodyLineShape(Shape):
    """One Space that held the bundle before."""

    space_id: str
    delivery_sha256: str
    release_verified: bool
    note: str


class HistoryLineShape(Shape):
    """What the source states about an earlier deployment."""

    space: str
    environment: str
    state: str
    finished_at: str


class PreviewShape(Shape):
    """Everything that a person decides on; a decision names ``sha256``."""

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
    custody: list[CustodyLineShape]
    packages: list[PackageLineShape]
    step_packages: list[StepPackageLineShape]
    actions: list[ActionLineShape]
    removed_actions: list[str]
    variables: list[VariableLineShape]
    removed_variables: list[str]
    templates: list[TemplateLineShape]
    environments: list[EnvironmentLineShape]
    lifecycles: list[LifecycleLineShape]
    history: list[HistoryLineShape]
    warnings: list[str]
    only_changes: bool
    sha256: str
