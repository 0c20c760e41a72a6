# SPDX-License-Identifier: Apache-2.0
"""Files that were changed on their way, or brought to the wrong place: refused with a code, and nothing of them is stored."""

import shutil
from pathlib import Path

import pytest

from cli.exits import Exit
from sites.demo import evidence
from tests.e2e.site import Space
from tests.e2e.world import Sites, prepare

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]


def _flip(file: Path, offset: int) -> None:
    """One bit of the byte at ``offset`` is the other way round."""
    with file.open("r+b") as content:
        content.seek(offset)
        byte = content.read(1)[0]
        content.seek(offset)
        content.write(bytes([byte ^ 1]))


def _carried(sites: Sites, project: str, here: Path) -> tuple[Path, Path]:
    """A carrier for Depot with one release, and its package."""
    _, package = prepare(sites.source, project, here, lifecycle="to-depot")
    crossing = sites.source.promote(project.lower(), "1.0.0", to="depot")
    sites.source.await_promotion(crossing, state="sealed")
    return sites.source.export_carrier("depot", here / "carrier.wbc"), package


def _verify(sites: Sites, file: Path) -> int:
    identity = file.parent / "devtest.identity.json"
    identity.write_bytes(sites.source.client.fetch_bytes(sites.source.path("/identity/document")))
    return sites.source.demo.cli.exit_code("bundle", "verify", str(file), "--identity", str(identity))


def _holds_nothing(space: Space, project: str, package: Path) -> bool:
    """True when the Space has neither the bundle nor the package, by its API and on its disk."""
    digest = evidence.sha256_file(package)
    listed = [row for row in space.rows("/packages") if row["sha256"] == digest]
    return space.bundle(project, "1.0.0") is None and not listed and evidence.stored_object(space.layout, digest) is None


def test_a_flipped_byte_in_a_carrier_is_found_and_refused(sites: Sites) -> None:
    """One bit in the package, one in the signed index: `bundle verify` ends with 6 and the import stores nothing; the right file is taken once."""
    here = sites.fresh("flipped")
    carrier, package = _carried(sites, "Flipped", here)
    assert _verify(sites, carrier) == 0
    content = carrier.read_bytes()
    inside = {"package": content.index(package.read_bytes()[:64]) + 1000, "index": content.index(b'"payload"') + 60}
    for name, offset in inside.items():
        damaged = Path(shutil.copy(carrier, here / f"{name}.wbc"))
        _flip(damaged, offset)
        assert _verify(sites, damaged) == Exit.VERIFICATION, name
        row, task = sites.depot.import_carrier(damaged)
        assert evidence.stored_object(sites.depot.layout, evidence.sha256_file(package)) is None, name
        refused = [*row["summary"].get("blobs", {}).get("refused", []), row["summary"]]
        assert {str(one.get("code")) for one in refused} & {"package.hash_mismatch", "signature.invalid"}, (name, row, task)
    first, _ = sites.depot.import_carrier(carrier)
    second, _ = sites.depot.import_carrier(carrier)
    assert first["id"] == second["id"]
    sites.depot.await_bundle("Flipped", "1.0.0")
    assert len([row for row in sites.depot.rows("/inbox") if row["project_name"] == "Flipped"]) == 1
    assert evidence.stored_and_right(sites.depot.layout, evidence.sha256_file(package))


def test_a_carrier_for_another_space_is_refused(sites: Sites) -> None:
    """Prod trusts DevTest, but this file is for Depot."""
    carrier, package = _carried(sites, "Misled", sites.fresh("misled"))
    row, task = sites.target.import_carrier(carrier)
    assert (row["state"], task["state"], task["code"]) == ("refused", "refused", "bundle.wrong_recipient"), task
    assert _holds_nothing(sites.target, "Misled", package)


def test_a_package_that_rotted_at_the_source_is_refused(sites: Sites) -> None:
    """A byte flips on the source's disk: the target reads back other bytes, keeps none, and the bundle waits until the right ones come."""
    here = sites.fresh("rotten")
    _, package = prepare(sites.source, "Rotten", here, lifecycle="to-prod")
    digest = evidence.sha256_file(package)
    stored = evidence.stored_object(sites.source.layout, digest)
    assert stored is not None
    _flip(stored, 5_000)
    crossing = sites.source.promote("rotten", "1.0.0", to="prod")
    row = sites.source.await_promotion(crossing, state="failed")
    assert row["code"] == "package.hash_mismatch"
    bundle = sites.target.await_bundle("Rotten", "1.0.0", state="waiting_packages")
    assert digest in [need["sha256"] for need in bundle["needs"]]
    assert evidence.stored_object(sites.target.layout, digest) is None
    assert not [one for one in sites.target.rows("/packages") if one["sha256"] == digest]
    _flip(stored, 5_000)
    again = sites.source.promote("rotten", "1.0.0", to="prod")
    assert again.promotion_id != crossing.promotion_id
    sites.source.await_promotion(again, state="ready")
    assert evidence.stored_and_right(sites.target.layout, digest)
