# SPDX-License-Identifier: Apache-2.0
"""Trusts: one Space's decision about another."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TrustState(StrEnum):
    """``pending`` until a person has confirmed the fingerprint; ``retired`` for ever."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRED = "retired"


class Road(StrEnum):
    """How messages of a trust travel, seen from this Space.

    ``call``: this Space opens the connections. ``answer``: the other Space opens them. ``carrier``: a person carries files.
    A push is ``call`` at the source and ``answer`` at the target; a pull is the reverse.
    """

    CALL = "call"
    ANSWER = "answer"
    CARRIER = "carrier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What may pass under a trust, each direction apart (A19, A24). ``projects`` empty means every project."""

    send_releases: bool = False
    accept_releases: bool = False
    send_receipts: bool = False
    accept_receipts: bool = False
    relay: bool = False
    send_history: bool = True
    send_missing_names: bool = True
    projects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A Remote Space under a local name, with the identity that was imported and what is granted to it.

    ``identity_envelope`` is the signed identity document as it came, verified again at each use.
    """

    id: str
    space_id: str
    slug: str
    name: str
    peer_space_id: str
    peer_name: str
    fingerprint: str
    identity_version: int
    identity_envelope: bytes
    state: TrustState
    road: Road
    grants: Grants
    created_at: datetime
    created_by: str
    confirmed_at: datetime | None = None
    confirmed_by: str | None = None
    last_contact_at: datetime | None = None
    last_error: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The counter of one kind of message in one direction of a trust; ``last_sha256`` links the next message to it.

    ``id`` is ``{trust_id}:{direction}:{kind}``. ``seen`` holds the newest 64 accepted sequence numbers of an incoming lane.
    """

    id: str
    space_id: str
    trust_id: str
    direction: str
    kind: str
    epoch: int
    last_seq: int
    last_sha256: str | None
    seen: tuple[int, ...] = ()
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """A signed message that waits to reach the peer of a trust.

    ``document_sha256`` names the envelope in ``documents``; ``companion_sha256`` the Release that a Delivery goes with.
    ``state``: ``pending`` until a road took it, ``handed_over`` until the peer acknowledged it, then ``acknowledged``.
    ``withdrawn`` when a promotion was cancelled before any road took it.
    """

    id: str
    space_id: str
    trust_id: str
    kind: str
    seq: int
    document_sha256: str
    companion_sha256: str | None
    state: str
    created_at: datetime
    handed_over_at: datetime | None = None
    acknowledged_at: datetime | None = None
    answer_code: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerNonce:
    """A peer request that was already answered; ``id`` is ``{trust_id}:{nonce}``."""

    id: str
    space_id: str
    seen_at: datetime
    revision: int = 1
