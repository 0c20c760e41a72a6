# SPDX-License-Identifier: Apache-2.0
"""Who is asking: an API key in ``Authorization: Bearer``, or the session cookie of a signed-in person.

``Guard`` answers 401 before a body is read or a path is looked up, so the unknown learn nothing, not even which paths exist.
A cookie alone never changes anything: unsafe methods must come from our own pages (``Sec-Fetch-Site`` or ``Origin``).
Machines and peers prove themselves in their own routes; the few public paths are listed here.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api import problems
from api.settings import ApiContext, ApiSettings
from waybill.app import access
from waybill.domain.access import Account, Caller
from waybill.errors import PolicyError, WaybillError
from waybill.ports import SITE, Ports

GUARDED_PREFIXES: Final = ("/api/", "/codec/", "/metrics", "/version")
PUBLIC_PATHS: Final = frozenset({"/api/v1/login"})
OWN_PROOF_PREFIXES: Final = ("/api/v1/machine/",)
"""Routes that authenticate the machine by its own key."""
WITH_OLD_PASSWORD: Final = frozenset({"/api/v1/me", "/api/v1/me/password", "/api/v1/logout"})
"""What somebody may reach who must first change the password."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """The proven caller of one request. ``session_token`` is set for people with a cookie, so that they can sign out."""

    caller: Caller
    must_change_password: bool = False
    session_token: str | None = None


class Guard:
    """ASGI middleware: every request below the guarded prefixes has a proven caller in ``request.state.signed_in``, or is answered here."""

    def __init__(self, app: ASGIApp, *, context: ApiContext) -> None:
        self.app = app
        self.context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request when its caller is known."""
        if scope["type"] != "http" or not needs_caller(scope):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            signed_in = await run_in_threadpool(sign_in, self.context, request)
        except WaybillError as error:
            await problems.answer(scope, error)(scope, receive, send)
            return
        remember(request, signed_in)
        await self.app(scope, receive, send)


def needs_caller(scope: Scope) -> bool:
    """True unless the path is public or has its own way of proving who asks. A CORS preflight carries no credentials."""
    path = str(scope["path"])
    if path in PUBLIC_PATHS or path.startswith(OWN_PROOF_PREFIXES) or not path.startswith(GUARDED_PREFIXES):
        return False
    return not (path.startswith("/codec/") and scope["method"] == "OPTIONS")


def remember(request: Request, signed_in: SignedIn) -> None:
    """The request carries its caller, for the routes and for the log line."""
    request.state.signed_in = signed_in
    request.state.caller_name = signed_in.caller.name


def sign_in(context: ApiContext, request: Request) -> SignedIn:
    """The proven caller of ``request``.

    Raises:
        PolicyError: authn.required, authn.invalid, authn.origin, authn.throttled; authz.denied while the password must be changed.
    """
    signed_in = identify(context, request)
    context.key_buckets.take(signed_in.caller.id, now=context.ports.clock.now())
    if signed_in.must_change_password and request.url.path not in WITH_OLD_PASSWORD:
        raise PolicyError("authz.denied", "change the first password before anything else", field="password")
    return signed_in


def identify(context: ApiContext, request: Request) -> SignedIn:
    """The caller by key or by cookie. Raises PolicyError authn.required, authn.invalid, authn.origin."""
    header = request.headers.get("authorization")
    if header is not None:
        return SignedIn(caller=access.caller_of_key(context.ports, token=_bearer(header)))
    token = request.cookies.get(context.settings.cookie_name)
    if not token:
        raise PolicyError("authn.required", "send an API key, or sign in")
    if request.method not in SAFE_METHODS:
        require_own_origin(context.settings, request)
    caller = access.caller_of_session(context.ports, token=token)
    return SignedIn(caller=caller, must_change_password=_must_change(context.ports, caller), session_token=token)


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise PolicyError("authn.invalid", "the Authorization header is not a bearer token", expected="Bearer waybill_…")
    return token.strip()


def _must_change(ports: Ports, caller: Caller) -> bool:
    with ports.ledger.read(SITE) as work:
        account = work.of(Account).find(caller.id)
    return account is not None and account.must_change_password


def require_own_origin(settings: ApiSettings, request: Request) -> None:
    """Nothing, when the request comes from a page of this site. Raises PolicyError authn.origin.

    A browser always sends one of the two headers with an unsafe method; whoever sends neither uses an API key.
    """
    fetch_site = request.headers.get("sec-fetch-site")
    if fetch_site in ("same-origin", "none"):
        return
    origin = request.headers.get("origin")
    if request.url.path.startswith("/codec/") and origin is not None and origin == settings.temporal_ui_origin:
        return  # it only reads, and that origin alone was named by whoever installed the site
    if fetch_site is None and origin is not None and origin in (*settings.public_origins, _own_origin(request)):
        return
    raise PolicyError("authn.origin", "requests that change something must come from the pages of this site", found=fetch_site or origin)


def _own_origin(request: Request) -> str:
    parts = urlsplit(str(request.base_url))
    return f"{parts.scheme}://{parts.netloc}"


def throttle_login(context: ApiContext, *, username: str, address: str) -> None:
    """One attempt counted. Raises PolicyError authn.throttled when this user or this address tried too often."""
    now = context.ports.clock.now()
    for key in _login_keys(username, address):
        context.login_buckets.take(key, now=now)


def forgive_login(context: ApiContext, *, username: str, address: str) -> None:
    """The attempt was right: it does not count."""
    now = context.ports.clock.now()
    for key in _login_keys(username, address):
        context.login_buckets.give_back(key, now=now)


def _login_keys(username: str, address: str) -> tuple[str, str]:
    return f"user:{username.casefold()[:128]}", f"address:{address}"


def set_session(response: Response, settings: ApiSettings, *, token: str, seconds: int) -> None:
    """The answer gives the browser its session cookie, which no script can read."""
    response.set_cookie(
        settings.cookie_name, token, max_age=seconds, path="/", httponly=True, secure=settings.secure_cookies, samesite="lax"
    )


def clear_session(response: Response, settings: ApiSettings) -> None:
    """The answer takes the session cookie away."""
    response.delete_cookie(settings.cookie_name, path="/", httponly=True, secure=settings.secure_cookies, samesite="lax")
