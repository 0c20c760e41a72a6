# SPDX-License-Identifier: Apache-2.0
"""Signing in and out, and who the caller is."""

from typing import Any

from fastapi import APIRouter, Request, Response

from api import auth
from api.deps import Context, Site, operation
from api.schemas.access import Login, MeShape, PasswordChange
from api.settings import ApiContext
from waybill.app import access
from waybill.domain.access import Account, Caller, Session
from waybill.ports import SITE

public = APIRouter(prefix="/api/v1", tags=["session"])
router = APIRouter(prefix="/api/v1", tags=["session"])


def open_session(context: ApiContext, request: Request, *, username: str, password: str) -> tuple[Session, str]:
    """A session for the right credentials; wrong ones count against the user and the address.

    Raises:
        PolicyError: authn.invalid, authn.throttled, authn.origin.
    """
    if "origin" in request.headers or "sec-fetch-site" in request.headers:
        auth.require_own_origin(context.settings, request)
    address = request.client.host if request.client else "unknown"
    auth.throttle_login(context, username=username, address=address)
    session, token = access.login(context.ports, username=username, password=password)
    auth.forgive_login(context, username=username, address=address)
    return session, token


@public.post("/login", response_model=MeShape, **operation("session_login"))
def login(body: Login, request: Request, response: Response, context: Context) -> Any:
    """Signs a person in; the session is a cookie that no script can read."""
    session, token = open_session(context, request, username=body.username, password=body.password)
    seconds = int((session.expires_at - session.created_at).total_seconds())
    auth.set_session(response, context.settings, token=token, seconds=seconds)
    with context.ports.ledger.read(SITE) as work:
        account = work.of(Account).get(session.account_id)
    caller = Caller(id=account.id, name=account.username, kind="person", grants=account.grants)
    return _me(auth.SignedIn(caller=caller, must_change_password=account.must_change_password))


@router.post("/logout", **operation("session_logout", status=204))
def logout(who: Site, response: Response, context: Context) -> None:
    """Ends the session of the cookie."""
    if who.signed_in.session_token is not None:
        access.logout(who.ports, token=who.signed_in.session_token)
    auth.clear_session(response, context.settings)


@router.get("/me", response_model=MeShape, **operation("session_me"))
def me(who: Site) -> Any:
    """Who the caller is and what it may do."""
    return _me(who.signed_in)


@router.put("/me/password", **operation("session_change_password", status=204))
def change_password(body: PasswordChange, who: Site, response: Response, context: Context) -> None:
    """Changes the caller's password; every session of the account is over, this one too."""
    access.change_password(who.ports, who.caller, current=body.old_password, new=body.new_password)
    auth.clear_session(response, context.settings)


def _me(signed_in: auth.SignedIn) -> MeShape:
    caller = signed_in.caller
    return MeShape.model_validate(
        {
            "id": caller.id,
            "name": caller.name,
            "kind": caller.kind,
            "must_change_password": signed_in.must_change_password,
            "grants": caller.grants,
        },
        from_attributes=True,
    )
