# SPDX-License-Identifier: Apache-2.0
"""Revocations that arrived as messages: a key named in one opens no door any more, whatever the stored identity still says.

A revocation is signed by the identity key of the Space whose key it ends, so nobody can end another Space's keys.
"""

from dataclasses import replace
from datetime import datetime

from waybill.app import trusts
from waybill.domain.releases import Document
from waybill.domain.trusts import Trust
from waybill.formats import envelope, revocation
from waybill.ports import Ports, Work
from waybill.trust.verify import TrustedPeer, peer_of


def current_peers(ports: Ports, work: Work, now: datetime) -> list[TrustedPeer]:
    """``trusts.peers``, each without the keys that its Space has revoked by message."""
    revoked = _revoked(work)
    return [_without(peer, revoked) for peer in trusts.peers(ports, work, now)]


def current_peer(work: Work, trust: Trust, now: datetime) -> TrustedPeer:
    """``verify.peer_of``, without the keys that the Space has revoked by message. Raises as that."""
    return _without(peer_of(trust, now), _revoked(work))


def _revoked(work: Work) -> dict[str, set[str]]:
    """SPKI digests by the Space that revoked them."""
    revoked: dict[str, set[str]] = {}
    for row in work.of(Document).where(kind="revocation"):
        doc = revocation.decode(envelope.decode(row.body).payload)
        revoked.setdefault(doc.space_id, set()).add(doc.revoked.key_sha256)
    return revoked


def _without(peer: TrustedPeer, revoked: dict[str, set[str]]) -> TrustedPeer:
    keys = revoked.get(peer.space_id)
    return peer if keys is None else replace(peer, revoked_keys=peer.revoked_keys | keys)
