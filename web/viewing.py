# SPDX-License-Identifier: Apache-2.0
"""What a page asks for: a signed-in person, in a Space that they may see. Without one, the way leads to the sign-in page.

An error becomes a page with what happened, why and what to do; the same codes as in the API.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from api import auth
from api.deps import Asking as _Asking
from api.deps import Context, Here, in_space
from waybill.errors import CODES, WaybillError
from web.rendering import render


class PageRoute(APIRoute):
    """A route whose errors are pages, and which sends the unknown to the sign-in page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler with its errors turned into pages."""
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except WaybillError as error:
                return _error_page(request, error)
            except RequestValidationError as error:
                first = error.errors()[0]
                return _error_page(
                    request, WaybillError("request.invalid", f"the form is incomplete: {first['msg']}", field=str(first["loc"][-1]))
                )

        return guarded


def viewer(request: Request, context: Context) -> _Asking:
    """The signed-in person. Raises PolicyError authn.required."""
    signed_in = auth.identify(context, request)
    auth.remember(request, signed_in)
    return _Asking(ports=context.ports, caller=signed_in.caller, signed_in=signed_in)


Viewer = Annotated[_Asking, Depends(viewer)]


def viewed_space(who: Viewer, space: str) -> Here:
    """The Space of the path, as this person may see it."""
    return in_space(who, space)


InView = Annotated[Here, Depends(viewed_space)]


def goto(path: str) -> RedirectResponse:
    """The browser asks for ``path`` next (after a form)."""
    return RedirectResponse(path, status_code=303)


def _error_page(request: Request, error: WaybillError) -> Response:
    if error.code in {"authn.required", "authn.invalid"} and request.url.path != "/login":
        return goto(f"/login?next={quote(request.url.path)}")
    entry = CODES[error.code]
    trace = getattr(request.state, "trace_id", None)
    return render(request, "problem.html", status=entry.http_status, title=entry.title, error=error, entry=entry, trace_id=trace)
