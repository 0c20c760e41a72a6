# SPDX-License-Identifier: Apache-2.0
"""Decides about signed documents: bytes, trusts and a time in; a proven value out, or an error. With messages.py and trust_set.py the only maker
of Verified values; all of them are used through this module.

The order of checks is fixed, each with its own code: size, envelope, base64, type, candidate keys, signatures, payload, schema, sender,
recipient, grants, time. Replay and order are checked by the ledger, inside the transaction that stores the document.
Nothing here writes anything. Byte-level description: docs/formats/envelope-v1.md, section 5.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from waybill.domain.trusts import Grants
from waybill.errors import FormatError, TrustError
from waybill.formats import delivery, envelope, release
from waybill.formats.delivery import CustodyLink, DeliveryDoc
from waybill.formats.release import ReleaseDoc
from waybill.trust import checks, seal, signatures
from waybill.trust.checks import MAX_SKEW
from waybill.trust.messages import (
    VerifiedCarrierIndex,
    VerifiedInventory,
    VerifiedMessage,
    VerifiedNeedList,
    VerifiedPeerAnswer,
    VerifiedPeerRequest,
    VerifiedRecall,
    VerifiedReceipt,
    VerifiedRevocation,
    verify_carrier_index,
    verify_inventory,
    verify_message,
    verify_need_list,
    verify_peer_answer,
    verify_peer_request,
    verify_recall,
    verify_receipt,
    verify_revocation,
    verify_sender,
)
from waybill.trust.trust_set import TrustedPeer, Us, VerifiedIdentity, peer_of, verify_identity, verify_identity_update

__all__ = [
    "MAX_SKEW",
    "TrustedPeer",
    "Us",
    "VerifiedBundle",
    "VerifiedCarrierIndex",
    "VerifiedIdentity",
    "VerifiedInventory",
    "VerifiedMessage",
    "VerifiedNeedList",
    "VerifiedPeerAnswer",
    "VerifiedPeerRequest",
    "VerifiedRecall",
    "VerifiedReceipt",
    "VerifiedRelease",
    "VerifiedRevocation",
    "peer_of",
    "reopen_delivery",
    "reopen_release",
    "verify_bundle",
    "verify_carrier_index",
    "verify_identity",
    "verify_identity_update",
    "verify_inventory",
    "verify_message",
    "verify_need_list",
    "verify_peer_answer",
    "verify_peer_request",
    "verify_recall",
    "verify_receipt",
    "verify_release_own",
    "verify_revocation",
    "verify_sender",
]

_PROOF = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRelease:
    """A Release whose bytes are proven. ``release_sha256`` is its payload digest, equal in every Space."""

    doc: ReleaseDoc
    release_sha256: str
    envelope_sha256: str
    proof: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_proof(self.proof)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A Delivery for us and its Release, accepted but for replay and order. ``bundle_sha256`` is the Delivery's payload digest.

    ``owner`` is the identity under which the Release verified; ``via`` the custody chain, empty when the owner itself sent.
    It never travels in a workflow payload: an activity reads the stored bytes again (``reopen_delivery``, ``reopen_release``).
    """

    peer: TrustedPeer
    delivery: DeliveryDoc
    bundle_sha256: str
    release: ReleaseDoc
    release_sha256: str
    owner: VerifiedIdentity
    via: tuple[CustodyLink, ...]
    proof: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_proof(self.proof)

    @property
    def is_relayed(self) -> bool:
        """True when somebody else than the owner sent it."""
        return bool(self.via)


def verify_bundle(
    delivery_envelope: bytes, release_envelope: bytes, *, us: Us, peers: Sequence[TrustedPeer], now: datetime
) -> VerifiedBundle:
    """The bundle, when everything about it holds for this Space now.

    Args:
        delivery_envelope: as it came, at most 16 MiB.
        release_envelope: as it came, at most 16 MiB.
        us: this Space, with every key that it can open with.
        peers: the trusts of this Space, pending and retired ones too, so that a refusal can say so.
        now: aware UTC.
    Raises:
        FormatError: limit.exceeded, envelope.malformed, envelope.type_unexpected, payload.*, bundle.schema_unsupported,
            bundle.incomplete, bundle.secret_in_clear, package.coordinate_invalid, package.digest_unsupported.
        TrustError: signature.*; trust.unconfirmed, trust.retired, trust.key_revoked, trust.key_expired; bundle.source_mismatch,
            bundle.wrong_recipient, suite.not_allowed, trust.direction_denied, trust.identity_stale, bundle.from_future, bundle.expired;
            bundle.digest_mismatch, bundle.loop, trust.relay_denied, trust.fingerprint_mismatch, trust.identity_invalid.
    Source: docs/formats/envelope-v1.md, section 5; docs/formats/delivery-v1.md, section 5 (relay).
    """
    env = checks.check_type(delivery_envelope, delivery.PAYLOAD_TYPE)
    signers = checks.check_signers(env, peers, now)
    sent = delivery.decode(env.payload)
    sender, _ = checks.check_sender(signers, sent.sender.space_id, key_sha256=sent.sender.key_sha256)
    checks.check_recipient(sent.target.space_id, us)
    if sent.target.enc_key_sha256 not in us.encryption_key_sha256s:
        raise TrustError("bundle.wrong_recipient", "The delivery is sealed to a key that is not ours", field="/target/enc_key_sha256")
    if sent.target.suite not in seal.SUITES or sent.target.suite not in sender.identity.doc.suites:
        raise TrustError("suite.not_allowed", "The cipher suite is not allowed", field="/target/suite", found=sent.target.suite)
    checks.check_granted(sender, sender.grants.accept_releases, "accept releases")
    checks.check_epoch(sender, sent.epoch)
    checks.check_delivery_times(sent, now)
    frozen, owner = _verify_release(release_envelope, sent, sender, us=us, peers=peers, now=now)
    return VerifiedBundle(
        peer=sender,
        delivery=sent,
        bundle_sha256=_sha256(env.payload),
        release=frozen,
        release_sha256=sent.release.sha256,
        owner=owner,
        via=sent.custody,
        proof=_PROOF,
    )


def _verify_release(
    data: bytes, sent: DeliveryDoc, sender: TrustedPeer, *, us: Us, peers: Sequence[TrustedPeer], now: datetime
) -> tuple[ReleaseDoc, VerifiedIdentity]:
    """The Release that ``sent`` names, under its owner's signature.

    The Space that owns it stands in its payload, which is unread before the digest equals the one that the verified Delivery names.
    """
    env = checks.check_type(data, release.PAYLOAD_TYPE)
    _check_release_digest(env.payload, sent.release.sha256, sent.release.size_bytes)
    frozen = release.decode(env.payload)
    _check_reader(frozen, us)
    owner_space_id = frozen.owner.space_id
    checks.check_custody(sent, owner_space_id, us)
    relayed = [] if sender.space_id == owner_space_id else [verify_identity(one, now=now) for one in sent.identities]
    owner, trust = checks.choose_owner(env, owner_space_id, relayed, sender, peers)
    signed_by = signatures.verified_by(env, [(key.spki_sha256, key.public_key, key) for key in owner.signing])
    # The owner vouches for an old release with each fresh Delivery. A relay cannot: then the owner's key must still be valid.
    at = None if sender.space_id == owner_space_id else now
    under = trust or TrustedPeer(
        trust_id=sender.trust_id, identity=owner, grants=Grants(), confirmed=True, revoked_keys=sender.revoked_keys
    )
    for key in signed_by:
        under.check_key(key, at)
    checks.check_project(sender, frozen)
    if trust is not None and trust is not sender:
        checks.check_project(trust, frozen)
    return frozen, owner


def verify_release_own(data: bytes, *, identity: VerifiedIdentity, release_sha256: str) -> VerifiedRelease:
    """A Release that is stored here, once its digest and the signature of its owner ``identity`` have been proven again.

    Raises:
        FormatError: as the decoders; envelope.type_unexpected.
        TrustError: bundle.digest_mismatch; signature.*; bundle.source_mismatch, when ``identity`` is not the owner's.
    """
    verified = reopen_release(data, release_sha256=release_sha256)
    if verified.doc.owner.space_id != identity.doc.space_id:
        raise TrustError("bundle.source_mismatch", "The release belongs to another Space", expected=identity.doc.space_id)
    env = envelope.decode(data)
    signatures.verified_by(env, [(key.spki_sha256, key.public_key, key) for key in identity.signing])
    return verified


def reopen_release(data: bytes, *, release_sha256: str) -> VerifiedRelease:
    """A Release that was verified before and is read back, pinned by the digest that the ledger holds.

    Raises:
        FormatError: as the decoders; envelope.type_unexpected. TrustError: bundle.digest_mismatch.
    """
    env = checks.check_type(data, release.PAYLOAD_TYPE)
    _check_release_digest(env.payload, release_sha256, len(env.payload))
    return VerifiedRelease(doc=release.decode(env.payload), release_sha256=release_sha256, envelope_sha256=_sha256(data), proof=_PROOF)


def reopen_delivery(data: bytes, *, bundle_sha256: str) -> DeliveryDoc:
    """A Delivery that was verified before and is read back, pinned by the digest that the ledger holds.

    Raises:
        FormatError: as the decoders; envelope.type_unexpected. TrustError: bundle.digest_mismatch.
    """
    env = checks.check_type(data, delivery.PAYLOAD_TYPE)
    if _sha256(env.payload) != bundle_sha256:
        raise TrustError("bundle.digest_mismatch", "The stored delivery is another one", expected=bundle_sha256, found=_sha256(env.payload))
    return delivery.decode(env.payload)


def _check_proof(proof: object) -> None:
    if proof is not _PROOF:
        raise TypeError("a verified value is made by waybill.trust.verify only")


def _check_release_digest(payload: bytes, sha256: str, size_bytes: int) -> None:
    if _sha256(payload) != sha256 or len(payload) != size_bytes:
        raise TrustError("bundle.digest_mismatch", "The release is not the one that is named", expected=sha256, found=_sha256(payload))


def _check_reader(doc: ReleaseDoc, us: Us) -> None:
    """The release asks for no newer reader than we are."""
    wanted = _version(doc.min_reader)
    if wanted > max(_version(one) for one in us.reads):
        raise FormatError("bundle.schema_unsupported", "The release needs a newer version", field="/needs/min_reader", found=doc.min_reader)


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
