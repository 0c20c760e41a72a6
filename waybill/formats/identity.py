# SPDX-License-Identifier: Apache-2.0
"""The identity document of a Space: its keys, suites, readable versions, revoked keys and endpoints, in numbered versions.

Decoding proves only the form; certificates and signatures are checked in waybill/trust/verify.py. Byte-level description: docs/formats/identity-v1.md.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.formats import base64_strict, canonical
from waybill.formats.fields import MAX_NOTES, READS, SCHEMA_MINOR, Fields, open_document, schema, write_optional_time, write_time

PAYLOAD_TYPE: Final = "application/vnd.waybill.space-identity.v1+json"
SUITE_1: Final = 1
"""Ed25519; X25519 with HKDF-SHA256 and AES-256-GCM."""

MAX_CERTIFICATES: Final = 8
MAX_CERTIFICATE_BYTES: Final = 8192
MAX_REVOKED: Final = 200
MAX_ENDPOINTS: Final = 8
MAX_CA_PEM: Final = 64 * 1024
ENDPOINT_ROLES: Final = ("api", "objects")
_URL: Final = re.compile(r"https://[A-Za-z0-9.\-\[\]:]+(?:/[A-Za-z0-9._~/\-]*)?")
_READS: Final = re.compile(r"[1-9][0-9]?\.[0-9]{1,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a peer listens. ``role``: ``api`` | ``objects``. ``ca_pem`` is the authority from which its TLS must come."""

    role: str
    url: str
    ca_pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedKey:
    """A key that must not be accepted any more. ``compromised_since``: everything that it signed later is suspect; None when not known."""

    key_sha256: str
    revoked_at: datetime
    compromised_since: datetime | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDoc:
    """What an identity says. Certificates are DER; the newest of ``signing`` and of ``encryption`` stands first.

    ``prev_sha256`` is the payload digest of the version before. ``threshold`` of ``identity_keys`` must sign each version.
    """

    space_id: str
    name: str
    version: int
    prev_sha256: str | None
    threshold: int
    identity_keys: tuple[bytes, ...]
    signing: tuple[bytes, ...]
    encryption: tuple[bytes, ...]
    issued_at: datetime
    suites: tuple[int, ...] = (SUITE_1,)
    reads: tuple[str, ...] = READS
    revoked: tuple[RevokedKey, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    minor: int = SCHEMA_MINOR

    def endpoint(self, role: str) -> Endpoint | None:
        """The first endpoint of ``role``, or None."""
        return next((one for one in self.endpoints if one.role == role), None)


def encode(doc: IdentityDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode``."""
    suites: list[JsonValue] = list(doc.suites)
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "encryption": _certificates_to_json(doc.encryption),
            "endpoints": [{"ca_pem": one.ca_pem, "role": one.role, "url": one.url} for one in doc.endpoints],
            "identity_keys": _certificates_to_json(doc.identity_keys),
            "issued_at": write_time(doc.issued_at),
            "name": doc.name,
            "pq": {},
            "prev_sha256": doc.prev_sha256,
            "reads": list(doc.reads),
            "revoked": [_revoked_to_json(one) for one in doc.revoked],
            "signing": _certificates_to_json(doc.signing),
            "space_id": doc.space_id,
            "suites": suites,
            "threshold": doc.threshold,
            "version": doc.version,
        }
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> IdentityDoc:
    """The identity in ``payload``.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported, package.digest_unsupported.
    Source: docs/formats/identity-v1.md.
    """
    fields = open_document(payload)
    doc = IdentityDoc(
        space_id=fields.id("space_id", "spc"),
        name=fields.name("name"),
        version=fields.integer("version", least=1),
        prev_sha256=fields.optional("prev_sha256", fields.digest),
        threshold=fields.integer("threshold", least=1, most=MAX_CERTIFICATES),
        identity_keys=_read_certificates(fields, "identity_keys"),
        signing=_read_certificates(fields, "signing"),
        encryption=_read_certificates(fields, "encryption"),
        issued_at=fields.time("issued_at"),
        suites=_read_suites(fields),
        reads=_read_reads(fields),
        revoked=tuple(read_revoked(one) for one in fields.children("revoked", most=MAX_REVOKED)),
        endpoints=tuple(_read_endpoint(one) for one in fields.children("endpoints", most=MAX_ENDPOINTS)),
        minor=fields.minor,
    )
    if fields.json("pq"):
        raise fields.invalid("pq", "an empty object in version 1.0")
    fields.end()
    if doc.threshold > len(doc.identity_keys):
        raise fields.invalid("threshold", "at most the number of identity keys", doc.threshold)
    if (doc.version == 1) != (doc.prev_sha256 is None):
        raise fields.invalid("prev_sha256", "null in version 1 and a digest later")
    return doc


def _certificates_to_json(certificates: tuple[bytes, ...]) -> JsonValue:
    return [{"certificate": base64_strict.encode(one)} for one in certificates]


def _read_certificates(fields: Fields, name: str) -> tuple[bytes, ...]:
    certificates: list[bytes] = []
    for one in fields.children(name, most=MAX_CERTIFICATES):
        certificates.append(one.binary("certificate", most=MAX_CERTIFICATE_BYTES))
        one.end()
    if not certificates or len(set(certificates)) != len(certificates):
        raise fields.invalid(name, "at least one certificate, none twice")
    return tuple(certificates)


def _read_suites(fields: Fields) -> tuple[int, ...]:
    suites: list[int] = []
    for value in fields.entries("suites", most=16):
        if type(value) is not int or not 1 <= value <= 65535:
            raise fields.invalid("suites", "whole numbers from 1 to 65535")
        suites.append(value)
    if not suites or len(set(suites)) != len(suites):
        raise fields.invalid("suites", "at least one suite, none twice")
    return tuple(suites)


def _read_reads(fields: Fields) -> tuple[str, ...]:
    reads = fields.texts("reads", most=16)
    if not reads or not all(_READS.fullmatch(one) for one in reads):
        raise fields.invalid("reads", "at least one version such as 1.0")
    return reads


def _revoked_to_json(one: RevokedKey) -> JsonValue:
    return {
        "compromised_since": write_optional_time(one.compromised_since),
        "key_sha256": one.key_sha256,
        "reason": one.reason,
        "revoked_at": write_time(one.revoked_at),
    }


def read_revoked(fields: Fields) -> RevokedKey:
    """The revoked key in ``fields``."""
    revoked = RevokedKey(
        key_sha256=fields.digest("key_sha256"),
        revoked_at=fields.time("revoked_at"),
        compromised_since=fields.optional("compromised_since", fields.time),
        reason=fields.text("reason", least=0, most=MAX_NOTES),
    )
    fields.end()
    return revoked


def _read_endpoint(fields: Fields) -> Endpoint:
    endpoint = Endpoint(
        role=fields.choice("role", ENDPOINT_ROLES),
        url=fields.name("url", most=2000),
        ca_pem=fields.text("ca_pem", least=0, most=MAX_CA_PEM),
    )
    # User names, queries and fragments have no place in an endpoint; whether the address may be called is decided by the caller.
    if not _URL.fullmatch(endpoint.url):
        raise fields.invalid("url", "https://host[:port][/path]", endpoint.url[:80])
    fields.end()
    return endpoint
