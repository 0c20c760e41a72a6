# SPDX-License-Identifier: Apache-2.0
"""Projects, processes and variables as the API takes and shows them. A secret goes in and shows only as set."""

from datetime import datetime

from pydantic import Field

from api.schemas.base import Json, Name, Reference, Request, Shape, Text, example
from waybill.domain.variables import ValueType


class ProjectCreate(Request):
    """A new project."""

    model_config = example({"name": "Storefront", "lifecycle": "default", "group": "Shops"})

    name: Name
    lifecycle: Reference | None = None
    group: str = Field(default="", max_length=200)


class ProjectChange(Request):
    """What is given is changed. A remote project takes a lifecycle only."""

    name: Name | None = None
    group: str | None = Field(default=None, max_length=200)
    lifecycle: Reference | None = None


class ProjectShape(Shape):
    """A project. With ``owner_space_id`` it belongs to another Space and is read-only here."""

    id: str
    slug: str
    name: str
    group: str
    lifecycle_id: str | None
    owner_space_id: str | None
    owner_name: str | None
    remote_project_id: str | None
    trust_id: str | None
    is_remote: bool
    created_at: datetime | None
    revision: int


class StepRefBody(Request):
    """Which step package an action runs: exact version, or a major such as ``1``."""

    package_id: Name
    version: Name
    sha256: str | None = Field(default=None, max_length=64)


class PackageUseBody(Request):
    """A package that an action needs, under the name that its inputs use."""

    ref_name: Name
    package_id: Name


class ActionScopesBody(Request):
    """Where an action runs; empty means everywhere."""

    environments: list[Reference] = Field(default_factory=list, max_length=200)
    tenant_tags: list[Name] = Field(default_factory=list, max_length=200)
    channels: list[Name] = Field(default_factory=list, max_length=200)


class ActionBody(Request):
    """One step of a process; without an ``id`` it gets one."""

    id: str = Field(default="", max_length=40)
    name: Name
    step: StepRefBody
    inputs: dict[str, Json] = Field(default_factory=dict, max_length=200)
    start: str = Field(default="after_previous", max_length=40)
    condition: str = Field(default="success", max_length=40)
    required: bool = True
    roles: list[Name] = Field(default_factory=list, max_length=100)
    pool: Name | None = None
    window: int | None = Field(default=None, ge=1, le=10_000)
    scopes: ActionScopesBody = Field(default_factory=ActionScopesBody)
    packages: list[PackageUseBody] = Field(default_factory=list, max_length=100)
    retries: int = Field(default=0, ge=0, le=100)
    timeout_s: int = Field(default=1800, ge=1, le=7 * 24 * 3600)
    notes: Text = ""


class ProcessSave(Request):
    """The whole process, in order."""

    model_config = example(
        {
            "actions": [
                {
                    "name": "Deploy files",
                    "step": {"package_id": "waybill.deploy-files", "version": "1"},
                    "inputs": {"package": "site", "targetDirectory": "#{SiteRoot}"},
                    "roles": ["web"],
                    "packages": [{"ref_name": "site", "package_id": "storefront"}],
                }
            ]
        }
    )

    actions: list[ActionBody] = Field(max_length=500)


class StepRefShape(Shape):
    """The step package of an action."""

    package_id: str
    version: str
    sha256: str | None


class PackageUseShape(Shape):
    """A package that an action needs."""

    ref_name: str
    package_id: str


class ActionScopesShape(Shape):
    """Where an action runs."""

    environments: list[str]
    tenant_tags: list[str]
    channels: list[str]


class ActionShape(Shape):
    """One step of a process."""

    id: str
    name: str
    step: StepRefShape
    inputs: dict[str, Json]
    start: str
    condition: str
    required: bool
    roles: list[str]
    pool: str | None
    window: int | None
    scopes: ActionScopesShape
    packages: list[PackageUseShape]
    retries: int
    timeout_s: int
    notes: str


class ProcessShape(Shape):
    """A process as it is edited now."""

    id: str
    actions: list[ActionShape]
    revision: int


class ScopeBody(Request):
    """Where a value applies: ids, slugs or names; empty means everywhere."""

    environments: list[Reference] = Field(default_factory=list, max_length=200)
    tenants: list[Reference] = Field(default_factory=list, max_length=200)
    tenant_tags: list[Name] = Field(default_factory=list, max_length=200)
    channels: list[Name] = Field(default_factory=list, max_length=200)
    actions: list[Name] = Field(default_factory=list, max_length=200)


class TemplateBody(Request):
    """A declared need for a value."""

    label: Name
    help: Text = ""
    mandatory: bool = True
    default: Text | None = None
    choices: list[Name] = Field(default_factory=list, max_length=200)
    per: str = Field(default="environment", max_length=40)


class VariableSet(Request):
    """The variable of this name and scope. Of ``value`` and ``template`` exactly one is given; to replace one, send If-Match."""

    model_config = example({"name": "SiteRoot", "type": "text", "value": "/srv/site", "scope": {"environments": ["Test"]}})

    name: Name
    type: ValueType = ValueType.TEXT
    scope: ScopeBody = Field(default_factory=ScopeBody)
    value: str | None = Field(default=None, max_length=256 * 1024)
    template: TemplateBody | None = None


class ScopeShape(Shape):
    """Where a value applies."""

    environments: list[str]
    tenants: list[str]
    tenant_tags: list[str]
    channels: list[str]
    actions: list[str]


class TemplateShape(Shape):
    """A declared need for a value."""

    label: str
    help: str
    mandatory: bool
    default: str | None
    choices: list[str]
    per: str


class VariableShape(Shape):
    """A variable. Of a secret only ``is_secret`` and ``is_set`` are shown, never its value."""

    id: str
    name: str
    type: ValueType
    scope: ScopeShape
    value: str | None
    is_secret: bool
    is_set: bool
    template: TemplateShape | None
    origin: str
    revision: int
