# SPDX-License-Identifier: Apache-2.0
"""The other side is away for a while: the work waits, says for what, and goes on by itself."""

import pytest

from tests.e2e.processes import until
from tests.e2e.world import Sites, prepare

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]


def test_a_promotion_waits_for_a_target_that_is_away(sites: Sites) -> None:
    """Push: while the target's API cannot be reached the task waits in words and the trust shows why; then everything comes through."""
    prepare(sites.source, "Patient", sites.fresh("target-away"), lifecycle="to-prod")
    wire = sites.wire(sites.target, "api")
    wire.cut()
    try:
        crossing = sites.source.promote("patient", "1.0.0", to="prod")
        until(lambda: "peer.unavailable" in (sites.source.get("/trusts/prod")["last_error"] or ""), "the trust shows why")
        task = until(lambda: (one := sites.source.task(crossing.task_id))["state"] == "waiting" and one, "the task waits")
        assert task["details"] == "Delivering to Prod"
        assert sites.source.promotion(crossing)["state"] in {"sealed", "in_transit"}
        assert sites.target.bundle("Patient", "1.0.0") is None
    finally:
        wire.mend()
    sites.target.take_in("Patient", "1.0.0")
    sites.source.await_promotion(crossing, state="imported")
    assert sites.source.get("/trusts/prod")["last_error"] is None


def test_a_pull_waits_for_a_source_that_is_away(sites: Sites) -> None:
    """Pull: the bundle has come, then the source's store is cut off and its API as well; the packages follow when it is back."""
    prepare(sites.target, "Awaited", sites.fresh("source-away"), lifecycle="to-edge")
    api, objects = sites.wire(sites.target, "api"), sites.wire(sites.target, "objects")
    objects.cut()
    try:
        crossing = sites.target.promote("awaited", "1.0.0", to="edge")
        bundle = sites.edge.await_bundle("Awaited", "1.0.0", state="waiting_packages")
        api.cut()
        until(lambda: "peer.unavailable" in (sites.edge.get("/trusts/prod")["last_error"] or ""), "the trust shows why")
        until(lambda: "from Prod" in sites.edge.task(bundle["task_id"])["details"], "the task says what it waits for")
    finally:
        api.mend()
        objects.mend()
    sites.edge.take_in("Awaited", "1.0.0")
    sites.target.await_promotion(crossing, state="imported")
