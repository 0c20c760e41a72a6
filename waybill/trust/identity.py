# SPDX-License-Identifier: Apache-2.0
"""Issues the identity document of a Space, version by version, and revocations. Reading one is waybill/trust/trust_set.py."""

from collections.abc import Sequence
from datetime import datetime

from waybill.formats import identity as identity_format
from waybill.formats import revocation as revocation_format
from waybill.formats.fields import READS
from waybill.formats.identity import Endpoint, IdentityDoc, RevokedKey
from waybill.formats.revocation import RevocationDoc
from waybill.trust.keys import SigningKey, SpaceKeyMaterial, spki_sha256
from waybill.trust.seal import SUITES
from waybill.trust.sign import sign_envelope


def issue(
    material: SpaceKeyMaterial,
    *,
    space_id: str,
    name: str,
    version: int,
    prev_sha256: str | None,
    endpoints: Sequence[Endpoint],
    now: datetime,
    older: IdentityDoc | None = None,
    revoked: Sequence[RevokedKey] = (),
    also_signed_by: Sequence[SigningKey] = (),
) -> bytes:
    """The signed identity document, as an envelope.

    Args:
        material: the Space's keys; the new leaves stand first.
        version: 1, or one more than the version before.
        prev_sha256: None in version 1, else the payload digest of the version before (``VerifiedIdentity.payload_sha256``).
        older: the version before; its revoked keys stay listed, and so do its signing leaves under the same identity key,
            so that what they signed still verifies.
        revoked: further keys to revoke.
        also_signed_by: the old identity keys, when ``material`` has a new one: both must sign.
    Raises:
        FormatError: payload.invalid, when the arguments contradict each other.
    Source: docs/formats/identity-v1.md; rotation: section 5.
    """
    gone = {one.key_sha256 for one in revoked}
    # Leaves under another identity key would not pass the profile; after such a rotation only the new ones count.
    same_identity = older is not None and material.identity_certificate in older.identity_keys
    signing = _newest_first(material.signing_certificate, older.signing if older and same_identity else (), gone)
    doc = IdentityDoc(
        space_id=space_id,
        name=name,
        version=version,
        prev_sha256=prev_sha256,
        threshold=1,
        identity_keys=(material.identity_certificate,),
        signing=signing,
        encryption=(material.encryption_certificate,),
        issued_at=now,
        suites=SUITES,
        reads=READS,
        revoked=(*(older.revoked if older else ()), *revoked),
        endpoints=tuple(endpoints),
    )
    return sign_envelope(identity_format.PAYLOAD_TYPE, identity_format.encode(doc), material.identity, *also_signed_by)


def revoke(material: SpaceKeyMaterial, revoked: RevokedKey, *, now: datetime) -> bytes:
    """A signed revocation of one key, as an envelope, for peers that cannot wait for the next identity."""
    doc = RevocationDoc(space_id=material.space_id, issued_at=now, revoked=revoked)
    return sign_envelope(revocation_format.PAYLOAD_TYPE, revocation_format.encode(doc), material.identity)


def _newest_first(newest: bytes, older: tuple[bytes, ...], gone: set[str]) -> tuple[bytes, ...]:
    kept = [one for one in older if one != newest and spki_sha256(one) not in gone]
    return (newest, *kept)[: identity_format.MAX_CERTIFICATES]
