# SPDX-License-Identifier: Apache-2.0
"""The certificate profile of a Space: one identity certificate, and leaves for signing and for encryption under it.

Certificates are judged by this profile and by pinned keys, not by a web verifier; 18 checks, docs/formats/identity-v1.md section 3.
Whether a certificate is inside its validity is judged where it is used, because an identity with one lapsed leaf is still an identity.
"""

import base64
import binascii
import hashlib
import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from waybill.errors import TrustError
from waybill.trust import signatures
from waybill.trust.weak_keys import check_ed25519_public, check_x25519_public

ARC: Final = "2.25.35309185861568884772269655860300778744"
"""Our arc of object identifiers, 2.25.<UUID as integer>. Chosen once; never changed."""

BUNDLE_SIGNING: Final = x509.ObjectIdentifier(f"{ARC}.1")
BUNDLE_ENCRYPTION: Final = x509.ObjectIdentifier(f"{ARC}.2")

IDENTITY: Final = "identity"
SIGNING: Final = "signing"
ENCRYPTION: Final = "encryption"

IDENTITY_DAYS: Final = 3652
LEAF_DAYS: Final = 396
MAX_IDENTITY: Final = timedelta(days=3660)
MAX_LEAF: Final = timedelta(days=825)
_ED25519_OID: Final = "1.3.101.112"
_X25519_OID: Final = "1.3.101.110"
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+?)\r?\n-----END CERTIFICATE-----\r?\n?")
_PURPOSES: Final = {SIGNING: [BUNDLE_SIGNING], ENCRYPTION: [BUNDLE_ENCRYPTION]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that passed the profile. ``public_key`` is raw, 32 bytes; digests are of the DER and of the SPKI, lower-case hex."""

    role: str
    der: bytes = field(repr=False)
    sha256: str
    public_key: bytes = field(repr=False)
    spki_sha256: str
    not_before: datetime
    not_after: datetime

    def check_time(self, now: datetime, *, skew: timedelta = timedelta(seconds=300)) -> None:
        """``now`` lies inside the validity. Raises TrustError trust.key_expired."""
        if not self.not_before - skew <= now < self.not_after:
            raise TrustError(
                "trust.key_expired",
                f"The {self.role} certificate is not valid now",
                expected=f"{self.not_before.isoformat()} to {self.not_after.isoformat()}",
                found=now.isoformat(),
            )


def space_urn(space_id: str) -> str:
    """``urn:waybill:space:<uuid>`` of the Space ``spc_<32 hex>``."""
    return f"urn:waybill:space:{uuid.UUID(hex=space_id.removeprefix('spc_'))}"


def read_pem(text: bytes) -> bytes:
    """The DER of the one certificate in ``text``.

    Raises:
        TrustError: trust.certificate_profile, when ``text`` is anything but exactly one PEM certificate, junk around it included.
    """
    match = _PEM.fullmatch(text)
    try:
        if match is not None:
            return base64.b64decode(re.sub(rb"[\r\n]", b"", match.group(1)), validate=True)
    except binascii.Error:
        pass
    raise _profile("One PEM certificate and nothing else is needed")


def check_identity(der: bytes, *, space_id: str) -> Certificate:
    """The identity certificate in ``der``: self-signed, for ``space_id``. Raises TrustError trust.certificate_profile, trust.key_weak."""
    return _check(der, role=IDENTITY, space_id=space_id, issuers=())


def check_leaf(der: bytes, *, role: str, space_id: str, issuers: tuple[Certificate, ...]) -> Certificate:
    """The leaf in ``der``, of ``role`` SIGNING or ENCRYPTION, issued under one of ``issuers``.

    Raises:
        TrustError: trust.certificate_profile, naming the check; trust.key_weak.
    Source: docs/formats/identity-v1.md, section 3.
    """
    return _check(der, role=role, space_id=space_id, issuers=issuers)


def _check(der: bytes, *, role: str, space_id: str, issuers: tuple[Certificate, ...]) -> Certificate:
    certificate = _load(der)
    public_key, spki = _check_key(certificate, role)
    _check_validity(certificate, role)
    _check_extensions(certificate, role, space_id)
    if role == IDENTITY:
        _check_issued(certificate, issuer=certificate, issuer_key=public_key)
    else:
        _check_chain(certificate, issuers)
    return Certificate(
        role=role,
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        public_key=public_key,
        spki_sha256=hashlib.sha256(spki).hexdigest(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _load(der: bytes) -> x509.Certificate:
    """Checks: serial number, DER without trailing data, version 3, no extension twice."""
    _check_serial(der)
    try:
        certificate = x509.load_der_x509_certificate(der)
        version = certificate.version
        _ = certificate.extensions
    except (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise _profile("The certificate cannot be read") from error
    if version is not x509.Version.v3:
        raise _profile("The certificate must be of version 3", found=version.name)
    return certificate


def _check_key(certificate: x509.Certificate, role: str) -> tuple[bytes, bytes]:
    """Checks: allowed algorithm of the key, canonical SPKI, not of small order."""
    expected = _X25519_OID if role == ENCRYPTION else _ED25519_OID
    if certificate.public_key_algorithm_oid.dotted_string != expected:
        raise _profile("The key is of the wrong kind", expected=expected, found=certificate.public_key_algorithm_oid.dotted_string)
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _profile("The key cannot be read") from error
    if not isinstance(key, Ed25519PublicKey | X25519PublicKey):
        raise _profile("The key is of the wrong kind", found=type(key).__name__)
    raw = key.public_bytes_raw()
    (check_x25519_public if role == ENCRYPTION else check_ed25519_public)(raw)
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    # The library refuses every other encoding that we could think of; this holds should it ever become more tolerant.
    if spki not in certificate.tbs_certificate_bytes:
        raise _profile("The key is not in its canonical encoding")
    return raw, spki


def _check_serial(der: bytes) -> None:
    """The serial number is positive and of at most 20 bytes; read by hand, because the library warns before it lets us look."""
    try:
        _, content, _ = _value(der)
        _, body, _ = _value(content)
        tag, serial, rest = _value(body)
        if tag == 0xA0:
            tag, serial, _ = _value(rest)
    except IndexError as error:
        raise _profile("The certificate cannot be read") from error
    number = int.from_bytes(serial, "big", signed=True)
    if tag != 0x02 or number <= 0 or len(serial) > 20:
        raise _profile("The serial number must be positive and of at most 20 bytes")


def _value(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first DER value in ``data``, and what follows. Raises IndexError, when it is cut."""
    size, start = data[1], 2
    if size >= 0x80:
        start = 2 + (size & 0x7F)
        size = int.from_bytes(data[2:start], "big")
    return data[0], data[start : start + size], data[start + size :]


def _check_validity(certificate: x509.Certificate, role: str) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    longest = MAX_IDENTITY if role == IDENTITY else MAX_LEAF
    if not start < end or end - start > longest:
        raise _profile("The validity is not sane", expected=f"at most {longest.days} days", found=f"{start} to {end}")


def _check_extensions(certificate: x509.Certificate, role: str, space_id: str) -> None:
    extensions = certificate.extensions
    known = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.SUBJECT_ALTERNATIVE_NAME}
    for extension in extensions:
        if extension.critical and extension.oid not in known:
            raise _profile("An unknown extension is critical", found=extension.oid.dotted_string)
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound as error:
        raise _profile("An extension is missing", found=error.oid.dotted_string) from error
    wanted = x509.BasicConstraints(ca=True, path_length=0) if role == IDENTITY else x509.BasicConstraints(ca=False, path_length=None)
    if not constraints.critical or constraints.value != wanted:
        raise _profile("basicConstraints is wrong", expected=str(wanted), found=f"{constraints.value} critical={constraints.critical}")
    if not usage.critical or usage.value != key_usage(role):
        raise _profile("keyUsage is wrong", expected=role)
    urn = space_urn(space_id)
    if list(names.value) != [x509.UniformResourceIdentifier(urn)] or (not len(certificate.subject.rdns) and not names.critical):
        raise _profile("The certificate is for another Space", expected=urn, found=str([str(one.value) for one in names.value])[:200])
    _check_purpose(extensions, role)


def _check_purpose(extensions: x509.Extensions, role: str) -> None:
    try:
        found = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        found = []
    if found != _PURPOSES.get(role, []):
        raise _profile("extendedKeyUsage is wrong", expected=role, found=", ".join(one.dotted_string for one in found))


def _check_chain(certificate: x509.Certificate, issuers: tuple[Certificate, ...]) -> None:
    for issuer in issuers:
        loaded = x509.load_der_x509_certificate(issuer.der)
        if certificate.issuer.public_bytes() == loaded.subject.public_bytes():
            _check_issued(certificate, issuer=loaded, issuer_key=issuer.public_key)
            return
    raise _profile("No identity certificate is the issuer")


def _check_issued(certificate: x509.Certificate, *, issuer: x509.Certificate, issuer_key: bytes) -> None:
    """Checks: issuer and subject bytes chain, the algorithm is that of the issuer's key, the signature is valid."""
    if certificate.issuer.public_bytes() != issuer.subject.public_bytes():
        raise _profile("The issuer's name does not chain")
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ED25519:
        raise _profile("The signature algorithm does not match the issuer's key")
    if not signatures.is_valid(issuer_key, certificate.signature, certificate.tbs_certificate_bytes):
        raise _profile("The certificate's signature is not valid")


def key_usage(role: str) -> x509.KeyUsage:
    """Exactly the one usage of ``role``."""
    return x509.KeyUsage(
        digital_signature=role == SIGNING,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=role == ENCRYPTION,
        key_cert_sign=role == IDENTITY,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _profile(message: str, *, expected: object = None, found: object = None) -> TrustError:
    return TrustError("trust.certificate_profile", message, field="certificate", expected=expected, found=found)
