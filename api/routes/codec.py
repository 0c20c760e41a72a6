# SPDX-License-Identifier: Apache-2.0
"""The codec server: the Temporal UI and command line show payloads in clear, to people who hold ``payload.decode``.

Only the one configured origin may use it from a browser.
Source: Temporal documentation, remote data encoding; the body is the JSON form of ``temporal.api.common.v1.Payloads``.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from google.protobuf import json_format  # type: ignore[import-untyped]  # its stubs are a namespace package, which mypy is told not to follow
from temporalio.api.common.v1 import Payload, Payloads

from api.deps import Context, Site, operation
from api.settings import PayloadCodec
from waybill.app import access
from waybill.domain.access import Permission
from waybill.errors import FormatError, NotFoundError, WaybillError
from waybill.ports import SITE

router = APIRouter(prefix="/codec/{namespace}", tags=["codec"])
_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object", "description": "Payloads"}}}}
}
Transform = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]


def permitted(who: Site, context: Context, namespace: Annotated[str, Path(max_length=200)]) -> PayloadCodec:
    """The codec of the namespace. Raises PolicyError authz.denied; NotFoundError record.absent for a namespace of another site."""
    access.require(who.caller, SITE, Permission.PAYLOAD_DECODE)
    codec = context.codecs.get(namespace)
    if codec is None:
        raise NotFoundError("record.absent", "this site has no such namespace", field="namespace")
    return codec


Permitted = Annotated[PayloadCodec, Depends(permitted)]


@router.post("/decode", response_class=Response, **operation("codec_decode", Permission.PAYLOAD_DECODE, more=_BODY))
async def codec_decode(request: Request, codec: Permitted, context: Context) -> Response:
    """Payloads in clear."""
    return _answer(await _transform(request, codec.decode), context.settings.temporal_ui_origin, request)


@router.post("/encode", response_class=Response, **operation("codec_encode", Permission.PAYLOAD_DECODE, more=_BODY))
async def codec_encode(request: Request, codec: Permitted, context: Context) -> Response:
    """Payloads as Temporal stores them, for operators who start or signal by hand."""
    return _answer(await _transform(request, codec.encode), context.settings.temporal_ui_origin, request)


@router.options("/decode", include_in_schema=False)
@router.options("/encode", include_in_schema=False)
async def codec_preflight(namespace: str, request: Request, context: Context) -> Response:  # noqa: ARG001  # the path has it
    """What a browser asks before the Temporal UI may call. Tells nothing about the namespace."""
    return Response(headers=_cors(context.settings.temporal_ui_origin, request))


async def _transform(request: Request, transform: Transform) -> bytes:
    try:
        body = json_format.Parse(await request.body() or b"{}", Payloads(), max_recursion_depth=20)
        return str(json_format.MessageToJson(Payloads(payloads=await transform(body.payloads)))).encode("utf-8")
    except WaybillError:
        raise
    except (json_format.ParseError, UnicodeDecodeError, ValueError, KeyError):
        # The cause is not shown: it could quote the payload.
        raise FormatError("request.malformed", "these payloads cannot be read with the keys of this namespace", field="payloads") from None


def _answer(body: bytes, origin: str | None, request: Request) -> Response:
    return Response(body, media_type="application/json", headers=_cors(origin, request))


def _cors(origin: str | None, request: Request) -> dict[str, str]:
    if origin is None or request.headers.get("origin") != origin:
        return {"Vary": "Origin"}
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST, OPTIONS",
        "Access-Control-Allow-Headers": "content-type, x-namespace, authorization",
        "Access-Control-Allow-Credentials": "true",
    }
