# SPDX-License-Identifier: Apache-2.0
"""A site in memory with two Spaces, people and keys, behind the real application.

``devtest`` is where tests work; ``other`` is a Space that only the administrator sees.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import ApiSettings, PayloadCodec
from tests.simulators.site import Site, make_site
from waybill.app import access, admin
from waybill.domain.access import EVERY_SPACE, AccessGrant, Account, Caller, Permission
from waybill.domain.spaces import Space

PASSWORD = "a long enough password"
ORIGIN = "https://site.test"
OWN = {"Origin": ORIGIN}
"""What a browser sends with a form of our own pages."""


@dataclass(slots=True)
class World:
    """The site, the application before it, and whoever may knock."""

    site: Site
    app: FastAPI
    client: TestClient
    space: Space
    other: Space
    ada: Caller
    _keys: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The path of the Space in which tests work."""
        return f"/api/v1/spaces/{self.space.slug}"

    def as_admin(self) -> dict[str, str]:
        """Headers of a key that may do everything."""
        return self.key(AccessGrant(space_id=EVERY_SPACE, permissions=("*",)))

    def as_holder(self, *permissions: Permission, space_id: str | None = None) -> dict[str, str]:
        """Headers of a key with these rights in the Space in which tests work, or in another."""
        return self.key(AccessGrant(space_id=space_id or self.space.id, permissions=tuple(one.value for one in permissions)))

    def key(self, *grants: AccessGrant) -> dict[str, str]:
        """Headers of an API key with these grants; the same key when asked again."""
        name = tuple(f"{grant.space_id}:{','.join(grant.permissions)}" for grant in grants)
        if name not in self._keys:
            expires_at = self.site.clock.now() + timedelta(days=30)
            _, token = access.create_key(self.site.ports, self.ada, name=f"key {len(self._keys)}", grants=grants, expires_at=expires_at)
            self._keys[name] = {"Authorization": f"Bearer {token}"}
        return self._keys[name]

    def get(self, path: str, **more: Any) -> Any:
        """GET below the Space as the administrator, which must succeed; its JSON."""
        answer = self.client.get(self.base + path, headers=self.as_admin(), **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(
        self, method: str, path: str, body: Any = None, *, revision: int | None = None, expect: Iterable[int] = (200, 201, 202)
    ) -> Any:
        """A request below the Space as the administrator, which must end as expected; its JSON."""
        headers = self.as_admin() | ({} if revision is None else {"If-Match": f'"{revision}"'})
        answer = self.client.request(method, self.base + path, headers=headers, json=body)
        assert answer.status_code in expect, answer.text
        return answer.json() if answer.content else None


def make_world(*, settings: ApiSettings | None = None, codecs: dict[str, PayloadCodec] | None = None, site: Site | None = None) -> World:
    """A fresh world; its client is closed by the fixture."""
    site = site or make_site()
    space = admin.create_space(site.ports, access.SYSTEM, name="DevTest", slug="devtest")
    other = admin.create_space(site.ports, access.SYSTEM, name="Elsewhere", slug="elsewhere")
    everything = (AccessGrant(space_id=EVERY_SPACE, permissions=("*",)),)
    account = make_account(site, "ada", everything)
    app = create_app(site.ports, settings or ApiSettings(events_poll_seconds=0.01), codecs=codecs)
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    ada = Caller(id=account.id, name=account.username, kind="person", grants=account.grants)
    return World(site=site, app=app, client=client, space=space, other=other, ada=ada)


def make_account(site: Site, username: str, grants: tuple[AccessGrant, ...], *, must_change_password: bool = False) -> Account:
    """A person with ``PASSWORD``."""
    return access.create_account(
        site.ports, access.SYSTEM, username=username, password=PASSWORD, grants=grants, must_change_password=must_change_password
    )
