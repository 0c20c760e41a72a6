# SPDX-License-Identifier: Apache-2.0
"""The pages: who may see them, that each renders, that forms need their own origin, that nothing comes from another host."""

import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.api import rows
from tests.api.world import ORIGIN, OWN, PASSWORD, World, make_world
from waybill.app import access, admin, projects
from waybill.domain.deployments import DeploymentState
from web.site import create_site

PAGES = ("", "/inbox", "/tasks", "/receipts", "/trusts", "/audit")


@pytest.fixture
def world() -> Iterator[World]:
    """A site in memory with its pages mounted."""
    made = make_world()
    create_site(made.app)
    with made.client:
        yield made


@pytest.fixture
def browser(world: World) -> TestClient:
    """A browser in which ada has signed in through the form."""
    answer = world.client.post("/login", data={"username": "ada", "password": PASSWORD, "next": "/"}, headers=OWN, follow_redirects=False)
    assert answer.status_code == 303
    return world.client


def test_the_unknown_are_sent_to_the_sign_in_page(world: World) -> None:
    """Without a session every page leads to the form, and says where one wanted to go."""
    for page in PAGES:
        answer = world.client.get(f"/spaces/devtest{page}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next=/spaces/devtest{page}")


def test_wrong_credentials_show_the_form_again(world: World) -> None:
    """A wrong password gives no session and no hint which part was wrong."""
    answer = world.client.post("/login", data={"username": "ada", "password": "wrong", "next": "/"}, headers=OWN)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_the_way_after_signing_in_stays_on_this_site(world: World) -> None:
    """An address of another host is never followed."""
    for foreign in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        answer = world.client.post(
            "/login", data={"username": "ada", "password": PASSWORD, "next": foreign}, headers=OWN, follow_redirects=False
        )
        assert answer.headers["location"] == "/"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_renders_empty_with_a_way_on(browser: TestClient, page: str) -> None:
    """An empty Space has pages that say what belongs there."""
    answer = browser.get(f"/spaces/devtest{page}")
    assert answer.status_code == 200, answer.text
    assert "<h1>" in answer.text


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_loaded_from_another_host(browser: TestClient, page: str) -> None:
    """Scripts, styles and pictures are our own, and the policy says so."""
    answer = browser.get(f"/spaces/devtest{page}")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert all(not address.startswith(("http:", "https:", "//")) for address in loaded)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_a_form_from_another_origin_is_refused(browser: TestClient, world: World) -> None:
    """A cookie alone never changes anything."""
    answer = browser.post("/spaces/devtest/tasks/tsk_1/cancel", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "authn.origin" in answer.text


def test_a_foreign_space_answers_as_absent(world: World) -> None:
    """Somebody without rights in a Space gets the page of an unknown one."""
    admin.create_space(world.site.ports, access.SYSTEM, name="Hidden", slug="hidden")
    from tests.api.world import make_account
    from waybill.domain.access import AccessGrant

    make_account(world.site, "bob", (AccessGrant(space_id=world.space.id, permissions=("space.read",)),))
    world.client.post("/login", data={"username": "bob", "password": PASSWORD}, headers=OWN)
    hidden, absent = world.client.get("/spaces/hidden"), world.client.get("/spaces/nowhere")
    assert (hidden.status_code, absent.status_code) == (404, 404)


def test_what_people_wrote_is_escaped(browser: TestClient, world: World) -> None:
    """Markup in a name is text on the page."""
    projects.create_project(world.site.ports, access.SYSTEM, space_id=world.space.id, name="<img src=x onerror=alert(1)>")
    page = browser.get("/spaces/devtest").text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


@pytest.mark.parametrize(("state", "tone"), [(DeploymentState.SUCCEEDED, "good"), (DeploymentState.FAILED, "bad")])
def test_what_a_deployment_says_has_the_tone_of_its_state(browser: TestClient, world: World, state: DeploymentState, tone: str) -> None:
    """Success does not look like a failure."""
    release, environment = rows.make_release(world, rows.make_project(world)), rows.make_environment(world)
    deployment = rows.make_deployment(world, release, environment, state, "This is how it ended")
    page = browser.get(f"/spaces/devtest/deployments/{deployment.id}").text
    assert f'<p class="note {tone}">This is how it ended</p>' in page


def test_signing_out_ends_the_session(browser: TestClient) -> None:
    """After signing out the pages lead to the form again."""
    browser.post("/logout", headers=OWN)
    assert browser.get("/spaces/devtest", follow_redirects=False).status_code == 303
    assert ORIGIN.startswith("https://")
