# SPDX-License-Identifier: Apache-2.0
"""One blob over one trust, as a delta where that serves, else whole: what the transfer worker of each side does.

A delta that does not serve costs its bytes: the same call then brings the blob whole, and says why.
What a call has brought into place stays in place; a repeated call goes on from there.
"""

from collections.abc import Callable
from typing import Final

from waybill.app import arrivals, blobs, deltas, exchange, peer_asks, tasks, transfer
from waybill.app.peer_asks import DownloadGrant, UploadOffer
from waybill.domain.bundles import Need
from waybill.domain.deltas import ArrivalState, OfferedDelta
from waybill.domain.stories import ReplicateInput, ReplicateResult
from waybill.errors import ConflictError
from waybill.formats.layout import blob_key, delta_key
from waybill.ports import Ports, StoredFile, Watch

REST_SECONDS: Final = 5.0
"""The longest pause between two looks at a target that rebuilds."""

MAX_ROUNDS: Final = 3
"""How often a delta is sent to a target that loses it."""


def send(ports: Ports, given: ReplicateInput, *, watch: Watch, rest: Callable[[float], None]) -> ReplicateResult:
    """The peer holds the blob, verified by itself; nothing was sent when it held it before.

    Args:
        rest: waits so many seconds, and raises when the work is cancelled.
    Raises:
        UnavailableError: transfer.interrupted when cancelled; peer.*, store.*: call again to go on.
    """
    with ports.ledger.read(given.space_id) as work:
        way = deltas.plan_bundle(ports, work, trust_id=given.trust_id, bundle_sha256=given.bundle_sha256).get(given.sha256)
    way = way or deltas.Way(need=_need(given), how=deltas.WHOLE, reason="it belongs to no promotion")
    way = way.as_whole("the target asks for it") if way.how == deltas.NOTHING else deltas.settle(ports, way, watch=watch)
    spent = 0
    if way.delta is not None and way.base is not None:
        offered = OfferedDelta(base_sha256=way.base.sha256, sha256=way.delta.sha256, size_bytes=way.delta.size_bytes)
        ended = _send_delta(ports, given, offered, watch, rest)
        if ended == deltas.NOTHING:
            return _nothing(given)
        if ended == deltas.DELTA:
            return _result(given, deltas.DELTA, sent=offered.size_bytes, words=way.words)
        spent, way = offered.size_bytes, way.as_whole(f"the target could not use a delta ({ended})")
    return _send_whole(ports, given, watch, reason=way.reason, spent=spent)


def fetch(ports: Ports, given: ReplicateInput, *, watch: Watch) -> ReplicateResult:
    """This site holds the blob, re-read and hashed; nothing was fetched when it was here before. Raises as ``send``."""
    if blobs.find_blob(ports, given.sha256) is not None:
        return _nothing(given)
    refused = arrivals.refusal_of(ports, space_id=given.space_id, trust_id=given.trust_id, target_sha256=given.sha256)
    grant = _ask_download(ports, given, refused)
    spent = 0
    if grant.delta is not None:
        rebuilt = _fetch_delta(ports, given, grant, grant.delta, watch)
        if rebuilt.refused is None:
            transfer.close_downloads(ports, space_id=given.space_id, sha256=given.sha256)
            return _told(ports, given, _result(given, deltas.DELTA, sent=rebuilt.bytes_came, words=rebuilt.words))
        refused, spent = rebuilt.refused, rebuilt.bytes_came
        _log(ports, given, rebuilt.words)
        grant = _ask_download(ports, given, refused)
    moved = transfer.download_blob(
        ports,
        space_id=given.space_id,
        url=grant.url,
        ca_pem=grant.ca_pem,
        sha256=given.sha256,
        size_bytes=given.size_bytes,
        on_bytes=watch.on_bytes,
        is_cancelled=watch.is_cancelled,
        renew_url=lambda: _ask_download(ports, given, refused or "transfer.interrupted").url,
        trust_id=given.trust_id,
    )
    if not moved.bytes_moved and not spent:
        return _nothing(given)
    # What an earlier attempt brought here before it died crossed for this bundle as well.
    return _told(ports, given, _result(given, deltas.WHOLE, sent=given.size_bytes + spent, words=f"whole: {grant.reason}"))


def rebuild(ports: Ports, given: ReplicateInput, *, watch: Watch) -> ReplicateResult:
    """The delta that the peer put here was used, or did not serve (``how`` is ``refused`` then, and the sender learns it). Raises as ``send``."""
    done = arrivals.rebuild(ports, space_id=given.space_id, trust_id=given.trust_id, target=_need(given), watch=watch)
    if done.refused is None:
        return _told(ports, given, _result(given, deltas.DELTA, sent=done.bytes_came, words=done.words))
    _log(ports, given, done.words)
    return ReplicateResult(sha256=given.sha256, how="refused", bytes_sent=done.bytes_came, bytes_saved=0, words=done.words)


def drop(ports: Ports, given: ReplicateInput) -> None:
    """Parts of a download that nobody wants any more are gone from this site's store."""
    transfer.close_downloads(ports, space_id=given.space_id, sha256=given.sha256, trust_id=given.trust_id)
    delta_sha256 = arrivals.drop(ports, space_id=given.space_id, trust_id=given.trust_id, target_sha256=given.sha256)
    if delta_sha256 is not None:
        transfer.close_downloads(ports, space_id=given.space_id, sha256=delta_sha256, purpose=transfer.DELTA_PURPOSE)


def _send_delta(ports: Ports, given: ReplicateInput, offered: OfferedDelta, watch: Watch, rest: Callable[[float], None]) -> str:
    """``delta`` when the target has rebuilt the blob, ``nothing`` when it held it, else the code with which it refused."""

    def ask() -> UploadOffer:
        return exchange.ask_upload(
            ports,
            space_id=given.space_id,
            trust_id=given.trust_id,
            bundle_sha256=given.bundle_sha256,
            sha256=given.sha256,
            delta=offered,
        )

    rounds, pause, begun = 0, REST_SECONDS / 10, False
    while not (offer := ask()).have:
        if offer.delta_state == peer_asks.REBUILDING:
            rest(pause)
            begun, pause = True, min(pause * 2, REST_SECONDS)
        elif offer.delta_state == peer_asks.WANTED and rounds < MAX_ROUNDS:
            _put(ports, given, key=delta_key(offered.sha256), size_bytes=offered.size_bytes, offer=offer, ask=ask, watch=watch)
            rounds, begun = rounds + 1, True
        else:
            return offer.delta_code or "delta.unsupported"
    return deltas.DELTA if begun else deltas.NOTHING


def _send_whole(ports: Ports, given: ReplicateInput, watch: Watch, *, reason: str, spent: int) -> ReplicateResult:
    def ask() -> UploadOffer:
        return exchange.ask_upload(
            ports, space_id=given.space_id, trust_id=given.trust_id, bundle_sha256=given.bundle_sha256, sha256=given.sha256
        )

    offer = ask()
    if offer.have and not spent:
        return _nothing(given)
    if offer.have:
        return _result(given, deltas.DELTA, sent=spent, words="delta: the target used it after all")
    moved = _put(ports, given, key=blob_key(given.sha256), size_bytes=given.size_bytes, offer=offer, ask=ask, watch=watch)
    # What an earlier attempt brought there before it died crossed for this promotion as well.
    return _result(given, deltas.WHOLE, sent=moved.bytes_moved + moved.bytes_resumed + spent, words=f"whole: {reason}")


def _put(
    ports: Ports, given: ReplicateInput, *, key: str, size_bytes: int, offer: UploadOffer, ask: Callable[[], UploadOffer], watch: Watch
) -> transfer.Moved:
    """Every part of the object ``key`` lies at the target, which has joined them."""
    last = offer

    def renew() -> UploadOffer:
        nonlocal last
        last = ask()
        return last

    moved = transfer.upload_blob(
        ports,
        key=key,
        size_bytes=size_bytes,
        offer=offer,
        renew=renew,
        ca_pem=offer.ca_pem,
        on_bytes=watch.on_bytes,
        is_cancelled=watch.is_cancelled,
    )
    if not last.have and last.upload_id is not None:
        exchange.ask_complete(
            ports,
            space_id=given.space_id,
            trust_id=given.trust_id,
            bundle_sha256=given.bundle_sha256,
            sha256=given.sha256,
            upload_id=last.upload_id,
        )
    return moved


def _fetch_delta(ports: Ports, given: ReplicateInput, grant: DownloadGrant, offered: OfferedDelta, watch: Watch) -> arrivals.Rebuilt:
    place = {"space_id": given.space_id, "trust_id": given.trust_id}
    arrival = arrivals.consider(ports, **place, target=_need(given), offered=offered)
    if arrival.state is ArrivalState.COMING:

        def renew() -> str:
            again = _ask_download(ports, given, None)
            if again.delta != offered:
                raise blobs.interrupted("The other side offers another delta now")
            return again.url

        try:
            transfer.download_delta(
                ports,
                space_id=given.space_id,
                url=grant.url,
                ca_pem=grant.ca_pem,
                delta=StoredFile(sha256=offered.sha256, size_bytes=offered.size_bytes),
                on_bytes=watch.on_bytes,
                is_cancelled=watch.is_cancelled,
                renew_url=renew,
                trust_id=given.trust_id,
            )
        except ConflictError as error:
            arrivals.refuse(ports, **place, target_sha256=given.sha256, code=error.code)
        else:
            arrivals.note_here(ports, **place, target_sha256=given.sha256, delta_sha256=offered.sha256)
    return arrivals.rebuild(ports, **place, target=_need(given), watch=watch)


def _ask_download(ports: Ports, given: ReplicateInput, refused: str | None) -> DownloadGrant:
    return exchange.ask_download(
        ports,
        space_id=given.space_id,
        trust_id=given.trust_id,
        bundle_sha256=given.bundle_sha256,
        sha256=given.sha256,
        delta_refused=refused,
    )


def _need(given: ReplicateInput) -> Need:
    return Need(sha256=given.sha256, size_bytes=given.size_bytes, role=given.role, name=given.name)


def _nothing(given: ReplicateInput) -> ReplicateResult:
    return _result(given, deltas.NOTHING, sent=0, words="nothing: it was there")


def _result(given: ReplicateInput, how: str, *, sent: int, words: str) -> ReplicateResult:
    saved = 0 if how == deltas.WHOLE else given.size_bytes - sent
    return ReplicateResult(sha256=given.sha256, how=how, bytes_sent=sent, bytes_saved=saved, words=words)


def _told(ports: Ports, given: ReplicateInput, result: ReplicateResult) -> ReplicateResult:
    _log(ports, given, result.words)
    return result


def _log(ports: Ports, given: ReplicateInput, words: str) -> None:
    tasks.log(ports, space_id=given.space_id, task_id=given.task_id, level="info", message=f"{given.name}: {words}")
