# SPDX-License-Identifier: Apache-2.0
"""Those who are not people: machines with their own key, peers with signed envelopes, the Temporal UI with the codec server."""

import base64
import json
from collections.abc import Iterator, Sequence

import pytest
from temporalio.api.common.v1 import Payload

from api.settings import ApiSettings
from tests.api.test_problems import check_problem
from tests.api.world import World, make_world
from tests.simulators.site import make_site
from waybill.domain.access import EVERY_SPACE, AccessGrant, Permission
from waybill.errors import FormatError

ENVELOPE = "application/vnd.waybill.envelope+json"
UI = "https://temporal-ui.test"


class ReversingCodec:
    """A codec whose effect is easy to see. Refuses what it did not make."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The data reversed, marked."""
        return [Payload(metadata={"encoding": b"reversed"}, data=payload.data[::-1]) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The data as it was."""
        if any(payload.metadata.get("encoding") != b"reversed" for payload in payloads):
            raise FormatError("request.malformed", "not one of ours", field="payloads")
        return [Payload(metadata={"encoding": b"json/plain"}, data=payload.data[::-1]) for payload in payloads]


@pytest.fixture
def coded() -> Iterator[World]:
    """A world with a codec server for the Temporal UI."""
    made = make_world(settings=ApiSettings(temporal_ui_origin=UI), codecs={"stories": ReversingCodec()})
    with made.client:
        yield made


def decoder(world: World) -> dict[str, str]:
    """Headers of somebody who may look into payloads and do nothing else."""
    return world.key(AccessGrant(space_id=EVERY_SPACE, permissions=(Permission.PAYLOAD_DECODE.value,)))


def payloads(data: bytes, encoding: bytes = b"json/plain") -> dict[str, object]:
    """The JSON form of one payload."""
    return {"payloads": [{"metadata": {"encoding": base64.b64encode(encoding).decode()}, "data": base64.b64encode(data).decode()}]}


def test_payloads_go_there_and_back(coded: World) -> None:
    """Encode, then decode, gives the payload again."""
    encoded = coded.client.post("/codec/stories/encode", json=payloads(b"abc"), headers=decoder(coded))
    assert base64.b64decode(encoded.json()["payloads"][0]["data"]) == b"cba"
    decoded = coded.client.post("/codec/stories/decode", json=encoded.json(), headers=decoder(coded))
    assert base64.b64decode(decoded.json()["payloads"][0]["data"]) == b"abc"


def test_the_command_line_sends_an_empty_body(coded: World) -> None:
    """Temporal's CLI asks about nothing when there are no arguments."""
    assert coded.client.post("/codec/stories/encode", json={}, headers=decoder(coded)).json() == {}


def test_only_permitted_people_decode(coded: World) -> None:
    """Every other right is not enough, and a namespace of another site is absent."""
    others = coded.key(AccessGrant(space_id=EVERY_SPACE, permissions=(Permission.SPACE_READ.value, Permission.SITE_ADMIN.value)))
    check_problem(coded.client.post("/codec/stories/decode", json={}, headers=others), 403, "authz.denied")
    check_problem(coded.client.post("/codec/elsewhere/decode", json={}, headers=decoder(coded)), 404, "record.absent")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"payloads": 1}', b"\xff", b'{"payloads":[{"data":"!"}]}', b'{"payloads":[{"data":"YQ=="}]}']
)
def test_strange_payloads_are_refused(coded: World, content: bytes) -> None:
    """What does not decode is 400 without a word of the payload."""
    answer = coded.client.post("/codec/stories/decode", content=content, headers=decoder(coded))
    assert answer.status_code == 400 or answer.json() == {}
    assert "YQ" not in answer.text


def test_only_the_configured_origin_may_use_it_from_a_browser(coded: World) -> None:
    """The preflight and the answer name the one origin, never a star, and nothing for another."""
    for origin, allowed in ((UI, UI), ("https://evil.test", None)):
        preflight = coded.client.options("/codec/stories/decode", headers={"Origin": origin})
        assert preflight.status_code == 200
        assert preflight.headers.get("Access-Control-Allow-Origin") == allowed
    assert "x-namespace" in coded.client.options("/codec/x/decode", headers={"Origin": UI}).headers["Access-Control-Allow-Headers"]
    answer = coded.client.post("/codec/stories/decode", json={}, headers={**decoder(coded), "Origin": UI})
    assert answer.headers["Access-Control-Allow-Origin"] == UI


@pytest.mark.parametrize("path", ["exchange", "downloads", "uploads", "uploads/complete"])
def test_a_peer_that_proves_nothing_is_refused(world: World, path: str) -> None:
    """No password, key or address helps: only a signed envelope does, and one of the wrong form is a problem with a code."""
    url = f"/peer/v1/{world.space.id}/{path}"
    check_problem(world.client.post(url, content=b"{}", headers={"Content-Type": "text/plain"}), 400, "request.malformed")
    answer = world.client.post(url, content=b"not an envelope", headers={"Content-Type": ENVELOPE, **world.as_admin()})
    check_problem(answer, 400, "envelope.malformed")


def test_a_site_without_peer_endpoint_has_no_such_path() -> None:
    """An air-gapped site answers as if there had never been such a path."""
    world = make_world(settings=ApiSettings(peer_endpoint=False), site=make_site("vault", has_address=False))
    with world.client:
        answer = world.client.post(f"/peer/v1/{world.space.id}/exchange", content=b"{}", headers={"Content-Type": ENVELOPE})
        check_problem(answer, 404, "record.absent")


def register(world: World, name: str = "web-1") -> dict[str, str]:
    """Headers of a machine."""
    world.send("POST", "/environments", {"name": "Test"})
    made = world.send("POST", "/machines", {"name": name, "roles": ["web"], "environments": ["Test"]})
    assert "token" not in world.client.get(f"{world.base}/machines", headers=world.as_admin()).text
    return {"Authorization": f"Bearer {made['token']}"}


@pytest.mark.parametrize("action", ["claim", "log", "outcome"])
def test_a_machine_proves_itself_by_its_own_key(world: World, action: str) -> None:
    """Keys of people open nothing here; a machine's key opens nothing else; a run that is not there is absent."""
    url, machine = f"/api/v1/machine/runs/run_{'0' * 32}/{action}", register(world)
    body: dict[str, object] = (
        {"lines": []}
        if action == "log"
        else {"state": "succeeded", "code": None, "message": None, "outputs": {}, "secret_output_names": []}
    )
    check_problem(world.client.post(url, json=body), 401, "authn.required")
    check_problem(world.client.post(url, json=body, headers=world.as_admin()), 401, "authn.invalid")
    check_problem(world.client.get("/api/v1/me", headers=machine), 401, "authn.invalid")
    assert world.client.post(url, json=body, headers=machine).status_code in (404, 409)


def test_a_disabled_machine_is_nobody(world: World) -> None:
    """After it was disabled its key opens nothing."""
    machine = register(world)
    row = world.get("/machines")["items"][0]
    world.send("DELETE", f"/machines/{row['id']}", revision=row["revision"])
    answer = world.client.post(f"/api/v1/machine/runs/run_{'0' * 32}/claim", headers=machine)
    check_problem(answer, 401, "authn.invalid")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"state": "queued"},
        {"state": "succeeded", "code": "step.failed", "message": None, "outputs": {}, "secret_output_names": []},
        [],
        "x",
    ],
)
def test_a_strange_outcome_is_refused(world: World, body: object) -> None:
    """An outcome is exactly of its form."""
    answer = world.client.post(
        f"/api/v1/machine/runs/run_{'0' * 32}/outcome",
        content=json.dumps(body),
        headers={**register(world), "Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 422)


def test_log_lines_are_bounded(world: World) -> None:
    """A level that does not exist, a time without zone and a line without end are refused."""
    machine, url = register(world), f"/api/v1/machine/runs/run_{'0' * 32}/log"
    good = {"level": "info", "message": "x", "occurred_at": "2026-03-02T09:00:00Z"}
    for wrong in ({"level": "shout"}, {"occurred_at": "2026-03-02T09:00:00"}, {"message": "x" * 70_000}, {"occurred_at": "soon"}):
        assert world.client.post(url, json={"lines": [{**good, **wrong}]}, headers=machine).status_code in (400, 422)
