# SPDX-License-Identifier: Apache-2.0
"""What another site may ask. Bodies and answers are signed envelopes; who asks is proven by the signature alone.

An address, a header or a password proves nothing here. A site without a peer endpoint does not have these paths at all.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api.deps import Context, operation
from api.settings import ApiContext
from waybill.app import exchange
from waybill.errors import FormatError
from waybill.ports import Ports

ENVELOPE_TYPE: Final = "application/vnd.waybill.envelope+json"
router = APIRouter(prefix="/peer/v1/{space_id}", tags=["peer"])
_ENVELOPE: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {ENVELOPE_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}


class EnvelopeAnswer(Response):
    """A signed envelope."""

    media_type = ENVELOPE_TYPE


async def envelope(request: Request) -> bytes:
    """The raw body. Raises FormatError request.malformed for another media type."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in (ENVELOPE_TYPE, "application/json"):
        raise FormatError(
            "request.malformed", "a peer sends signed envelopes", field="Content-Type", expected=ENVELOPE_TYPE, found=found[:100]
        )
    return await request.body()


Envelope = Annotated[bytes, Depends(envelope)]
PeerSpace = Annotated[str, Path(description="id of the Space that is asked", max_length=100)]


async def _answer(context: ApiContext, use: Callable[..., bytes], space_id: str, body: bytes, request: Request) -> EnvelopeAnswer:
    # Counted by address, before anything is proven: otherwise anybody could use up the rate of a Space, and its peers would be shut out.
    address = request.client.host if request.client else "unknown"
    return EnvelopeAnswer(await run_in_threadpool(_within_rate, context, use, space_id, body, address))


def _within_rate(context: ApiContext, use: Callable[..., bytes], space_id: str, body: bytes, address: str) -> bytes:
    ports: Ports = context.ports
    context.key_buckets.take(f"peer:{address}", now=ports.clock.now())
    return use(ports, space_id=space_id, body=body)


@router.post("/exchange", response_class=EnvelopeAnswer, **operation("peer_exchange", more=_ENVELOPE))
async def peer_exchange(space_id: PeerSpace, body: Envelope, context: Context, request: Request) -> Response:
    """The peer's messages and acknowledgements; the answer has a result for each, and what waits here for the peer."""
    return await _answer(context, exchange.answer_exchange, space_id, body, request)


@router.post("/downloads", response_class=EnvelopeAnswer, **operation("peer_download", more=_ENVELOPE))
async def peer_download(space_id: PeerSpace, body: Envelope, context: Context, request: Request) -> Response:
    """A short-lived URL for one blob of a bundle that was sent to the asking Space."""
    return await _answer(context, exchange.grant_download, space_id, body, request)


@router.post("/uploads", response_class=EnvelopeAnswer, **operation("peer_upload", more=_ENVELOPE))
async def peer_upload(space_id: PeerSpace, body: Envelope, context: Context, request: Request) -> Response:
    """Short-lived URLs for the parts of one blob that an accepted bundle of the asking Space lacks."""
    return await _answer(context, exchange.grant_upload, space_id, body, request)


@router.post("/uploads/complete", response_class=EnvelopeAnswer, **operation("peer_complete_upload", more=_ENVELOPE))
async def peer_complete_upload(space_id: PeerSpace, body: Envelope, context: Context, request: Request) -> Response:
    """The upload is joined, read back, hashed and recorded."""
    return await _answer(context, exchange.complete_peer_upload, space_id, body, request)
