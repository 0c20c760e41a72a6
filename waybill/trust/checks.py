# SPDX-License-Identifier: Apache-2.0
"""The single checks of which waybill/trust/verify.py is made; each raises or returns the proven value. Their order is decided there."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from waybill.errors import FormatError, TrustError, WaybillError
from waybill.formats import envelope
from waybill.formats.delivery import DeliveryDoc
from waybill.formats.envelope import Envelope
from waybill.formats.release import ReleaseDoc
from waybill.trust import signatures
from waybill.trust.certificates import Certificate
from waybill.trust.trust_set import TrustedPeer, Us, VerifiedIdentity

MAX_SKEW: Final = timedelta(seconds=300)
"""How far the clocks of two sites may differ."""

Signer: TypeAlias = tuple[TrustedPeer, Certificate]


def check_type(data: bytes, payload_type: str, *, max_bytes: int = envelope.MAX_ENVELOPE_BYTES) -> Envelope:
    """The envelope in ``data``, of exactly this type. Raises as ``envelope.decode``; FormatError envelope.type_unexpected."""
    env = envelope.decode(data, max_bytes=max_bytes)
    if env.payload_type != payload_type:
        raise FormatError(
            "envelope.type_unexpected", "A document of another kind was expected", expected=payload_type, found=env.payload_type[:200]
        )
    return env


def check_signers(env: Envelope, peers: Sequence[TrustedPeer], now: datetime, *, by_identity_key: bool = False) -> tuple[Signer, ...]:
    """The peers that signed ``env`` with a key that is good now; the payload has not been read yet.

    Raises:
        TrustError: signature.*, when no peer signed; the first reason, when every one that did is not usable:
            trust.retired, trust.unconfirmed, trust.key_revoked, trust.key_expired.
    """
    candidates = [
        (key.spki_sha256, key.public_key, (peer, key))
        for peer in peers
        for key in (peer.identity.identity_keys if by_identity_key else peer.identity.signing)
    ]
    usable: list[Signer] = []
    refusals: list[WaybillError] = []
    for peer, key in signatures.verified_by(env, candidates):
        try:
            peer.check_usable()
            peer.check_key(key, now)
            usable.append((peer, key))
        except TrustError as error:
            refusals.append(error)
    if not usable:
        raise refusals[0]
    return tuple(usable)


def check_sender(signers: Sequence[Signer], space_id: str, *, key_sha256: str | None = None) -> Signer:
    """The signer that the document names as its sender, by Space and, when the document has it, by key.

    Raises:
        TrustError: bundle.source_mismatch; signature.threshold_not_met, when the trust asks for more keys than have signed.
    """
    own = [one for one in signers if one[0].space_id == space_id]
    if not own:
        found = ", ".join(sorted({peer.space_id for peer, _ in signers}))
        raise TrustError("bundle.source_mismatch", "The sender that the document names did not sign it", expected=space_id, found=found)
    wanted = own[0][0].signature_threshold
    distinct = {key.spki_sha256 for _, key in own}
    if len(distinct) < wanted:
        raise TrustError("signature.threshold_not_met", "Too few different keys have signed", expected=wanted, found=len(distinct))
    named = [one for one in own if key_sha256 in (None, one[1].spki_sha256)]
    if not named:
        raise TrustError("bundle.source_mismatch", "The document names another key than the one that signed it", expected=key_sha256)
    return named[0]


def check_recipient(space_id: str, us: Us) -> None:
    """The document is meant for us. Raises TrustError bundle.wrong_recipient."""
    if space_id != us.space_id:
        raise TrustError("bundle.wrong_recipient", "The document is meant for another Space", expected=us.space_id, found=space_id)


def check_granted(peer: TrustedPeer, granted: bool, what: str) -> None:
    """The trust grants this direction. Raises TrustError trust.direction_denied."""
    if not granted:
        raise TrustError("trust.direction_denied", f"The trust with {peer.identity.doc.name} does not grant to {what}", field=what)


def check_epoch(peer: TrustedPeer, epoch: int) -> None:
    """The epoch is one that the peer's identity can have begun: each needs a version of its own.

    Without this, whoever once held a signing key could name a far epoch, and everything that its owner sends later would be stale.

    Raises:
        TrustError: trust.identity_stale.
    """
    if epoch > peer.identity.doc.version:
        raise TrustError(
            "trust.identity_stale",
            "The document is of an epoch whose identity version is not known here",
            field="/epoch",
            expected=f"at most {peer.identity.doc.version}",
            found=epoch,
        )


def check_project(peer: TrustedPeer, release: ReleaseDoc) -> None:
    """The trust grants this project, by id or by name. Raises TrustError trust.direction_denied."""
    allowed = peer.grants.projects
    if allowed and release.project.id not in allowed and release.project.name not in allowed:
        raise TrustError("trust.direction_denied", "The trust does not grant this project", field="projects", found=release.project.name)


def check_not_from_future(created_at: datetime, now: datetime) -> None:
    """``created_at`` is at most the allowed skew ahead of ``now``. Raises TrustError bundle.from_future."""
    if created_at > now + MAX_SKEW:
        raise TrustError(
            "bundle.from_future", "The document is dated in the future", expected=f"at most {now.isoformat()}", found=created_at.isoformat()
        )


def check_delivery_times(delivery: DeliveryDoc, now: datetime) -> None:
    """``delivery`` holds now. Raises TrustError bundle.from_future, bundle.expired (from ``expires_at`` on)."""
    check_not_from_future(max(delivery.created_at, delivery.not_before), now)
    if now >= delivery.expires_at:
        raise TrustError(
            "bundle.expired", "The bundle is past its expiry", expected=f"before {delivery.expires_at.isoformat()}", found=now.isoformat()
        )


def check_custody(delivery: DeliveryDoc, owner_space_id: str, us: Us) -> None:
    """The chain leads from the owner to the sender and does not come back to us.

    Raises:
        TrustError: bundle.loop, when we stand in it or own the release; bundle.source_mismatch, when the owner's link is not the first,
            a Space stands twice, or a chain stands where the owner itself sent; trust.relay_denied, when a hop did not verify the Release.
    """
    chain = [link.space_id for link in delivery.custody]
    if us.space_id == owner_space_id or us.space_id in chain:
        raise TrustError("bundle.loop", "This Space already stands in the custody chain", field="/custody")
    sender = delivery.sender.space_id
    wanted = [] if sender == owner_space_id else [owner_space_id]
    if chain[:1] != wanted or len({*chain, sender}) != len(chain) + 1:
        raise TrustError("bundle.source_mismatch", "The custody chain does not lead from the owner to the sender", field="/custody")
    for link in delivery.custody:
        if not link.release_verified:
            raise TrustError("trust.relay_denied", "A Space of the chain did not verify the release", field="/custody", found=link.space_id)


def choose_owner(
    env: Envelope, owner_space_id: str, relayed: Sequence[VerifiedIdentity], sender: TrustedPeer, peers: Sequence[TrustedPeer]
) -> tuple[VerifiedIdentity, TrustedPeer | None]:
    """The identity under which the owner's signature on ``env`` must verify, and our own trust in the owner when there is one.

    A trust of our own always wins over what a relay says. Without one, the sender must hold the relay grant.

    Args:
        env: the Release's envelope.
        relayed: verified identities that came in the Delivery.
    Raises:
        TrustError: trust.relay_denied; trust.fingerprint_mismatch, when a pending or retired trust of ours knows the owner under
            another fingerprint; trust.identity_invalid, when no identity of the owner came along.
    """
    if sender.space_id == owner_space_id:
        return sender.identity, sender
    ours = next((peer for peer in peers if peer.space_id == owner_space_id), None)
    if ours is not None and ours.confirmed and not ours.retired and ours.grants.accept_releases:
        return ours.identity, ours
    if not sender.grants.relay:
        raise TrustError("trust.relay_denied", f"{sender.identity.doc.name} may not relay for other Spaces", expected="the relay grant")
    of_owner = [one for one in relayed if one.doc.space_id == owner_space_id]
    if not of_owner:
        raise TrustError("trust.identity_invalid", "The identity of the release's owner did not come along", expected=owner_space_id)
    keyids = {one.keyid for one in env.signatures}
    fitting = [one for one in of_owner if keyids & {key.spki_sha256 for key in one.signing}]
    chosen = max(fitting or of_owner, key=lambda one: one.doc.version)
    if ours is not None and ours.identity.fingerprint != chosen.fingerprint:
        raise TrustError(
            "trust.fingerprint_mismatch",
            "The owner is known here by another identity",
            expected=ours.identity.fingerprint,
            found=chosen.fingerprint,
        )
    return chosen, None
