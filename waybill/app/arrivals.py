# SPDX-License-Identifier: Apache-2.0
"""Deltas that a peer sends, seen from the receiver: taken or refused, then tried, and gone again either way.

Refused before a byte is taken: a base that no bundle of the same trust brought here, a delta that is not much smaller than the file.
Whatever a delta makes, only bytes of exactly the digest that the signed release names become visible. A lie costs bytes, and one try.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from waybill.app import blobs, inventories
from waybill.delta.plan import is_worth
from waybill.domain.bundles import Need
from waybill.domain.deltas import ArrivalState, ArrivedDelta, OfferedDelta
from waybill.errors import NotFoundError, UnavailableError, WaybillError
from waybill.formats.layout import delta_key
from waybill.ports import Ports, StoredFile, Watch, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What became of a delta. ``refused``: the code, when the blob must come whole; ``words``: the same in one sentence."""

    bytes_came: int
    words: str
    refused: str | None = None


def consider(ports: Ports, *, space_id: str, trust_id: str, target: Need, offered: OfferedDelta) -> ArrivedDelta:
    """The delta as this side stands to it: ``coming`` when it may be sent, ``here`` when it lies here, ``refused`` when the file must come whole."""
    with ports.ledger.write(space_id) as work:
        known = find(work, trust_id, target.sha256)
        if known is not None and (known.state is ArrivalState.REFUSED or _is_same(known, offered)):
            return known
        code = _refusal(work, trust_id, target, offered)
        row = ArrivedDelta(
            id=_id_of(trust_id, target.sha256),
            space_id=space_id,
            trust_id=trust_id,
            target_sha256=target.sha256,
            base_sha256=offered.base_sha256,
            sha256=offered.sha256,
            size_bytes=offered.size_bytes,
            state=ArrivalState.COMING if code is None else ArrivalState.REFUSED,
            created_at=ports.clock.now(),
            code=code,
        )
        if known is None:
            return work.of(ArrivedDelta).add(row)
        return work.of(ArrivedDelta).replace(replace(row, revision=known.revision))


def find(work: Work, trust_id: str, target_sha256: str) -> ArrivedDelta | None:
    """The delta that came, or comes, over the trust for this blob."""
    return work.of(ArrivedDelta).find(_id_of(trust_id, target_sha256))


def refusal_of(ports: Ports, *, space_id: str, trust_id: str, target_sha256: str) -> str | None:
    """Why the blob must come whole over this trust, as a code; None when a delta may be tried."""
    with ports.ledger.read(space_id) as work:
        known = find(work, trust_id, target_sha256)
    return None if known is None else known.code


def waiting(work: Work, trust_id: str) -> Mapping[str, ArrivedDelta]:
    """The deltas of the trust that lie here and wait to be tried, by the digest of their blobs."""
    rows = work.of(ArrivedDelta).where(trust_id=trust_id, state=ArrivalState.HERE)
    return {row.target_sha256: row for row in rows}


def note_here(ports: Ports, *, space_id: str, trust_id: str, target_sha256: str, delta_sha256: str) -> None:
    """Every byte of the delta lies at ``layout.delta_key``; another delta than the one considered last changes nothing."""
    with ports.ledger.write(space_id) as work:
        known = find(work, trust_id, target_sha256)
        if known is not None and known.sha256 == delta_sha256 and known.state is ArrivalState.COMING:
            work.of(ArrivedDelta).replace(replace(known, state=ArrivalState.HERE))


def refuse(ports: Ports, *, space_id: str, trust_id: str, target_sha256: str, code: str) -> None:
    """The delta that comes for this blob does not serve; its blob must come whole. What of it lies here is gone."""
    with ports.ledger.read(space_id) as work:
        arrival = find(work, trust_id, target_sha256)
    if arrival is not None:
        _settle(ports, arrival, code)


def drop(ports: Ports, *, space_id: str, trust_id: str, target_sha256: str) -> str | None:
    """Nobody waits for the delta any more: its row and what of it lies here are gone; returns its digest."""
    with ports.ledger.read(space_id) as work:
        arrival = find(work, trust_id, target_sha256)
    if arrival is None or arrival.state is ArrivalState.REFUSED:
        return None
    _settle(ports, arrival, None)
    return arrival.sha256


def rebuild(ports: Ports, *, space_id: str, trust_id: str, target: Need, watch: Watch) -> Rebuilt:
    """The blob ``target`` is here, made from its delta, re-read and recorded; or the delta is refused, told so, and gone.

    Args:
        target: as a signed release names it.
    Raises:
        UnavailableError: transfer.interrupted when cancelled, or when the delta vanished from the store; store.*, ledger.*: may be repeated.
    """
    with ports.ledger.read(space_id) as work:
        arrival = find(work, trust_id, target.sha256)
        base = None if arrival is None else inventories.holdings(work, trust_id).get(arrival.base_sha256)
    if arrival is None or arrival.state is ArrivalState.REFUSED or blobs.find_blob(ports, target.sha256) is not None:
        code = None if arrival is None else arrival.code
        return Rebuilt(bytes_came=0, words="it is here" if code is None else f"the delta was refused ({code})", refused=code)
    code = "delta.base_mismatch" if base is None else _try(ports, arrival, base, target, watch)
    _settle(ports, arrival, code)
    if code is not None or base is None:
        return Rebuilt(bytes_came=arrival.size_bytes, words=f"a delta of {arrival.size_bytes} bytes did not serve ({code})", refused=code)
    return Rebuilt(
        bytes_came=arrival.size_bytes, words=f"delta against {base.name}: {arrival.size_bytes} bytes instead of {target.size_bytes}"
    )


def _try(ports: Ports, arrival: ArrivedDelta, base: Need, target: Need, watch: Watch) -> str | None:
    """None when the blob is here, else the code of what was wrong with the delta."""
    if blobs.adopt_blob(ports, sha256=target.sha256, size_bytes=target.size_bytes, is_cancelled=watch.is_cancelled) is not None:
        return None
    if ports.objects.exists(delta_key(arrival.sha256)) is None:
        _forget(ports, arrival)
        raise blobs.interrupted("The delta vanished from this site's store; it comes again")
    files = [StoredFile(sha256=one.sha256, size_bytes=one.size_bytes) for one in (base, arrival, target)]
    try:
        ports.deltas.rebuild(*files, watch=watch)
        blobs.verify_blob(ports, sha256=target.sha256, size_bytes=target.size_bytes, is_cancelled=watch.is_cancelled)
    except UnavailableError as error:
        if error.code != "delta.tool_failed":
            raise
        return error.code
    except NotFoundError as error:
        if ports.objects.exists(delta_key(arrival.sha256)) is not None:
            return "delta.base_mismatch"
        raise blobs.interrupted("The delta vanished from this site's store; it comes again") from error
    except WaybillError as error:
        return error.code
    return None


def _settle(ports: Ports, arrival: ArrivedDelta, code: str | None) -> None:
    """The row says how it ended, gone after a success; the delta's bytes are gone."""
    ports.objects.delete(delta_key(arrival.sha256))
    if code is None:
        _forget(ports, arrival)
        return
    with ports.ledger.write(arrival.space_id) as work:
        known = work.of(ArrivedDelta).find(arrival.id)
        if known is not None:
            work.of(ArrivedDelta).replace(replace(known, state=ArrivalState.REFUSED, code=code))


def _forget(ports: Ports, arrival: ArrivedDelta) -> None:
    with ports.ledger.write(arrival.space_id) as work:
        known = work.of(ArrivedDelta).find(arrival.id)
        if known is not None:
            work.of(ArrivedDelta).remove(known)


def _refusal(work: Work, trust_id: str, target: Need, offered: OfferedDelta) -> str | None:
    if offered.base_sha256 not in inventories.holdings(work, trust_id):
        return "delta.base_mismatch"
    return None if is_worth(offered.size_bytes, target.size_bytes) else "package.size_exceeded"


def _is_same(known: ArrivedDelta, offered: OfferedDelta) -> bool:
    return (known.base_sha256, known.sha256, known.size_bytes) == (offered.base_sha256, offered.sha256, offered.size_bytes)


def _id_of(trust_id: str, target_sha256: str) -> str:
    return f"{trust_id}:{target_sha256}"
