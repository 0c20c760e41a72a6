# SPDX-License-Identifier: Apache-2.0
"""The bytes of one blob over one trust, on the side that opens the connections. Runs on the ``transfer`` queue.

A repeated attempt moves only what the stores have not confirmed: the truth is their list of parts, not the heartbeat.
"""

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.beating import Beat
from waybill.app import exchange, transfer
from waybill.domain.packages import Upload
from waybill.domain.stories import ReplicateInput, ReplicateResult
from waybill.errors import UnavailableError
from waybill.formats.layout import blob_key
from waybill.ports import Ports


class Transfers:
    """Moves blobs between this site and a peer."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="transfers.upload", no_thread_cancel_exception=True)
    def upload(self, given: ReplicateInput) -> ReplicateResult:
        """The peer holds the blob, verified by itself; nothing was sent when it held it before."""
        try:
            with Beat() as beat:
                return self._upload(given, beat)
        except UnavailableError as error:
            if _was_cancelled(error):
                raise CancelledError("cancelled") from error
            raise

    @activity.defn(name="transfers.download", no_thread_cancel_exception=True)
    def download(self, given: ReplicateInput) -> ReplicateResult:
        """This site holds the blob, re-read and hashed; nothing was fetched when it was here before."""
        try:
            with Beat() as beat:
                return self._download(given, beat)
        except UnavailableError as error:
            if _was_cancelled(error):
                raise CancelledError("cancelled") from error
            raise

    @activity.defn(name="transfers.abort", no_thread_cancel_exception=True)
    def abort(self, given: ReplicateInput) -> None:
        """Parts of a download that nobody wants any more are gone from this site's store."""
        with self._ports.ledger.read(given.space_id) as work:
            open_uploads = [
                row
                for row in work.of(Upload).where(sha256=given.sha256, purpose=transfer.DOWNLOAD_PURPOSE)
                if row.completed_at is None and row.trust_id in {None, given.trust_id}
            ]
        for row in open_uploads:
            self._ports.objects.abort_multipart(blob_key(given.sha256), row.multipart_id)
            with self._ports.ledger.write(given.space_id) as work:
                current = work.of(Upload).find(row.id)
                if current is not None and current.completed_at is None:
                    work.of(Upload).remove(current)

    def _upload(self, given: ReplicateInput, beat: Beat) -> ReplicateResult:
        def ask() -> exchange.UploadOffer:
            return exchange.ask_upload(
                self._ports,
                space_id=given.space_id,
                trust_id=given.trust_id,
                bundle_sha256=given.bundle_sha256,
                sha256=given.sha256,
            )

        offer = ask()
        if offer.have:
            return ReplicateResult(sha256=given.sha256, how="nothing", bytes_sent=0, bytes_saved=given.size_bytes)
        moved = transfer.upload_blob(
            self._ports,
            key=blob_key(given.sha256),
            size_bytes=given.size_bytes,
            offer=offer,
            renew=ask,
            ca_pem=offer.ca_pem,
            on_bytes=beat.on_bytes,
            is_cancelled=beat.is_cancelled,
        )
        # Asked afresh: when the upload there vanished on the way, its successor has another id.
        last = ask()
        if not last.have and last.upload_id is not None:
            exchange.ask_complete(
                self._ports,
                space_id=given.space_id,
                trust_id=given.trust_id,
                bundle_sha256=given.bundle_sha256,
                sha256=given.sha256,
                upload_id=last.upload_id,
            )
        # What an earlier attempt brought there before it died crossed for this promotion as well.
        return ReplicateResult(sha256=given.sha256, how="whole", bytes_sent=moved.bytes_moved + moved.bytes_resumed, bytes_saved=0)

    def _download(self, given: ReplicateInput, beat: Beat) -> ReplicateResult:
        def ask() -> exchange.DownloadGrant:
            return exchange.ask_download(
                self._ports,
                space_id=given.space_id,
                trust_id=given.trust_id,
                bundle_sha256=given.bundle_sha256,
                sha256=given.sha256,
            )

        grant = ask()
        moved = transfer.download_blob(
            self._ports,
            space_id=given.space_id,
            url=grant.url,
            ca_pem=grant.ca_pem,
            sha256=given.sha256,
            size_bytes=given.size_bytes,
            on_bytes=beat.on_bytes,
            is_cancelled=beat.is_cancelled,
            renew_url=lambda: ask().url,
            trust_id=given.trust_id,
        )
        if not moved.bytes_moved:
            return ReplicateResult(sha256=given.sha256, how="nothing", bytes_sent=0, bytes_saved=moved.bytes_resumed)
        return ReplicateResult(sha256=given.sha256, how="whole", bytes_sent=moved.bytes_moved + moved.bytes_resumed, bytes_saved=0)


def _was_cancelled(error: UnavailableError) -> bool:
    """True when the transfer stopped because the engine asked for it, not for an outside fault."""
    details = activity.cancellation_details()
    return error.code == "transfer.interrupted" and details is not None and details.cancel_requested
