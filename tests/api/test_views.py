# SPDX-License-Identifier: Apache-2.0
"""What each route shows: rows with the names of what they point to, documents as they were signed, and where to go on."""

from tests.api import rows
from tests.api.test_problems import check_problem
from tests.api.world import World
from waybill.domain.bundles import InboxState
from waybill.domain.tasks import Task


def test_spaces_and_their_parts(world: World) -> None:
    """Spaces, environments, tenants, machines: made, listed, changed."""
    listed = world.client.get("/api/v1/spaces", headers=world.as_admin()).json()["items"]
    assert {space["slug"] for space in listed} == {"devtest", "elsewhere"}
    made = world.client.post("/api/v1/spaces", json={"name": "Prod"}, headers=world.as_admin())
    assert (made.status_code, made.json()["slug"]) == (201, "prod")
    assert world.client.get(made.headers["Location"], headers=world.as_admin()).json() == made.json()
    environment = world.send("POST", "/environments", {"name": "Test", "sort_order": 1})
    renamed = world.send("PATCH", "/environments/test", {"name": "Testing"}, revision=environment["revision"])
    assert (renamed["id"], renamed["name"]) == (environment["id"], "Testing")
    tenant = world.send("POST", "/tenants", {"name": "Clinic", "tags": ["Region/North"]})
    assert world.get("/tenants")["items"] == [tenant]
    machine = world.send("POST", "/machines", {"name": "web-1", "roles": ["web"], "environments": ["Testing"]})["machine"]
    assert world.get("/machines")["items"] == [machine]
    disabled = world.send("DELETE", f"/machines/{machine['id']}", revision=machine["revision"])
    assert disabled["disabled"] is True


def test_a_space_is_reached_by_id_slug_or_name(world: World) -> None:
    """All three lead to the same Space."""
    for space in (world.space.id, "devtest", "DevTest"):
        assert world.client.get(f"/api/v1/spaces/{space}", headers=world.as_admin()).json()["id"] == world.space.id


def test_a_remote_environment(world: World) -> None:
    """A placeholder under the trust; not ours."""
    trust = rows.make_trust(world)
    made = world.send("POST", "/environments", {"name": "Production", "trust": "prod"})
    assert (made["trust_id"], made["confirmed"]) == (trust.id, False)


def test_lifecycles(world: World) -> None:
    """Created, replaced at a revision, read, deleted."""
    world.send("POST", "/environments", {"name": "Test"})
    body = {"name": "Default", "phases": [{"name": "Test", "members": ["Test"]}]}
    made = world.send("POST", "/lifecycles", body)
    replaced = world.send("PUT", "/lifecycles/default", {**body, "name": "Usual"}, revision=made["revision"])
    assert replaced["name"] == "Usual"
    assert world.get(f"/lifecycles/{made['id']}") == replaced
    assert world.get("/lifecycles")["items"] == [replaced]
    world.send("DELETE", f"/lifecycles/{made['id']}", revision=replaced["revision"], expect=(204,))
    assert world.get("/lifecycles")["items"] == []


def test_projects_and_processes(world: World) -> None:
    """A project, its empty process, its dashboard; a process that cannot run is refused with the field named."""
    made = world.send("POST", "/projects", {"name": "Storefront", "group": "Shops"})
    assert world.get("/projects")["items"] == [made]
    assert world.get("/projects/storefront/dashboard")["releases"] == []
    process = world.get("/projects/storefront/process")
    assert process["actions"] == []
    action = {"name": "Run", "step": {"package_id": "waybill.run-script", "version": "1"}, "start": "with_previous"}
    answer = world.client.put(
        f"{world.base}/projects/storefront/process",
        json={"actions": [action]},
        headers={**world.as_admin(), "If-Match": f'"{process["revision"]}"'},
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("process.unsupported", "process.invalid")
    assert answer.json()["field"]


def test_packages(world: World) -> None:
    """Listed, filtered, and found by an id with a slash."""
    rows.make_package(world, "@scope/site")
    rows.make_package(world, "other")
    assert [row["package_id"] for row in world.get("/packages")["items"]] == ["other", "@scope/site"]
    assert len(world.get("/packages", params={"package_id": "@scope/site"})["items"]) == 1
    assert world.get("/packages/one", params={"package_id": "@scope/site", "version": "1.0.0"})["filename"] == "a.tgz"
    assert world.get("/step-packages")["items"] == []


def test_an_upload(world: World) -> None:
    """Begun, repeated (the same upload), renewed; completing it too early names the missing parts."""
    body = {"package_id": "site", "version": "1.0.0", "filename": "a.tgz", "size_bytes": 9, "sha256": rows.DIGEST}
    begun = world.send("POST", "/uploads", body)
    again = world.send("POST", "/uploads", body)
    assert begun["upload"]["id"] == again["upload"]["id"]
    assert begun["parts"][0]["size_bytes"] == 9
    assert "multipart" not in str(begun)
    path = f"/uploads/{begun['upload']['id']}"
    assert world.send("POST", f"{path}/parts")["confirmed"] == []
    answer = world.client.post(f"{world.base}{path}/complete", headers=world.as_admin())
    check_problem(answer, 409, "upload.incomplete")


def test_releases_and_promotions_show_names(world: World) -> None:
    """Rows come with the names of project, release and trust."""
    project, trust = rows.make_project(world), rows.make_trust(world)
    release = rows.make_release(world, project)
    promotion = rows.make_promotion(world, release, trust)
    assert world.get("/releases")["items"][0]["project_name"] == "Storefront"
    shown = world.get("/promotions")["items"][0]
    assert (shown["project_name"], shown["release_version"], shown["trust_name"]) == ("Storefront", "1.0.0", "Prod")
    assert world.get(f"/promotions/{promotion.id}") == shown
    cost = {
        "name": "app 1.1.0",
        "how": "delta",
        "bytes_sent": 9,
        "bytes_saved": 91,
        "words": "delta against app 1.0.0: 9 bytes instead of 100",
    }
    with world.site.ledger.read(world.space.id) as work:
        task = work.of(Task).get(promotion.task_id)
    rows.change_task(world, task, result={"packages": {rows.DIGEST: cost}})
    assert world.get(f"/promotions/{promotion.id}") == {**shown, "packages": [{**cost, "sha256": rows.DIGEST}]}
    assert world.get("/promotions?project=storefront")["items"] == [shown]
    blocked = world.send("PUT", f"/releases/{release.id}/block", {"reason": "a fault"}, revision=release.revision)
    assert blocked["blocked_reason"] == "a fault"
    assert world.send("DELETE", f"/releases/{release.id}/block", revision=blocked["revision"])["blocked_reason"] is None
    assert world.send("PUT", "/releases/1.0.0/block?project=storefront", {"reason": "again"}, revision=3)["id"] == release.id


def test_deployments_show_their_runs(world: World) -> None:
    """A deployment with names and the runs of its steps."""
    release, environment = rows.make_release(world, rows.make_project(world)), rows.make_environment(world)
    deployment = rows.make_deployment(world, release, environment)
    content = world.get(f"/deployments/{deployment.id}")
    assert (content["deployment"]["environment_name"], content["deployment"]["release_version"]) == ("Test", "1.0.0")
    assert content["runs"][0]["action_name"] == "Deploy files"
    assert world.get(f"/deployments?environment={environment.id}")["items"] == [content["deployment"]]
    decision = world.client.post(
        f"{world.base}/deployments/{deployment.id}/steps/{content['runs'][0]['id']}/decision",
        headers=world.as_admin(),
        json={"verdict": "retry"},
    )
    check_problem(decision, 409, "deployment.not_waiting")
    cell = world.get("/dashboard")["rows"][0]["cells"][0]
    assert (cell["release_version"], cell["state"], cell["link_id"]) == ("1.0.0", "running", deployment.id)


def test_cancelling_a_deployment_is_by_its_task(world: World) -> None:
    """202 and the task that settles it."""
    deployment = rows.make_deployment(world, rows.make_release(world, rows.make_project(world)), rows.make_environment(world))
    task = world.get(f"/tasks/{deployment.task_id}")
    world.site.ports.engine.start(story="DeployRelease", workflow_id=f"deploy:{task['id']}", story_input={}, summary="")
    answer = world.client.post(f"{world.base}/deployments/{deployment.id}/cancel", headers=world.as_admin())
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(deployment.task_id)
    assert world.site.engine.cancelled == [f"deploy:{task['id']}"]


def test_the_inbox(world: World) -> None:
    """A received bundle by id and by digest, with the name of the trust; filtered by state."""
    bundle = rows.make_inbox(world, rows.make_trust(world))
    shown = world.get(f"/inbox/{bundle.id}")
    assert (shown["trust_name"], shown["state"]) == ("Prod", "ready")
    assert world.get(f"/inbox/{rows.DIGEST}") == shown
    assert world.get(f"/inbox?state={InboxState.READY}")["items"] == [shown]
    assert world.get(f"/inbox?state={InboxState.REJECTED}")["items"] == []
    assert "document" not in str(shown)


def test_receipts_are_downloaded_as_signed(world: World) -> None:
    """The row for people, the envelope byte for byte for verifying."""
    receipt = rows.make_receipt(world, rows.make_trust(world), envelope=b'{"payload" : "AA=="}')
    assert world.get(f"/receipts/{receipt.id}")["event"] == "succeeded"
    assert world.get("/receipts?direction=in")["items"][0]["id"] == receipt.id
    assert world.get("/receipts?direction=out")["items"] == []
    answer = world.client.get(f"{world.base}/receipts/{receipt.id}/document", headers=world.as_admin())
    assert answer.content == b'{"payload" : "AA=="}'
    assert answer.headers["content-type"] == "application/vnd.waybill.envelope+json"


def test_carriers(world: World) -> None:
    """Listed and read; nothing to carry is said so, one that is not finished cannot be downloaded."""
    trust = rows.make_trust(world)
    made = rows.make_carrier(world, trust)
    assert world.get("/carriers")["items"][0]["id"] == made.id
    assert world.get(f"/carriers/{made.id}")["state"] == "queued"
    check_problem(world.client.get(f"{world.base}/carriers/{made.id}/download", headers=world.as_admin()), 409, "upload.incomplete")
    answer = world.client.post(f"{world.base}/carriers/exports", headers=world.as_admin(), json={"trust": "prod"})
    check_problem(answer, 404, "record.absent")
    answer = world.client.post(f"{world.base}/carriers/imports", headers=world.as_admin(), json={"upload_id": "upl_nothing"})
    check_problem(answer, 404, "record.absent")


def test_trusts_by_identity_file(world: World) -> None:
    """The identity of the other Space is exported, registered, confirmed by fingerprint, changed and retired."""
    other = f"/api/v1/spaces/{world.other.id}/identity"
    document = world.client.get(f"{other}/document", headers=world.as_admin())
    fingerprint = world.client.get(other, headers=world.as_admin()).json()["fingerprint"]
    body = {"name": "Prod", "road": "carrier", "identity": document.text, "grants": {"send_releases": True}}
    trust = world.send("POST", "/trusts", body)
    assert (trust["state"], trust["fingerprint"], trust["grants"]["send_releases"]) == ("pending", fingerprint, True)
    assert "envelope" not in str(trust)
    path, key = f"{world.base}/trusts/prod/confirmation", world.as_admin()
    wrong = world.client.put(path, headers={**key, "If-Match": f'"{trust["revision"]}"'}, json={"fingerprint": "00" * 32})
    check_problem(wrong, 403, "trust.fingerprint_mismatch")
    active = world.send("PUT", "/trusts/prod/confirmation", {"fingerprint": fingerprint}, revision=trust["revision"])
    assert active["state"] == "active"
    changed = world.send("PATCH", "/trusts/prod", {"grants": {"accept_receipts": True}}, revision=active["revision"])
    assert changed["grants"]["accept_receipts"] is True
    assert world.get("/trusts")["items"] == [changed]
    assert world.send("DELETE", "/trusts/prod", revision=changed["revision"])["state"] == "retired"
    again = world.client.post(f"{world.base}/trusts", headers=key, json={**body, "identity": "not base64!"})
    check_problem(again, 400, "request.malformed")


def test_the_audit_log_is_checked(world: World) -> None:
    """What was done stands in the log, newest first, and the chain holds."""
    world.send("POST", "/projects", {"name": "Storefront"})
    entries = world.get("/audit")["items"]
    assert entries[0]["actor"].startswith("ada")
    assert entries[0]["seq"] == world.get("/audit/verification")["entries"]
