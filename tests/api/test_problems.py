# SPDX-License-Identifier: Apache-2.0
"""Every error is a problem document: one shape, a stable code, a trace id, and never what was sent."""

import json
from typing import Any

import pytest

from tests.api.world import World
from waybill.errors import CODES

SHAPE = {"type", "title", "status", "detail", "instance", "code", "remedy", "field", "expected", "found", "trace_id", "errors"}


def check_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The body of an answer that must be this problem."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(body) == SHAPE
    assert body["type"] == f"/problems/{code}"
    assert body["status"] == status
    assert body["trace_id"] == answer.headers["X-Trace-Id"]
    return body


def test_unknown_path(world: World) -> None:
    """A path that does not exist is a problem, not a page of the framework."""
    check_problem(world.client.get("/api/v1/nothing", headers=world.as_admin()), 404, "record.absent")


def test_unknown_path_outside_the_api(world: World) -> None:
    """The same outside of the API."""
    check_problem(world.client.get("/nothing"), 404, "record.absent")


def test_wrong_method(world: World) -> None:
    """A wrong method says which ones there are."""
    answer = world.client.put("/api/v1/spaces", headers=world.as_admin(), json={})
    check_problem(answer, 405, "request.method_not_allowed")
    assert answer.headers["Allow"]


def test_wrong_field(world: World) -> None:
    """A wrong value is named by its pointer and never repeated: it could be a secret."""
    body = {"name": "x", "type": "secret", "value": {"hunter2": "hunter2"}}
    answer = world.client.post(f"{world.base}/projects/web/variables", headers=world.as_admin(), json=body)
    problem = check_problem(answer, 422, "request.invalid")
    assert [error["pointer"] for error in problem["errors"]] == ["/value"]
    assert "hunter2" not in answer.text


def test_no_json(world: World) -> None:
    """A body that is not JSON is malformed, not invalid."""
    headers = {**world.as_admin(), "Content-Type": "application/json"}
    answer = world.client.post("/api/v1/spaces", headers=headers, content=b'{"name": ')
    check_problem(answer, 400, "request.malformed")


@pytest.mark.parametrize("content", [b"[" * 100_000, b'"\xff\xfe"', b"{}{}", b"\x00", b""])
def test_strange_bodies(shared: World, content: bytes) -> None:
    """Nesting without end, broken encodings and leftovers are refused without an error of ours."""
    answer = shared.client.post("/api/v1/spaces", headers={**shared.as_admin(), "Content-Type": "application/json"}, content=content)
    assert answer.status_code in (400, 422), answer.text
    assert set(answer.json()) == SHAPE


def test_wrong_query(world: World) -> None:
    """A wrong query parameter is named."""
    problem = check_problem(world.client.get(f"{world.base}/tasks?limit=0", headers=world.as_admin()), 422, "request.invalid")
    assert problem["errors"][0]["pointer"] == "query:limit"


def test_engine_away(world: World) -> None:
    """What is outside and does not answer is 503 with a time to try again."""
    world.site.engine.is_down = True
    answer = world.client.get("/readyz")
    assert answer.status_code == 503


def test_our_own_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody expected is 500 with the trace id and without a word about the inside."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the inside of the site")

    monkeypatch.setattr(type(world.site.ledger), "read", broken)
    answer = world.client.get("/api/v1/spaces", headers={"Authorization": "Bearer waybill_" + "A" * 43 + "_" + _checksum("A" * 43)})
    check_problem(answer, 500, "internal.error")
    assert "inside of the site" not in answer.text


def _checksum(body: str) -> str:
    import zlib

    return f"{zlib.crc32(body.encode()):08x}"


def test_the_trace_of_the_caller_is_kept(world: World) -> None:
    """A W3C traceparent gives the trace id; anything else is replaced."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = world.client.get("/livez", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert sent.headers["X-Trace-Id"] == trace
    assert world.client.get("/livez", headers={"traceparent": "00-x-y-z"}).headers["X-Trace-Id"] != trace


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_page(shared: World, code: str) -> None:
    """The ``type`` of every problem leads to a page that says what to do."""
    answer = shared.client.get(f"/problems/{code}")
    assert answer.status_code == 200
    assert code in answer.text


def test_security_headers_are_everywhere(world: World) -> None:
    """Answers of every kind carry them, errors too."""
    for path in ("/livez", "/nothing", "/problems", "/api/v1/me"):
        headers = world.client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"]
        assert headers["Cache-Control"] == "no-store"


def test_a_problem_survives_text_that_cannot_be_encoded(world: World) -> None:
    """Half a character in JSON is refused as invalid, and the answer is still UTF-8."""
    headers = {**world.as_admin(), "Content-Type": "application/json"}
    answer = world.client.post("/api/v1/spaces", headers=headers, content=b'{"name": "\\ud800"}')
    check_problem(answer, 422, "request.invalid")
    json.loads(answer.content.decode("utf-8"))
