# SPDX-License-Identifier: Apache-2.0
"""Signed requests between two sites and their answers: how peers authenticate, without any shared password.

A request names both Spaces, a nonce and a time; its answer repeats the nonce and names the digest of the request.
The body is a JSON object whose shape belongs to the action; the body of ``exchange`` has its types here.
Byte-level description: docs/formats/peer-v1.md.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.formats import base64_strict, canonical
from waybill.formats.fields import SCHEMA_MINOR, Fields, check_unique, open_document, schema, write_time

REQUEST_PAYLOAD_TYPE: Final = "application/vnd.waybill.peer-request.v1+json"
ANSWER_PAYLOAD_TYPE: Final = "application/vnd.waybill.peer-answer.v1+json"
ACTIONS: Final = ("exchange", "downloads", "uploads", "uploads/complete")
MAX_AGE: Final = timedelta(seconds=300)

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of one envelope inside an exchange."""
MAX_STRING_BYTES: Final = 24 * 1024 * 1024
MAX_PAYLOAD_BYTES: Final = 48 * 1024 * 1024
MAX_ENVELOPE_BYTES: Final = 68 * 1024 * 1024
"""Most bytes of a peer envelope: larger than that of a document, because it carries documents."""

MAX_MESSAGES: Final = 1_000
MAX_ENVELOPES_PER_MESSAGE: Final = 4
MESSAGE_KINDS: Final = ("delivery", "receipt", "inventory", "need_list", "recall", "identity", "revocation")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRequestDoc:
    """What a request says."""

    action: str
    sender_space_id: str
    target_space_id: str
    nonce: str
    created_at: datetime
    body: dict[str, JsonValue]
    minor: int = SCHEMA_MINOR


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAnswerDoc:
    """What an answer says. ``request_sha256`` is the payload digest of the request that it answers."""

    action: str
    sender_space_id: str
    target_space_id: str
    nonce: str
    request_sha256: str
    created_at: datetime
    body: dict[str, JsonValue]
    minor: int = SCHEMA_MINOR


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerMessage:
    """One message of an outbox: its envelopes as signed; a delivery comes with its release as second envelope."""

    id: str
    kind: str
    envelopes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerResult:
    """What became of one message of the request. ``code`` None means accepted; ``state`` is a word such as ``accepted`` or ``known``."""

    id: str
    code: str | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """Body of the request ``exchange``: messages for the peer, and the ids of its messages that arrived here."""

    messages: tuple[PeerMessage, ...] = ()
    acknowledged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeAnswer:
    """Body of the answer to ``exchange``: a result per message of the request, and the peer's own messages."""

    results: tuple[PeerResult, ...] = ()
    messages: tuple[PeerMessage, ...] = ()


def encode_request(doc: PeerRequestDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode_request``."""
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "action": doc.action,
            "body": doc.body,
            "created_at": write_time(doc.created_at),
            "nonce": doc.nonce,
            "sender_space_id": doc.sender_space_id,
            "target_space_id": doc.target_space_id,
        }
    )
    decode_request(payload)
    return payload


def decode_request(payload: bytes) -> PeerRequestDoc:
    """The request in ``payload``; its body is strict JSON and else unread.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported.
    Source: docs/formats/peer-v1.md, section 2.
    """
    fields = open_document(payload, max_bytes=MAX_PAYLOAD_BYTES, max_string_bytes=MAX_STRING_BYTES)
    doc = PeerRequestDoc(
        action=fields.choice("action", ACTIONS),
        sender_space_id=fields.id("sender_space_id", "spc"),
        target_space_id=fields.id("target_space_id", "spc"),
        nonce=fields.token("nonce"),
        created_at=fields.time("created_at"),
        body=fields.json("body"),
        minor=fields.minor,
    )
    fields.end()
    return doc


def encode_answer(doc: PeerAnswerDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it. Raises FormatError as ``decode_answer``."""
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "action": doc.action,
            "body": doc.body,
            "created_at": write_time(doc.created_at),
            "nonce": doc.nonce,
            "request_sha256": doc.request_sha256,
            "sender_space_id": doc.sender_space_id,
            "target_space_id": doc.target_space_id,
        }
    )
    decode_answer(payload)
    return payload


def decode_answer(payload: bytes) -> PeerAnswerDoc:
    """The answer in ``payload``; its body is strict JSON and else unread.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported, package.digest_unsupported.
    Source: docs/formats/peer-v1.md, section 3.
    """
    fields = open_document(payload, max_bytes=MAX_PAYLOAD_BYTES, max_string_bytes=MAX_STRING_BYTES)
    doc = PeerAnswerDoc(
        action=fields.choice("action", ACTIONS),
        sender_space_id=fields.id("sender_space_id", "spc"),
        target_space_id=fields.id("target_space_id", "spc"),
        nonce=fields.token("nonce"),
        request_sha256=fields.digest("request_sha256"),
        created_at=fields.time("created_at"),
        body=fields.json("body"),
        minor=fields.minor,
    )
    fields.end()
    return doc


def exchange_request_to_body(request: ExchangeRequest) -> dict[str, JsonValue]:
    """``request`` as the body of a request ``exchange``."""
    return {"acknowledged": list(request.acknowledged), "messages": [_message_to_json(one) for one in request.messages]}


def read_exchange_request(body: dict[str, JsonValue]) -> ExchangeRequest:
    """The exchange in ``body``. The envelopes are not opened here. Raises FormatError payload.invalid, limit.exceeded."""
    fields = Fields(body, at="/body", lenient=False)
    request = ExchangeRequest(messages=_read_messages(fields), acknowledged=fields.texts("acknowledged", most=MAX_MESSAGES))
    fields.end()
    return request


def exchange_answer_to_body(answer: ExchangeAnswer) -> dict[str, JsonValue]:
    """``answer`` as the body of the answer to ``exchange``."""
    return {
        "messages": [_message_to_json(one) for one in answer.messages],
        "results": [{"code": one.code, "id": one.id, "state": one.state} for one in answer.results],
    }


def read_exchange_answer(body: dict[str, JsonValue]) -> ExchangeAnswer:
    """The answer in ``body``. The envelopes are not opened here. Raises FormatError payload.invalid, limit.exceeded."""
    fields = Fields(body, at="/body", lenient=False)
    answer = ExchangeAnswer(
        results=tuple(_read_result(one) for one in fields.children("results", most=MAX_MESSAGES)), messages=_read_messages(fields)
    )
    fields.end()
    return answer


def _message_to_json(one: PeerMessage) -> JsonValue:
    return {"envelopes": [base64_strict.encode(envelope) for envelope in one.envelopes], "id": one.id, "kind": one.kind}


def _read_messages(fields: Fields) -> tuple[PeerMessage, ...]:
    messages = tuple(_read_message(one) for one in fields.children("messages", most=MAX_MESSAGES))
    check_unique([one.id for one in messages], field=fields.at("messages"))
    return messages


def _read_message(fields: Fields) -> PeerMessage:
    message = PeerMessage(
        id=fields.token("id"),
        kind=fields.choice("kind", MESSAGE_KINDS),
        envelopes=fields.blobs("envelopes", most=MAX_ENVELOPES_PER_MESSAGE, most_bytes=MAX_MESSAGE_BYTES),
    )
    if not message.envelopes:
        raise fields.invalid("envelopes", "at least one envelope")
    fields.end()
    return message


def _read_result(fields: Fields) -> PeerResult:
    result = PeerResult(id=fields.token("id"), code=fields.optional("code", fields.token), state=fields.token("state"))
    fields.end()
    return result
