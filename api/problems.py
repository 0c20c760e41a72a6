# SPDX-License-Identifier: Apache-2.0
"""Problem documents: the one shape of every error answer, and the public page behind each ``type``.

Refuses to echo what was sent: a validation error names the field and the rule, never the value, because the value may be a secret.
Source: RFC 9457.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from waybill.errors import CODES, WaybillError

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "/problems/"

_CODE_OF_STATUS: Final = {
    400: "request.malformed",
    401: "authn.required",
    403: "authz.denied",
    404: "record.absent",
    405: "request.method_not_allowed",
    413: "request.too_large",
    415: "request.malformed",
    422: "request.invalid",
    428: "request.precondition_required",
    429: "authn.throttled",
}
_MALFORMED_KINDS: Final = frozenset({"json_invalid", "json_type"})


class FieldProblem(BaseModel):
    """One wrong field: ``pointer`` is a JSON pointer into the body, or ``query:name``, ``path:name``, ``header:name``."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """An error answer (RFC 9457). ``code`` is stable; ``type`` is a page of this site that says what to do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/record.absent",
                    "title": "There is no such thing here",
                    "status": 404,
                    "detail": "there is no release 9.9.9",
                    "instance": "/api/v1/spaces/devtest/releases/9.9.9",
                    "code": "record.absent",
                    "remedy": "Check the name and the Space.",
                    "field": "release",
                    "expected": None,
                    "found": "9.9.9",
                    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                    "errors": [],
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    remedy: str
    field: str | None = None
    expected: str | None = None
    found: str | None = None
    trace_id: str | None = None
    errors: list[FieldProblem] = Field(default_factory=list)


def document(scope: Scope, error: WaybillError, *, errors: Sequence[FieldProblem] = ()) -> Problem:
    """The problem document of ``error`` for the request ``scope``."""
    entry = CODES[error.code]
    return Problem(
        type=TYPE_PREFIX + error.code,
        title=entry.title,
        status=entry.http_status,
        detail=error.message,
        instance=_printable(str(scope.get("path", ""))),
        code=error.code,
        remedy=entry.remedy,
        field=_clean(error.field),
        expected=_clean(error.expected),
        found=_clean(error.found),
        trace_id=scope.get("state", {}).get("trace_id"),
        errors=list(errors),
    )


def answer(
    scope: Scope, error: WaybillError, *, errors: Sequence[FieldProblem] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The whole answer, with the headers that its status asks for (401, 429 and 503)."""
    body = document(scope, error, errors=errors)
    return JSONResponse(
        body.model_dump(), status_code=body.status, media_type=MEDIA_TYPE, headers={**_headers_of(body.status, error), **(headers or {})}
    )


def _headers_of(status: int, error: WaybillError) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="waybill"'}
    if status in (429, 503):
        return {"Retry-After": str(getattr(error, "retry_after_seconds", 5))}
    return {}


def _clean(text: str | None) -> str | None:
    return None if text is None else _printable(text)


def _printable(text: str) -> str:
    """Lone surrogates cannot be encoded as UTF-8; they arrive in JSON escapes and must not turn an error into a crash."""
    return text.encode("utf-8", "replace").decode("utf-8")[:500]


async def on_waybill_error(request: Request, error: Exception) -> Response:
    """The handler of everything that Waybill itself refuses."""
    if not isinstance(error, WaybillError):
        raise TypeError("only WaybillError comes here")
    return answer(request.scope, error)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """The handler of a request that does not fit its schema: 400 when it is not JSON at all, else 422 with one entry per field."""
    if not isinstance(error, RequestValidationError):
        raise TypeError("only RequestValidationError comes here")
    rows = error.errors()
    problems = [FieldProblem(pointer=_pointer(row["loc"]), detail=_printable(str(row["msg"]))) for row in rows[:100]]
    malformed = any(row["type"] in _MALFORMED_KINDS for row in rows)
    code, message = (
        ("request.malformed", "the body is not JSON") if malformed else ("request.invalid", "the request does not fit its schema")
    )
    first = problems[0] if problems else None
    refusal = WaybillError(code, message, field=first.pointer if first else None, expected=first.detail if first else None)
    return answer(request.scope, refusal, errors=problems)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """The handler of what the framework refuses: unknown paths, wrong methods, bodies over the limit."""
    if not isinstance(error, HTTPException):
        raise TypeError("only HTTPException comes here")
    code = _CODE_OF_STATUS.get(error.status_code, "internal.error" if error.status_code >= 500 else "request.malformed")
    refusal = WaybillError(code, _MESSAGE_OF_STATUS.get(error.status_code, "the request cannot be served"))
    return answer(request.scope, refusal, headers=dict(error.headers or {}))


_MESSAGE_OF_STATUS: Final = {
    400: "the request cannot be read",
    404: "nothing is served at this path",
    405: "this path does not know that method",
    413: "the body is over the limit of this path",
}


def _pointer(location: Sequence[str | int]) -> str:
    """``("body", "actions", 0, "name")`` becomes ``/actions/0/name``; other places are named before a colon."""
    place, *rest = [_printable(str(part)) for part in location] or ["body"]
    if place == "body":
        return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in rest)
    return f"{place}:{'.'.join(rest)}"


def page(code: str | None) -> str:
    """The public page of one code, or of all of them: what it means and what to do. Plain HTML, nothing loaded."""
    codes = sorted(CODES) if code is None else [code]
    rows = "".join(
        f"<dt id='{html.escape(key)}'><code>{html.escape(key)}</code> ({CODES[key].http_status})</dt>"
        f"<dd>{html.escape(CODES[key].title)}. {html.escape(CODES[key].remedy)}</dd>"
        for key in codes
    )
    title = "Problems" if code is None else html.escape(CODES[code].title)
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title} - Waybill</title>"
        f"<main><h1>{title}</h1><dl>{rows}</dl></main></html>"
    )
