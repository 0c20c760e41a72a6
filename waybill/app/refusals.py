# SPDX-License-Identifier: Apache-2.0
"""What is kept of something that was refused at the door: one audit entry, and a ``refused`` receipt to a trusted sender of a bundle.

The receipt is signed only when the sender's own signature stands on the delivery: nobody else can make us write to a trust.
"""

import hashlib
from datetime import datetime

from waybill.app import receipts
from waybill.app.revocations import current_peers
from waybill.domain.bundles import InboxBundle
from waybill.domain.trusts import Trust
from waybill.errors import FormatError, TrustError, WaybillError
from waybill.formats import delivery as delivery_format
from waybill.formats import envelope
from waybill.formats.delivery import DeliveryDoc
from waybill.ports import Ports, Work
from waybill.trust import verify


def note_refusal(ports: Ports, *, space_id: str, delivery: bytes, refusal: WaybillError) -> None:
    """The refusal of a bundle is audited, and its trusted sender told once; nothing else is kept."""
    now = ports.clock.now()
    trust_id = None
    with ports.ledger.write(space_id) as work:
        subject = hashlib.sha256(delivery).hexdigest()
        work.audit(at=now, actor="peer", action="bundle.refused", subject=subject, detail=refusal.code)
        found = _sender_of(ports, work, delivery, now)
        if found is not None:
            trust, doc, bundle_sha256 = found
            is_here = work.of(InboxBundle).first(bundle_sha256=bundle_sha256) is not None  # its own receipts tell how it fares
            if not is_here and not receipts.was_emitted(work, trust_id=trust.id, bundle_sha256=bundle_sha256, event="refused"):
                facts = receipts.ReceiptFacts(
                    event="refused", release_sha256=doc.release.sha256, bundle_sha256=bundle_sha256, code=refusal.code
                )
                trust_id = trust.id if receipts.emit(ports, work, trust=trust, facts=facts) else None
    receipts.wake_courier(ports, () if trust_id is None else (trust_id,))


def note_message_refusal(ports: Ports, *, space_id: str, kind: str, body: bytes, refusal: WaybillError) -> None:
    """The refusal of a message of another kind is audited; nothing else is kept."""
    with ports.ledger.write(space_id) as work:
        subject = hashlib.sha256(body).hexdigest()
        work.audit(at=ports.clock.now(), actor="peer", action=f"{kind}.refused", subject=subject, detail=refusal.code)


def _sender_of(ports: Ports, work: Work, delivery: bytes, now: datetime) -> tuple[Trust, DeliveryDoc, str] | None:
    """The trust whose signing key made the delivery, the document and its payload digest; None when no usable trust of ours did."""
    try:
        peer = verify.verify_sender("delivery", delivery, peers=current_peers(ports, work, now), now=now)
        env = envelope.decode(delivery)
        doc = delivery_format.decode(env.payload)
    except (FormatError, TrustError):
        return None
    return work.of(Trust).get(peer.trust_id), doc, hashlib.sha256(env.payload).hexdigest()
