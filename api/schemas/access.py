# SPDX-License-Identifier: Apache-2.0
"""Accounts, sessions and API keys as the API shows them. A token is shown once, in the answer that makes it; a hash never."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from api.schemas.base import Name, Reference, Request, Shape, example

Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
MAX_KEY_DAYS: Final = 366


class GrantBody(Request):
    """Rights in one Space (id or slug) or in every Space (``*``)."""

    space_id: Reference
    permissions: list[Name] = Field(max_length=50)


class GrantShape(Shape):
    """Rights in one Space, or in every Space (``*``)."""

    space_id: str
    permissions: list[str]


class Login(Request):
    """Credentials of a person."""

    model_config = example({"username": "ada", "password": "correct horse battery staple"})

    username: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    password: Password


class PasswordChange(Request):
    """A new password, proven by the old one."""

    old_password: Password
    new_password: Password


class MeShape(Shape):
    """Who the caller is. ``must_change_password``: nothing else is served until that was done."""

    id: str
    name: str
    kind: str
    must_change_password: bool
    grants: list[GrantShape]


class AccountCreate(Request):
    """A new account; its first password must be changed at the first sign-in."""

    model_config = example(
        {
            "username": "ada",
            "password": "a first password that will be changed",
            "grants": [{"space_id": "devtest", "permissions": ["space.read", "release.create"]}],
        }
    )

    username: Name
    password: Password
    grants: list[GrantBody] = Field(max_length=200)


class AccountShape(Shape):
    """An account, without its password."""

    id: str
    username: str
    grants: list[GrantShape]
    created_at: datetime
    must_change_password: bool
    disabled: bool
    revision: int


class KeyCreate(Request):
    """A new API key for a program. Its rights may not go beyond those of its maker."""

    model_config = example({"name": "build server", "days": 90, "grants": [{"space_id": "devtest", "permissions": ["package.push"]}]})

    name: Name
    days: int = Field(default=90, ge=1, le=MAX_KEY_DAYS)
    grants: list[GrantBody] = Field(max_length=200)


class KeyShape(Shape):
    """An API key, without its token."""

    id: str
    name: str
    account_id: str
    grants: list[GrantShape]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    revision: int


class KeyCreated(Shape):
    """The new key with its token, which is never shown again."""

    key: KeyShape
    token: str
