# SPDX-License-Identifier: Apache-2.0
"""What this site asks a peer about the bytes of one blob, on the road where we call; ``peer_bytes`` answers the same questions.

An answer is believed for what it costs: bytes are re-read and hashed wherever they end up.
"""

from dataclasses import dataclass

from waybill.app.peer_requests import ask
from waybill.domain.deltas import OfferedDelta
from waybill.domain.ids import JsonValue
from waybill.formats.fields import Fields
from waybill.ports import PartGrant, Ports

MAX_PARTS_PER_OFFER = 256
"""Parts granted at once; asking again grants the next ones."""

COMPLETE_TIMEOUT_SECONDS = 3600.0
"""The other side reads the whole object back before it answers."""

WANTED, REBUILDING, REFUSED = "wanted", "rebuilding", "refused"
MAX_REASON = 300
"""Characters of the sentence that says why a blob comes whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadGrant:
    """A URL of the peer's store with the certificate authority (PEM) of its TLS.

    It reads ``delta`` when there is one, else the blob, of ``size_bytes``; ``reason`` says in words why it is whole.
    """

    url: str
    ca_pem: str
    size_bytes: int
    delta: OfferedDelta | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOffer:
    """What the receiving side still wants of one blob. With ``have`` nothing is to be sent. ``confirmed`` part numbers are already there.

    ``delta_state``, for a request that offered a delta: ``wanted``, the parts are those of the delta; ``rebuilding``, it lies there and is being used;
    ``refused`` with ``delta_code``, the blob must come whole.
    """

    have: bool
    upload_id: str | None
    part_size_bytes: int
    parts: tuple[PartGrant, ...]
    confirmed: tuple[int, ...]
    ca_pem: str
    delta_state: str | None = None
    delta_code: str | None = None


def ask_download(
    ports: Ports, *, space_id: str, trust_id: str, bundle_sha256: str, sha256: str, delta_refused: str | None = None
) -> DownloadGrant:
    """The peer's grant to read one blob of a bundle that it sent us, or a delta that makes it.

    Args:
        delta_refused: why a delta is of no use here, as a code; then the grant is for the whole blob.
    Raises: as ``peer_requests.ask``; NotFoundError record.absent.
    """
    wanted: dict[str, JsonValue] = {"bundle_sha256": bundle_sha256, "sha256": sha256, "delta_refused": delta_refused}
    fields = Fields(ask(ports, space_id=space_id, trust_id=trust_id, action="downloads", body=wanted), at="/body", lenient=False)
    grant = DownloadGrant(
        url=fields.text("url", most=8000),
        ca_pem=fields.text("ca", least=0, most=64 * 1024),
        size_bytes=fields.integer("size"),
        delta=fields.optional("delta", lambda name: read_delta(fields.child(name))),
        reason=fields.name("reason", most=MAX_REASON),
    )
    fields.end()
    return grant


def ask_upload(
    ports: Ports, *, space_id: str, trust_id: str, bundle_sha256: str, sha256: str, delta: OfferedDelta | None = None
) -> UploadOffer:
    """The peer's offer to take one blob of a bundle that we sent it, or ``delta`` that makes it; asking again renews the URLs of the same upload."""
    wanted: dict[str, JsonValue] = {
        "bundle_sha256": bundle_sha256,
        "sha256": sha256,
        "delta": None if delta is None else delta_to_json(delta),
    }
    fields = Fields(ask(ports, space_id=space_id, trust_id=trust_id, action="uploads", body=wanted), at="/body", lenient=False)
    offer = UploadOffer(
        have=fields.boolean("have"),
        upload_id=fields.optional("upload_id", fields.token),
        part_size_bytes=fields.integer("part_size", least=1),
        parts=tuple(_read_part(one) for one in fields.children("parts", most=MAX_PARTS_PER_OFFER)),
        confirmed=tuple(one for one in fields.entries("confirmed", most=10_000) if isinstance(one, int)),
        ca_pem=fields.text("ca", least=0, most=64 * 1024),
        delta_state=fields.optional("delta_state", lambda name: fields.choice(name, (WANTED, REBUILDING, REFUSED))),
        delta_code=fields.optional("delta_code", fields.token),
    )
    fields.end()
    return offer


def ask_complete(ports: Ports, *, space_id: str, trust_id: str, bundle_sha256: str, sha256: str, upload_id: str) -> None:
    """The peer has joined and verified the upload; a delta it has only joined. Raises ConflictError package.hash_mismatch, upload.incomplete."""
    wanted: dict[str, JsonValue] = {"bundle_sha256": bundle_sha256, "sha256": sha256, "upload_id": upload_id}
    ask(
        ports,
        space_id=space_id,
        trust_id=trust_id,
        action="uploads/complete",
        body=wanted,
        timeout_seconds=COMPLETE_TIMEOUT_SECONDS,
    )


def delta_to_json(delta: OfferedDelta) -> dict[str, JsonValue]:
    """``delta`` as both questions name it."""
    return {"base_sha256": delta.base_sha256, "sha256": delta.sha256, "size": delta.size_bytes}


def read_delta(fields: Fields) -> OfferedDelta:
    """What ``delta_to_json`` made. Raises FormatError payload.invalid, package.digest_unsupported."""
    delta = OfferedDelta(
        base_sha256=fields.digest("base_sha256"), sha256=fields.digest("sha256"), size_bytes=fields.integer("size", least=1)
    )
    fields.end()
    return delta


def offer_to_json(offer: UploadOffer) -> dict[str, JsonValue]:
    """The answer's body that ``ask_upload`` reads."""
    parts: list[JsonValue] = [{"number": one.number, "offset": one.offset, "size": one.size_bytes, "url": one.url} for one in offer.parts]
    return {
        "have": offer.have,
        "upload_id": offer.upload_id,
        "part_size": offer.part_size_bytes,
        "parts": parts,
        "confirmed": list(offer.confirmed),
        "ca": offer.ca_pem,
        "delta_state": offer.delta_state,
        "delta_code": offer.delta_code,
    }


def _read_part(fields: Fields) -> PartGrant:
    part = PartGrant(
        number=fields.integer("number", least=1),
        offset=fields.integer("offset"),
        size_bytes=fields.integer("size"),
        url=fields.text("url", most=8000),
    )
    fields.end()
    return part
