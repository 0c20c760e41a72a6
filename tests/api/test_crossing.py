# SPDX-License-Identifier: Apache-2.0
"""One release crosses between two sites over their real HTTP routes: people, peers and machines each by their own door.

The workflow engine alone is replaced: what its activities would do between two requests is done here by the same use cases.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from tests.api.test_problems import check_problem
from tests.api.world import ORIGIN, make_account
from tests.simulators.site import make_site, serve
from tests.simulators.spaces import ACCEPT, Home, make_home
from tests.unit.app.world import SECRET, World, deploy_all, fetch_blobs, make_world
from waybill.app import access, deploy, exchange, importing, promote, receive
from waybill.domain.access import EVERY_SPACE, AccessGrant, Caller
from waybill.domain.deployments import DeploymentState
from waybill.domain.trusts import Road

ENVELOPE = "application/vnd.waybill.envelope+json"


@dataclass(slots=True)
class Door:
    """The API of one site, asked by its administrator. ``seen`` collects every answer to a person."""

    home: Home
    client: TestClient
    base: str
    seen: list[str]

    def get(self, path: str) -> Any:
        """GET below the Space; its JSON."""
        return self.ask("GET", path, expect=200)

    def ask(self, method: str, path: str, body: Any = None, *, expect: int, headers: dict[str, str] | None = None) -> Any:
        """A request below the Space that must end as expected; its JSON."""
        answer = self.client.request(method, self.base + path, json=body, headers=headers)
        self.seen.append(answer.text)
        assert answer.status_code == expect, answer.text
        return answer.json()


def open_door(home: Home) -> Door:
    """The application of a site, and a key for it."""
    grants = (AccessGrant(space_id=EVERY_SPACE, permissions=("*",)),)
    account = make_account(home.site, "ada", grants)
    caller = Caller(id=account.id, name="ada", kind="person", grants=grants)
    expires_at = home.ports.clock.now() + timedelta(days=9)
    _, token = access.create_key(home.ports, caller, name="tests", grants=grants, expires_at=expires_at)
    client = TestClient(create_app(home.ports), base_url=ORIGIN, headers={"Authorization": f"Bearer {token}"})
    return Door(home=home, client=client, base=f"/api/v1/spaces/{home.space_id}", seen=[])


@dataclass(slots=True)
class Crossing:
    """Both sites."""

    world: World
    source: Door
    target: Door

    def round(self) -> exchange.RoundResult:
        """One exchange, called by the target over the source's peer routes."""
        return exchange.run_round(self.target.home.ports, space_id=self.target.home.space_id, trust_id=self.world.to_source.id)

    def promote(self) -> Any:
        """Release 1.0.0, deployed to Test, started on its way by a person and sealed by the story."""
        release = self.world.release()
        deploy_all(self.world.source, release, "Test")
        body = {"release": "1.0.0", "project": "storefront", "trust": "prod"}
        started = self.source.ask("POST", "/promotions", body, expect=202, headers={"Idempotency-Key": "once"})
        again = self.source.ask("POST", "/promotions", body, expect=202, headers={"Idempotency-Key": "once"})
        assert started == again
        promote.seal(self.source.home.ports, space_id=self.source.home.space_id, promotion_id=started["promotion"]["id"])
        return started["promotion"]

    def receive(self) -> Any:
        """The bundle fetched by the target, complete, in its inbox."""
        assert self.round().received == 1
        row = self.target.get("/inbox")["items"][0]
        inbox = receive.get_inbox(self.target.home.ports, access.SYSTEM, space_id=self.target.home.space_id, inbox=row["id"])
        fetch_blobs(self.target.home, inbox)
        receive.mark_ready(self.target.home.ports, space_id=self.target.home.space_id, inbox_id=inbox.id)
        return self.target.get(f"/inbox/{row['id']}")

    def approve(self, bundle: Any) -> Any:
        """The template answered and the import approved, as a person does it."""
        path = f"/inbox/{bundle['id']}"
        answers = {"answers": [{"variable": "Domain", "environment": "Production", "value": "shop.example"}]}
        self.target.ask("POST", f"{path}/answers", answers, expect=200)
        shown = self.target.get(f"{path}/preview")
        assert {line["state"] for line in shown["templates"]} == {"answered"}
        decision = {"verdict": "approve", "bundle_sha256": shown["bundle_sha256"], "preview_sha256": shown["sha256"]}
        self.target.ask("POST", f"{path}/decision", decision, expect=202, headers={"Idempotency-Key": "yes"})
        importing.apply_import(self.target.home.ports, space_id=self.target.home.space_id, inbox_id=bundle["id"])
        return self.target.get(f"/releases/{self.target.get('/releases')['items'][0]['id']}")


@pytest.fixture
def crossing() -> Iterator[Crossing]:
    """A source that is called and a target that calls, each behind its own application."""
    world = make_world(road=Road.ANSWER, peer_road=Road.CALL)
    source, target = open_door(world.source), open_door(world.target)

    def post(path: str, body: bytes) -> bytes:
        # Without the key of the administrator: a peer proves itself by its signature alone.
        answer = source.client.post(path, content=body, headers={"Content-Type": ENVELOPE, "Authorization": ""})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == ENVELOPE
        return answer.content

    serve(world.target.site, world.source.site, post)
    with source.client, target.client:
        yield Crossing(world=world, source=source, target=target)


def test_a_release_crosses_and_its_receipt_comes_home(crossing: Crossing) -> None:
    """Promoted, previewed, answered, approved, deployed by a machine, and proven on the dashboard of the source."""
    promotion = crossing.promote()
    release = crossing.approve(crossing.receive())
    assert release["release"]["project_name"] == "DevTest: Storefront"
    work(crossing, release["release"]["id"])
    crossing.round()
    board = crossing.source.get("/dashboard")
    column = next(one for one in board["columns"] if one["name"] == "Prod: Production")
    cell = next(one for one in board["rows"][0]["cells"] if one["column_id"] == column["id"])
    assert (cell["release_version"], cell["state"], cell["link_id"]) == ("1.0.0", "succeeded", promotion["id"])
    assert crossing.source.get(f"/promotions/{promotion['id']}")["state"] == "completed"
    assert next(row["event"] for row in crossing.source.get("/receipts?direction=in")["items"]) == "lifecycle_completed"
    assert not [text for text in crossing.source.seen + crossing.target.seen if SECRET in text]


def work(crossing: Crossing, release_id: str) -> None:
    """The release deployed; its steps are claimed, logged and settled by a machine over HTTP."""
    target, home = crossing.target, crossing.target.home
    old = target.get("/machines")["items"][0]
    target.ask("DELETE", f"/machines/{old['id']}", expect=200, headers={"If-Match": f'"{old["revision"]}"'})
    made = target.client.post(f"{target.base}/machines", json={"name": "web-2", "roles": ["web"], "environments": ["Production"]}).json()
    machine = {"Authorization": f"Bearer {made['token']}"}
    body = {"release": release_id, "environment": "Production"}
    assert target.ask("POST", "/deployments/check", body, expect=200) == {"ready": True, "blockers": []}
    deployment = target.ask("POST", "/deployments", body, expect=202)["deployment"]
    plan = deploy.begin(home.ports, space_id=home.space_id, deployment_id=deployment["id"])
    for planned in plan.actions:
        for machine_id in planned.machine_ids or (None,):
            run = deploy.open_run(
                home.ports, space_id=home.space_id, deployment_id=deployment["id"], action_id=planned.action_id, machine_id=machine_id
            )
            if machine_id is not None:
                run_step(target, run.id, machine)
    deploy.finish(home.ports, space_id=home.space_id, deployment_id=deployment["id"], state=DeploymentState.SUCCEEDED)
    log = target.client.get(f"{target.base}/tasks/{deployment['task_id']}/log").text
    assert "token is ********" in log
    assert SECRET not in log


def run_step(target: Door, run_id: str, machine: dict[str, str]) -> None:
    """One run: claimed once, its log masked, its first outcome kept."""
    url = f"/api/v1/machine/runs/{run_id}"
    order = target.client.post(f"{url}/claim", headers=machine)
    assert order.status_code == 200, order.text
    line = {"level": "info", "message": f"token is {SECRET}", "occurred_at": "2026-03-02T10:00:00Z"}
    sent = target.client.post(f"{url}/log", json={"lines": [line]}, headers=machine)
    assert sent.status_code == 200, sent.text
    outcome: dict[str, object] = {
        "state": "succeeded",
        "code": None,
        "message": None,
        "outputs": {"path": "/srv/app"},
        "secret_output_names": [],
    }
    assert target.client.post(f"{url}/outcome", json=outcome, headers=machine).json()["state"] == "succeeded"
    late = {**outcome, "state": "failed", "code": "step.failed"}
    assert target.client.post(f"{url}/outcome", json=late, headers=machine).json()["state"] == "succeeded"
    check_problem(target.client.post(f"{url}/claim", headers=machine), 409, "deployment.not_waiting")


def test_a_decision_names_what_was_shown(crossing: Crossing) -> None:
    """A decision about another bundle or another preview is refused, and a rejection needs a reason."""
    crossing.promote()
    bundle = crossing.receive()
    path = f"/inbox/{bundle['id']}/decision"
    shown = crossing.target.get(f"/inbox/{bundle['id']}/preview")
    good = {"verdict": "approve", "bundle_sha256": shown["bundle_sha256"], "preview_sha256": shown["sha256"]}
    for wrong in ({"bundle_sha256": "0" * 64}, {"preview_sha256": "0" * 64}):
        assert crossing.target.ask("POST", path, {**good, **wrong}, expect=409)["code"] == "bundle.changed"
    answer = crossing.target.client.post(crossing.target.base + path, json={**good, "verdict": "reject"})
    assert answer.status_code == 422, answer.text


def test_two_releases_are_compared(crossing: Crossing) -> None:
    """What differs, by version within the project; what is frozen shows no secret."""
    crossing.world.release()
    diff = crossing.source.get("/releases/diff?project=storefront&before=0.9.0&after=1.0.0")
    assert diff["equal"] is True
    content = crossing.source.get("/releases/1.0.0?project=storefront")
    token = next(line for line in content["variables"] if line["name"] == "Token")
    assert (token["value"], token["is_secret"], token["is_set"]) == (None, True, True)
    assert [line["package_id"] for line in content["packages"]] == ["app"]


def test_a_peer_without_trust_is_refused_by_signature(crossing: Crossing) -> None:
    """A request signed by a Space that is no peer of ours is refused with its code, whatever key it brings along."""
    stranger = make_home("Stranger", site=make_site("stranger", clock=crossing.world.source.site.clock))
    trust = stranger.trust(crossing.world.source, grants=ACCEPT, road=Road.CALL)
    codes: list[str] = []

    def post(path: str, body: bytes) -> bytes:
        answer = crossing.source.client.post(path, content=body, headers={"Content-Type": ENVELOPE})
        codes.append(check_problem(answer, 403, answer.json()["code"])["code"])
        raise RuntimeError("refused")

    serve(stranger.site, crossing.world.source.site, post)
    with pytest.raises(RuntimeError, match="refused"):
        exchange.run_round(stranger.ports, space_id=stranger.space_id, trust_id=trust.id)
    assert codes[0].startswith(("trust.", "signature."))
