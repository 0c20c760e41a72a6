# SPDX-License-Identifier: Apache-2.0
"""People: signing in and out, the cookie, the origin check, the limit on attempts, the first password."""

from datetime import timedelta
from typing import Any

import pytest

from tests.api.world import ORIGIN, OWN, PASSWORD, World, make_account
from waybill.domain.access import EVERY_SPACE, AccessGrant


def sign_in(world: World, username: str = "ada", password: str = PASSWORD) -> Any:
    """One attempt from a page of our own."""
    return world.client.post("/api/v1/login", json={"username": username, "password": password}, headers=OWN)


def test_a_session_is_a_cookie_that_no_script_reads(world: World) -> None:
    """Signing in sets a host-only, secure, HttpOnly cookie; the answer holds neither token nor hash."""
    answer = sign_in(world)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200
    assert all(flag in cookie for flag in ("__Host-waybill_session=", "HttpOnly", "Secure", "SameSite=lax", "Path=/"))
    token = cookie.split("=", 1)[1].split(";")[0]
    assert token not in answer.text
    assert "hash" not in answer.text
    assert world.client.get("/api/v1/me").json()["name"] == "ada"


def test_signing_out_ends_the_session(world: World) -> None:
    """After signing out the old cookie opens nothing."""
    sign_in(world)
    token = world.client.cookies["__Host-waybill_session"]
    assert world.client.post("/api/v1/logout", headers=OWN).status_code == 204
    world.client.cookies.clear()
    world.client.cookies.set("__Host-waybill_session", token)
    assert world.client.get("/api/v1/me").json()["code"] == "authn.invalid"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": ORIGIN}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({}, 403),
    ],
)
def test_a_cookie_alone_changes_nothing(world: World, headers: dict[str, str], status: int) -> None:
    """A request that changes something and has only the cookie must come from our own pages."""
    sign_in(world)
    answer = world.client.post(f"{world.base}/tenants", json={"name": "Clinic"}, headers=headers)
    assert answer.status_code == status, answer.text
    assert status == 201 or answer.json()["code"] == "authn.origin"


def test_a_key_needs_no_origin(world: World) -> None:
    """Programs send no Origin; a key cannot be sent by a page that does not have it."""
    answer = world.client.post(f"{world.base}/tenants", json={"name": "Clinic"}, headers=world.as_admin())
    assert answer.status_code == 201


def test_login_from_another_site_is_refused(world: World) -> None:
    """A foreign page cannot sign somebody in as somebody else."""
    body = {"username": "ada", "password": PASSWORD}
    answer = world.client.post("/api/v1/login", json=body, headers={"Origin": "https://evil.test"})
    assert answer.json()["code"] == "authn.origin"


def test_wrong_credentials_look_alike(world: World) -> None:
    """A wrong password and an unknown name get the same words."""
    first, second = sign_in(world, password="wrong, wrong, wrong"), sign_in(world, username="nobody")
    assert first.status_code == second.status_code == 401
    assert first.json()["detail"] == second.json()["detail"]


def test_attempts_are_limited_per_user_and_address(world: World) -> None:
    """After ten wrong attempts even the right password waits; then it is let in again."""
    codes = [sign_in(world, password="wrong, wrong, wrong").json()["code"] for _ in range(10)]
    assert set(codes) == {"authn.invalid"}
    answer = sign_in(world)
    assert (answer.status_code, answer.json()["code"]) == (429, "authn.throttled")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    world.site.clock.advance(timedelta(minutes=2))
    assert sign_in(world).status_code == 200


def test_right_attempts_do_not_count(world: World) -> None:
    """Signing in often is no attack."""
    assert {sign_in(world).status_code for _ in range(15)} == {200}


def test_the_first_password_opens_nothing_else(world: World) -> None:
    """Whoever must change the password can do that and nothing else, until it is done."""
    everything = (AccessGrant(space_id=EVERY_SPACE, permissions=("*",)),)
    make_account(world.site, "bob", everything, must_change_password=True)
    assert sign_in(world, "bob").json()["must_change_password"] is True
    assert world.client.get("/api/v1/spaces").status_code == 403
    assert world.client.get("/api/v1/me").status_code == 200
    change = {"old_password": PASSWORD, "new_password": "another long password"}
    assert world.client.put("/api/v1/me/password", json=change, headers=OWN).status_code == 204
    assert sign_in(world, "bob", "another long password").json()["must_change_password"] is False
    assert world.client.get("/api/v1/spaces").status_code == 200


def test_a_session_ends_by_itself(world: World) -> None:
    """A cookie that is stolen tomorrow opens nothing."""
    sign_in(world)
    world.site.clock.advance(timedelta(hours=13))
    assert world.client.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer waybill_x", "bearer wbm_a_b_c", "Bearer " + "x" * 5000])
def test_other_credentials_are_invalid(world: World, header: str) -> None:
    """A header that is no key of ours is refused, also when a good cookie stands beside it."""
    sign_in(world)
    assert world.client.get("/api/v1/me", headers={"Authorization": header}).json()["code"] == "authn.invalid"


def test_a_key_is_shown_once_and_revoked(world: World) -> None:
    """The token is in the answer that makes it and in no list; after revocation it opens nothing."""
    sign_in(world)
    body = {"name": "build server", "days": 3, "grants": [{"space_id": "devtest", "permissions": ["package.push"]}]}
    made = world.client.post("/api/v1/keys", json=body, headers=OWN)
    token = made.json()["token"]
    assert made.status_code == 201
    assert token not in world.client.get("/api/v1/keys").text
    assert "sha256" not in world.client.get("/api/v1/keys").text
    assert world.client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).json()["kind"] == "key"
    path = f"/api/v1/keys/{made.json()['key']['id']}"
    current = next(key for key in world.client.get("/api/v1/keys").json()["items"] if key["id"] == made.json()["key"]["id"])
    assert world.client.delete(path, headers=OWN).status_code == 428
    assert world.client.delete(path, headers={**OWN, "If-Match": '"99"'}).status_code == 412
    assert world.client.delete(path, headers={**OWN, "If-Match": f'"{current["revision"]}"'}).status_code == 200
    assert world.client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_accounts_are_made_by_administrators(world: World) -> None:
    """An account shows no hash, and its first password must be changed."""
    body = {"username": "carl", "password": PASSWORD, "grants": [{"space_id": "devtest", "permissions": ["space.read"]}]}
    made = world.client.post("/api/v1/accounts", json=body, headers=world.as_admin())
    assert (made.status_code, made.json()["must_change_password"]) == (201, True)
    assert made.json()["grants"][0]["space_id"] == world.space.id
    listed = world.client.get("/api/v1/accounts", headers=world.as_admin())
    assert "hash" not in listed.text
    assert {row["username"] for row in listed.json()["items"]} == {"ada", "carl"}
