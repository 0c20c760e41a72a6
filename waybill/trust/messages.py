# SPDX-License-Identifier: Apache-2.0
"""Decides about the small messages: receipt, inventory, need list, recall, revocation, carrier index, peer request and answer.

Part of waybill/trust/verify.py, through which it is used; the order of checks is the one described there.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypeAlias, TypeVar

from waybill.domain.trusts import Grants
from waybill.errors import FormatError, TrustError
from waybill.formats import carrier_index, envelope, inventory, kinds, need_list, peer, recall, receipt, revocation
from waybill.formats.carrier_index import CarrierIndexDoc
from waybill.formats.inventory import InventoryDoc
from waybill.formats.need_list import NeedListDoc
from waybill.formats.peer import PeerAnswerDoc, PeerRequestDoc
from waybill.formats.recall import RecallDoc
from waybill.formats.receipt import ReceiptDoc
from waybill.formats.revocation import RevocationDoc
from waybill.trust import checks
from waybill.trust.certificates import Certificate
from waybill.trust.trust_set import TrustedPeer, Us

_PROOF = object()
D = TypeVar("D")
D_co = TypeVar("D_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedMessage(Generic[D_co]):
    """A message that passed every check but those of replay and order. ``key`` made the signature."""

    peer: TrustedPeer
    doc: D_co
    payload_sha256: str
    envelope_sha256: str
    key: Certificate
    proof: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.proof is not _PROOF:
            raise TypeError("a verified message is made by waybill.trust.verify only")


VerifiedReceipt: TypeAlias = VerifiedMessage[ReceiptDoc]
VerifiedInventory: TypeAlias = VerifiedMessage[InventoryDoc]
VerifiedNeedList: TypeAlias = VerifiedMessage[NeedListDoc]
VerifiedRecall: TypeAlias = VerifiedMessage[RecallDoc]
VerifiedRevocation: TypeAlias = VerifiedMessage[RevocationDoc]
VerifiedPeerRequest: TypeAlias = VerifiedMessage[PeerRequestDoc]
VerifiedPeerAnswer: TypeAlias = VerifiedMessage[PeerAnswerDoc]
VerifiedCarrierIndex: TypeAlias = VerifiedMessage[CarrierIndexDoc]
MessageDoc: TypeAlias = ReceiptDoc | InventoryDoc | NeedListDoc | RecallDoc | RevocationDoc | CarrierIndexDoc | PeerRequestDoc


def verify_sender(kind: str, data: bytes, *, peers: Sequence[TrustedPeer], now: datetime) -> TrustedPeer:
    """The usable peer whose signature is on ``data``; nothing else is checked. For answering a document that is refused.

    Raises:
        FormatError and TrustError: as ``verify_message`` up to the signatures.
    """
    most = peer.MAX_ENVELOPE_BYTES if kind.startswith("peer_") else envelope.MAX_ENVELOPE_BYTES
    env = checks.check_type(data, kinds.PAYLOAD_TYPES[kind], max_bytes=most)
    return checks.check_signers(env, peers, now, by_identity_key=kind == "revocation")[0][0]


def _no_time(_doc: object, _now: datetime) -> None:
    """Messages about the past hold whenever they arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule(Generic[D]):
    """What one kind of message must fulfil beyond its signature."""

    payload_type: str
    decode: Callable[[bytes], D]
    sender: Callable[[D], str]
    recipient: Callable[[D], str | None]
    key_sha256: Callable[[D], str | None] = lambda _doc: None
    granted: Callable[[Grants], bool] = lambda _grants: True
    grant_name: str = ""
    epoch: Callable[[D], int] = lambda _doc: 1
    check_time: Callable[[D, datetime], None] = _no_time
    max_bytes: int = envelope.MAX_ENVELOPE_BYTES
    by_identity_key: bool = False


def _check_fresh(doc: PeerRequestDoc | PeerAnswerDoc, now: datetime) -> None:
    if abs(now - doc.created_at) > peer.MAX_AGE:
        raise TrustError(
            "peer.request_stale",
            "The request was made too long ago, or the clocks differ",
            expected=now.isoformat(),
            found=doc.created_at.isoformat(),
        )


_RECEIPT: Final[_Rule[ReceiptDoc]] = _Rule(
    payload_type=receipt.PAYLOAD_TYPE,
    decode=receipt.decode,
    sender=lambda doc: doc.target.space_id,
    recipient=lambda doc: doc.source.space_id,
    key_sha256=lambda doc: doc.target.key_sha256,
    granted=lambda grants: grants.accept_receipts,
    grant_name="accept receipts",
    epoch=lambda doc: doc.epoch,
)
_INVENTORY: Final[_Rule[InventoryDoc]] = _Rule(
    payload_type=inventory.PAYLOAD_TYPE,
    decode=inventory.decode,
    sender=lambda doc: doc.sender_space_id,
    recipient=lambda doc: doc.target_space_id,
    granted=lambda grants: grants.send_releases,
    grant_name="send releases",
    epoch=lambda doc: doc.epoch,
)
_NEED_LIST: Final[_Rule[NeedListDoc]] = _Rule(
    payload_type=need_list.PAYLOAD_TYPE,
    decode=need_list.decode,
    sender=lambda doc: doc.sender_space_id,
    recipient=lambda doc: doc.target_space_id,
    granted=lambda grants: grants.send_releases,
    grant_name="send releases",
    epoch=lambda doc: doc.epoch,
)
_RECALL: Final[_Rule[RecallDoc]] = _Rule(
    payload_type=recall.PAYLOAD_TYPE,
    decode=recall.decode,
    sender=lambda doc: doc.sender_space_id,
    recipient=lambda doc: doc.target_space_id,
    granted=lambda grants: grants.accept_releases,
    grant_name="accept releases",
    epoch=lambda doc: doc.epoch,
)
_REVOCATION: Final[_Rule[RevocationDoc]] = _Rule(
    payload_type=revocation.PAYLOAD_TYPE,
    decode=revocation.decode,
    sender=lambda doc: doc.space_id,
    recipient=lambda _doc: None,
    check_time=lambda doc, now: checks.check_not_from_future(doc.issued_at, now),
    by_identity_key=True,
)
_CARRIER_INDEX: Final[_Rule[CarrierIndexDoc]] = _Rule(
    payload_type=carrier_index.PAYLOAD_TYPE,
    decode=carrier_index.decode,
    sender=lambda doc: doc.sender_space_id,
    recipient=lambda doc: doc.target_space_id,
    check_time=lambda doc, now: checks.check_not_from_future(doc.created_at, now),
)
_PEER_REQUEST: Final[_Rule[PeerRequestDoc]] = _Rule(
    payload_type=peer.REQUEST_PAYLOAD_TYPE,
    decode=peer.decode_request,
    sender=lambda doc: doc.sender_space_id,
    recipient=lambda doc: doc.target_space_id,
    check_time=_check_fresh,
    max_bytes=peer.MAX_ENVELOPE_BYTES,
)
_PEER_ANSWER: Final[_Rule[PeerAnswerDoc]] = _Rule(
    payload_type=peer.ANSWER_PAYLOAD_TYPE,
    decode=peer.decode_answer,
    sender=lambda doc: doc.sender_space_id,
    recipient=lambda doc: doc.target_space_id,
    check_time=_check_fresh,
    max_bytes=peer.MAX_ENVELOPE_BYTES,
)


def _message(rule: _Rule[D], data: bytes, us: Us, peers: Sequence[TrustedPeer], now: datetime) -> VerifiedMessage[D]:
    env = checks.check_type(data, rule.payload_type, max_bytes=rule.max_bytes)
    signers = checks.check_signers(env, peers, now, by_identity_key=rule.by_identity_key)
    doc = rule.decode(env.payload)
    sender, key = checks.check_sender(signers, rule.sender(doc), key_sha256=rule.key_sha256(doc))
    recipient = rule.recipient(doc)
    if recipient is not None:
        checks.check_recipient(recipient, us)
    checks.check_granted(sender, rule.granted(sender.grants), rule.grant_name)
    checks.check_epoch(sender, rule.epoch(doc))
    rule.check_time(doc, now)
    return VerifiedMessage(peer=sender, doc=doc, payload_sha256=_sha256(env.payload), envelope_sha256=_sha256(data), key=key, proof=_PROOF)


def verify_receipt(data: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime) -> VerifiedReceipt:
    """A receipt for us from a peer whose receipts we accept. Whether it names a bundle that we sent is checked by the ledger, not here.

    Raises:
        FormatError: as the decoders; envelope.type_unexpected.
        TrustError: signature.*, trust.* (trust.identity_stale for an epoch that no known identity has begun), bundle.source_mismatch,
            bundle.wrong_recipient, trust.direction_denied.
    Source: docs/formats/receipt-v1.md, section 4.
    """
    return _message(_RECEIPT, data, us, peers, now)


def verify_inventory(data: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime) -> VerifiedInventory:
    """An inventory of a peer to which we send releases. Raises as ``verify_receipt``."""
    return _message(_INVENTORY, data, us, peers, now)


def verify_need_list(data: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime) -> VerifiedNeedList:
    """A need list of a peer to which we send releases. Raises as ``verify_receipt``."""
    return _message(_NEED_LIST, data, us, peers, now)


def verify_recall(data: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime) -> VerifiedRecall:
    """A recall by a peer whose releases we accept. Raises as ``verify_receipt``."""
    return _message(_RECALL, data, us, peers, now)


def verify_revocation(data: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime) -> VerifiedRevocation:
    """A revocation under the identity key of the Space whose key it revokes. Raises as ``verify_receipt``; bundle.from_future."""
    return _message(_REVOCATION, data, us, peers, now)


def verify_carrier_index(data: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime) -> VerifiedCarrierIndex:
    """The index of a carrier that a peer made for us. Raises as ``verify_receipt``; bundle.from_future."""
    return _message(_CARRIER_INDEX, data, us, peers, now)


def verify_peer_request(data: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime) -> VerifiedPeerRequest:
    """A request of a peer to us, at most 300 seconds old. That its nonce is new is checked by the ledger, not here.

    Raises: as ``verify_receipt``; TrustError peer.request_stale.
    """
    return _message(_PEER_REQUEST, data, us, peers, now)


def verify_peer_answer(
    data: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime, nonce: str, request_sha256: str | None = None
) -> VerifiedPeerAnswer:
    """The peer's answer to our request with this ``nonce`` and, when given, this payload digest.

    Raises: as ``verify_receipt``; TrustError peer.request_stale, also when it answers another request.
    """
    answer = _message(_PEER_ANSWER, data, us, peers, now)
    if answer.doc.nonce != nonce or request_sha256 not in (None, answer.doc.request_sha256):
        raise TrustError("peer.request_stale", "The answer belongs to another request", field="/nonce")
    return answer


def verify_message(kind: str, data: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime) -> VerifiedMessage[MessageDoc]:
    """A message of ``kind``: receipt, inventory, need_list, recall, revocation, carrier_index or peer_request.

    Raises: as the function of that kind; FormatError envelope.type_unexpected for any other kind.
    """
    rules: dict[str, Callable[[], VerifiedMessage[MessageDoc]]] = {
        "receipt": lambda: verify_receipt(data, us=us, peers=peers, now=now),
        "inventory": lambda: verify_inventory(data, us=us, peers=peers, now=now),
        "need_list": lambda: verify_need_list(data, us=us, peers=peers, now=now),
        "recall": lambda: verify_recall(data, us=us, peers=peers, now=now),
        "revocation": lambda: verify_revocation(data, us=us, peers=peers, now=now),
        "carrier_index": lambda: verify_carrier_index(data, us=us, peers=peers, now=now),
        "peer_request": lambda: verify_peer_request(data, us=us, peers=peers, now=now),
    }
    if kind not in rules:
        raise FormatError("envelope.type_unexpected", "No such kind of message", expected=", ".join(rules), found=kind[:60])
    return rules[kind]()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
