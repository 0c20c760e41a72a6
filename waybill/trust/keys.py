# SPDX-License-Identifier: Apache-2.0
"""The keys of a Space: an identity key that people compare, a signing leaf and an encryption leaf issued under it.

One key for two uses is refused by the certificate profile. Private keys are raw, 32 bytes; how they are kept is the caller's business
(``KeyStore.wrap``), and no text form of these classes shows one.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from waybill.errors import TrustError
from waybill.formats.identity import IdentityDoc
from waybill.trust import certificates

_BACKDATED: Final = timedelta(minutes=5)
_COMMON_NAME: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private Ed25519 key, raw, and the certificate (DER) of its public half."""

    private_key: bytes = field(repr=False)
    certificate: bytes = field(repr=False)

    @property
    def spki_sha256(self) -> str:
        """SHA-256 of the public key's SPKI: the keyid of its signatures, and ``key_sha256`` in documents."""
        return spki_sha256(self.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceKeyMaterial:
    """All keys of a Space. Private keys raw (32 bytes), certificates DER."""

    space_id: str
    identity_key: bytes = field(repr=False)
    identity_certificate: bytes = field(repr=False)
    signing_key: bytes = field(repr=False)
    signing_certificate: bytes = field(repr=False)
    encryption_key: bytes = field(repr=False)
    encryption_certificate: bytes = field(repr=False)

    @property
    def identity(self) -> SigningKey:
        """The key that signs identity documents and revocations."""
        return SigningKey(private_key=self.identity_key, certificate=self.identity_certificate)

    @property
    def signing(self) -> SigningKey:
        """The key that signs every other document."""
        return SigningKey(private_key=self.signing_key, certificate=self.signing_certificate)

    @property
    def fingerprint(self) -> str:
        """What two people compare: SHA-256 of the identity certificate."""
        return fingerprint((self.identity_certificate,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Everything random in a set of keys, handed in by vectors: three private keys of 32 bytes and three serial numbers."""

    identity: bytes = field(repr=False)
    signing: bytes = field(repr=False)
    encryption: bytes = field(repr=False)
    serials: tuple[int, int, int] = (1, 2, 3)


def random_seeds() -> Seeds:
    """Fresh randomness of the library."""
    serial = x509.random_serial_number
    return Seeds(
        identity=Ed25519PrivateKey.generate().private_bytes_raw(),
        signing=Ed25519PrivateKey.generate().private_bytes_raw(),
        encryption=X25519PrivateKey.generate().private_bytes_raw(),
        serials=(serial(), serial(), serial()),
    )


def generate(space_id: str, name: str, now: datetime, *, seeds: Seeds | None = None) -> SpaceKeyMaterial:
    """New keys of a Space: identity for ten years, leaves for thirteen months, valid from five minutes before ``now``.

    Args:
        space_id: ``spc_…``; its UUID stands in every certificate.
        name: the Space's name, for people who open a certificate.
        now: aware UTC.
        seeds: only for vectors; fresh randomness otherwise.
    Source: docs/formats/identity-v1.md, section 3.
    """
    chosen = seeds or random_seeds()
    private = Ed25519PrivateKey.from_private_bytes(chosen.identity)
    subject = _subject(name, certificates.IDENTITY)
    public = private.public_key()
    builder = _builder(space_id, certificates.IDENTITY, now).subject_name(subject).issuer_name(subject)
    certificate = builder.public_key(public).serial_number(chosen.serials[0]).sign(private, None).public_bytes(Encoding.DER)
    material = SpaceKeyMaterial(
        space_id=space_id,
        identity_key=chosen.identity,
        identity_certificate=certificate,
        signing_key=b"",
        signing_certificate=b"",
        encryption_key=b"",
        encryption_certificate=b"",
    )
    return renew_leaves(material, name, now, seeds=chosen)


def renew_leaves(material: SpaceKeyMaterial, name: str, now: datetime, *, seeds: Seeds | None = None) -> SpaceKeyMaterial:
    """``material`` with a new signing and a new encryption key under the same identity. Keep the old decryption key while bundles may come."""
    chosen = seeds or random_seeds()
    signing = Ed25519PrivateKey.from_private_bytes(chosen.signing).public_key()
    encryption = X25519PrivateKey.from_private_bytes(chosen.encryption).public_key()
    issuer = Ed25519PrivateKey.from_private_bytes(material.identity_key)
    issuer_name = x509.load_der_x509_certificate(material.identity_certificate).subject
    leaves = []
    for role, public, serial in (
        (certificates.SIGNING, signing, chosen.serials[1]),
        (certificates.ENCRYPTION, encryption, chosen.serials[2]),
    ):
        builder = _builder(material.space_id, role, now).subject_name(_subject(name, role)).issuer_name(issuer_name)
        leaves.append(builder.public_key(public).serial_number(serial).sign(issuer, None).public_bytes(Encoding.DER))
    return replace(
        material,
        signing_key=chosen.signing,
        signing_certificate=leaves[0],
        encryption_key=chosen.encryption,
        encryption_certificate=leaves[1],
    )


def rejoin(doc: IdentityDoc, *, identity_key: bytes, signing_key: bytes, encryption_key: bytes) -> SpaceKeyMaterial:
    """The material whose private keys come from the key store and whose certificates stand in ``doc``.

    Raises:
        TrustError: trust.identity_invalid, when a private key belongs to none of the certificates of its role.
    """
    identity = Ed25519PrivateKey.from_private_bytes(identity_key).public_key()
    signing = Ed25519PrivateKey.from_private_bytes(signing_key).public_key()
    encryption = X25519PrivateKey.from_private_bytes(encryption_key).public_key()
    return SpaceKeyMaterial(
        space_id=doc.space_id,
        identity_key=identity_key,
        identity_certificate=_of_key(doc.identity_keys, identity.public_bytes_raw()),
        signing_key=signing_key,
        signing_certificate=_of_key(doc.signing, signing.public_bytes_raw()),
        encryption_key=encryption_key,
        encryption_certificate=_of_key(doc.encryption, encryption.public_bytes_raw()),
    )


def fingerprint(identity_certificates: tuple[bytes, ...]) -> str:
    """What two people compare, 64 hexadecimal digits.

    With one identity certificate it is the SHA-256 of its DER; with more, the SHA-256 over the sorted digests of all,
    because comparing only the first would let anybody add a key beside it.
    """
    digests = sorted(hashlib.sha256(one).digest() for one in identity_certificates)
    return digests[0].hex() if len(digests) == 1 else hashlib.sha256(b"".join(digests)).hexdigest()


def spki_sha256(certificate: bytes) -> str:
    """SHA-256, in hex, of the SPKI of a certificate (DER) of our own."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def encryption_public_key(certificate: bytes) -> bytes:
    """The raw X25519 key of an encryption certificate (DER) that was verified. Raises TrustError trust.certificate_profile."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    if not isinstance(key, X25519PublicKey):
        raise TrustError("trust.certificate_profile", "The encryption certificate holds no X25519 key")
    return key.public_bytes_raw()


def _of_key(listed: tuple[bytes, ...], public_raw: bytes) -> bytes:
    for der in listed:
        key = x509.load_der_x509_certificate(der).public_key()
        if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).endswith(public_raw):
            return der
    raise TrustError("trust.identity_invalid", "A private key belongs to no certificate of the identity")


def _subject(name: str, role: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name[:_COMMON_NAME]} {role}")])


def _builder(space_id: str, role: str, now: datetime) -> x509.CertificateBuilder:
    start = now.replace(microsecond=0) - _BACKDATED
    is_identity = role == certificates.IDENTITY
    days = certificates.IDENTITY_DAYS if is_identity else certificates.LEAF_DAYS
    constraints = x509.BasicConstraints(ca=is_identity, path_length=0 if is_identity else None)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(certificates.space_urn(space_id))])
    builder = (
        x509.CertificateBuilder()
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(constraints, critical=True)
        .add_extension(certificates.key_usage(role), critical=True)
        .add_extension(names, critical=False)
    )
    if is_identity:
        return builder
    purpose = certificates.BUNDLE_SIGNING if role == certificates.SIGNING else certificates.BUNDLE_ENCRYPTION
    return builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
