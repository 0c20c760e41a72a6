# SPDX-License-Identifier: Apache-2.0
"""Signing in and out, and the Spaces of a person."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from api import auth
from api.deps import Context
from api.routes.session import open_session
from waybill.app import access
from waybill.errors import PolicyError
from web.rendering import render
from web.viewing import PageRoute, Viewer, goto

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/login")
def sign_in_form(request: Request, next: str = "/") -> HTMLResponse:
    """The form."""
    return render(request, "login.html", title="Sign in", next=_local(next), refused=None)


@router.post("/login")
def sign_in(
    request: Request,
    context: Context,
    username: Annotated[str, Form(max_length=200)],
    password: Annotated[str, Form(max_length=1024)],
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """A session, or the form again with the reason."""
    try:
        session, token = open_session(context, request, username=username, password=password)
    except PolicyError as error:
        return render(request, "login.html", status=401, title="Sign in", next=_local(next), refused=error.message)
    response = goto(_local(next))
    seconds = int((session.expires_at - session.created_at).total_seconds())
    auth.set_session(response, context.settings, token=token, seconds=seconds)
    return response


@router.post("/logout")
def sign_out(who: Viewer, context: Context) -> Response:
    """The session is over."""
    if who.signed_in.session_token is not None:
        access.logout(who.ports, token=who.signed_in.session_token)
    response = goto("/login")
    auth.clear_session(response, context.settings)
    return response


@router.get("/")
def spaces(request: Request, who: Viewer) -> Response:
    """The Spaces of this person; the only one at once."""
    found = access.visible_spaces(who.ports, who.caller)
    if len(found) == 1:
        return goto(f"/spaces/{found[0].slug}")
    return render(request, "spaces.html", title="Spaces", spaces=found)


def _local(path: str) -> str:
    """``path`` when it stays on this site; a foreign address is never followed."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
