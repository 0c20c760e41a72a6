# SPDX-License-Identifier: Apache-2.0
"""What a hostile or unlucky world does to the promises: late copies, revoked keys, wrong objects, foreign digests, secrets inside secrets."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from activities.promotions import LookAt, Promotions
from tests.simulators.objects_memory import MemoryObjects
from tests.simulators.site import make_site
from tests.simulators.spaces import Home, make_home
from tests.unit.app.test_exchange import inbox_of, make_push, send
from tests.unit.app.test_relay import recall_of
from tests.unit.app.world import World, approve, carry_file, connect, deploy_all, events, make_world, resign, state_of
from waybill.app import (
    blobs,
    deploy,
    documents,
    exchange,
    identity,
    importing,
    packages,
    projects,
    promote,
    receive,
    runs,
    tasks,
    variables,
)
from waybill.app.access import SYSTEM
from waybill.domain.bundles import InboxState
from waybill.domain.packages import Package, Upload
from waybill.domain.promotions import PromotionState
from waybill.domain.receipts import ReceiptRow
from waybill.domain.spaces import Machine, SpaceKeys
from waybill.domain.steps import StepLine
from waybill.domain.tasks import Task, TaskState
from waybill.domain.trusts import Road, Trust
from waybill.domain.variables import ValueType
from waybill.errors import ConflictError, NotFoundError, TrustError, UnavailableError
from waybill.formats import delivery as delivery_format
from waybill.formats import envelope
from waybill.formats import receipt as receipt_format
from waybill.formats.identity import RevokedKey
from waybill.formats.layout import blob_key
from waybill.trust import identity as issuing
from waybill.trust import keys
from worker import sweep


@pytest.fixture
def world() -> World:
    """Two Spaces; 1.0.0 ran in Test."""
    made = make_world()
    deploy_all(made.source, made.release(), "Test")
    return made


def revocation_of(home: Home, key: str) -> bytes:
    """A revocation of the Space's own ``signing`` or ``encryption`` key, under its identity key."""
    with home.ports.ledger.read(home.space_id) as work:
        material = identity._material(home.ports, work.of(SpaceKeys).get(home.space_id))
    now = home.site.clock.now().replace(microsecond=0)
    certificate = material.signing_certificate if key == "signing" else material.encryption_certificate
    gone = RevokedKey(key_sha256=keys.spki_sha256(certificate), revoked_at=now, compromised_since=None, reason="stolen")
    return issuing.revoke(material, gone, now=now)


def take_in(home: Home, kind: str, body: bytes) -> str:
    """The message handed to the Space's door; returns the state of its result."""
    return exchange.accept_message(home.ports, space_id=home.space_id, kind=kind, envelopes=[body], road=Road.CARRIER).state


def test_an_accepted_bundle_that_comes_again_after_its_expiry_is_no_refusal(world: World) -> None:
    """A carrier from a drawer gives the same answer as the first time, and no receipt turns an import into a refusal at home."""
    promotion = world.promote(world.release())
    delivery, release = world.bundle(promotion)
    world.imported(promotion)
    before = events(world.target, "out")
    world.target.site.clock.advance(timedelta(days=400))
    result = exchange.accept_message(
        world.target.ports, space_id=world.target.space_id, kind="delivery", envelopes=[delivery, release], road=Road.CARRIER
    )
    assert (result.state, result.code) == ("already", None)
    assert events(world.target, "out") == before


def test_nothing_is_sealed_to_a_key_that_was_revoked_by_message(world: World) -> None:
    """The target's encryption key is stolen and revoked: no secret goes out under it, whatever the stored identity still says."""
    assert take_in(world.source, "revocation", revocation_of(world.target, "encryption")) == "accepted"
    with pytest.raises(TrustError) as caught:
        world.promote(world.release())
    assert caught.value.code == "trust.key_revoked"


def test_what_a_revoked_key_signed_is_not_deployed(world: World) -> None:
    """An imported release whose sender's key was revoked since does not start; the end of the trust or an expiry alone would not hinder it."""
    release = world.imported(world.promote(world.release()))
    world.target.site.clock.advance(timedelta(days=100))
    assert (
        deploy.check_ready(world.target.ports, SYSTEM, space_id=world.target.space_id, release=release.id, environment="Production") == ()
    )
    take_in(world.target, "revocation", revocation_of(world.source, "signing"))
    with pytest.raises(TrustError) as caught:
        deploy.start_deployment(world.target.ports, SYSTEM, space_id=world.target.space_id, release=release.id, environment="Production")
    assert caught.value.code == "trust.key_revoked"


def test_a_secret_is_masked_as_the_step_sees_it(world: World) -> None:
    """A secret that refers to another value, or escapes a binding, reaches the step in another spelling than it is kept in."""
    home = world.source
    for name, kind, value in (
        ("Prefix", ValueType.TEXT, "alpha"),
        ("Joined", ValueType.SECRET, "#{Prefix}-hunter2-canary"),
        ("Escaped", ValueType.SECRET, "left##{right}-canary"),
    ):
        variables.set_variable(home.ports, SYSTEM, space_id=home.space_id, project=world.project.id, name=name, type=kind, value=value)
    process = projects.get_process(home.ports, SYSTEM, space_id=home.space_id, project=world.project.id)
    actions = tuple(replace(one, inputs={"script": "use #{Joined} #{Escaped}"}) for one in process.actions[:1])
    projects.save_process(
        home.ports, SYSTEM, space_id=home.space_id, project=world.project.id, actions=actions, if_revision=process.revision
    )
    deployment, orders = deploy_all(home, world.release("2.0.0"), "Test")
    seen = ("alpha-hunter2-canary", "left#{right}-canary")
    assert orders[0].inputs == {"script": "use " + " ".join(seen)}
    assert set(seen) <= set(orders[0].masks)
    runs_of = deploy.list_runs(home.ports, SYSTEM, space_id=home.space_id, deployment=deployment.id)
    with home.ports.ledger.read(home.space_id) as work:
        machine = work.of(Machine).where()[0]
    lines = [StepLine(level="info", message=f"said {text}", occurred_at=datetime(2026, 3, 2, tzinfo=UTC)) for text in seen]
    runs.append_log(home.ports, machine, run_id=runs_of[0].id, lines=lines)
    stored = tasks.read_log(home.ports, SYSTEM, space_id=home.space_id, task=deployment.task_id)
    assert not any(text in line.message for line in stored for text in seen)


def test_a_recall_stops_an_import_that_was_approved_but_not_done(world: World) -> None:
    """Between the decision and the import lies time: what is recalled in it does not become a release."""
    inbox = world.ready(world.promote(world.release()))
    approve(world.target, inbox)
    take_in(world.target, "recall", recall_of(world, world.release()))
    assert state_of(world.target, inbox) is InboxState.REFUSED
    with pytest.raises(ConflictError):
        importing.apply_import(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)


def test_the_stories_of_a_recalled_bundle_end(world: World) -> None:
    """Nobody decides about it any more, so nothing waits for ever."""
    ports, space_id = world.target.ports, world.target.space_id
    inbox = world.ready(world.promote(world.release()))
    take_in(world.target, "recall", recall_of(world, world.release()))
    assert receive.settle_refused(ports, space_id=space_id) == 1
    assert receive.settle_refused(ports, space_id=space_id) == 0
    with ports.ledger.read(space_id) as work:
        task = work.of(Task).get(inbox.import_task_id or "")
    assert task.state is TaskState.REFUSED


def test_a_far_epoch_does_not_shut_out_what_comes_after_it(world: World) -> None:
    """Security.md row 26: a stolen key cannot name an epoch that its owner has not begun."""
    delivery, release = world.bundle(world.promote(world.release()))
    with pytest.raises(TrustError) as caught:
        receive.accept_bundle(
            world.target.ports,
            space_id=world.target.space_id,
            delivery=resign(world, delivery, epoch=2**50),
            release=release,
            road=Road.CARRIER,
        )
    assert caught.value.code == "trust.identity_stale"
    doc = delivery_format.decode(envelope.decode(delivery).payload)
    assert doc.epoch == 1
    assert receive.accept_bundle(
        world.target.ports, space_id=world.target.space_id, delivery=delivery, release=release, road=Road.CARRIER
    ).first_time


def test_bytes_are_granted_only_while_the_trust_grants_the_direction() -> None:
    """A grant that was taken back after the bundle crossed ends its downloads."""
    world = make_world(road=Road.ANSWER, peer_road=Road.CALL)
    connect(world.source, world.target)
    deploy_all(world.source, world.release(), "Test")
    world.promote(world.release())
    exchange.run_round(world.target.ports, space_id=world.target.space_id, trust_id=world.to_source.id)
    inbox = inbox_of(world.target)
    with world.source.ports.ledger.write(world.source.space_id) as work:
        row = work.of(Trust).get(world.to_target.id)
        work.of(Trust).replace(replace(row, grants=replace(row.grants, send_releases=False)))
    with pytest.raises(TrustError) as caught:
        exchange.ask_download(
            world.target.ports,
            space_id=world.target.space_id,
            trust_id=world.to_source.id,
            bundle_sha256=inbox.bundle_sha256,
            sha256=inbox.needs[0].sha256,
        )
    assert caught.value.code == "trust.direction_denied"


def test_a_wrong_object_that_somebody_left_does_not_spoil_a_right_carrier(world: World) -> None:
    """The store keeps what exists, so what was never read back is looked at before anything is written."""
    release = world.release()
    promotion = world.promote(release)
    needs = promote.blobs_to_send(world.source.ports, space_id=world.source.space_id, promotion_id=promotion.id)
    for need in needs:
        world.target.site.objects.write(blob_key(need.sha256), [bytes(need.size_bytes)])
    summary = carry_file(world.source, world.to_target, world.target)
    found = summary["blobs"]
    assert isinstance(found, dict)
    assert found["refused"] == []
    assert all(blobs.find_blob(world.target.ports, need.sha256) is not None for need in needs)


def test_a_wrong_object_that_somebody_left_does_not_spoil_a_right_push() -> None:
    """The pushed parts count, not the object that lay there."""
    world = make_push()
    promotion = world.promote(world.release())
    exchange.run_round(world.source.ports, space_id=world.source.space_id, trust_id=world.to_target.id)
    sealed = promote.seal(world.source.ports, space_id=world.source.space_id, promotion_id=promotion.id)
    need = sealed.blobs[0]
    world.target.site.objects.write(blob_key(need.sha256), [bytes(need.size_bytes)])
    assert send(world, sealed.bundle_sha256, need.sha256, need.size_bytes) == need.size_bytes
    assert blobs.find_blob(world.target.ports, need.sha256) is not None


def test_a_store_that_is_away_while_a_push_is_verified_costs_no_second_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The joined object is asked about again; its parts are not sent a second time."""
    world = make_push()
    promotion = world.promote(world.release())
    exchange.run_round(world.source.ports, space_id=world.source.space_id, trust_id=world.to_target.id)
    sealed = promote.seal(world.source.ports, space_id=world.source.space_id, promotion_id=promotion.id)
    need = sealed.blobs[0]
    with monkeypatch.context() as patch:

        def away(_self: MemoryObjects, _key: str, **_given: object) -> tuple[str, int]:
            raise UnavailableError("store.unavailable", "away")

        patch.setattr(MemoryObjects, "hash", away)
        with pytest.raises(UnavailableError):
            send(world, sealed.bundle_sha256, need.sha256, need.size_bytes)
    assert send(world, sealed.bundle_sha256, need.sha256, need.size_bytes) == 0
    assert blobs.find_blob(world.target.ports, need.sha256) is not None


def test_a_refusal_without_a_receipt_ends_the_promotion_all_the_same() -> None:
    """A target that may send us no receipts still answers; the promotion is over, and another one can be started."""
    world = make_push()
    promotion = world.promote(world.release())
    with world.target.ports.ledger.write(world.target.space_id) as work:
        row = work.of(Trust).get(world.to_source.id)
        work.of(Trust).replace(replace(row, grants=replace(row.grants, accept_releases=False, send_receipts=False)))
    exchange.run_round(world.source.ports, space_id=world.source.space_id, trust_id=world.to_target.id)
    ports, space_id = world.source.ports, world.source.space_id
    sealed = promote.seal(ports, space_id=space_id, promotion_id=promotion.id)
    look = LookAt(space_id=space_id, promotion_id=promotion.id, document_sha256=sealed.document_sha256)
    assert (Promotions(ports).look(look).state, Promotions(ports).look(look).code) == ("refused", "trust.direction_denied")
    row_now = promote.get_promotion(ports, SYSTEM, space_id=space_id, promotion_id=promotion.id)
    assert (row_now.state, row_now.finished_at is None) == (PromotionState.REFUSED, False)
    second, _ = promote.start_promotion(ports, SYSTEM, space_id=space_id, release=row_now.release_row_id, trust=world.to_target.id)
    assert second.id != promotion.id


def test_one_broken_story_does_not_stop_the_sweep(world: World) -> None:
    """A decision that its story will never take keeps neither couriers nor queued tasks from their turn."""
    engine = world.target.site.engine
    inbox = world.ready(world.promote(world.release()))
    approve(world.target, inbox)
    with world.target.ports.ledger.write(world.target.space_id) as work:
        task = work.of(Task).get(inbox.import_task_id or "")
        work.of(Task).replace(replace(task, state=TaskState.WAITING))
        row = work.of(Trust).get(world.to_source.id)
        work.of(Trust).replace(replace(row, road=Road.CALL))

    def gone(_told: object) -> str:
        raise NotFoundError("record.absent", "No such story runs")

    engine.answer_update = gone
    engine.started.clear()
    sweep.sweep_once(world.target.ports)
    assert f"courier:{world.to_source.id}" in engine.started


def test_a_receipt_names_what_was_deployed_by_digest(world: World) -> None:
    """Any DSSE tool can tell from it which bytes run there (security.md 3.7)."""
    deploy_all(world.target, world.imported(world.promote(world.release())), "Production")
    with world.target.ports.ledger.read(world.target.space_id) as work:
        row = work.of(ReceiptRow).first(direction="out", event="succeeded")
        package = work.of(Package).first(package_id="app")
        assert row is not None
        assert package is not None
        doc = receipt_format.decode(envelope.decode(documents.load(work, row.document_sha256).body).payload)
    assert [(one.name, one.sha256) for one in doc.packages] == [("app 1.0.0", package.sha256)]


DATA = b"a package of another Space " * 40


def begin(home: Home, data: bytes) -> packages.UploadGrant:
    """An upload that names the digest of ``data``."""
    return packages.begin_upload(
        home.ports,
        SYSTEM,
        space_id=home.space_id,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        package_id="stolen",
        version="1.0.0",
        filename="stolen.bin",
    )


def put(home: Home, grant: packages.UploadGrant, data: bytes) -> str:
    """The parts put by their URLs; returns the upload's id."""
    assert grant.upload is not None
    for part in grant.parts:
        piece = data[part.offset : part.offset + part.size_bytes]
        home.site.peer.put_part(part.url, ca_pem="", pieces=[piece], size_bytes=part.size_bytes)
    packages.complete_upload(home.ports, SYSTEM, space_id=home.space_id, upload_id=grant.upload.id)
    return grant.upload.id


def verify(home: Home, upload_id: str) -> None:
    """As the VerifyUpload story does."""
    packages.verify_upload(home.ports, space_id=home.space_id, upload_id=upload_id, on_bytes=lambda _total: None)


@pytest.fixture
def neighbours() -> tuple[Home, Home]:
    """Two Spaces of one site, which share its store."""
    site = make_site("shared")
    site.peer.stores[site.objects.name] = site.objects
    return make_home("Owner", site=site), make_home("Thief", site=site)


def test_a_known_digest_alone_does_not_buy_another_spaces_package(neighbours: tuple[Home, Home]) -> None:
    """Other bytes sent under the digest of a neighbour's package are hashed by themselves; the neighbour's object stays."""
    owner, thief = neighbours
    owner.push("app", "1.0.0", DATA)
    upload_id = put(thief, begin(thief, DATA), bytes(len(DATA)))
    with pytest.raises(ConflictError) as caught:
        verify(thief, upload_id)
    assert caught.value.code == "package.hash_mismatch"
    with thief.ports.ledger.read(thief.space_id) as work:
        assert work.of(Package).count() == 0
    assert blobs.find_blob(owner.ports, hashlib.sha256(DATA).hexdigest()) is not None
    assert not [key for key in thief.site.objects.stored if key.startswith("uploads/")]


def test_the_right_bytes_are_a_package_here_too(neighbours: tuple[Home, Home]) -> None:
    """Whoever has the bytes gets the package; repeating the verification changes nothing, and nothing is left beside the blob."""
    owner, other = neighbours
    owner.push("app", "1.0.0", DATA)
    upload_id = put(other, begin(other, DATA), DATA)
    verify(other, upload_id)
    verify(other, upload_id)
    found = packages.get_package(other.ports, SYSTEM, space_id=other.space_id, package_id="stolen", version="1.0.0")
    assert found.sha256 == hashlib.sha256(DATA).hexdigest()
    assert not [key for key in other.site.objects.stored if key.startswith("uploads/")]


def test_an_upload_that_began_before_the_neighbours_must_be_sent_again(neighbours: tuple[Home, Home]) -> None:
    """Its parts would be dropped unread in favour of the neighbour's object, so they prove nothing."""
    owner, thief = neighbours
    early = begin(thief, DATA)
    owner.push("app", "1.0.0", DATA)
    upload_id = put(thief, early, bytes(len(DATA)))
    with pytest.raises(ConflictError) as caught:
        verify(thief, upload_id)
    assert caught.value.code == "upload.incomplete"
    with thief.ports.ledger.read(thief.space_id) as work:
        assert (work.of(Package).count(), work.of(Upload).get(upload_id).completed_at) == (0, None)
    verify(thief, put(thief, begin(thief, DATA), DATA))
