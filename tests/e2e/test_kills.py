# SPDX-License-Identifier: Apache-2.0
"""``kill -9`` in the middle: the supervisor starts the process again, the work goes on, and everything happens once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.ports import compose
from adapters.settings import load_settings
from sites.demo import evidence
from tests.e2e.processes import kill, process_of, until
from tests.e2e.site import Space
from tests.e2e.world import Sites, lines, prepare, script
from waybill.domain.packages import Upload
from waybill.formats.layout import blob_key

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(400)]

MIB = 1 << 20
LARGE = 64 * MIB
ONCE = ["received", "ready", "imported", "queued", "started", "succeeded", "lifecycle_completed"]


def _confirmed_bytes(space: Space, space_id: str, sha256: str) -> int:
    """Bytes of the open upload of a package that the site's store confirms."""
    composition = compose(load_settings(space.layout.settings))
    try:
        with composition.ports.ledger.read(space_id) as work:
            upload = work.of(Upload).first(sha256=sha256, completed_at=None)
        assert upload is not None, "the upload is over already"
        return sum(composition.ports.objects.confirmed_parts(blob_key(sha256), upload.multipart_id).values())
    finally:
        composition.close()


def _stop_midway(sites: Sites, project: str) -> tuple[Any, str, Path]:
    """A large package is on its way from source to target, and the road between the stores is held up a third of the way."""
    here = sites.fresh(project.lower())
    _, package = prepare(sites.source, project, here, lifecycle="to-prod", size_bytes=LARGE)
    wire = sites.wire(sites.target, "objects")
    before = wire.bytes_there
    crossing = sites.source.promote(project.lower(), "1.0.0", to="prod")
    until(lambda: wire.bytes_there - before > LARGE // 3, "a third has crossed", pause=0.0005)
    wire.pause()
    return crossing, evidence.sha256_file(package), here


def _finish(sites: Sites, crossing: Any, project: str, sha256: str, here: Path) -> None:
    """The release arrives whole, is imported and deployed once, and every receipt is home exactly once."""
    bundle = sites.target.take_in(project, "1.0.0")
    assert evidence.stored_and_right(sites.target.layout, sha256)
    sites.target.deploy(bundle["release_row_id"])
    _all_once(sites, crossing, here)


def _all_once(sites: Sites, crossing: Any, here: Path) -> None:
    sites.source.await_promotion(crossing, state="completed")
    receipts = sites.source.receipts_of(crossing)
    assert [row["event"] for row in receipts if row["event"] != "missing"] == ONCE
    assert not any(row["gap"] or row["quarantine_code"] for row in receipts)
    assert lines(here / "begun") == ["begun"]


def _is_accounted_for(promotion: dict[str, Any]) -> bool:
    return bool(promotion["bytes_packages"] == promotion["bytes_sent"] + promotion["bytes_saved"])


def test_the_transfer_worker_dies_in_the_middle_of_a_transfer(sites: Sites) -> None:
    """After the restart only parts that the target's store had not confirmed are sent again."""
    crossing, sha256, here = _stop_midway(sites, "Torn")
    wire = sites.wire(sites.target, "objects")
    try:
        kill(sites.source.layout, "transfer")
        confirmed = _confirmed_bytes(sites.target, sites.target.get("/identity")["space_id"], sha256)
        before = wire.bytes_there
    finally:
        wire.resume()
    sites.target.await_bundle("Torn", "1.0.0")
    again = wire.bytes_there - before
    assert 0 < confirmed < LARGE
    # What stood in the paused wire when the sender died still drains: at most a part for each of its connections.
    assert again <= (LARGE - confirmed) * 1.05 + 4 * 8 * MIB, (again, confirmed)
    # The target may be ready before the source has written down what it sent.
    until(lambda: _is_accounted_for(sites.source.promotion(crossing)), "every byte is counted once")
    _finish(sites, crossing, "Torn", sha256, here)


def test_the_transfer_worker_dies_in_the_middle_of_a_pull(sites: Sites) -> None:
    """The same where the target reads: parts in its own store stay, and what was not there yet is read again."""
    here = sites.fresh("sipped")
    _, package = prepare(sites.target, "Sipped", here, lifecycle="to-edge", size_bytes=LARGE)
    wire = sites.wire(sites.target, "objects")
    before = wire.bytes_back
    crossing = sites.target.promote("sipped", "1.0.0", to="edge")
    until(lambda: wire.bytes_back - before > LARGE // 3, "a third has crossed", pause=0.0005)
    wire.pause()
    try:
        kill(sites.edge.layout, "transfer")
        confirmed = _confirmed_bytes(sites.edge, sites.edge.get("/identity")["space_id"], evidence.sha256_file(package))
        before = wire.bytes_back
    finally:
        wire.resume()
    bundle = sites.edge.take_in("Sipped", "1.0.0")
    # What the store had sent into the paused wire still drains.
    assert wire.bytes_back - before <= (LARGE - confirmed) * 1.05 + 4 * 8 * MIB
    assert evidence.stored_and_right(sites.edge.layout, evidence.sha256_file(package))
    sites.edge.deploy(bundle["release_row_id"])
    sites.target.await_promotion(crossing, state="completed")
    assert lines(here / "begun") == ["begun"]


def test_the_control_worker_dies_in_the_middle_of_an_exchange(sites: Sites) -> None:
    """The courier does not wait for a dead worker's round: the message arrives once, soon after the restart."""
    here = sites.fresh("unheard")
    prepare(sites.source, "Unheard", here, lifecycle="to-prod")
    trust_id = sites.source.get("/trusts/prod")["id"]
    wire = sites.wire(sites.target, "api")
    wire.pause()
    try:
        crossing = sites.source.promote("unheard", "1.0.0", to="prod")
        until(lambda: sites.source.works_on(f"courier:{trust_id}", "messages.round"), "a round hangs")
        kill(sites.source.layout, "control")
    finally:
        wire.resume()
    bundle = sites.target.take_in("Unheard", "1.0.0")
    sites.target.deploy(bundle["release_row_id"])
    _all_once(sites, crossing, here)
    assert len([row for row in sites.target.rows("/inbox") if row["project_name"] == "Unheard"]) == 1


def test_both_apis_die_in_the_middle_of_a_transfer(sites: Sites) -> None:
    """The bytes go from store to store; whoever must be asked is asked again when it is back."""
    crossing, sha256, here = _stop_midway(sites, "Mute")
    try:
        kill(sites.target.layout, "api")
        kill(sites.source.layout, "api")
    finally:
        sites.wire(sites.target, "objects").resume()
    _finish(sites, crossing, "Mute", sha256, here)


DECIDED = "SELECT 1 FROM inbox_bundles WHERE import_task_id = ? AND state = 'importing'"
IMPORTING = "SELECT 1 FROM tasks WHERE id = ? AND details = 'Importing the release'"


@pytest.mark.parametrize(
    ("role", "moment"), [("control", IMPORTING), ("api", IMPORTING), ("api", DECIDED)], ids=["control", "api", "api-early"]
)
def test_a_process_dies_in_the_middle_of_an_import(sites: Sites, role: str, moment: str) -> None:
    """Killed once the decision is stored, or while the import is being written: the import ends once, with one receipt."""
    project = f"Halved-{role}-{len(moment)}"
    here = sites.fresh(project)
    prepare(sites.source, project, here, lifecycle="to-prod")
    crossing = sites.source.promote(project.lower(), "1.0.0", to="prod")
    bundle = sites.target.await_bundle(project, "1.0.0")
    answers: list[dict[str, Any]] = []
    deciding = threading.Thread(target=lambda: answers.append(sites.target.approve(bundle)))
    deciding.start()
    with sites.target.database_held_when(moment, bundle["import_task_id"]):
        if moment == IMPORTING:
            until(lambda: sites.target.works_on(f"import:{bundle['id']}", "inbox.apply_import"), "the import is being written")
        kill(sites.target.layout, role)
    deciding.join()
    assert [answer["id"] for answer in answers] == [bundle["id"]], "the person's request was answered after all"
    imported = sites.target.await_bundle(project, "1.0.0", state="imported", seconds=120)
    assert len([row for row in sites.target.rows("/releases") if row["release_sha256"] == bundle["release_sha256"]]) == 1
    sites.target.deploy(imported["release_row_id"])
    _all_once(sites, crossing, here)


def _gated(here: Path) -> list[dict[str, Any]]:
    """A step that writes a line, waits until ``open`` is there, and writes another; then one more step."""
    text = f"echo in >> {here}/waits\nwhile [ ! -e {here}/open ]; do sleep 0.05; done\necho out >> {here}/waits"
    return [script("Wait", text), script("End", f"echo ended >> {here}/ended")]


def _deploy_to_the_gate(sites: Sites, project: str) -> tuple[Any, dict[str, Any], Path]:
    """A deployment whose first step is done and whose second one waits."""
    here = sites.fresh(project.lower())
    prepare(sites.source, project, here, lifecycle="to-prod", actions=_gated(here))
    crossing = sites.source.promote(project.lower(), "1.0.0", to="prod")
    bundle = sites.target.take_in(project, "1.0.0")
    deployment = sites.target.start_deployment(bundle["release_row_id"])
    until(lambda: lines(here / "waits"), "the second step runs", pause=0.01)
    return crossing, deployment, here


def _open(here: Path) -> Callable[[], None]:
    return (here / "open").touch


@pytest.mark.parametrize("role", ["control", "api"])
def test_a_process_dies_in_the_middle_of_a_deployment(sites: Sites, role: str) -> None:
    """A finished step is not run again, the running one goes on and its outcome is not lost, the next one runs once."""
    crossing, deployment, here = _deploy_to_the_gate(sites, f"Felled-{role}")
    kill(sites.target.layout, role)
    _open(here)()
    runs = sites.target.await_deployment(deployment["id"])
    assert [(run["action_name"], run["attempt"], run["state"]) for run in runs] == [
        (name, 1, "succeeded") for name in ("Begin", "Wait", "End")
    ]
    assert (lines(here / "waits"), lines(here / "ended")) == (["in", "out"], ["ended"])
    _all_once(sites, crossing, here)


def test_the_steps_worker_dies_in_the_middle_of_a_step(sites: Sites) -> None:
    """The step's processes end with it; the run is interrupted and waits for a person; only their word brings a second line."""
    crossing, deployment, here = _deploy_to_the_gate(sites, "Struck")
    kill(sites.target.layout, "steps")
    runs = sites.target.await_deployment(deployment["id"], state="waiting")
    assert [(run["action_name"], run["attempt"], run["state"], run["code"]) for run in runs] == [
        ("Begin", 1, "succeeded", None),
        ("Wait", 1, "errored", "step.interrupted"),
    ]
    assert sites.target.task(deployment["task_id"])["details"].startswith("Waiting for a person: run Wait again")
    _open(here)()
    until(lambda: process_of(sites.target.layout, "steps"), "the machine's worker runs again")
    assert lines(here / "waits") == ["in"], "without a decision nothing ran again, and what ran did not go on"
    path = f"/deployments/{deployment['id']}/steps/{runs[1]['id']}/decision"
    sites.target.post(path, {"verdict": "retry"})
    runs = sites.target.await_deployment(deployment["id"])
    assert [(run["action_name"], run["attempt"], run["state"]) for run in runs] == [
        ("Begin", 1, "succeeded"),
        ("Wait", 1, "errored"),
        ("Wait", 2, "succeeded"),
        ("End", 1, "succeeded"),
    ]
    assert (lines(here / "waits"), lines(here / "ended")) == (["in", "in", "out"], ["ended"])
    _all_once(sites, crossing, here)
