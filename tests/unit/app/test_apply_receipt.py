# SPDX-License-Identifier: Apache-2.0
"""Receipts: any order ends in one state; what nobody sent is quarantined; the open promotion is told after the commit."""

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.simulators.spaces import Home, action, make_pair
from waybill.app import admin, apply_receipt, audit, dashboard, documents, identity, promote, trusts
from waybill.app.access import SYSTEM
from waybill.app.apply_receipt import Applied
from waybill.domain.promotions import Promotion, PromotionState
from waybill.domain.receipts import ReceiptRow, RemoteCell
from waybill.domain.spaces import Environment
from waybill.domain.stories import ReceiptSeen
from waybill.domain.trusts import Trust
from waybill.errors import ConflictError, TrustError
from waybill.formats import receipt as receipt_format
from waybill.formats.receipt import ReceiptDoc, ReceiptEnvironment, ReceiptLifecycle, ReceiptParty
from waybill.trust import verify
from waybill.trust.sign import sign_envelope

PRODUCTION = ReceiptEnvironment(id="env_" + "9" * 32, name="Production")


class Scene:
    """A sealed promotion of Storefront 1.0.0 from DevTest to Prod."""

    def __init__(self) -> None:
        self.home, self.prod, self.trust, self.back = make_pair()
        self.home.install()
        admin.create_remote_environment(self.home.ports, SYSTEM, space_id=self.home.space_id, trust="Prod", name="Production")
        self.project = self.home.project(actions=(action("Run"),), lifecycle=self.home.lifecycle("Standard", ("Prod",)))
        self.release = self.home.release(self.project)
        self.promotion, self.task = promote.start_promotion(
            self.home.ports, SYSTEM, space_id=self.home.space_id, release=self.release.id, trust="Prod"
        )
        self.bundle = promote.seal(self.home.ports, space_id=self.home.space_id, promotion_id=self.promotion.id).bundle_sha256
        with self.prod.ports.ledger.read(self.prod.space_id) as work:
            self.key = identity.signing_key(self.prod.ports, work)
        self.began = self.home.site.clock.now().replace(microsecond=0)
        self.last: str | None = None

    def doc(self, seq: int, event: str, *, at: int | None = None, **changed: object) -> ReceiptDoc:
        """A receipt of Prod about the bundle; deployment events are about Production."""
        where = PRODUCTION if event in {"queued", "started", "succeeded", "failed", "cancelled"} else None
        doc = ReceiptDoc(
            receipt_id=f"rcp_{seq:032x}",
            epoch=1,
            seq=seq,
            prev_receipt_sha256=None if seq == 1 else f"{seq - 1:064x}",
            release_sha256=self.release.release_sha256,
            delivery_sha256=self.bundle,
            source=ReceiptParty(space_id=self.home.space_id, key_sha256="0" * 64),
            target=ReceiptParty(space_id=self.prod.space_id, key_sha256=self.key.spki_sha256),
            event=event,
            event_no=seq,
            happened_at=self.began + timedelta(seconds=seq if at is None else at),
            reader_version="1.0",
            environment=where,
            deployment_id="dep_" + "0" * 32 if where else None,
        )
        return replace(doc, **changed)  # type: ignore[arg-type] # told by the tests

    def sign(self, doc: ReceiptDoc) -> bytes:
        """The receipt as Prod sends it."""
        return sign_envelope(receipt_format.PAYLOAD_TYPE, receipt_format.encode(doc), self.key)

    def receive(self, body: bytes) -> Applied:
        """The receipt taken in, as the door does it."""
        ports, space = self.home.ports, self.home.space_id
        now = max(ports.clock.now(), self.began + timedelta(seconds=60))
        with ports.ledger.write(space) as work:
            found = verify.verify_receipt(body, us=identity.us(ports, work), peers=trusts.peers(ports, work, now), now=now)
            stored = documents.store(work, body=body, kind="receipt", created_at=now)
            trust = work.of(Trust).get(found.peer.trust_id)
            return apply_receipt.apply(ports, work, trust=trust, receipt=found, document_sha256=stored.sha256)

    def state(self) -> tuple[object, ...]:
        """Everything that must not depend on the order of arrival."""
        with self.home.ports.ledger.read(self.home.space_id) as work:
            promotion = work.of(Promotion).get(self.promotion.id)
            rows = [replace(row, learned_at=self.began, revision=0) for row in work.of(ReceiptRow).where(direction="in")]
            cells = [replace(row, learned_at=self.began, revision=0) for row in work.of(RemoteCell).where()]
            ended = promotion.finished_at is not None
            return (promotion.state, promotion.last_event, promotion.last_event_at, promotion.code, ended, tuple(rows), tuple(cells))


@pytest.fixture(scope="module")
def events() -> tuple[tuple[str, int | None], ...]:
    """Six receipts, two deployments, with clocks that disagree with the numbers."""
    return (("imported", None), ("started", None), ("succeeded", 9), ("started", 4), ("failed", 8), ("succeeded", 9))


def linked(scene: Scene, events: tuple[tuple[str, int | None], ...]) -> list[bytes]:
    """The receipts signed, each linked to the one before."""
    bodies = []
    last: str | None = None
    for seq, (event, at) in enumerate(events, 1):
        doc = scene.doc(seq, event, at=at, prev_receipt_sha256=last)
        last = sha256_of(receipt_format.encode(doc))
        bodies.append(scene.sign(doc))
    return bodies


def sha256_of(payload: bytes) -> str:
    """The digest of a payload."""
    import hashlib

    return hashlib.sha256(payload).hexdigest()


def rewind(scene: Scene, promotion: Promotion) -> None:
    """The Space as it was before any receipt."""
    with scene.home.ports.ledger.write(scene.home.space_id) as work:
        for cell in work.of(RemoteCell).where():
            work.of(RemoteCell).remove(cell)
        for row in work.of(ReceiptRow).where():
            work.of(ReceiptRow).remove(row)
        current = work.of(Promotion).get(promotion.id)
        work.of(Promotion).replace(replace(promotion, revision=current.revision))


def test_every_order_of_six_receipts_ends_in_the_same_state(events: tuple[tuple[str, int | None], ...]) -> None:
    """Security.md row 74: promotion, cell and gaps are those of the numbers, not of the arrival (43 of all 720 orders, every 17th)."""
    scene = Scene()
    bodies = linked(scene, events)
    promotion = promote.get_promotion(scene.home.ports, SYSTEM, space_id=scene.home.space_id, promotion_id=scene.promotion.id)
    states = set()
    for order in list(itertools.permutations(range(6)))[::17]:
        for place in (*order, order[0]):
            scene.receive(bodies[place])
        states.add(repr(scene.state()))
        rewind(scene, promotion)
    assert len(states) == 1
    (state,) = states
    assert "PromotionState.DEPLOYED" in state
    assert "gap=True" not in state
    assert "last_success_version='1.0.0'" in state


def test_the_promotion_goes_where_the_receipts_say() -> None:
    """A6: each event moves the promotion; a failed deployment is still followed; completion ends it."""
    scene = Scene()
    told = [
        ("received", PromotionState.RECEIVED, False),
        ("missing", PromotionState.RECEIVED, False),
        ("ready", PromotionState.READY, False),
        ("imported", PromotionState.IMPORTED, False),
        ("started", PromotionState.DEPLOYING, False),
        ("failed", PromotionState.FAILED, False),
        ("started", PromotionState.DEPLOYING, False),
        ("succeeded", PromotionState.DEPLOYED, False),
        ("lifecycle_completed", PromotionState.COMPLETED, True),
        ("started", PromotionState.COMPLETED, True),
    ]
    for seq, (event, state, ended) in enumerate(told, 1):
        scene.receive(scene.sign(scene.doc(seq, event)))
        assert scene.state()[0] is state
        assert scene.state()[1] == event
        assert scene.state()[4] is ended


def test_a_refusal_ends_the_promotion_with_its_code() -> None:
    """The code of the other side is shown."""
    scene = Scene()
    scene.receive(scene.sign(scene.doc(1, "refused", code="bundle.expired")))
    assert scene.state()[:4] == (PromotionState.REFUSED, "refused", scene.began + timedelta(seconds=1), "bundle.expired")


def test_the_cell_and_the_dashboard_show_the_proof() -> None:
    """A46, N13: version, state, when it happened and when it was learned; the typed environment is confirmed (A44)."""
    scene = Scene()
    ports, space = scene.home.ports, scene.home.space_id
    before = dashboard.dashboard(ports, SYSTEM, space_id=space)
    assert [(column.name, column.confirmed) for column in before.columns] == [("Prod: Production", False)]
    assert before.rows[0].cells == ()
    scene.receive(scene.sign(scene.doc(1, "succeeded")))
    scene.receive(scene.sign(scene.doc(2, "started", environment=ReceiptEnvironment(id="env_" + "8" * 32, name="Canary"))))
    shown = dashboard.dashboard(ports, SYSTEM, space_id=space)
    assert [(column.name, column.confirmed) for column in shown.columns] == [("Prod: Production", True), ("Prod: Canary", True)]
    cell, canary = shown.rows[0].cells
    assert (cell.release_version, cell.state, cell.happened_at) == ("1.0.0", "succeeded", scene.began + timedelta(seconds=1))
    assert (cell.last_success_version, cell.link_id, cell.release_row_id) == ("1.0.0", scene.promotion.id, scene.release.id)
    assert (canary.state, canary.last_success_version) == ("deploying", None)
    view = dashboard.project_view(ports, SYSTEM, space_id=space, project="storefront")
    assert [(one.column_id, one.state) for one in view.releases[0].cells] == [
        (cell.column_id, "succeeded"),
        (canary.column_id, "deploying"),
    ]
    with ports.ledger.read(space) as work:
        assert [row.confirmed for row in work.of(Environment).where()] == [True]


@pytest.mark.parametrize("changed", [{"delivery_sha256": "f" * 64}, {"release_sha256": "f" * 64}])
def test_a_receipt_for_something_that_was_not_sent_is_quarantined(changed: dict[str, object]) -> None:
    """Security.md row 73: stored and shown, nothing else changes, nobody is told."""
    scene = Scene()
    before = scene.state()
    applied = scene.receive(scene.sign(scene.doc(1, "succeeded", at=None, **changed)))
    assert (applied.row.quarantine_code, applied.promotion_id, applied.signal) == ("receipt.unknown_bundle", None, None)
    assert scene.state()[:5] == before[:5]
    assert scene.state()[6] == ()
    assert not apply_receipt.notify(scene.home.ports, applied)
    actions = [entry.action for entry in audit.list_audit(scene.home.ports, SYSTEM, space_id=scene.home.space_id).items]
    assert actions[0] == "receipt.quarantined"


def test_the_same_number_with_other_content_is_refused() -> None:
    """Security.md row 75: the first is kept; the same id or the same number with other words is a conflict."""
    scene = Scene()
    scene.receive(scene.sign(scene.doc(1, "started")))
    before = scene.state()
    for doc in (scene.doc(1, "succeeded"), scene.doc(1, "started", receipt_id="rcp_" + "f" * 32)):
        with pytest.raises(ConflictError) as caught:
            scene.receive(scene.sign(doc))
        assert caught.value.code == "receipt.conflict"
    assert scene.state() == before


def test_a_gap_shows_and_clears() -> None:
    """Security.md row 76: the receipt after a missing one is marked until the missing one is here."""
    scene = Scene()
    assert not scene.receive(scene.sign(scene.doc(1, "imported"))).row.gap
    assert scene.receive(scene.sign(scene.doc(3, "succeeded"))).row.gap
    scene.receive(scene.sign(scene.doc(2, "started")))
    with scene.home.ports.ledger.read(scene.home.space_id) as work:
        assert [row.gap for row in work.of(ReceiptRow).where(direction="in")] == [False, False, False]
    actions = [entry.action for entry in audit.list_audit(scene.home.ports, SYSTEM, space_id=scene.home.space_id).items]
    assert actions.count("receipt.link_broken") == 2


def test_only_a_peer_whose_results_are_accepted_is_heard() -> None:
    """A87: without the grant nothing is stored."""
    scene = Scene()
    trusts.change_trust(
        scene.home.ports,
        SYSTEM,
        space_id=scene.home.space_id,
        trust="Prod",
        if_revision=scene.trust.revision,
        grants=replace(scene.trust.grants, accept_receipts=False),
    )
    with pytest.raises(TrustError) as caught:
        scene.receive(scene.sign(scene.doc(1, "succeeded")))
    assert caught.value.code == "trust.direction_denied"
    assert scene.state()[5] == ()


def test_the_open_promotion_is_told_and_a_closed_one_is_no_fault() -> None:
    """The signal names the receipt; after the story's end, or with the engine away, False is normal; the same receipt signals again."""
    scene = Scene()
    body = scene.sign(scene.doc(1, "imported"))
    applied = scene.receive(body)
    assert apply_receipt.notify(scene.home.ports, applied)
    (told,) = scene.home.site.engine.signals
    assert (told.workflow_id, told.name) == (f"promote:{scene.promotion.id}", "receipt")
    assert told.argument == ReceiptSeen(receipt_id=applied.row.id, event="imported", code=None)
    again = scene.receive(body)
    assert (again.first_time, again.signal) == (False, applied.signal)
    scene.home.site.engine.ended.add(scene.task.workflow_id)
    assert not apply_receipt.notify(scene.home.ports, applied)
    scene.home.site.engine.is_down = True
    assert not apply_receipt.notify(scene.home.ports, applied)


def test_an_unknown_event_is_stored_and_changes_no_state() -> None:
    """A later version's event is shown, nothing more."""
    scene = Scene()
    scene.receive(scene.sign(scene.doc(1, "imported")))
    scene.receive(scene.sign(scene.doc(2, "sparkled")))
    assert scene.state()[:2] == (PromotionState.IMPORTED, "sparkled")


def test_the_dashboard_needs_a_constant_number_of_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """More projects and more receipts ask no more often."""
    scene = Scene()
    counts = []
    for number in range(2):
        scene.receive(scene.sign(scene.doc(number + 1, "succeeded")))
        if number:
            for extra in range(10):
                scene.home.project(f"More {extra}", actions=())
        counts.append(queries(scene.home, monkeypatch))
    assert counts[0] == counts[1]
    assert counts[0] <= 9


def queries(home: Home, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many record sets the dashboard reads."""
    from tests.simulators.ledger_memory import MemoryRecords

    asked: list[str] = []
    with monkeypatch.context() as patch:
        for name in ("where", "among", "newest_by", "find", "count", "page"):
            original = getattr(MemoryRecords, name)

            def counted(self: object, *args: object, _original: object = original, **rest: object) -> object:
                asked.append("x")
                return _original(self, *args, **rest)  # type: ignore[operator] # a method

            patch.setattr(MemoryRecords, name, counted)
        dashboard.dashboard(home.ports, SYSTEM, space_id=home.space_id)
    return len(asked)


def test_times_are_those_of_the_receipt() -> None:
    """``happened_at`` is the other side's word, ``learned_at`` ours."""
    scene = Scene()
    row = scene.receive(
        scene.sign(scene.doc(1, "lifecycle_completed", lifecycle=ReceiptLifecycle(name="L", phases_done=1, phases_total=1)))
    ).row
    assert isinstance(row.learned_at, datetime)
    assert row.happened_at == scene.began + timedelta(seconds=1)
    assert (row.lifecycle_name, row.phases_done, row.phases_total) == ("L", 1, 1)
