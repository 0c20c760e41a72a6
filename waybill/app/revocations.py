# SPDX-License-Identifier: Apache-2.0
"""Revocations that arrived as messages: a key named in one opens no door any more, whatever the stored identity still says.

A revocation is signed by the identity key of the Space whose key it ends, so nobody can end another Space's keys.
"""

from dataclasses import replace
from datetime import datetime

from waybill.app import trusts
from waybill.domain.releases import Document
from waybill.formats import envelope, revocation
from waybill.ports import Ports, Work
from waybill.trust.verify import TrustedPeer


def current_peers(ports: Ports, work: Work, now: datetime) -> list[TrustedPeer]:
    """``trusts.peers``, each without the keys that its Space has revoked by message."""
    revoked: dict[str, set[str]] = {}
    for row in work.of(Document).where(kind="revocation"):
        doc = revocation.decode(envelope.decode(row.body).payload)
        revoked.setdefault(doc.space_id, set()).add(doc.revoked.key_sha256)
    peers = trusts.peers(ports, work, now)
    if not revoked:
        return peers
    return [replace(peer, revoked_keys=peer.revoked_keys | revoked.get(peer.space_id, set())) for peer in peers]
