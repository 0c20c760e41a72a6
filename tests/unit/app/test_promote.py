# SPDX-License-Identifier: Apache-2.0
"""Promotions: what is refused, what is sealed, what the target can open, and how one is withdrawn."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.simulators.spaces import make_home
from tests.unit.app.promoting import CANARY, Scene, envelopes, opened, verified
from waybill.app import projects, promote, releases, tasks, trusts
from waybill.app.access import SYSTEM
from waybill.app.moved_bytes import Cost
from waybill.domain.deployments import DeploymentState
from waybill.domain.packages import Blob
from waybill.domain.projects import Project
from waybill.domain.promotions import Promotion, PromotionState
from waybill.domain.receipts import ReceiptRow
from waybill.domain.tasks import Task
from waybill.domain.trusts import OutboxMessage, Road, Trust
from waybill.errors import ConflictError, FormatError, NotFoundError, TrustError, WaybillError
from waybill.ports import SITE


@pytest.fixture
def scene() -> Scene:
    """A fresh scene."""
    return Scene()


def test_the_lifecycle_decides_and_names_the_phase(scene: Scene) -> None:
    """A33: not before Test succeeded; a failed deployment is no success; a Space outside the phases comes after all of them."""
    with pytest.raises(ConflictError) as caught:
        scene.start()
    assert caught.value.code == "lifecycle.forbidden"
    assert "Phase 1" in caught.value.message
    scene.deployed(DeploymentState.FAILED)
    with pytest.raises(ConflictError):
        scene.start()
    scene.deployed()
    promotion, task = scene.start()
    assert (promotion.state, task.story, task.workflow_id) == (PromotionState.QUEUED, "PromoteRelease", f"promote:{promotion.id}")
    assert scene.home.site.engine.started[task.workflow_id].story_input["road"] == "carrier"
    with pytest.raises(ConflictError) as stranger:
        scene.start("Vault")
    assert "Phase 2" in stranger.value.message


def test_pressing_twice_starts_one_promotion(scene: Scene) -> None:
    """A13: the open one is returned, one that was refused may be started again, a completed one not."""
    scene.deployed()
    first = scene.start()
    assert scene.start() == first
    promote.set_state(scene.home.ports, space_id=scene.home.space_id, promotion_id=first[0].id, state=PromotionState.FAILED, code="x.y")
    again, _ = scene.start()
    assert again.id != first[0].id
    promote.set_state(scene.home.ports, space_id=scene.home.space_id, promotion_id=again.id, state=PromotionState.COMPLETED)
    assert scene.start()[0].id == again.id


def test_an_engine_that_is_away_does_not_lose_a_promotion(scene: Scene) -> None:
    """The promotion is recorded; the sweep starts its story later."""
    scene.deployed()
    scene.home.site.engine.is_down = True
    promotion, task = scene.start()
    scene.home.site.engine.is_down = False
    assert scene.start()[0] == promotion
    assert task.workflow_id in scene.home.site.engine.started


REFUSALS = [
    "blocked",
    "unconfirmed",
    "retired",
    "direction",
    "project",
    "missing",
    "no lifecycle",
    "absent release",
    "absent trust",
    "days",
]


@pytest.mark.parametrize("case", REFUSALS)
def test_a_promotion_that_may_not_be_is_refused(scene: Scene, case: str) -> None:
    """Each refusal has its code and leaves neither promotion nor task."""
    scene.deployed()
    ports, space, release, trust, days = scene.home.ports, scene.home.space_id, scene.release.id, "Prod", 90
    code = prepare(scene, case)
    if case == "absent release":
        release = "rel_" + "0" * 32
    if case == "absent trust":
        trust = "Nowhere"
    if case == "days":
        days = 0
    with pytest.raises(WaybillError) as caught:
        promote.start_promotion(ports, SYSTEM, space_id=space, release=release, trust=trust, follow_days=days)
    assert caught.value.code == code
    with ports.ledger.read(space) as work:
        assert (work.of(Promotion).count(), work.of(Task).count(kind="promotion")) == (0, 0)


def prepare(scene: Scene, case: str) -> str:
    """The scene made to refuse; returns the expected code."""
    ports, space = scene.home.ports, scene.home.space_id
    with ports.ledger.write(space) as work:
        row = work.of(Trust).get(scene.trust.id)
        if case == "unconfirmed":
            work.of(Trust).replace(replace(row, state=type(row.state).PENDING))
            return "trust.unconfirmed"
        if case == "no lifecycle":
            project = work.of(Project).get(scene.project.id)
            work.of(Project).replace(replace(project, lifecycle_id=None))
            return "lifecycle.needed"
    if case == "blocked":
        releases.block_release(ports, SYSTEM, space_id=space, release=scene.release.id, reason="CVE", if_revision=1)
        return "deployment.blocked"
    if case == "retired":
        trusts.retire_trust(ports, SYSTEM, space_id=space, trust="Prod", if_revision=scene.trust.revision)
        return "trust.retired"
    if case == "direction":
        scene.change_grants(send_releases=False)
        return "trust.direction_denied"
    if case == "project":
        scene.change_grants(projects=("Other",))
        return "trust.direction_denied"
    if case == "missing":
        with ports.ledger.write(SITE) as work:
            for blob in work.of(Blob).where():
                work.of(Blob).remove(blob)
        return "package.missing"
    return "request.invalid" if case == "days" else "record.absent"


def test_the_target_verifies_the_bundle_and_opens_its_secrets(scene: Scene) -> None:
    """The sealed Delivery and the Release pass every check of the target, and its key opens exactly what was meant for it."""
    scene.deployed()
    promotion, bundle = scene.sealed()
    found = verified(scene.prod, bundle)
    assert (found.release_sha256, found.owner.doc.space_id, found.via) == (scene.release.release_sha256, scene.home.space_id, ())
    assert opened(scene.prod, found.delivery) == {"Password": CANARY}
    assert [(one.name, one.value) for one in found.delivery.values if one.value is not None] == [("Greeting", "guten tag")]
    assert [one.name for one in found.delivery.environments] == ["Frankfurt"]
    assert [(one.environment, one.state) for one in found.delivery.history] == [("Test", "succeeded")]
    assert found.delivery.expires_at - found.delivery.created_at == timedelta(days=90)
    now = promote.get_promotion(scene.home.ports, SYSTEM, space_id=scene.home.space_id, promotion_id=promotion.id)
    assert (now.state, now.delivery_sha256, now.bytes_packages > 7) == (PromotionState.SEALED, found.bundle_sha256, True)


def test_no_secret_and_nothing_of_another_target_stands_in_the_bundle(scene: Scene) -> None:
    """A11, N5: neither the secret nor a name or value of the other customer is in any byte that leaves."""
    scene.deployed()
    _, bundle = scene.sealed()
    found = verified(scene.prod, bundle)
    told = repr(found.delivery) + repr(found.release) + "".join(part.decode("latin-1") for part in bundle)
    for hidden in (CANARY, "Bunker", "Vault", "psst", scene.vault.space_id, scene.vault_trust.id, scene.trust.id):
        assert hidden not in told
    assert {one.name for one in found.delivery.values} == {"Greeting", "Password"}


def test_another_space_opens_nothing(scene: Scene) -> None:
    """A57: the wrong Space is refused at the door, and its key opens no value."""
    scene.deployed()
    _, bundle = scene.sealed()
    with pytest.raises(TrustError) as door:
        verified(scene.vault, bundle)
    assert door.value.code == "bundle.wrong_recipient"
    delivery = verified(scene.prod, bundle).delivery
    with pytest.raises(TrustError) as value:
        opened(scene.vault, delivery)
    assert value.value.code == "secret.decrypt_failed"


def test_sealing_again_returns_the_same_and_lanes_are_linked(scene: Scene) -> None:
    """N9: one Delivery per promotion; the next one has the next number and names the one before."""
    scene.deployed()
    first, bundle = scene.sealed()
    result = promote.seal(scene.home.ports, space_id=scene.home.space_id, promotion_id=first.id)
    assert envelopes(scene.home, result.document_sha256) == bundle
    assert {need.role for need in result.blobs} == {"package", "step_package"}
    assert promote.blobs_to_send(scene.home.ports, space_id=scene.home.space_id, promotion_id=first.id) == result.blobs
    with scene.home.ports.ledger.read(scene.home.space_id) as work:
        assert work.of(OutboxMessage).count() == 1
    one = verified(scene.prod, bundle).delivery
    assert (one.epoch, one.seq, one.prev_delivery_sha256) == (1, 1, None)
    scene.release = scene.home.release(scene.project, "1.0.1")
    scene.deployed()
    _, second = scene.sealed()
    two = verified(scene.prod, second).delivery
    assert (two.seq, two.prev_delivery_sha256) == (2, result.bundle_sha256)
    assert two.audit_checkpoint is not None
    assert one.audit_checkpoint is not None
    assert two.audit_checkpoint.size > one.audit_checkpoint.size


def test_history_is_withheld_without_the_grant_and_connected_bundles_expire_sooner(scene: Scene) -> None:
    """A56: a grant may withhold it; 30 days on a connected road."""
    scene.deployed()
    scene.change_grants(send_history=False)
    with scene.home.ports.ledger.write(scene.home.space_id) as work:
        row = work.of(Trust).get(scene.trust.id)
        work.of(Trust).replace(replace(row, road=Road.ANSWER))
    _, bundle = scene.sealed()
    delivery = verified(scene.prod, bundle).delivery
    assert delivery.history == ()
    assert delivery.expires_at - delivery.created_at == timedelta(days=30)


def test_a_release_that_is_blocked_before_it_is_sealed_stays(scene: Scene) -> None:
    """The checks of the start are made again at the seal: a block, a retired trust, a withdrawn grant."""
    scene.deployed()
    promotion, _ = scene.start()
    scene.change_grants(send_releases=False)
    with pytest.raises(TrustError) as denied:
        promote.seal(scene.home.ports, space_id=scene.home.space_id, promotion_id=promotion.id)
    assert denied.value.code == "trust.direction_denied"
    releases.block_release(scene.home.ports, SYSTEM, space_id=scene.home.space_id, release=scene.release.id, reason="CVE", if_revision=1)
    with pytest.raises(ConflictError) as blocked:
        promote.seal(scene.home.ports, space_id=scene.home.space_id, promotion_id=promotion.id)
    assert blocked.value.code == "deployment.blocked"
    with scene.home.ports.ledger.read(scene.home.space_id) as work:
        assert work.of(OutboxMessage).count() == 0


def test_a_promotion_is_withdrawn_until_a_road_took_it(scene: Scene) -> None:
    """A13: before transport nothing reaches the target; afterwards it is too late."""
    scene.deployed()
    ports, space = scene.home.ports, scene.home.space_id
    promotion, _ = scene.sealed()
    assert promote.withdraw(ports, space_id=space, promotion_id=promotion.id)
    assert promote.withdraw(ports, space_id=space, promotion_id=promotion.id)
    with ports.ledger.read(space) as work:
        assert [row.state for row in work.of(OutboxMessage).where()] == ["withdrawn"]
        assert work.of(Promotion).get(promotion.id).state is PromotionState.CANCELLED
    second, _ = scene.sealed()
    with ports.ledger.write(space) as work:
        row = work.of(OutboxMessage).where(state="pending")[0]
        work.of(OutboxMessage).replace(replace(row, state="handed_over"))
    assert not promote.withdraw(ports, space_id=space, promotion_id=second.id)
    with pytest.raises(ConflictError):
        promote.seal(ports, space_id=space, promotion_id=cancelled_unsealed(scene))


def cancelled_unsealed(scene: Scene) -> str:
    """A promotion of another release that was cancelled before it was sealed."""
    scene.release = scene.home.release(scene.project, "1.0.1")
    scene.deployed()
    promotion, _ = scene.start()
    assert promote.withdraw(scene.home.ports, space_id=scene.home.space_id, promotion_id=promotion.id)
    return promotion.id


def test_bytes_are_counted_once_per_package_and_states_go_forward(scene: Scene) -> None:
    """A repeated activity adds nothing; a story never takes back what came later."""
    scene.deployed()
    ports, space = scene.home.ports, scene.home.space_id
    promotion, _ = scene.start()
    for _ in range(2):
        for sha256, how, sent, saved in (("a" * 64, "whole", 100, 0), ("b" * 64, "nothing", 0, 50)):
            cost = Cost(sha256=sha256, name="App 1.0.0", how=how, bytes_sent=sent, bytes_saved=saved, words=f"{how}: as it is")
            found = promote.note_sent(ports, space_id=space, promotion_id=promotion.id, cost=cost)
    log = tasks.read_log(ports, SYSTEM, space_id=space, task=promotion.task_id)
    assert [line.message for line in log] == ["App 1.0.0: whole: as it is", "App 1.0.0: nothing: as it is"]
    assert (found.bytes_sent, found.bytes_saved) == (100, 50)
    moved = promote.set_state(ports, space_id=space, promotion_id=promotion.id, state=PromotionState.IMPORTED)
    assert promote.set_state(ports, space_id=space, promotion_id=promotion.id, state=PromotionState.IN_TRANSIT) == moved
    ended = promote.set_state(ports, space_id=space, promotion_id=promotion.id, state=PromotionState.FAILED, code="a.b", message="m")
    assert (ended.code, ended.finished_at is not None) == ("a.b", True)
    assert promote.set_state(ports, space_id=space, promotion_id=promotion.id, state=PromotionState.COMPLETED) == ended
    page = promote.list_promotions(ports, SYSTEM, space_id=space, project="storefront", release="1.0.0")
    assert page.items == (ended,)


def test_a_remote_phase_is_complete_only_by_a_receipt(scene: Scene) -> None:
    """N8: Vault may follow Prod when Prod's receipt ``lifecycle_completed`` is here; a quarantined one does not count."""
    scene.deployed()
    receipt = ReceiptRow(
        id="rcp_" + "0" * 32,
        space_id=scene.home.space_id,
        direction="in",
        trust_id=scene.trust.id,
        epoch=1,
        seq=1,
        event="lifecycle_completed",
        event_no=0,
        release_sha256=scene.release.release_sha256,
        bundle_sha256="0" * 64,
        document_sha256="0" * 64,
        happened_at=scene.home.site.clock.now(),
        learned_at=scene.home.site.clock.now(),
        quarantine_code="receipt.unknown_bundle",
    )
    with scene.home.ports.ledger.write(scene.home.space_id) as work:
        work.of(ReceiptRow).add(receipt)
    with pytest.raises(ConflictError):
        scene.start("Vault")
    with scene.home.ports.ledger.write(scene.home.space_id) as work:
        work.of(ReceiptRow).replace(replace(receipt, quarantine_code=None))
    assert scene.start("Vault")[0].trust_id == scene.vault_trust.id


def test_foreign_promotions_are_absent(scene: Scene) -> None:
    """Another Space of the site sees none of it."""
    scene.deployed()
    promotion, _ = scene.start()
    other = make_home("Other", site=scene.home.site)
    with pytest.raises(NotFoundError):
        promote.get_promotion(other.ports, SYSTEM, space_id=other.space_id, promotion_id=promotion.id)
    with pytest.raises(FormatError):
        promote.list_promotions(scene.home.ports, SYSTEM, space_id=scene.home.space_id, cursor="x")
    assert projects.list_projects(other.ports, SYSTEM, space_id=other.space_id) == []
