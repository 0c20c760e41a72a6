# SPDX-License-Identifier: Apache-2.0
"""Who may reach what, generated from the OpenAPI document, so that a new route is covered on the day it is written."""

import re
from typing import Any

import pytest

from api import openapi
from api.app import bare_app
from tests.api.world import World
from waybill.domain.access import Permission

DOCUMENT = openapi.build(bare_app(version="0"))
OPERATIONS = [(method.upper(), path, operation) for path, method, operation in openapi.operations(DOCUMENT)]
PUBLIC = {"site_alive", "site_ready", "problems_list", "problems_get", "session_login"}
GUARDED = [one for one in OPERATIONS if one[2]["operationId"] not in PUBLIC and not one[1].startswith("/peer/")]
IN_SPACE = [one for one in OPERATIONS if "{space}" in one[1]]
WITH_RIGHT = [one for one in IN_SPACE if one[2].get("x-permission")]


def names(operations: list[tuple[str, str, dict[str, Any]]]) -> list[str]:
    """Test ids."""
    return [operation["operationId"] for _, _, operation in operations]


def filled(path: str, space: str) -> str:
    """The path with its parameters filled in; nothing of those names exists."""
    return re.sub(r"\{\w+\}", "nothing", path.replace("{space}", space))


def example_of(operation: dict[str, Any]) -> Any:
    """A valid body for the operation, from its own documentation or from its schema."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    return made_up(content["schema"])


def made_up(schema: dict[str, Any]) -> Any:
    """The smallest value that fits ``schema``."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return made_up(schema["anyOf"][0])
    kind = schema.get("type")
    if kind == "object":
        return {name: made_up(schema["properties"][name]) for name in schema.get("required", [])}
    if kind == "array":
        return []
    return {"string": "x" * max(1, schema.get("minLength", 1)), "integer": schema.get("minimum", 0), "boolean": False}.get(str(kind))


def ask(world: World, method: str, path: str, operation: dict[str, Any], headers: dict[str, str]) -> Any:
    """The operation called with a valid body and an ETag."""
    query = {p["name"]: "nothing" for p in operation.get("parameters", ()) if p["in"] == "query" and p.get("required")}
    body = example_of(operation)
    return world.client.request(method, path, headers={"If-Match": '"1"', **headers}, params=query, json=body)


@pytest.mark.parametrize(("method", "path", "operation"), GUARDED, ids=names(GUARDED))
def test_the_unknown_get_401_everywhere(shared: World, method: str, path: str, operation: dict[str, Any]) -> None:
    """Without credentials every operation but the public ones answers 401 and says nothing else."""
    answer = ask(shared, method, filled(path, "devtest"), operation, {})
    assert (answer.status_code, answer.json()["code"]) == (401, "authn.required")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "path", "operation"), IN_SPACE, ids=names(IN_SPACE))
def test_another_space_is_absent(shared: World, method: str, path: str, operation: dict[str, Any]) -> None:
    """A caller with every right in one Space gets the same 404 for another Space as for one that does not exist."""
    headers = shared.as_holder(*Permission)
    there = ask(shared, method, filled(path, shared.other.id), operation, headers)
    nowhere = ask(shared, method, filled(path, "spc_" + "0" * 32), operation, headers)
    assert (there.status_code, there.json()["code"]) == (404, "record.absent")
    same = ("title", "status", "detail", "code", "field", "expected", "found")
    assert {name: there.json()[name] for name in same} == {name: nowhere.json()[name] for name in same}


@pytest.mark.parametrize(("method", "path", "operation"), WITH_RIGHT, ids=names(WITH_RIGHT))
def test_without_the_right_it_is_forbidden(shared: World, method: str, path: str, operation: dict[str, Any]) -> None:
    """A caller who sees the Space but lacks the right that the documentation names gets 403 with its name."""
    held = Permission.SPACE_READ if operation["x-permission"] != Permission.SPACE_READ else Permission.TASK_CANCEL
    answer = ask(shared, method, filled(path, "devtest"), operation, shared.as_holder(held))
    assert (answer.status_code, answer.json()["code"]) == (403, "authz.denied"), answer.text
    assert answer.json()["expected"] == operation["x-permission"]


@pytest.mark.parametrize(("method", "path", "operation"), WITH_RIGHT, ids=names(WITH_RIGHT))
def test_with_the_right_it_is_not_forbidden(shared: World, method: str, path: str, operation: dict[str, Any]) -> None:
    """The right that the documentation names, with the right to read, is enough to get past every check of rights."""
    right = Permission(operation["x-permission"])
    answer = ask(shared, method, filled(path, "devtest"), operation, shared.as_holder(right, Permission.SPACE_READ))
    assert answer.status_code < 500, answer.text
    assert answer.content == b"" or answer.headers["content-type"] != "application/problem+json" or answer.json()["code"] != "authz.denied"


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/", "/codec/x/decode", "/metrics", "/version"])
def test_unknown_paths_tell_the_unknown_nothing(shared: World, path: str) -> None:
    """Paths below the guarded ones answer 401 whether they exist or not."""
    assert shared.client.post(path).status_code == 401


def test_only_health_and_problems_are_public(world: World) -> None:
    """The unknown see that the site lives, that it is ready, and what a problem code means."""
    assert world.client.get("/livez").json() == {"status": "ok"}
    assert world.client.get("/readyz").json() == {"status": "ok"}
    assert "There is no such thing here" in world.client.get("/problems/record.absent").text
    assert world.client.get("/problems").status_code == 200
    assert world.client.get("/problems/none.such").status_code == 404
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert world.client.get(path).status_code == 404


def test_readiness_tells_the_unknown_only_the_status(world: World) -> None:
    """When the engine is away, anybody learns 503, and only a known caller learns why."""
    world.site.engine.is_down = True
    answer = world.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})
    checks = {check["name"]: check for check in world.client.get("/api/v1/health", headers=world.as_admin()).json()["checks"]}
    assert checks["engine"]["code"] == "engine.unavailable"
    assert checks["ledger"]["ok"]
