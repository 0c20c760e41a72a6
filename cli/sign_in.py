# SPDX-License-Identifier: Apache-2.0
"""``waybill login | logout | whoami | password | key …``."""

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx2
from cyclopts import App, Parameter

from cli.client import ApiError, Client, tls_context
from cli.output import say, show_many, show_one
from cli.profile import Profile, forget_profile, load_profile, save_profile
from cli.session import CURRENT, authority, connect, may_ask
from waybill.errors import PolicyError, UnavailableError, WaybillError

key_app = App(name="key", help="API keys for programs.")


def login(
    url: str,
    /,
    *,
    username: str,
    password_file: Path | None = None,
    password_stdin: bool = False,
    days: int = 30,
) -> None:
    """Sign in at the site URL and keep an API key for it in your configuration file.

    Example: waybill --ca authority.pem login https://site.example:8443 --username ada

    Parameters
    ----------
    password_file: read the password from this file instead of asking.
    password_stdin: read the password from standard input instead of asking.
    days: how long the key is valid.
    """
    password = _password("Password: ", password_file, stdin=password_stdin)
    address = url.rstrip("/")
    with httpx2.Client(base_url=address, verify=tls_context(authority()), headers={"Origin": address}, timeout=30) as http:
        _call(http, "/api/v1/login", {"username": username, "password": password})
        me = _get(http, "/api/v1/me")
        if me.get("must_change_password"):
            raise PolicyError(
                "authn.required", f"this password must be changed first; run: waybill password {address} --username {username}"
            )
        body = {"name": f"command line of {username}", "days": days, "grants": me["grants"]}
        token = _call(http, "/api/v1/keys", body)["token"]
        _call(http, "/api/v1/logout", {})
    named = authority()
    ca = str(Path(named).resolve()) if named else None
    path = save_profile(Profile(name=CURRENT.profile or "default", url=address, token=token, space=CURRENT.space, ca=ca))
    say(f"signed in at {address} as {username}; the key is in {path}")


def logout() -> None:
    """Forget the key of the profile; it stays valid until it expires or is revoked with `waybill key revoke`."""
    name = CURRENT.profile or "default"
    forget_profile(name)
    say(f"forgot the key of profile {name}")


def whoami() -> None:
    """Show who you are at the site, and your rights."""
    with connect() as client:
        show_one(client.get("/api/v1/me"), fields=("name", "kind", "grants"), name="name")


def password(url: str, /, *, username: str, old_file: Path | None = None, new_file: Path | None = None) -> None:
    """Change your password at the site URL.

    Example: waybill password https://site.example:8443 --username ada
    """
    address = url.rstrip("/")
    old, new = _password("Old password: ", old_file), _password("New password: ", new_file)
    with httpx2.Client(base_url=address, verify=tls_context(authority()), headers={"Origin": address}, timeout=30) as http:
        _call(http, "/api/v1/login", {"username": username, "password": old})
        _call(http, "/api/v1/me/password", {"old_password": old, "new_password": new}, method="PUT")
    say("changed")


@key_app.command(name="create")
def key_create(
    name: str,
    /,
    *,
    permission: Annotated[list[str], Parameter(negative="")],
    in_space: str = "*",
    days: int = 90,
) -> None:
    """Make an API key; its token is shown once, on standard output.

    Example: waybill key create ci --permission package.push --permission release.create --in-space devtest
    """
    with connect() as client:
        made = client.post("/api/v1/keys", {"name": name, "days": days, "grants": [{"space_id": in_space, "permissions": permission}]})
        say("this token is shown once; store it now")
        show_one({**made["key"], "token": made["token"]}, fields=("id", "name", "expires_at", "token"), name="token")


@key_app.command(name="list")
def key_list() -> None:
    """List your API keys."""
    with connect() as client:
        show_many(
            client.get("/api/v1/keys")["items"],
            columns=("id", "name", "expires_at", "last_used_at", "revoked_at"),
            empty="no keys; make one with: waybill key create NAME --permission …",
        )


@key_app.command(name="revoke")
def key_revoke(key: str, /) -> None:
    """Make an API key worthless at once."""
    with connect() as client:
        client.delete(f"/api/v1/keys/{key}")
        say(f"revoked {key}")


def current_profile() -> Profile:
    """The profile of this run."""
    return load_profile(name=CURRENT.profile, url=CURRENT.url, space=CURRENT.space, ca=CURRENT.ca)


def read_value(value_file: Path | None, *, stdin: bool, ask: str) -> str:
    """A secret from a file, from standard input, or asked for; never from a flag. Raises WaybillError cli.usage."""
    return _password(ask, value_file, stdin=stdin)


def _password(prompt: str, file: Path | None, *, stdin: bool = False) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").rstrip("\n")
    if stdin:
        return sys.stdin.read().rstrip("\n")
    if not may_ask():
        raise WaybillError("cli.usage", "nobody can be asked here; give a file or --…-stdin", field=prompt.strip(": ").lower())
    return getpass.getpass(prompt)


def _call(http: httpx2.Client, path: str, body: dict[str, Any], *, method: str = "POST") -> Any:
    try:
        answer = http.request(method, path, json=body)
    except httpx2.HTTPError as error:
        raise UnavailableError(
            "peer.unavailable", f"{http.base_url} does not answer ({type(error).__name__}: {error})", field="url"
        ) from error
    if answer.status_code >= 300:
        raise ApiError(_problem(answer), answer.status_code)
    return answer.json() if answer.content else None


def _get(http: httpx2.Client, path: str) -> Any:
    answer = http.get(path)
    if answer.status_code >= 300:
        raise ApiError(_problem(answer), answer.status_code)
    return answer.json()


def _problem(answer: httpx2.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {"code": "internal.error", "detail": f"the site answered {answer.status_code}"}
    return body if isinstance(body, dict) else {}


__all__ = ["Client", "current_profile", "key_app", "login", "logout", "password", "read_value", "whoami"]
