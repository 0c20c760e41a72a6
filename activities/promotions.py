# SPDX-License-Identifier: Apache-2.0
"""The source's side of a promotion: seal it, see how far it came, count what it cost, withdraw it."""

from dataclasses import dataclass

from temporalio import activity

from waybill.app import promote
from waybill.app.moved_bytes import Cost
from waybill.domain.bundles import Need
from waybill.domain.promotions import Promotion, PromotionState
from waybill.domain.trusts import OutboxMessage, Trust
from waybill.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRef:
    """One promotion of one Space."""

    space_id: str
    promotion_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A bundle that waits on the outbox, and every blob that the target must hold."""

    bundle_sha256: str
    document_sha256: str
    blobs: tuple[Need, ...]
    peer_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhereItIs:
    """How far a promotion came. ``road_state``: pending | handed_over | acknowledged | withdrawn | absent; ``state`` is a ``PromotionState``."""

    road_state: str
    state: str
    code: str | None = None
    message: str | None = None
    last_event: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAt:
    """Which promotion, and the envelope under which its bundle stands on the outbox."""

    space_id: str
    promotion_id: str
    document_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPromotion:
    """The state that a promotion shall show."""

    space_id: str
    promotion_id: str
    state: str
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one blob of a promotion cost on the road, in bytes of content."""

    space_id: str
    promotion_id: str
    sha256: str
    how: str
    bytes_sent: int
    bytes_saved: int
    name: str = ""
    words: str = ""


class Promotions:
    """Promotions of this site, as their stories see them."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="promotions.seal", no_thread_cancel_exception=True)
    def seal(self, given: PromotionRef) -> Sealed:
        """The bundle is sealed, signed and on the outbox; again gives the same bundle."""
        sealed = promote.seal(self._ports, space_id=given.space_id, promotion_id=given.promotion_id)
        with self._ports.ledger.read(given.space_id) as work:
            trust = work.of(Trust).get(work.of(Promotion).get(given.promotion_id).trust_id)
        return Sealed(bundle_sha256=sealed.bundle_sha256, document_sha256=sealed.document_sha256, blobs=sealed.blobs, peer_name=trust.name)

    @activity.defn(name="promotions.look", no_thread_cancel_exception=True)
    def look(self, given: LookAt) -> WhereItIs:
        """Where the promotion stands in the ledger, by receipts and by what the road took; one that a road took is in transit."""
        with self._ports.ledger.read(given.space_id) as work:
            row = work.of(Promotion).get(given.promotion_id)
            message = work.of(OutboxMessage).first(trust_id=row.trust_id, document_sha256=given.document_sha256)
        if message is not None and message.state in {"handed_over", "acknowledged"} and row.state is PromotionState.SEALED:
            row = promote.set_state(self._ports, space_id=given.space_id, promotion_id=given.promotion_id, state=PromotionState.IN_TRANSIT)
        refused = message.answer_code if message is not None else None
        if refused is not None and row.finished_at is None:
            # Whoever may send us no receipts still answers; without this the promotion would stay open, and no other could follow it.
            row = promote.set_state(
                self._ports, space_id=given.space_id, promotion_id=given.promotion_id, state=PromotionState.REFUSED, code=refused
            )
        return WhereItIs(
            road_state="absent" if message is None else message.state,
            state=row.state.value,
            code=refused or row.code,
            message=row.message,
            last_event=row.last_event,
        )

    @activity.defn(name="promotions.set_state", no_thread_cancel_exception=True)
    def set_state(self, given: SetPromotion) -> None:
        """The promotion shows this state, unless it ended or a receipt took it further."""
        promote.set_state(
            self._ports,
            space_id=given.space_id,
            promotion_id=given.promotion_id,
            state=PromotionState(given.state),
            code=given.code,
            message=given.message,
        )

    @activity.defn(name="promotions.note_sent", no_thread_cancel_exception=True)
    def note_sent(self, given: Sent) -> None:
        """What the blob cost is counted, once per digest."""
        cost = Cost(
            sha256=given.sha256,
            name=given.name,
            how=given.how,
            bytes_sent=given.bytes_sent,
            bytes_saved=given.bytes_saved,
            words=given.words,
        )
        promote.note_sent(self._ports, space_id=given.space_id, promotion_id=given.promotion_id, cost=cost)

    @activity.defn(name="promotions.note_held", no_thread_cancel_exception=True)
    def note_held(self, given: PromotionRef) -> tuple[str, ...]:
        """What the target has signed that it holds is counted as not sent; returns the digests."""
        return promote.note_held(self._ports, space_id=given.space_id, promotion_id=given.promotion_id)

    @activity.defn(name="promotions.withdraw", no_thread_cancel_exception=True)
    def withdraw(self, given: PromotionRef) -> bool:
        """True when nothing of it reaches the target any more; False when a road took it already."""
        return promote.withdraw(self._ports, space_id=given.space_id, promotion_id=given.promotion_id)
