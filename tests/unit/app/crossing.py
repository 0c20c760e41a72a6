# SPDX-License-Identifier: Apache-2.0
"""A world in which release 1.0.0 has crossed and its inventory is home, and 1.1.0 with a changed package is about to cross, on each road."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulators.site import serve
from tests.unit.app.world import APP, World, answer, carry_file, connect, deploy_all, import_it, make_world
from waybill.app import arrivals, exchange, inventories, promote, receive, replicate, tasks
from waybill.app.access import SYSTEM
from waybill.app.moved_bytes import Cost
from waybill.domain.bundles import InboxBundle, Need
from waybill.domain.packages import Package
from waybill.domain.promotions import Promotion
from waybill.domain.stories import ReplicateInput, ReplicateResult
from waybill.domain.trusts import Road
from waybill.ports import Watch

CHANGED = APP[:40_000] + b"a line that is new in 1.1.0" + APP[40_000:]
WATCH = Watch()


@dataclass(kw_only=True)
class Crossing:
    """Two sites on one road. ``during_rest`` is what the target does while the source waits for it; its rebuilding by default."""

    world: World
    road: Road
    during_rest: Callable[[], None] = field(default=lambda: None)

    @property
    def trust_ids(self) -> tuple[str, str]:
        """Of the source, of the target."""
        return self.world.to_target.id, self.world.to_source.id

    def exchange(self) -> None:
        """What waits on both sides crosses."""
        world = self.world
        if self.road is Road.ANSWER:
            exchange.run_round(world.target.ports, space_id=world.target.space_id, trust_id=world.to_source.id)
        elif self.road is Road.CALL:
            exchange.run_round(world.source.ports, space_id=world.source.space_id, trust_id=world.to_target.id)

    def first_release(self) -> None:
        """1.0.0 is imported there and its inventory is here."""
        world = self.world
        inventories.note_encoders(world.target.ports, world.target.site.deltas.encoders())
        release = world.release()
        deploy_all(world.source, release, "Test")
        inbox = self.cross(self.promote("1.0.0"))
        receive.mark_ready(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)
        import_it(world.target, inbox)
        self.come_home()

    def come_home(self) -> None:
        """Receipts and inventories of the target are at the source."""
        if self.road is Road.CARRIER:
            carry_file(self.world.target, self.world.to_source, self.world.source)
        else:
            self.exchange()

    def new_version(self, version: str = "1.1.0", data: bytes = CHANGED) -> Package:
        """A further version of the package, and a release with it that ran in Test."""
        package = self.world.source.push("app", version, data)
        deploy_all(self.world.source, self.world.release(version), "Test")
        return package

    def promote(self, version: str) -> Promotion:
        """The release prepared as its story does it, and sealed."""
        source = self.world.source
        promotion, task = promote.start_promotion(
            source.ports, SYSTEM, space_id=source.space_id, release=version, project="storefront", trust=self.world.to_target.id
        )
        if task.story_input["prepare"]:
            promote.prepare(source.ports, space_id=source.space_id, promotion_id=promotion.id, watch=WATCH)
        promote.seal(source.ports, space_id=source.space_id, promotion_id=promotion.id)
        return promotion

    def cross(self, promotion: Promotion) -> InboxBundle:
        """The bundle and everything that it needs are at the target."""
        if self.road is Road.CARRIER:
            carry_file(self.world.source, self.world.to_target, self.world.target)
            return self.newest()
        self.exchange()
        self.move(promotion)
        return self.newest()

    def move(self, promotion: Promotion) -> list[ReplicateResult]:
        """The blobs of the promotion moved as the transfer workers do it, counted as the story does it."""
        inbox = self.newest()
        lacking = receive.needs_now(self.world.target.ports, space_id=inbox.space_id, inbox_id=inbox.id)
        if self.road is Road.ANSWER:
            target = self.world.target
            return [replicate.fetch(target.ports, self.given(inbox, need), watch=WATCH) for need in lacking]
        source = self.world.source
        held = promote.note_held(source.ports, space_id=source.space_id, promotion_id=promotion.id)
        return [self.send(promotion, inbox, need) for need in inbox.needs if need.sha256 not in held]

    def send(self, promotion: Promotion, inbox: InboxBundle, need: Need) -> ReplicateResult:
        """One blob pushed, and counted."""
        source = self.world.source
        given = ReplicateInput(
            space_id=source.space_id,
            task_id=promotion.task_id,
            trust_id=self.world.to_target.id,
            direction="upload",
            bundle_sha256=inbox.bundle_sha256,
            sha256=need.sha256,
            size_bytes=need.size_bytes,
            role=need.role,
            name=need.name,
        )
        done = replicate.send(source.ports, given, watch=WATCH, rest=lambda _seconds: self.during_rest())
        cost = Cost(
            sha256=done.sha256,
            name=need.name,
            how=done.how,
            bytes_sent=done.bytes_sent,
            bytes_saved=done.bytes_saved,
            words=done.words,
        )
        promote.note_sent(source.ports, space_id=source.space_id, promotion_id=promotion.id, cost=cost)
        return done

    def rebuild_there(self) -> None:
        """What the target's story does when it is told: every delta that lies there is used or refused."""
        target, inbox = self.world.target, self.newest()
        with target.ports.ledger.read(target.space_id) as work:
            here = arrivals.waiting(work, self.world.to_source.id)
        for need in inbox.needs:
            if need.sha256 in here:
                replicate.rebuild(target.ports, self.given(inbox, need), watch=WATCH)

    def given(self, inbox: InboxBundle, need: Need) -> ReplicateInput:
        """A blob as the target's story names it."""
        return ReplicateInput(
            space_id=inbox.space_id,
            task_id=inbox.task_id,
            trust_id=inbox.trust_id,
            direction="download",
            bundle_sha256=inbox.bundle_sha256,
            sha256=need.sha256,
            size_bytes=need.size_bytes,
            role=need.role,
            name=need.name,
        )

    def newest(self) -> InboxBundle:
        """The newest bundle in the target's inbox."""
        found = receive.list_inbox(self.world.target.ports, SYSTEM, space_id=self.world.target.space_id).items[0]
        assert isinstance(found, InboxBundle)
        return found

    def log_at_source(self, promotion: Promotion) -> list[str]:
        """The lines of the promotion's log."""
        source = self.world.source
        return [line.message for line in tasks.read_log(source.ports, SYSTEM, space_id=source.space_id, task=promotion.task_id)]

    def log_at_target(self, inbox: InboxBundle) -> list[str]:
        """The lines of the receiving task's log."""
        target = self.world.target
        return [line.message for line in tasks.read_log(target.ports, SYSTEM, space_id=target.space_id, task=inbox.task_id)]

    def promotion(self, promotion: Promotion) -> Promotion:
        """As it stands now."""
        source = self.world.source
        return promote.get_promotion(source.ports, SYSTEM, space_id=source.space_id, promotion_id=promotion.id)


def make_crossing(road: Road) -> Crossing:
    """Two sites on the source's ``road``, before anything crossed."""
    peer_road = {Road.CALL: Road.ANSWER, Road.ANSWER: Road.CALL, Road.CARRIER: Road.CARRIER}[road]
    world = make_world(road=road, peer_road=peer_road)
    crossing = Crossing(world=world, road=road)
    crossing.during_rest = crossing.rebuild_there
    if road is Road.ANSWER:
        connect(world.source, world.target)
    elif road is Road.CALL:
        serve(world.source.site, world.target.site, lambda path, body: answer(world.target, path, body))
    return crossing


def sha256_of(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()
