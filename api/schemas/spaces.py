# SPDX-License-Identifier: Apache-2.0
"""Spaces, environments, tenants, machines and lifecycles as the API takes and shows them."""

from datetime import datetime

from pydantic import Field

from api.schemas.base import Name, Reference, Request, Shape, example


class SpaceCreate(Request):
    """A new Space with keys of its own."""

    model_config = example({"name": "DevTest", "slug": "devtest"})

    name: Name
    slug: Name | None = None


class SpaceShape(Shape):
    """A Space."""

    id: str
    slug: str
    name: str
    created_at: datetime
    retired_at: datetime | None
    revision: int


class EnvironmentCreate(Request):
    """A new environment; with ``trust`` a placeholder for one of that Remote Space."""

    model_config = example({"name": "Test", "sort_order": 1})

    name: Name
    trust: Reference | None = None
    sort_order: int = Field(default=0, ge=0, le=10_000)


class EnvironmentChange(Request):
    """A new name for an own environment."""

    name: Name


class EnvironmentShape(Shape):
    """An environment. With ``trust_id`` it belongs to a Remote Space and nothing runs there from here."""

    id: str
    slug: str
    name: str
    trust_id: str | None
    confirmed: bool
    sort_order: int
    revision: int


class TenantCreate(Request):
    """A new tenant."""

    model_config = example({"name": "Harbour Clinic", "tags": ["Region/North"]})

    name: Name
    tags: list[Name] = Field(default_factory=list, max_length=100)


class TenantShape(Shape):
    """A tenant."""

    id: str
    slug: str
    name: str
    tags: list[str]
    revision: int


class MachineCreate(Request):
    """A machine that will run steps, in own environments."""

    model_config = example({"name": "web-1", "roles": ["web"], "environments": ["Test"]})

    name: Name
    roles: list[Name] = Field(default_factory=list, max_length=100)
    environments: list[Reference] = Field(default_factory=list, max_length=200)


class MachineShape(Shape):
    """A machine, without its key."""

    id: str
    name: str
    roles: list[str]
    environment_ids: list[str]
    registered_at: datetime
    last_seen_at: datetime | None
    disabled: bool
    revision: int


class MachineCreated(Shape):
    """The new machine with its token, which is never shown again."""

    machine: MachineShape
    token: str


class PhaseBody(Request):
    """One phase. ``members``: ids, slugs or names of own environments and of trusts; ``minimum`` 0 means all of them."""

    name: Name
    members: list[Reference] = Field(max_length=200)
    minimum: int = Field(default=0, ge=0, le=200)
    optional: bool = False
    automatic: bool = False


class LifecycleSave(Request):
    """A lifecycle: phases in order."""

    model_config = example(
        {"name": "Default", "phases": [{"name": "Test", "members": ["Test"]}, {"name": "Production", "members": ["prod"]}]}
    )

    name: Name
    phases: list[PhaseBody] = Field(max_length=100)


class PhaseShape(Shape):
    """One phase of a lifecycle; ``members`` are ids."""

    name: str
    members: list[str]
    minimum: int
    optional: bool
    automatic: bool


class LifecycleShape(Shape):
    """A lifecycle."""

    id: str
    slug: str
    name: str
    phases: list[PhaseShape]
    revision: int
