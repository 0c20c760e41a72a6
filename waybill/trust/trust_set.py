# SPDX-License-Identifier: Apache-2.0
"""What a Space believes about its peers: verified identities, the order of their versions, and trusts ready for verification.

An identity proves only that its keys belong together. That it belongs to the other side is proven by people who compare the fingerprint.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from waybill.domain.trusts import Grants, Trust, TrustState
from waybill.errors import FormatError, TrustError
from waybill.formats import envelope, identity
from waybill.formats.envelope import Envelope
from waybill.formats.fields import READS
from waybill.formats.identity import IdentityDoc
from waybill.trust import certificates, signatures
from waybill.trust.certificates import Certificate
from waybill.trust.keys import fingerprint

MAX_IDENTITY_BYTES: Final = 512 * 1024
_KEPT: Final = 64
"""Identities whose proof is kept in memory, of at most ``MAX_IDENTITY_BYTES`` each."""

_PROOF = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedIdentity:
    """An identity document whose certificates and signatures hold together. Made only by the functions of this module.

    ``fingerprint`` is what people compare. ``payload_sha256`` is what ``prev_sha256`` and ``owner.identity_sha256`` name.
    """

    doc: IdentityDoc
    fingerprint: str
    envelope_sha256: str
    payload_sha256: str
    envelope: bytes = field(repr=False)
    identity_keys: tuple[Certificate, ...]
    signing: tuple[Certificate, ...]
    encryption: tuple[Certificate, ...]
    proof: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.proof is not _PROOF:
            raise TypeError("a VerifiedIdentity is made by verify_identity only")

    def encryption_key(self, now: datetime, *, revoked_keys: Collection[str] = ()) -> Certificate:
        """The first encryption certificate that is valid now and not revoked. Raises TrustError trust.key_expired, trust.key_revoked.

        Args:
            revoked_keys: SPKI digests revoked elsewhere than in the document itself.
        """
        revoked = {one.key_sha256 for one in self.doc.revoked} | set(revoked_keys)
        usable = [one for one in self.encryption if one.spki_sha256 not in revoked]
        if not usable:
            raise TrustError("trust.key_revoked", "Every encryption key of the Space is revoked")
        for one in usable:
            if one.not_before <= now < one.not_after:
                return one
        usable[0].check_time(now)
        return usable[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedPeer:
    """One trust, ready to verify with. ``confirmed`` False: a person has not compared the fingerprint yet.

    ``revoked_keys`` are SPKI digests revoked here or by a revocation message, beyond those of the identity itself.
    ``signature_threshold`` is how many distinct signing keys each message of this peer must carry.
    """

    trust_id: str
    identity: VerifiedIdentity
    grants: Grants
    confirmed: bool
    retired: bool = False
    revoked_keys: frozenset[str] = frozenset()
    signature_threshold: int = 1

    @property
    def space_id(self) -> str:
        """The Space at the other end."""
        return self.identity.doc.space_id

    def check_usable(self) -> None:
        """The trust is confirmed and not ended. Raises TrustError trust.retired, trust.unconfirmed."""
        shown = f"{self.identity.doc.name} {self.identity.fingerprint}"
        if self.retired:
            raise TrustError("trust.retired", "The trust with this Space has been ended", found=shown)
        if not self.confirmed:
            raise TrustError("trust.unconfirmed", "The fingerprint of this Space has not been confirmed", found=shown)

    def encryption_key(self, now: datetime) -> Certificate:
        """The key to seal to, as ``VerifiedIdentity.encryption_key``, without those revoked by message."""
        return self.identity.encryption_key(now, revoked_keys=self.revoked_keys)

    def check_key(self, key: Certificate, now: datetime | None) -> None:
        """``key`` is neither revoked nor, when ``now`` is given, out of its validity. Raises TrustError trust.key_revoked, trust.key_expired."""
        revoked = {one.key_sha256 for one in self.identity.doc.revoked} | self.revoked_keys
        if key.spki_sha256 in revoked:
            raise TrustError("trust.key_revoked", "The key has been revoked", found=key.spki_sha256)
        if now is not None:
            key.check_time(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Us:
    """This Space, as far as verification must know: its id, the keys that it can open with, and the schema versions that it reads."""

    space_id: str
    encryption_key_sha256s: tuple[str, ...]
    reads: tuple[str, ...] = READS


def verify_identity(data: bytes, *, now: datetime) -> VerifiedIdentity:
    """The identity in the envelope ``data``: profile of every certificate, and ``threshold`` of its identity keys have signed.

    Not checked: whether the leaves are inside their validity (that is checked where a key is used) and whose it is (people compare).

    Args:
        data: the envelope as it came, at most 512 KiB.
        now: aware UTC.
    Raises:
        FormatError: as the decoders; envelope.type_unexpected.
        TrustError: signature.*; trust.certificate_profile, trust.key_weak, trust.identity_invalid; trust.key_expired for an identity
            certificate; trust.key_revoked, when an identity key is revoked.
    Source: docs/formats/identity-v1.md, section 4.
    """
    proven = _proven(data)
    for issuer in proven.identity_keys:
        issuer.check_time(now)
    if {one.key_sha256 for one in proven.doc.revoked} & {one.spki_sha256 for one in proven.identity_keys}:
        raise TrustError("trust.key_revoked", "The identity revokes its own identity key")
    return proven


def verify_identity_update(current: VerifiedIdentity, data: bytes, *, now: datetime) -> VerifiedIdentity:
    """The next version of ``current``: exactly one more, linked to it, signed by the threshold of the old keys and of the new ones.

    The same version with the same bytes gives ``current`` again.

    Raises:
        TrustError: trust.identity_invalid, when it is of another Space or not linked to ``current``;
            trust.identity_stale, when it is not the next version; trust.rotation_unauthorised, when the old keys have not signed;
            all that ``verify_identity`` raises.
        FormatError: as ``verify_identity``.
    Source: docs/formats/identity-v1.md, section 5; TUF specification, section 5.3.
    """
    env, doc = _open(data)
    if hashlib.sha256(env.payload).hexdigest() == current.payload_sha256:
        return current
    if doc.space_id != current.doc.space_id:
        raise TrustError("trust.identity_invalid", "The identity is of another Space", expected=current.doc.space_id, found=doc.space_id)
    if doc.version != current.doc.version + 1:
        raise TrustError(
            "trust.identity_stale",
            "The identity is not the next version",
            field="version",
            expected=current.doc.version + 1,
            found=doc.version,
        )
    if doc.prev_sha256 != current.payload_sha256:
        raise TrustError("trust.identity_invalid", "The identity is not linked to the version before", field="prev_sha256")
    try:
        signatures.verified_by(env, _candidates(current.identity_keys), threshold=current.doc.threshold)
    except TrustError as error:
        raise TrustError("trust.rotation_unauthorised", "The keys of the version before have not signed this one") from error
    return verify_identity(data, now=now)


def peer_of(trust: Trust, now: datetime) -> TrustedPeer:
    """The peer of a stored trust; its identity is verified again, so that an edited row is found.

    Raises:
        TrustError: trust.fingerprint_mismatch or trust.identity_invalid, when the row says something else than its envelope;
            all that ``verify_identity`` raises.
    """
    verified = verify_identity(trust.identity_envelope, now=now)
    if verified.fingerprint != trust.fingerprint:
        raise TrustError(
            "trust.fingerprint_mismatch",
            "The stored fingerprint is not that of the identity",
            expected=trust.fingerprint,
            found=verified.fingerprint,
        )
    if verified.doc.space_id != trust.peer_space_id:
        raise TrustError("trust.identity_invalid", "The stored identity is of another Space", expected=trust.peer_space_id)
    return TrustedPeer(
        trust_id=trust.id,
        identity=verified,
        grants=trust.grants,
        confirmed=trust.state is TrustState.ACTIVE,
        retired=trust.state is TrustState.RETIRED,
    )


@lru_cache(_KEPT)
def _proven(data: bytes) -> VerifiedIdentity:
    """What ``verify_identity`` finds out that no time can change. The same few identities are verified for each message; refusals are not kept."""
    env, doc = _open(data)
    issuers = tuple(certificates.check_identity(one, space_id=doc.space_id) for one in doc.identity_keys)
    signing = _leaves(doc.signing, certificates.SIGNING, doc.space_id, issuers)
    encryption = _leaves(doc.encryption, certificates.ENCRYPTION, doc.space_id, issuers)
    _check_different(issuers, signing, encryption)
    signatures.verified_by(env, _candidates(issuers), threshold=doc.threshold)
    return VerifiedIdentity(
        doc=doc,
        fingerprint=fingerprint(doc.identity_keys),
        envelope_sha256=hashlib.sha256(data).hexdigest(),
        payload_sha256=hashlib.sha256(env.payload).hexdigest(),
        envelope=data,
        identity_keys=issuers,
        signing=signing,
        encryption=encryption,
        proof=_PROOF,
    )


def _open(data: bytes) -> tuple[Envelope, IdentityDoc]:
    env = envelope.decode(data, max_bytes=MAX_IDENTITY_BYTES)
    if env.payload_type != identity.PAYLOAD_TYPE:
        raise FormatError("envelope.type_unexpected", "This is no identity", expected=identity.PAYLOAD_TYPE, found=env.payload_type)
    return env, identity.decode(env.payload)


def _leaves(ders: tuple[bytes, ...], role: str, space_id: str, issuers: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    return tuple(certificates.check_leaf(one, role=role, space_id=space_id, issuers=issuers) for one in ders)


def _check_different(*groups: Sequence[Certificate]) -> None:
    """No key serves two purposes or stands twice. The raw bytes are compared: one secret may not be an Ed25519 and an X25519 key either."""
    keys = [one.public_key for group in groups for one in group]
    if len(set(keys)) != len(keys):
        raise TrustError("trust.certificate_profile", "The certificates must hold different keys", field="certificate")


def _candidates(keys: Sequence[Certificate]) -> list[tuple[str, bytes, Certificate]]:
    return [(one.spki_sha256, one.public_key, one) for one in keys]
