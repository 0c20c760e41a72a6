# SPDX-License-Identifier: Apache-2.0
"""``waybill login | logout | whoami | password | key …``."""

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.client import ApiError, Client
from cli.help_page import noun
from cli.output import say, show_many, show_one
from cli.profile import Profile, chosen_name, find_profile, forget_profile, load_profile, save_profile
from cli.session import CURRENT, again, authority, confirm, connect, may_ask
from waybill.errors import PolicyError, WaybillError

key_app = noun("key", "API keys for programs.")

SiteAddress = Annotated[str, Parameter(help="The site's address, such as https://site.example:8443.")]


def login(
    url: SiteAddress,
    /,
    *,
    username: Annotated[str, Parameter(help="Your account at that site.")],
    password_file: Annotated[Path | None, Parameter(help="Read the password from this file instead of asking.")] = None,
    password_stdin: Annotated[bool, Parameter(help="Read the password from standard input instead of asking.")] = False,
    days: Annotated[int, Parameter(help="How long the key is valid.")] = 30,
) -> None:
    """Sign in at a site and keep a key for it.

    The key is in your configuration file, under the name that --profile gives; the Space is chosen when you see only one.

    Example: waybill --ca authority.pem login https://site.example:8443 --username ada
    """
    password = read_value(password_file, stdin=password_stdin, ask="Password: ")
    name = chosen_name(CURRENT.profile)
    named = authority()
    ca = str(Path(named).resolve()) if named else None
    with _person(url.rstrip("/"), ca, username=username, password=password) as client:
        me = client.get("/api/v1/me")
        if me.get("must_change_password"):
            changing = again("password", client.profile.url, "--username", username)
            raise PolicyError("authn.required", f"this password must be changed first; run: {changing}")
        body = {"name": f"command line of {username}", "days": days, "grants": me["grants"]}
        token = client.post("/api/v1/keys", body)["token"]
        space = _space_of(client, name)
    path = save_profile(Profile(name=name, url=client.profile.url, token=token, space=space, ca=ca))
    where = f"in the Space {space}" if space else f"no Space is chosen yet; run: {again('space', 'list')}"
    say(f"signed in at {client.profile.url} as {username}, {where}; the key is in {path}")


def logout() -> None:
    """Forget the key of the profile.

    The key stays valid until it expires or is revoked: waybill key list, waybill key revoke.

    Example: waybill logout
    """
    name = chosen_name(CURRENT.profile)
    forget_profile(name)
    say(f"forgot the key of profile {name}")


def whoami() -> None:
    """Show who you are, and your rights.

    Example: waybill whoami
    """
    with connect() as client:
        me = client.get("/api/v1/me")
        chosen = {"site": client.profile.url, "space": client.profile.space}
        show_one({**me, **chosen}, fields=("name", "kind", "site", "space", "grants"), name="name")


def password(
    url: SiteAddress,
    /,
    *,
    username: Annotated[str, Parameter(help="Your account at that site.")],
    old_file: Annotated[Path | None, Parameter(help="Read the old password from this file instead of asking.")] = None,
    new_file: Annotated[Path | None, Parameter(help="Read the new password from this file instead of asking.")] = None,
) -> None:
    """Change your password.

    Example: waybill password https://site.example:8443 --username ada
    """
    old = read_value(old_file, stdin=False, ask="Old password: ")
    new = read_value(new_file, stdin=False, ask="New password: ")
    with _person(url.rstrip("/"), authority(), username=username, password=old) as client:
        client.put("/api/v1/me/password", {"old_password": old, "new_password": new})
    say("changed")


@key_app.command(name="create")
def key_create(
    name: Annotated[str, Parameter(help="What the key is for.")],
    /,
    *,
    username: Annotated[str, Parameter(help="Your account; only a person makes keys, so that your password is needed.")],
    permission: Annotated[list[str], Parameter(help="A right of the key; may be repeated.")],
    in_space: Annotated[str, Parameter(help="The Space in which it has them; * is every Space.")] = "*",
    days: Annotated[int, Parameter(help="How long the key is valid.")] = 90,
    password_file: Annotated[Path | None, Parameter(help="Read the password from this file instead of asking.")] = None,
    password_stdin: Annotated[bool, Parameter(help="Read the password from standard input instead of asking.")] = False,
) -> None:
    """Make an API key for a program.

    Its token is shown once, on standard output; it has no right that you have not.

    Example: waybill key create ci --username ada --permission package.push --permission release.create --in-space devtest
    """
    profile = load_profile(name=CURRENT.profile, url=CURRENT.url, space=CURRENT.space, ca=CURRENT.ca)
    password = read_value(password_file, stdin=password_stdin, ask="Password: ")
    with _person(profile.url, profile.ca, username=username, password=password) as client:
        made = client.post("/api/v1/keys", {"name": name, "days": days, "grants": [{"space_id": in_space, "permissions": permission}]})
    say("this token is shown once; store it now")
    show_one({**made["key"], "token": made["token"]}, fields=("id", "name", "expires_at", "token"), name="token")


@key_app.command(name="list")
def key_list() -> None:
    """List your API keys.

    Example: waybill key list
    """
    with connect() as client:
        show_many(
            client.get("/api/v1/keys")["items"],
            columns=("id", "name", "expires_at", "last_used_at", "revoked_at"),
            empty="no keys; make one with: waybill key create NAME --permission …",
        )


@key_app.command(name="revoke")
def key_revoke(key: Annotated[str, Parameter(help="The key's id.")], /) -> None:
    """Make an API key worthless at once.

    Example: waybill key revoke key_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        row = next((row for row in client.get("/api/v1/keys")["items"] if row["id"] == key), None)
        if row is None:
            raise WaybillError("record.absent", "you have no key with this id", field="key", found=key)
        confirm(f"whatever uses {key} stops working", typed="revoke")
        client.delete(f"/api/v1/keys/{key}", etag=f'"{row["revision"]}"')
        say(f"revoked {key}")


def read_value(value_file: Path | None, *, stdin: bool, ask: str) -> str:
    """A secret from a file, from standard input, or asked for; never from a flag.

    Raises:
        WaybillError: cli.usage, when the file cannot be read, or nobody can be asked.
    """
    if value_file is not None:
        try:
            return value_file.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise WaybillError("cli.usage", f"{value_file} cannot be read as text", field="file", found=type(error).__name__) from error
    if stdin:
        return sys.stdin.read().rstrip("\n")
    if not may_ask():
        raise WaybillError("cli.usage", "nobody can be asked here; give it in a file or on standard input", field=ask.strip(": "))
    return getpass.getpass(ask)


@contextmanager
def _person(url: str, ca: str | None, *, username: str, password: str) -> Iterator[Client]:
    """A client in a session of this person, which is over at the end."""
    with Client(Profile(name="", url=url, token="", ca=ca)) as client:
        client.post("/api/v1/login", {"username": username, "password": password})
        try:
            yield client
        finally:
            # After a change of the password there is no session left to end.
            with suppress(ApiError):
                client.post("/api/v1/logout")


def _space_of(client: Client, name: str) -> str | None:
    """The Space that the flag names, else the one of the earlier sign-in if it is still to be seen, else the only one."""
    if CURRENT.space:
        return str(client.get(f"/api/v1/spaces/{CURRENT.space}")["slug"])
    seen: list[dict[str, Any]] = client.get("/api/v1/spaces")["items"]
    slugs = [str(space["slug"]) for space in seen]
    before = find_profile(name)
    if before is not None and before.space in slugs:
        return before.space
    return slugs[0] if len(slugs) == 1 else None
