# SPDX-License-Identifier: Apache-2.0
"""The target's side of a promotion: what a received bundle lacks, when it is ready, and what the decision does."""

from dataclasses import dataclass

from temporalio import activity

from waybill.app import arrivals, importing, receive
from waybill.domain.bundles import InboxBundle, Need
from waybill.domain.trusts import Trust
from waybill.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRef:
    """One received bundle of one Space."""

    space_id: str
    inbox_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """What a bundle still lacks, from whom it came and its digest. ``deltas``: digests of those needs of which a delta lies here unused."""

    needs: tuple[Need, ...]
    bundle_sha256: str
    peer_name: str
    deltas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A bundle that waits for packages. ``tell``: its sender should know that they are missing."""

    space_id: str
    inbox_id: str
    tell: bool


class Inbox:
    """Received bundles of this site, as their stories see them."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="inbox.needs", no_thread_cancel_exception=True)
    def needs(self, given: BundleRef) -> Lacking:
        """The blobs that are not in the store yet."""
        needs = receive.needs_now(self._ports, space_id=given.space_id, inbox_id=given.inbox_id)
        with self._ports.ledger.read(given.space_id) as work:
            row = work.of(InboxBundle).get(given.inbox_id)
            trust = work.of(Trust).get(row.trust_id)
            here = arrivals.waiting(work, trust.id)
        deltas = tuple(need.sha256 for need in needs if need.sha256 in here)
        return Lacking(needs=needs, bundle_sha256=row.bundle_sha256, peer_name=trust.name, deltas=deltas)

    @activity.defn(name="inbox.mark_waiting", no_thread_cancel_exception=True)
    def mark_waiting(self, given: Waiting) -> None:
        """The row and its task say what is lacking, and so is the sender told if it should know."""
        receive.mark_waiting(self._ports, space_id=given.space_id, inbox_id=given.inbox_id, tell=given.tell)

    @activity.defn(name="inbox.mark_ready", no_thread_cancel_exception=True)
    def mark_ready(self, given: BundleRef) -> None:
        """The bundle is ready to import and waits for its decision, its receive task has ended, the sender is told."""
        receive.mark_ready(self._ports, space_id=given.space_id, inbox_id=given.inbox_id)

    @activity.defn(name="inbox.apply_import", no_thread_cancel_exception=True)
    def apply_import(self, given: BundleRef) -> str:
        """The release exists here; returns its row id, the same when called again."""
        return importing.apply_import(self._ports, space_id=given.space_id, inbox_id=given.inbox_id).id

    @activity.defn(name="inbox.apply_rejection", no_thread_cancel_exception=True)
    def apply_rejection(self, given: BundleRef) -> None:
        """The bundle is rejected and the sender is told."""
        importing.apply_rejection(self._ports, space_id=given.space_id, inbox_id=given.inbox_id)
