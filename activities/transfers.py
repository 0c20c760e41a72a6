# SPDX-License-Identifier: Apache-2.0
"""The bytes of one blob over one trust, on the side that opens the connections. Runs on the ``transfer`` queue.

A repeated attempt moves only what the stores have not confirmed: the truth is their list of parts, not the heartbeat.
"""

import contextlib
from collections.abc import Iterator

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.beating import Beat
from activities.promotions import PromotionRef
from waybill.app import promote, replicate
from waybill.domain.stories import ReplicateInput, ReplicateResult
from waybill.errors import UnavailableError
from waybill.ports import Ports, Watch


class Transfers:
    """Moves blobs between this site and a peer, as deltas where that serves."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="transfers.prepare", no_thread_cancel_exception=True)
    def prepare(self, given: PromotionRef) -> int:
        """The deltas of a promotion lie in this site's store, for a target that fetches; returns how many."""
        with _cancellable(), Beat() as beat:
            return promote.prepare(self._ports, space_id=given.space_id, promotion_id=given.promotion_id, watch=_watch(beat))

    @activity.defn(name="transfers.upload", no_thread_cancel_exception=True)
    def upload(self, given: ReplicateInput) -> ReplicateResult:
        """The peer holds the blob, verified by itself; nothing was sent when it held it before."""
        with _cancellable(), Beat() as beat:
            return replicate.send(self._ports, given, watch=_watch(beat), rest=beat.rest)

    @activity.defn(name="transfers.download", no_thread_cancel_exception=True)
    def download(self, given: ReplicateInput) -> ReplicateResult:
        """This site holds the blob, re-read and hashed; nothing was fetched when it was here before."""
        with _cancellable(), Beat() as beat:
            return replicate.fetch(self._ports, given, watch=_watch(beat))

    @activity.defn(name="transfers.rebuild", no_thread_cancel_exception=True)
    def rebuild(self, given: ReplicateInput) -> ReplicateResult:
        """The delta that the peer put here was used, or is refused."""
        with _cancellable(), Beat() as beat:
            return replicate.rebuild(self._ports, given, watch=_watch(beat))

    @activity.defn(name="transfers.abort", no_thread_cancel_exception=True)
    def abort(self, given: ReplicateInput) -> None:
        """Parts of a download that nobody wants any more are gone from this site's store."""
        replicate.drop(self._ports, given)


def _watch(beat: Beat) -> Watch:
    return Watch(on_bytes=beat.on_bytes, is_cancelled=beat.is_cancelled)


@contextlib.contextmanager
def _cancellable() -> Iterator[None]:
    """A transfer that stopped because the engine asked for it ends as cancelled, not as an outside fault."""
    try:
        yield
    except UnavailableError as error:
        details = activity.cancellation_details()
        if error.code == "transfer.interrupted" and details is not None and details.cancel_requested:
            raise CancelledError("cancelled") from error
        raise
