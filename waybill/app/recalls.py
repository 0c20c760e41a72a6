# SPDX-License-Identifier: Apache-2.0
"""Recalls: a sender withdraws a release. It is blocked here at once, and a ``recall_applied`` receipt proves that the recall arrived.

What runs already goes on; deployed copies are not removed. Only releases that came through the recalling trust are touched.
"""

from collections.abc import Iterable
from dataclasses import replace

from waybill.app import receipts
from waybill.domain.bundles import InboxBundle, InboxState
from waybill.domain.releases import Release
from waybill.domain.trusts import Trust
from waybill.ports import Ports, Work


def apply_recalls(ports: Ports, work: Work, *, trust: Trust, release_sha256s: Iterable[str], reason: str) -> int:
    """The releases are blocked, undecided bundles of them refused, a receipt is out for each bundle; returns how many bundles were told."""
    told = 0
    for release_sha256 in release_sha256s:
        for release in work.of(Release).where(trust_id=trust.id, release_sha256=release_sha256):
            if release.blocked_reason is None:
                work.of(Release).replace(replace(release, blocked_reason=f"recalled by {trust.name}: {reason}"[:1000]))
        for inbox in work.of(InboxBundle).where(trust_id=trust.id, release_sha256=release_sha256):
            if inbox.state in (InboxState.WAITING_PACKAGES, InboxState.READY, InboxState.IMPORTING):
                work.of(InboxBundle).replace(replace(inbox, state=InboxState.REFUSED, reason=f"recalled: {reason}"[:1000]))
            if not receipts.was_emitted(work, trust_id=trust.id, bundle_sha256=inbox.bundle_sha256, event="recall_applied"):
                facts = receipts.ReceiptFacts(
                    event="recall_applied",
                    release_sha256=release_sha256,
                    bundle_sha256=inbox.bundle_sha256,
                    release_row_id=inbox.release_row_id,
                )
                receipts.emit(ports, work, trust=trust, facts=facts)
                told += 1
        work.audit(at=ports.clock.now(), actor=trust.name, action="release.recalled", subject=release_sha256, detail=reason[:1000])
    return told
