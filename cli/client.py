# SPDX-License-Identifier: Apache-2.0
"""HTTP to a site's API, as the command line needs it: JSON in, JSON out, problems as errors.

It never imports the workflow engine, and it never retries a request that may have had an effect without its Idempotency-Key.
"""

import ssl
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx2

from cli.profile import Profile
from waybill.errors import CODES, UnavailableError, WaybillError

TIMEOUT_SECONDS = 60.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ApiError(WaybillError):
    """The API refused; ``http_status`` and ``trace_id`` as it said."""

    def __init__(self, body: Mapping[str, Any], http_status: int) -> None:
        said = str(body.get("code", "internal.error"))
        super().__init__(
            said if said in CODES else "internal.error",
            str(body.get("detail") or body.get("title") or "the site refused"),
            field=body.get("field"),
            expected=body.get("expected"),
            found=body.get("found"),
        )
        self.code = said
        self.http_status = http_status
        self.trace_id = str(body.get("trace_id", ""))
        self.errors = body.get("errors") or []


class Client:
    """One site, as one caller. Paths begin with ``/api/v1``; ``space_path`` puts the Space in front.

    Without a token it keeps the session cookie of a sign-in, and says where it comes from as a browser does.
    """

    def __init__(self, profile: Profile, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.profile = profile
        _refuse_clear_text(profile.url)
        who = {"Authorization": f"Bearer {profile.token}"} if profile.token else {"Origin": profile.url}
        try:
            self._http = httpx2.Client(
                base_url=profile.url,
                headers={"User-Agent": "waybill-cli", **who},
                verify=tls_context(profile.ca),
                timeout=timeout_seconds,
                follow_redirects=False,
            )
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise WaybillError("cli.usage", "the address of the site is not a URL", field="url", found=profile.url) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def space_path(self, path: str) -> str:
        """``path`` under the chosen Space. Raises WaybillError cli.usage when none is chosen."""
        if not self.profile.space:
            raise WaybillError(
                "cli.usage", "no Space is chosen: give --space, or choose one with: waybill space use SPACE", field="--space"
            )
        return f"/api/v1/spaces/{quote(self.profile.space, safe='')}{path}"

    def get(self, path: str, **query: object) -> Any:
        """The answer's JSON."""
        return self._json("GET", path, params={key: value for key, value in query.items() if value is not None})

    def get_tagged(self, path: str) -> tuple[Any, str]:
        """The answer's JSON and its ETag, for a change that follows."""
        answer = self._send("GET", path)
        return _parsed(answer), answer.headers.get("ETag", "")

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, idempotent: bool = False, etag: str | None = None) -> Any:
        """The answer's JSON. ``idempotent`` sends a fresh Idempotency-Key and repeats the request once when the connection broke."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} if idempotent else {}
        if etag is not None:
            headers["If-Match"] = etag
        try:
            return self._json("POST", path, json=dict(body or {}), headers=headers)
        except UnavailableError:
            if not idempotent:
                raise
            return self._json("POST", path, json=dict(body or {}), headers=headers)

    def put(self, path: str, body: Any, *, etag: str | None = None) -> Any:
        """The answer's JSON after a change of the version that ``etag`` names."""
        return self._json("PUT", path, json=body, headers={"If-Match": etag} if etag else {})

    def patch(self, path: str, body: Mapping[str, Any], *, etag: str) -> Any:
        """The answer's JSON after a change of the version that ``etag`` names."""
        return self._json("PATCH", path, json=dict(body), headers={"If-Match": etag})

    def delete(self, path: str, *, etag: str | None = None) -> None:
        """It is gone."""
        self._send("DELETE", path, headers={"If-Match": etag} if etag else {})

    def fetch_bytes(self, path: str) -> bytes:
        """A whole small document."""
        return self._send("GET", path).content

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._send(method, path, **arguments)
        return _parsed(answer) if answer.content else None

    def _send(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **arguments)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _unanswered(self.profile.url, error) from error
        if answer.status_code >= 300:
            _raise_problem(answer)
        return answer


def items(client: Client, path: str, *, limit: int, **query: object) -> list[Any]:
    """Up to ``limit`` entries of a paged list, over as many pages as it takes."""
    found: list[Any] = []
    cursor: str | None = None
    while len(found) < limit:
        page = client.get(path, limit=min(200, limit - len(found)), cursor=cursor, **query)
        found += page["items"]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    return found


def tls_context(ca: str | None) -> ssl.SSLContext:
    """Verification against the authority in the file ``ca``, else the machine's own. Raises WaybillError settings.invalid."""
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise WaybillError("settings.invalid", "the certificate authority file cannot be read", field="--ca", found=ca) from error


def _refuse_clear_text(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, scheme = parts.hostname, parts.scheme
    except ValueError:
        host, scheme = None, ""
    if scheme not in {"http", "https"} or not host:
        raise WaybillError("cli.usage", "the address of the site must be a URL that begins with https://", field="url", found=url)
    if scheme == "http" and host not in LOOPBACK:
        raise WaybillError("cli.usage", "over http:// your password and key would travel in clear; use https://", field="url", found=url)


def _parsed(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise WaybillError(
            "settings.invalid", "that address answers, but not as a Waybill site does", field="url", found=str(answer.url)
        ) from error


def _raise_problem(answer: httpx2.Response) -> None:
    try:
        body = answer.json()
    except ValueError:
        body = {"code": "internal.error", "detail": f"the site answered {answer.status_code} without a problem document"}
    raise ApiError(body if isinstance(body, dict) else {}, answer.status_code)


def _unanswered(url: str, error: Exception) -> WaybillError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return WaybillError(
            "settings.invalid",
            f"the certificate of {url} is not from an authority that this machine trusts; give --ca FILE or set WAYBILL_CA",
            field="--ca",
        )
    return UnavailableError("cli.unreachable", f"{url} does not answer ({type(error).__name__}: {error})", field="url")
