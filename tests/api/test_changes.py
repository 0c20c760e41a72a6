# SPDX-License-Identifier: Apache-2.0
"""Changing things: revisions, Idempotency-Key, fields that are not the caller's to set, secrets that never come back."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from tests.api import rows
from tests.api.test_problems import check_problem
from tests.api.world import World
from waybill.domain.access import IdempotentAnswer, Permission
from waybill.domain.tasks import Task
from waybill.ports import SITE


def test_a_change_needs_the_revision_that_was_read(world: World) -> None:
    """Without If-Match 428, with an old one 412, with the right one the next ETag."""
    world.send("POST", "/projects", {"name": "Storefront"})
    path, key = f"{world.base}/projects/storefront", world.as_admin()
    tag = world.client.get(path, headers=key).headers["ETag"]
    check_problem(world.client.patch(path, headers=key, json={"group": "Shops"}), 428, "request.precondition_required")
    changed = world.client.patch(path, headers={**key, "If-Match": tag}, json={"group": "Shops"})
    assert (changed.status_code, changed.json()["group"]) == (200, "Shops")
    assert changed.headers["ETag"] != tag
    check_problem(world.client.patch(path, headers={**key, "If-Match": tag}, json={"group": "Other"}), 412, "record.stale")


@pytest.mark.parametrize("tag", ["*", "7", 'W/"1"', '"x"', '"1", "2"', '"' + "9" * 30 + '"', '"-1"', ""])
def test_only_our_own_tags_are_understood(world: World, tag: str) -> None:
    """A condition that we do not understand is refused, never taken as fulfilled."""
    world.send("POST", "/projects", {"name": "Storefront"})
    headers = {**world.as_admin(), "If-Match": tag}
    check_problem(world.client.patch(f"{world.base}/projects/storefront", headers=headers, json={}), 400, "request.malformed")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/projects", {"name": "X", "space_id": "spc_other"}),
        ("/projects", {"name": "X", "id": "prj_mine"}),
        ("/environments", {"name": "X", "revision": 9}),
        ("/machines", {"name": "X", "roles": [], "environments": [], "key_sha256": "0" * 64}),
        ("/tenants", {"name": "X", "approved": True}),
        ("/lifecycles", {"name": "X", "phases": [{"name": "P", "members": [], "space_id": "s"}]}),
    ],
)
def test_unknown_fields_are_refused(world: World, path: str, body: dict[str, Any]) -> None:
    """Nobody sets what is not theirs to set."""
    problem = check_problem(world.client.post(world.base + path, headers=world.as_admin(), json=body), 422, "request.invalid")
    assert problem["errors"][0]["detail"] == "Extra inputs are not permitted"


def test_a_secret_goes_in_and_never_comes_out(world: World) -> None:
    """No answer of any route holds the value, its sealed form or its digest."""
    world.send("POST", "/projects", {"name": "Storefront"})
    made = world.send("POST", "/projects/storefront/variables", {"name": "Key", "type": "secret", "value": "hunter2-hunter2"})
    assert (made["value"], made["is_secret"], made["is_set"]) == (None, True, True)
    listed = world.client.get(f"{world.base}/projects/storefront/variables", headers=world.as_admin())
    assert "hunter2" not in listed.text
    assert "sealed" not in listed.text


def test_replacing_a_variable_needs_its_revision(world: World) -> None:
    """POST creates; over an existing one it needs the ETag that was read."""
    world.send("POST", "/projects", {"name": "Storefront"})
    body = {"name": "Root", "value": "/srv"}
    made = world.send("POST", "/projects/storefront/variables", body)
    again = world.client.post(f"{world.base}/projects/storefront/variables", headers=world.as_admin(), json={**body, "value": "/opt"})
    assert again.status_code in (409, 412, 428), again.text
    replaced = world.send("POST", "/projects/storefront/variables", {**body, "value": "/opt"}, revision=made["revision"])
    assert replaced["value"] == "/opt"
    world.send("DELETE", f"/projects/storefront/variables/{made['id']}", revision=replaced["revision"], expect=(204,))
    assert world.get("/projects/storefront/variables")["items"] == []


def cancel(world: World, task: Task, key: str | None, *, query: str = "") -> Any:
    """A POST that starts work."""
    headers = world.as_admin() | ({} if key is None else {"Idempotency-Key": key})
    return world.client.post(f"{world.base}/tasks/{task.id}/cancel{query}", headers=headers)


def running_task(world: World) -> Task:
    """A task whose story runs."""
    task = rows.make_task(world)
    world.site.ports.engine.start(story=task.story, workflow_id=task.workflow_id, story_input={}, summary="")
    return task


def test_the_same_key_gives_the_first_answer(world: World) -> None:
    """A repeated request is not done again; its answer is the first one, byte for byte, Location too."""
    task = running_task(world)
    first, second = cancel(world, task, "k1"), cancel(world, task, "k1")
    assert first.status_code == second.status_code == 202
    assert (first.content, first.headers["Location"]) == (second.content, second.headers["Location"])
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert world.site.engine.cancelled == [task.workflow_id]


def test_the_same_key_for_another_request_is_refused(world: World) -> None:
    """A key belongs to one request: another path, query or body under it is a mistake of the caller."""
    task = running_task(world)
    cancel(world, task, "k1")
    check_problem(cancel(world, task, "k1", query="?x=1"), 422, "idempotency.key_reused")
    check_problem(cancel(world, running_task(world), "k1"), 422, "idempotency.key_reused")


def test_keys_of_two_callers_do_not_meet(world: World) -> None:
    """Another caller's key of the same text is another key."""
    task = running_task(world)
    cancel(world, task, "k1")
    headers = {**world.as_holder(Permission.TASK_CANCEL, Permission.SPACE_READ), "Idempotency-Key": "k1"}
    answer = world.client.post(f"{world.base}/tasks/{task.id}/cancel", headers=headers)
    assert "Idempotent-Replayed" not in answer.headers


def test_a_refused_request_frees_its_key(world: World) -> None:
    """What had no effect may be tried again under the same key."""
    task = running_task(world)
    world.site.engine.is_down = True
    check_problem(cancel(world, task, "k1"), 503, "engine.unavailable")
    world.site.engine.is_down = False
    assert cancel(world, task, "k1").status_code == 202


def test_a_key_that_is_still_in_use(world: World) -> None:
    """While the first request runs, the second is told to wait; when its process died, the key is free after a while."""
    task = running_task(world)
    path = f"{world.base}/tasks/{task.id}/cancel"
    digest = hashlib.sha256(f"POST {path}?\n".encode()).hexdigest()
    me = world.client.get("/api/v1/me", headers=world.as_admin()).json()["id"]
    begun = IdempotentAnswer(id=f"{me}:k1", request_sha256=digest, status=0, body=b"", created_at=world.site.clock.now())
    with world.site.ledger.write(SITE) as work:
        work.of(IdempotentAnswer).add(begun)
    check_problem(cancel(world, task, "k1"), 409, "idempotency.in_progress")
    world.site.clock.advance(timedelta(minutes=11))
    assert cancel(world, task, "k1").status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 129, "tab\there"])
def test_a_key_that_cannot_be_used(world: World, key: str) -> None:
    """A key has 1 to 128 printable characters."""
    check_problem(cancel(world, running_task(world), key), 400, "request.malformed")
