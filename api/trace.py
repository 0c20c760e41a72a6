# SPDX-License-Identifier: Apache-2.0
"""Around every request: a trace id, one log line, the security headers, and the last net for what nobody expected.

Refuses to let an unexpected exception out: the caller gets ``internal.error`` with the trace id, the log gets the stack.
"""

import re
import secrets
from time import perf_counter
from typing import Final, Protocol

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from waybill.errors import WaybillError

TRACE_HEADER: Final = "X-Trace-Id"
_TRACEPARENT: Final = re.compile(rb"^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$")
_QUIET_PATHS: Final = frozenset({"/livez", "/readyz", "/metrics"})
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
}


class RequestCounter(Protocol):
    """Where finished requests are counted."""

    def count(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """One finished request."""


class Trace:
    """ASGI middleware, the outermost one of ours."""

    def __init__(self, app: ASGIApp, *, counter: RequestCounter) -> None:
        self.app = app
        self.counter = counter
        self.log = structlog.get_logger("api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request under a trace id; ``request.state.trace_id`` has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        trace_id = _trace_id(scope)
        scope.setdefault("state", {})["trace_id"] = trace_id
        started, status = perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[TRACE_HEADER] = trace_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            await self._serve(scope, receive, send_with_headers)
            self._finish(scope, status=status, seconds=perf_counter() - started)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except Exception:
            self.log.exception("request.broke", path=scope["path"], method=scope["method"])
            if begun:
                raise  # half an answer is out: only closing the connection tells the caller
            error = WaybillError("internal.error", "something went wrong here; the log of this site has the trace id")
            await problems.answer(scope, error)(scope, receive, send)

    def _finish(self, scope: Scope, *, status: int, seconds: float) -> None:
        route = route_of(scope)
        self.counter.count(method=scope["method"], route=route, status=status, seconds=seconds)
        if scope["path"] not in _QUIET_PATHS:
            caller = scope["state"].get("caller_name", "-")
            self.log.info("request.served", method=scope["method"], route=route, status=status, ms=round(seconds * 1000), caller=caller)


def route_of(scope: Scope) -> str:
    """The template of the path, such as ``/api/v1/spaces/{space}/tasks``: never the path itself, whose values have no bound."""
    route = scope.get("state", {}).get("route_path") or getattr(scope.get("route"), "path", None)
    return str(route) if route else "unmatched"


def _trace_id(scope: Scope) -> str:
    """The caller's trace when it sent a valid W3C traceparent, else a new one."""
    for name, value in scope["headers"]:
        if name == b"traceparent" and (match := _TRACEPARENT.match(value)):
            return match[1].decode("ascii")
    return secrets.token_hex(16)
