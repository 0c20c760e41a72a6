# SPDX-License-Identifier: Apache-2.0
"""Carrier files without a server: look inside, or check every signature and every byte against the sender's identity file.

``inspect_file`` proves nothing and says so; ``verify_file`` refuses with the code of the first thing that is wrong.
Neither can open a sealed value: that takes the target's key.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.files import read_bytes
from waybill.domain.trusts import Grants
from waybill.errors import FormatError, WaybillError
from waybill.formats import carrier, carrier_index, delivery, envelope, kinds, release
from waybill.formats.carrier import CarrierMember
from waybill.trust.messages import verify_carrier_index, verify_message
from waybill.trust.trust_set import TrustedPeer, Us, verify_identity
from waybill.trust.verify import verify_bundle

_PIECE = 1024 * 1024
_EVERYTHING = Grants(send_releases=True, accept_releases=True, send_receipts=True, accept_receipts=True, relay=True)


def inspect_file(path: Path) -> dict[str, Any]:
    """What the carrier file at ``path`` says that it holds; unverified.

    Raises:
        FormatError: carrier.* or payload.*, when it cannot be read.
    """
    reader = carrier.read(_pieces(path))
    outer = envelope.decode(reader.index_envelope)
    index = carrier_index.decode(outer.payload)
    found = [_described(member) for member in reader.members(index) if member.folder == carrier.ENVELOPES]
    return {
        "verified": False,
        "sender_space_id": index.sender_space_id,
        "target_space_id": index.target_space_id,
        "signing_keys": [signature.keyid for signature in outer.signatures],
        "set_id": index.set_id,
        "volume": f"{index.volume} of {index.volumes}",
        "created_at": index.created_at.isoformat(),
        "envelopes": [entry["kind"] for entry in found],
        "releases": [entry["release"] for entry in found if "release" in entry],
        "deliveries": [entry["delivery"] for entry in found if "delivery" in entry],
        "blobs": [{"role": blob.role, "sha256": blob.sha256, "size_bytes": blob.size_bytes} for blob in index.blobs],
    }


def verify_file(path: Path, identity: Path, *, now: datetime) -> dict[str, Any]:
    """The whole file is what the owner of ``identity`` signed: index, envelopes, every blob.

    Raises:
        TrustError: signature.* and trust.* for what nobody trusted has signed.
        ConflictError: package.hash_mismatch, naming the blob.
        FormatError: carrier.*, envelope.* and payload.*.
    """
    known = verify_identity(read_bytes(identity), now=now)
    peer = TrustedPeer(trust_id="trs_" + "0" * 32, identity=known, grants=_EVERYTHING, confirmed=True)
    reader = carrier.read(_pieces(path))
    us = Us(space_id=_unproven_target(reader.index_envelope), encryption_key_sha256s=())
    index = verify_carrier_index(reader.index_envelope, us=us, peers=(peer,), now=now).doc
    envelopes: dict[str, list[bytes]] = {}
    total = 0
    for member in reader.members(index):
        if member.folder == carrier.ENVELOPES:
            content = member.read()
            envelopes.setdefault(_kind(content), []).append(content)
        else:
            total += sum(len(piece) for piece in member.pieces)
    _verify_envelopes(envelopes, us, peer, now)
    return {
        "verified": True,
        "sender_space_id": index.sender_space_id,
        "signer_fingerprint": known.fingerprint,
        "envelopes": {kind: len(found) for kind, found in sorted(envelopes.items())},
        "blobs": len(index.blobs),
        "bytes": total,
    }


def _unproven_target(index_envelope: bytes) -> str:
    """The Space that the index names. When it cannot be read its signature fails before its content matters, so that any will do."""
    try:
        return carrier_index.decode(envelope.decode(index_envelope).payload).target_space_id
    except FormatError:
        return "spc_" + "0" * 32


def _verify_envelopes(envelopes: dict[str, list[bytes]], us: Us, peer: TrustedPeer, now: datetime) -> None:
    releases = {_payload_sha256(content): content for content in envelopes.get("release", [])}
    for content in envelopes.get("delivery", []):
        doc = delivery.decode(envelope.decode(content).payload)
        if doc.release.sha256 not in releases:
            raise FormatError(
                "bundle.incomplete", "the carrier has a delivery without its release", field="release", expected=doc.release.sha256
            )
        recipient = Us(space_id=us.space_id, encryption_key_sha256s=(doc.target.enc_key_sha256,))
        verify_bundle(content, releases[doc.release.sha256], us=recipient, peers=(peer,), now=now)
    for kind, found in envelopes.items():
        for content in found:
            if kind == "identity":
                verify_identity(content, now=now)
            elif kind not in {"release", "delivery"}:
                verify_message(kind, content, us=us, peers=(peer,), now=now)


def _described(member: CarrierMember) -> dict[str, Any]:
    content = member.read()
    kind = _kind(content)
    payload = envelope.decode(content).payload
    if kind == "release":
        doc = release.decode(payload)
        return {
            "kind": kind,
            "release": {
                "project": doc.project.name,
                "version": doc.version,
                "channel": doc.channel_name,
                "notes": doc.notes,
                "owner_space_id": doc.owner.space_id,
                "sha256": _payload_sha256(content),
                "actions": [action.name for action in doc.actions],
                "packages": [f"{package.package_id} {package.version} ({package.size_bytes} bytes)" for package in doc.packages],
                "values_asked_for": [one.name for one in doc.prompted] + [one.name for one in doc.variables if one.template is not None],
            },
        }
    if kind == "delivery":
        sent = delivery.decode(payload)
        return {
            "kind": kind,
            "delivery": {
                "bundle_sha256": _payload_sha256(content),
                "sender": sent.sender.name,
                "expires_at": sent.expires_at.isoformat(),
                "environments": [one.name for one in sent.environments],
                "sealed_values": [one.name for one in sent.values if one.sealed is not None],
            },
        }
    return {"kind": kind}


def _kind(content: bytes) -> str:
    found = kinds.kind_of(envelope.decode(content).payload_type)
    if found is None:
        raise FormatError("envelope.type_unexpected", "the carrier holds a document of an unknown kind", field="payloadType")
    return found


def _payload_sha256(content: bytes) -> str:
    return hashlib.sha256(envelope.decode(content).payload).hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise WaybillError("cli.usage", f"{path} cannot be read: {error.strerror}", field="file") from error
