# SPDX-License-Identifier: Apache-2.0
"""A release crosses between whole sites over each real road, is deployed, and its receipts come home."""

import pytest

from sites.demo import evidence
from tests.e2e.site import Crossing, Space
from tests.e2e.world import Sites, lines, prepare, script

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]

WHOLE_WAY = ["received", "ready", "imported", "queued", "started", "succeeded", "lifecycle_completed"]


def _events(space: Space, crossing: Crossing) -> list[str]:
    """What the receipts of a promotion say, in their order, but for the remark that packages are still on their way."""
    return [row["event"] for row in space.receipts_of(crossing) if row["event"] != "missing"]


def _cell(space: Space, project: str, column: str) -> dict[str, object]:
    """The dashboard's cell of a project and a column, by their names."""
    shown = space.get("/dashboard")
    ids = {entry["name"]: entry["id"] for entry in shown["columns"]}
    row = next(entry for entry in shown["rows"] if entry["name"] == project)
    return next(dict(cell) for cell in row["cells"] if cell["column_id"] == ids[column])


def test_a_push_ends_with_the_receipt_at_home(sites: Sites) -> None:
    """The source calls; the target verifies, imports and deploys; every receipt comes home in order, and the dashboard knows."""
    here = sites.fresh("push")
    release, package = prepare(sites.source, "Pushed", here, lifecycle="to-prod", actions=[script("End", f"echo ended >> {here}/ended")])
    crossing = sites.source.promote("pushed", "1.0.0", to="prod")
    bundle = sites.target.take_in("Pushed", "1.0.0")
    runs = sites.target.deploy(bundle["release_row_id"])
    promotion = sites.source.await_promotion(crossing, state="completed")
    receipts = sites.source.receipts_of(crossing)
    assert _events(sites.source, crossing) == WHOLE_WAY
    assert not any(row["gap"] or row["quarantine_code"] for row in receipts)
    assert {row["release_sha256"] for row in receipts} == {release["release_sha256"]}
    assert [run["state"] for run in runs] == ["succeeded", "succeeded"]
    assert (lines(here / "begun"), lines(here / "ended")) == (["begun"], ["ended"])
    assert evidence.stored_and_right(sites.target.layout, evidence.sha256_file(package))
    assert promotion["bytes_packages"] == promotion["bytes_sent"] + promotion["bytes_saved"] >= package.stat().st_size
    assert sites.source.await_task(crossing.task_id)["state"] == "succeeded"
    assert _cell(sites.source, "Pushed", "Prod: Production")["state"] == "succeeded"


def test_the_next_version_is_pushed_as_a_delta(sites: Sites) -> None:
    """The target's inventory came home with its receipts: the changed package crosses in a few bytes, is rebuilt there, and both logs say so."""
    here = sites.fresh("delta")
    _, package = prepare(sites.source, "Grown", here, lifecycle="to-prod", size_bytes=400_000)
    first = sites.source.promote("grown", "1.0.0", to="prod")
    sites.target.take_in("Grown", "1.0.0")
    sites.source.await_promotion(first, state="imported")
    content = package.read_bytes()
    newer = here / "newer.bin"
    newer.write_bytes(content[:150_000] + b"a few bytes in the middle" + content[150_000:])
    sites.source.push(newer, package_id="grown", version="1.1.0")
    sites.source.release("Grown", "1.1.0")
    second = sites.source.promote("grown", "1.1.0", to="prod")
    bundle = sites.target.take_in("Grown", "1.1.0")
    assert evidence.stored_and_right(sites.target.layout, evidence.sha256_file(newer))
    promotion = sites.source.await_promotion(second, state="imported")
    counted = {row["name"]: row for row in promotion["packages"]}["grown 1.1.0"]
    assert (counted["how"], counted["bytes_sent"] < 10_000) == ("delta", True)
    assert promotion["bytes_packages"] == promotion["bytes_sent"] + promotion["bytes_saved"]
    words = f"grown 1.1.0: delta against grown 1.0.0: {counted['bytes_sent']} bytes instead of {newer.stat().st_size}"
    for space, task_id in ((sites.source, second.task_id), (sites.target, bundle["task_id"])):
        assert words in [row["message"] for row in space.rows(f"/tasks/{task_id}/lines")]
    left = [path for site in (sites.source, sites.target) for path in (site.layout.directory / "work" / "deltas").glob("*")]
    assert left == []


def test_a_relay_keeps_the_release_and_reaches_the_last_site(sites: Sites) -> None:
    """A pushes to B, C pulls from B and is on PostgreSQL: the same release digest everywhere, deployed at C, complete at B and then at A."""
    here = sites.fresh("relay")
    release, package = prepare(sites.source, "Relayed", here, lifecycle="to-prod")
    first = sites.source.promote("relayed", "1.0.0", to="prod")
    middle = sites.target.take_in("Relayed", "1.0.0", lifecycle="live-and-onward")
    sites.target.deploy(middle["release_row_id"])
    project = sites.target.get(f"/releases/{middle['release_row_id']}")["release"]["project_id"]
    second = sites.target.promote(project, "1.0.0", to="edge")
    last = sites.edge.take_in("Relayed", "1.0.0")
    sites.edge.deploy(last["release_row_id"])
    assert {release["release_sha256"], middle["release_sha256"], last["release_sha256"]} == {release["release_sha256"]}
    assert (last["owner_name"], last["owner_space_id"]) == ("DevTest", sites.source.get("/identity")["space_id"])
    assert middle["bundle_sha256"] != last["bundle_sha256"]
    assert evidence.stored_and_right(sites.edge.layout, evidence.sha256_file(package))
    assert lines(here / "begun") == ["begun", "begun"]
    sites.target.await_promotion(second, state="completed")
    sites.source.await_promotion(first, state="completed")
    assert _events(sites.target, second) == WHOLE_WAY


def test_a_site_on_postgresql_sends_as_well(sites: Sites) -> None:
    """From the site on PostgreSQL one carrier file goes out, is imported at A, and a second one brings its receipts home."""
    assert sites.depot.layout.settings.read_text().count("postgresql") == 1
    here = sites.fresh("carried")
    release, package = prepare(sites.depot, "Carried", here, lifecycle="to-devtest")
    crossing = sites.depot.promote("carried", "1.0.0", to="devtest")
    sites.depot.await_promotion(crossing, state="sealed")
    out = sites.depot.export_carrier("devtest", here / "out.wbc")
    _, task = sites.source.import_carrier(out)
    assert task["state"] == "succeeded", task
    bundle = sites.source.take_in("Carried", "1.0.0")
    assert bundle["release_sha256"] == release["release_sha256"]
    assert evidence.stored_and_right(sites.source.layout, evidence.sha256_file(package))
    back = sites.source.export_carrier("depot", here / "back.wbc")
    assert sites.depot.import_carrier(back)[1]["state"] == "succeeded"
    assert sites.depot.promotion(crossing)["state"] == "imported"
    assert _events(sites.depot, crossing) == WHOLE_WAY[:3]
