# SPDX-License-Identifier: Apache-2.0
"""What the site says about itself to those who watch it."""

from tests.api import rows
from tests.api.world import World
from waybill.domain.tasks import TaskState


def test_metrics_have_bounded_labels(world: World) -> None:
    """Requests by route template, tasks by state, bytes and lag; no id, no name, no path in any label."""
    trust, project = rows.make_trust(world), rows.make_project(world)
    rows.make_promotion(world, rows.make_release(world, project), trust)
    rows.make_receipt(world, trust)
    rows.make_task(world, state=TaskState.WAITING)
    world.get("/projects")
    world.client.get("/api/v1/spaces/devtest/projects/secret-name", headers=world.as_admin())
    world.client.request("BREW", "/api/v1/spaces/devtest/other-name", headers=world.as_admin())
    answer = world.client.get("/metrics", headers=world.as_admin())
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'waybill_tasks{state="waiting"} 1.0' in answer.text
    assert 'waybill_promotion_bytes{kind="saved"} 40.0' in answer.text
    assert "waybill_receipt_lag_seconds 0.00" in answer.text
    assert 'waybill_requests_total{method="GET",route="/api/v1/spaces/{space}/projects",status="200"} 1.0' in answer.text
    assert "secret-name" not in answer.text
    assert "other-name" not in answer.text
    assert "BREW" not in answer.text


def test_the_version_is_for_those_who_are_known(world: World) -> None:
    """Which program this is."""
    assert world.client.get("/version").status_code == 401
    assert world.client.get("/version", headers=world.as_admin()).json() == {"name": "brisbane", "version": "0.1.0"}
