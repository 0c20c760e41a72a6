# SPDX-License-Identifier: Apache-2.0
"""A Space's own identity: keys, the signed identity document, and what verification must know of us.

Private keys leave the key store's wrapping only inside the call that signs or opens; no text form shows one.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime

from waybill.app import access, secrets
from waybill.domain.access import Caller, Permission
from waybill.domain.spaces import SpaceKeys
from waybill.formats import envelope
from waybill.formats import identity as identity_format
from waybill.formats.fields import READS
from waybill.formats.identity import Endpoint, IdentityDoc
from waybill.ports import Ports, SiteFacts, Work
from waybill.trust import identity as issuing
from waybill.trust import keys
from waybill.trust.keys import SigningKey, SpaceKeyMaterial
from waybill.trust.verify import Us

_TABLE = "space_keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityView:
    """What people compare: ``fingerprint`` is the SHA-256 of the identity certificate in lower-case hexadecimal."""

    space_id: str
    name: str
    version: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKey:
    """A private key that secrets for this Space are sealed to. ``sha256`` is the SPKI digest that a Delivery names."""

    sha256: str
    private: bytes = field(repr=False)


def make_keys(ports: Ports, work: Work, *, name: str) -> SpaceKeys:
    """New keys and identity document version 1 for the Space of ``work``, stored wrapped.

    Raises:
        ConflictError: record.conflict, when the Space has keys.
    """
    now = ports.clock.now()
    material = keys.generate(work.space_id, name, now)
    body = issuing.issue(
        material, space_id=work.space_id, name=name, version=1, prev_sha256=None, endpoints=endpoints_of(ports.site), now=now
    )
    return work.of(SpaceKeys).add(
        SpaceKeys(
            id=work.space_id,
            space_id=work.space_id,
            identity_version=1,
            identity_envelope=body,
            identity_sha256=_payload_sha256(body),
            fingerprint=material.fingerprint,
            epoch=1,
            identity_key_wrapped=_wrap(ports, work.space_id, "identity_key_wrapped", material.identity_key),
            signing_key_wrapped=_wrap(ports, work.space_id, "signing_key_wrapped", material.signing_key),
            encryption_key_wrapped=_wrap(ports, work.space_id, "encryption_key_wrapped", material.encryption_key),
        )
    )


def export_identity(ports: Ports, caller: Caller, *, space_id: str) -> bytes:
    """The signed identity document (an envelope); the next version is issued first when the site's addresses have changed."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        held = work.of(SpaceKeys).get(space_id)
    if document_of(held).endpoints == endpoints_of(ports.site):
        return held.identity_envelope
    with ports.ledger.write(space_id) as work:
        return _renewed(ports, work, caller, ports.clock.now()).identity_envelope


def view_identity(ports: Ports, caller: Caller, *, space_id: str) -> IdentityView:
    """The fingerprint and version of this Space's identity."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        held = work.of(SpaceKeys).get(space_id)
    name = document_of(held).name
    return IdentityView(space_id=space_id, name=name, version=held.identity_version, fingerprint=held.fingerprint)


def signing_key(ports: Ports, work: Work) -> SigningKey:
    """The Space's signing key, unwrapped. Raises UnavailableError keystore.unavailable."""
    return _material(ports, work.of(SpaceKeys).get(work.space_id)).signing


def encryption_keys(ports: Ports, work: Work) -> tuple[EncryptionKey, ...]:
    """The Space's decryption keys, newest first. Raises UnavailableError keystore.unavailable."""
    held = work.of(SpaceKeys).get(work.space_id)
    material = _material(ports, held)
    return (EncryptionKey(sha256=keys.spki_sha256(material.encryption_certificate), private=material.encryption_key),)


def us(ports: Ports, work: Work) -> Us:
    """Who we are, for verification."""
    del ports  # which keys we hold stands in our own identity document
    doc = document_of(work.of(SpaceKeys).get(work.space_id))
    return Us(space_id=work.space_id, encryption_key_sha256s=tuple(keys.spki_sha256(one) for one in doc.encryption), reads=READS)


def document_of(held: SpaceKeys) -> IdentityDoc:
    """Our own identity document as it stands."""
    return identity_format.decode(envelope.decode(held.identity_envelope).payload)


def endpoints_of(site: SiteFacts) -> tuple[Endpoint, ...]:
    """Where peers find this site; nothing for a site without addresses."""
    listed = (("api", site.api_url), ("objects", site.objects_url))
    return tuple(Endpoint(role=role, url=url, ca_pem=site.ca_pem or "") for role, url in listed if url is not None)


def _renewed(ports: Ports, work: Work, caller: Caller, now: datetime) -> SpaceKeys:
    """The keys with the next version of the document, unless somebody was first."""
    held = work.of(SpaceKeys).get(work.space_id)
    older = document_of(held)
    wanted = endpoints_of(ports.site)
    if older.endpoints == wanted:
        return held
    version = held.identity_version + 1
    body = issuing.issue(
        _material(ports, held),
        space_id=work.space_id,
        name=older.name,
        version=version,
        prev_sha256=held.identity_sha256,
        endpoints=wanted,
        now=now,
        older=older,
    )
    work.audit(at=now, actor=caller.name, action="identity.issued", subject=work.space_id, detail=f"version {version}")
    changed = replace(held, identity_version=version, identity_envelope=body, identity_sha256=_payload_sha256(body))
    return work.of(SpaceKeys).replace(changed)


def _material(ports: Ports, held: SpaceKeys) -> SpaceKeyMaterial:
    def unwrapped(column: str, wrapped: bytes) -> bytes:
        context = secrets.context_of(table=_TABLE, column=column, row_id=held.id, space_id=held.space_id)
        return ports.keys.unwrap(wrapped, context=context)

    return keys.rejoin(
        document_of(held),
        identity_key=unwrapped("identity_key_wrapped", held.identity_key_wrapped),
        signing_key=unwrapped("signing_key_wrapped", held.signing_key_wrapped),
        encryption_key=unwrapped("encryption_key_wrapped", held.encryption_key_wrapped),
    )


def _wrap(ports: Ports, space_id: str, column: str, key: bytes) -> bytes:
    return ports.keys.wrap(key, context=secrets.context_of(table=_TABLE, column=column, row_id=space_id, space_id=space_id))


def _payload_sha256(body: bytes) -> str:
    return hashlib.sha256(envelope.decode(body).payload).hexdigest()
