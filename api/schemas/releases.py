# SPDX-License-Identifier: Apache-2.0
"""Releases, their frozen content and their promotions as the API takes and shows them."""

from datetime import datetime

from pydantic import Field

from api.schemas.base import Name, Reference, Request, Shape, Text, example
from api.schemas.projects import ActionShape, ScopeShape, TemplateShape
from api.schemas.tasks import TaskShape
from waybill.domain.promotions import PromotionState
from waybill.domain.variables import ValueType


class ReleaseCreate(Request):
    """The project frozen under ``version``. ``packages``: reference name to package version; the newest by default."""

    model_config = example({"project": "storefront", "version": "1.0.0", "notes": "First.", "packages": {"site": "1.0.0"}})

    project: Reference
    version: Name
    channel: Name = "Default"
    notes: Text = ""
    packages: dict[str, str] | None = Field(default=None, max_length=1000)


class ReleaseBlock(Request):
    """Why no new deployment or promotion of the release may start."""

    reason: Name


class ReleaseShape(Shape):
    """A frozen release. ``release_sha256`` is the same in every Space."""

    id: str
    project_id: str
    project_name: str | None = None
    release_id: str
    release_version: str
    channel: str
    notes: str
    frozen_at: datetime
    release_sha256: str
    created_by: str
    trust_id: str | None
    blocked_reason: str | None
    revision: int


class FrozenVariableShape(Shape):
    """A variable as frozen; of a secret only whether it is set."""

    variable_id: str
    name: str
    type: ValueType
    scope: ScopeShape
    value: str | None
    is_secret: bool
    is_set: bool
    template: TemplateShape | None
    target: str | None


class ManifestLineShape(Shape):
    """One line of the package manifest. ``is_present``: the bytes are in this site's store."""

    ref_names: list[str]
    package_id: str
    package_version: str
    size_bytes: int
    sha256: str
    is_present: bool


class ReleaseContentShape(Shape):
    """What is frozen in a release."""

    release: ReleaseShape
    actions: list[ActionShape]
    variables: list[FrozenVariableShape]
    packages: list[ManifestLineShape]
    step_packages: list[ManifestLineShape]


class ChangeShape(Shape):
    """One difference between two releases."""

    kind: str
    name: str
    how: str
    before: str | None
    after: str | None
    fields: list[str]


class ReleaseDiffShape(Shape):
    """Two releases of one project compared."""

    before: ReleaseShape
    after: ReleaseShape
    equal: bool
    changes: list[ChangeShape]


class PromotionStart(Request):
    """A release to a Remote Space. ``release``: row id, or a version together with ``project``."""

    model_config = example({"project": "storefront", "release": "1.0.0", "trust": "prod", "follow_days": 90})

    release: Reference
    trust: Reference
    project: Reference | None = None
    follow_days: int = Field(default=90, ge=1, le=3650)


class MovedPackageShape(Shape):
    """What one package of a promotion cost. ``how``: ``nothing | delta | whole``; ``words`` say it in one sentence."""

    name: str = ""
    how: str
    words: str = ""
    bytes_sent: int
    bytes_saved: int
    sha256: str


class PromotionShape(Shape):
    """One crossing, as far as verified receipts tell. ``packages``: what each has cost so far; empty in lists."""

    id: str
    release_row_id: str
    release_version: str | None = None
    project_id: str
    project_name: str | None = None
    trust_id: str
    trust_name: str | None = None
    state: PromotionState
    task_id: str
    created_at: datetime
    created_by: str
    follow_until: datetime
    delivery_sha256: str | None
    bytes_packages: int
    bytes_sent: int
    bytes_saved: int
    last_event: str | None
    last_event_at: datetime | None
    code: str | None
    message: str | None
    finished_at: datetime | None
    packages: list[MovedPackageShape] = Field(default_factory=list)
    revision: int


class PromotionStarted(Shape):
    """The promotion and the task that carries it out."""

    promotion: PromotionShape
    task: TaskShape
