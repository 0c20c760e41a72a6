# SPDX-License-Identifier: Apache-2.0
"""The exchange of messages with the peer of a trust, on the side that opens the connections."""

from dataclasses import dataclass

from temporalio import activity

from activities.beating import Beat
from waybill.app import exchange, trusts
from waybill.domain.trusts import Road, Trust, TrustState
from waybill.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRef:
    """One trust of one Space."""

    space_id: str
    trust_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of exchanges did. ``over``: the trust is no longer called, so its courier may end."""

    sent: int = 0
    received: int = 0
    refused: tuple[str, ...] = ()
    over: bool = False


class Messages:
    """Takes the outbox of a trust to its peer and brings back what the peer has."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="messages.round", no_thread_cancel_exception=True)
    def round(self, given: TrustRef) -> Round:
        """Exchanges are done until neither side has anything left; nothing, when the trust is no longer called."""
        with self._ports.ledger.read(given.space_id) as work:
            trust = work.of(Trust).find(given.trust_id)
        if (
            trust is None
            or trust.state is not TrustState.ACTIVE
            or trust.road is not Road.CALL
            or self._ports.site.outbound_peers == "none"
        ):
            return Round(over=True)
        with Beat():  # a slow peer is not a dead worker, and a dead worker is noticed soon
            done = exchange.run_round(self._ports, space_id=given.space_id, trust_id=given.trust_id)
        return Round(sent=done.sent, received=done.received, refused=done.refused)

    @activity.defn(name="messages.wake_courier", no_thread_cancel_exception=True)
    def wake_courier(self, given: TrustRef) -> None:
        """The courier of the trust runs and looks at the outbox now."""
        with self._ports.ledger.read(given.space_id) as work:
            trust = work.of(Trust).get(given.trust_id)
        trusts.start_courier(self._ports, trust)
