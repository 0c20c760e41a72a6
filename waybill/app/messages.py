# SPDX-License-Identifier: Apache-2.0
"""One door for every kind of message, whatever road it came on: verified, applied once, or refused with its code.

The same message twice gives the same result. A refusal is a result; a fault of this site's own parts is raised, so that nobody
mistakes it for a refusal and the message comes again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from waybill.app import (
    access,
    apply_receipt,
    deploy_receipts,
    documents,
    identity,
    incoming_lanes,
    outbox,
    recalls,
    receipts,
    receive,
    trusts,
)
from waybill.app.refusals import note_message_refusal
from waybill.app.revocations import current_peers
from waybill.domain.releases import Document, Release
from waybill.domain.trusts import Road, Trust, TrustState
from waybill.errors import FormatError, TrustError, UnavailableError, WaybillError
from waybill.formats.inventory import InventoryDoc
from waybill.formats.need_list import NeedListDoc
from waybill.ports import Ports, Work
from waybill.trust import verify

ACCEPTED, ALREADY, REFUSED = "accepted", "already", "refused"
D = TypeVar("D")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageResult:
    """What became of one message. ``state``: ``accepted | already | refused``; ``code`` is set when refused."""

    code: str | None
    state: str


def accept_message(ports: Ports, *, space_id: str, kind: str, envelopes: Sequence[bytes], road: Road) -> MessageResult:
    """The message was verified and applied, or refused with its code; an outside fault is raised, never turned into a refusal.

    Args:
        kind: ``delivery`` (two envelopes: Delivery, Release) | ``receipt`` | ``inventory`` | ``need_list`` | ``recall`` | ``identity`` | ``revocation``.
    Raises:
        UnavailableError: the ledger does not answer; the message may be given again.
    """
    try:
        if kind == "delivery":
            return _delivery(ports, space_id, envelopes, road)
        handle = _HANDLERS.get(kind)
        if handle is None or len(envelopes) != 1:
            raise FormatError("envelope.type_unexpected", "that is no message", field="kind", found=kind[:40])
        return handle(ports, space_id, envelopes[0])
    except UnavailableError:
        raise
    except WaybillError as refusal:
        if kind != "delivery":  # the door of bundles has noted its own
            note_message_refusal(ports, space_id=space_id, kind=kind[:40], body=b"".join(envelopes), refusal=refusal)
        return MessageResult(code=refusal.code, state=REFUSED)


def _delivery(ports: Ports, space_id: str, envelopes: Sequence[bytes], road: Road) -> MessageResult:
    if len(envelopes) != 2:
        raise FormatError("payload.invalid", "a delivery comes with its release", field="envelopes", expected=2, found=len(envelopes))
    accepted = receive.accept_bundle(ports, space_id=space_id, delivery=envelopes[0], release=envelopes[1], road=road)
    return MessageResult(code=None, state=ACCEPTED if accepted.first_time else ALREADY)


def _receipt(ports: Ports, space_id: str, body: bytes) -> MessageResult:
    now = ports.clock.now()
    with ports.ledger.read(space_id) as work:
        us, peers = identity.us(ports, work), current_peers(ports, work, now)
    verified = verify.verify_receipt(body, us=us, peers=peers, now=now)
    with ports.ledger.write(space_id) as work:
        document = documents.store(work, body=body, kind="receipt", created_at=now)
        trust = work.of(Trust).get(verified.peer.trust_id)
        applied = apply_receipt.apply(ports, work, trust=trust, receipt=verified, document_sha256=document.sha256)
        if applied.row.quarantine_code is None:
            outbox.acknowledge_delivery(work, trust_id=trust.id, bundle_sha256=verified.doc.delivery_sha256, at=now)
        told = _tell_upstream(ports, work, verified.doc.release_sha256) if verified.doc.event == "lifecycle_completed" else ()
    apply_receipt.notify(ports, applied)
    receipts.wake_courier(ports, told)
    return MessageResult(code=None, state=ACCEPTED if applied.first_time else ALREADY)


def _tell_upstream(ports: Ports, work: Work, release_sha256: str) -> tuple[str, ...]:
    """A Space further on has completed a release that we only forwarded: that may complete our own lifecycle for it, which its sender awaits."""
    told: list[str] = []
    for release in work.of(Release).where(release_sha256=release_sha256):
        told += deploy_receipts.tell_completion(ports, work, release=release)
    return tuple(told)


def _recall(ports: Ports, space_id: str, body: bytes) -> MessageResult:
    now = ports.clock.now()
    with ports.ledger.read(space_id) as work:
        verified = verify.verify_recall(body, us=identity.us(ports, work), peers=current_peers(ports, work, now), now=now)
    doc, trust_id = verified.doc, verified.peer.trust_id
    with ports.ledger.write(space_id) as work:
        if _is_known(work, verified):
            return MessageResult(code=None, state=ALREADY)
        _number(work, verified, kind="recall", epoch=doc.epoch, seq=doc.seq)
        documents.store(work, body=body, kind="recall", created_at=now)
        trust = work.of(Trust).get(trust_id)
        recalls.apply_recalls(ports, work, trust=trust, release_sha256s=(doc.release_sha256,), reason=doc.reason)
    receipts.wake_courier(ports, (trust_id,))
    return MessageResult(code=None, state=ACCEPTED)


def _inventory(ports: Ports, space_id: str, body: bytes) -> MessageResult:
    now = ports.clock.now()
    with ports.ledger.read(space_id) as work:
        verified = verify.verify_inventory(body, us=identity.us(ports, work), peers=current_peers(ports, work, now), now=now)
    return _keep_numbered(ports, space_id, body, verified, "inventory")


def _need_list(ports: Ports, space_id: str, body: bytes) -> MessageResult:
    now = ports.clock.now()
    with ports.ledger.read(space_id) as work:
        verified = verify.verify_need_list(body, us=identity.us(ports, work), peers=current_peers(ports, work, now), now=now)
    return _keep_numbered(ports, space_id, body, verified, "need_list")


def _identity(ports: Ports, space_id: str, body: bytes) -> MessageResult:
    now = ports.clock.now()
    found = verify.verify_identity(body, now=now)
    with ports.ledger.read(space_id) as work:
        rows = work.of(Trust).where(peer_space_id=found.doc.space_id)
        trust = next((row for row in rows if row.state is not TrustState.RETIRED), None)
    if trust is None:
        raise TrustError(
            "trust.unknown", "there is no trust with this Space", field="space_id", found=f"{found.doc.name} {found.fingerprint}"
        )
    if trust.identity_envelope == body:
        return MessageResult(code=None, state=ALREADY)
    trusts.update_identity(ports, access.SYSTEM, space_id=space_id, trust=trust.id, identity=body)
    return MessageResult(code=None, state=ACCEPTED)


def _revocation(ports: Ports, space_id: str, body: bytes) -> MessageResult:
    now = ports.clock.now()
    with ports.ledger.read(space_id) as work:
        verified = verify.verify_revocation(body, us=identity.us(ports, work), peers=current_peers(ports, work, now), now=now)
    with ports.ledger.write(space_id) as work:
        if _is_known(work, verified):
            return MessageResult(code=None, state=ALREADY)
        documents.store(work, body=body, kind="revocation", created_at=now)
        detail = f"{verified.doc.revoked.key_sha256}: {verified.doc.revoked.reason}"
        work.audit(at=now, actor=verified.peer.identity.doc.name, action="key.revoked", subject=verified.peer.trust_id, detail=detail)
    return MessageResult(code=None, state=ACCEPTED)


def _keep_numbered(
    ports: Ports,
    space_id: str,
    body: bytes,
    verified: verify.VerifiedMessage[InventoryDoc] | verify.VerifiedMessage[NeedListDoc],
    kind: str,
) -> MessageResult:
    """The message is stored as it came; what is planned with it reads it from there."""
    now = ports.clock.now()
    with ports.ledger.write(space_id) as work:
        if _is_known(work, verified):
            return MessageResult(code=None, state=ALREADY)
        _number(work, verified, kind=kind, epoch=verified.doc.epoch, seq=verified.doc.seq)
        documents.store(work, body=body, kind=kind, created_at=now)
        work.audit(at=now, actor=verified.peer.identity.doc.name, action=f"{kind}.accepted", subject=verified.payload_sha256)
    return MessageResult(code=None, state=ACCEPTED)


def _is_known(work: Work, verified: verify.VerifiedMessage[D]) -> bool:
    return work.of(Document).find(f"{work.space_id}:{verified.envelope_sha256}") is not None


def _number(work: Work, verified: verify.VerifiedMessage[D], *, kind: str, epoch: int, seq: int) -> None:
    incoming_lanes.accept_number(work, trust_id=verified.peer.trust_id, kind=kind, epoch=epoch, seq=seq, sha256=verified.payload_sha256)


_HANDLERS: dict[str, Callable[[Ports, str, bytes], MessageResult]] = {
    "receipt": _receipt,
    "recall": _recall,
    "inventory": _inventory,
    "need_list": _need_list,
    "identity": _identity,
    "revocation": _revocation,
}
