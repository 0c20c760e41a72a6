# SPDX-License-Identifier: Apache-2.0
"""``waybill identity | trust …``: who this Space is, and whom it trusts for what."""

import base64
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from cli.client import Client
from cli.output import say, show_many, show_one
from cli.session import connect, may_ask
from waybill.errors import WaybillError

identity_app = App(name="identity", help="This Space's signed identity, to be carried to others.")
trust_app = App(name="trust", help="Remote Spaces and what is granted to each.")

Grant = Literal["send-releases", "accept-releases", "send-receipts", "accept-receipts", "relay"]
_FIELDS = ("slug", "name", "state", "road", "peer_name", "fingerprint", "grants", "last_contact_at", "last_error", "id")


@identity_app.command(name="show")
def identity_show() -> None:
    """Show the fingerprint that the other side must see."""
    with connect() as client:
        show_one(client.get(client.space_path("/identity")), fields=("name", "fingerprint", "version", "space_id"), name="fingerprint")


@identity_app.command(name="export")
def identity_export(*, out: Path) -> None:
    """Write the signed identity to a file. It holds no private key. Example: waybill identity export --out devtest.identity.json"""
    with connect() as client:
        out.write_bytes(client.fetch_bytes(client.space_path("/identity/document")))
        shown = client.get(client.space_path("/identity"))
    say(f"wrote {out}; fingerprint {_grouped(shown['fingerprint'])}")


@trust_app.command(name="list")
def trust_list() -> None:
    """List Remote Spaces."""
    with connect() as client:
        show_many(
            client.get(client.space_path("/trusts"))["items"],
            columns=("slug", "name", "state", "road", "peer_name", "last_contact_at", "last_error"),
            name="slug",
            empty="no Remote Spaces; register one with: waybill trust register FILE --name NAME --road call|answer|carrier",
        )


@trust_app.command(name="show")
def trust_show(trust: str, /) -> None:
    """Show a Remote Space."""
    with connect() as client:
        show_one(client.get(client.space_path(f"/trusts/{trust}")), fields=_FIELDS, name="slug")


@trust_app.command(name="register")
def trust_register(
    file: Path,
    /,
    *,
    name: str,
    road: Literal["call", "answer", "carrier"],
    grant: Annotated[list[Grant] | None, Parameter(negative="")] = None,
    project: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> None:
    """Register a Remote Space from its identity FILE; nothing passes until its fingerprint is confirmed.

    Example: waybill trust register prod.identity.json --name Prod --road answer --grant send-releases --grant accept-receipts

    Parameters
    ----------
    road: `call`: we open the connections; `answer`: they do; `carrier`: a person carries files.
    project: limit the trust to these projects.
    """
    body = {"name": name, "road": road, "identity": base64.b64encode(file.read_bytes()).decode(), "grants": _grants(grant, project)}
    with connect() as client:
        made = client.post(client.space_path("/trusts"), body)
    say(f"pending. Compare this with the other side by voice: {_grouped(made['fingerprint'])}")
    say(f"then: waybill trust confirm {made['slug']} --fingerprint {made['fingerprint']}")
    show_one(made, fields=_FIELDS, name="slug")


@trust_app.command(name="confirm")
def trust_confirm(trust: str, /, *, fingerprint: str | None = None) -> None:
    """Confirm that the fingerprint is the one that the other side shows.

    Example: waybill trust confirm prod --fingerprint 9f86d081…
    """
    with connect() as client:
        path = client.space_path(f"/trusts/{trust}")
        known, etag = client.get_tagged(path)
        given = fingerprint or _compared(known)
        made = client.put(f"{path}/confirmation", {"fingerprint": given}, etag=etag)
    show_one(made, fields=_FIELDS, name="slug")


@trust_app.command(name="change")
def trust_change(
    trust: str,
    /,
    *,
    road: Literal["call", "answer", "carrier"] | None = None,
    grant: Annotated[list[Grant] | None, Parameter(negative="")] = None,
    project: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> None:
    """Change the road, or replace the grants, of a Remote Space."""
    body: dict[str, Any] = {}
    if road is not None:
        body["road"] = road
    if grant is not None or project is not None:
        body["grants"] = _grants(grant, project)
    with connect() as client:
        path = client.space_path(f"/trusts/{trust}")
        _, etag = client.get_tagged(path)
        show_one(client.patch(path, body, etag=etag), fields=_FIELDS, name="slug")


@trust_app.command(name="update")
def trust_update(trust: str, file: Path, /) -> None:
    """Import the next version of a Remote Space's identity from FILE."""
    with connect() as client:
        body = {"identity": base64.b64encode(file.read_bytes()).decode()}
        show_one(client.post(client.space_path(f"/trusts/{trust}/identity"), body), fields=_FIELDS, name="slug")


@trust_app.command(name="retire")
def trust_retire(trust: str, /) -> None:
    """End a trust for ever."""
    with connect() as client:
        path = client.space_path(f"/trusts/{trust}")
        known, etag = client.get_tagged(path)
        if may_ask() and input(f"type the name {known['name']} to end this trust: ") != known["name"]:
            raise WaybillError("cli.usage", "the name was not typed; nothing was changed", field="trust")
        client.delete(path, etag=etag)
    say(f"ended the trust {known['name']}")


def find_trust(client: Client, trust: str) -> dict[str, Any]:
    """The trust with this id, slug or name."""
    found = client.get(client.space_path(f"/trusts/{trust}"))
    return dict(found)


def _grants(grant: list[Grant] | None, project: list[str] | None) -> dict[str, Any]:
    given = {name.replace("-", "_"): True for name in grant or []}
    return {**given, "projects": project or []}


def _compared(known: dict[str, Any]) -> str:
    if not may_ask():
        raise WaybillError("cli.usage", "give --fingerprint as the other side showed it", field="--fingerprint")
    say(f"the identity of {known['peer_name']} has the fingerprint {_grouped(known['fingerprint'])}")
    return input("type the fingerprint that the other side reads to you: ")


def _grouped(fingerprint: str) -> str:
    return " ".join(fingerprint[start : start + 8] for start in range(0, len(fingerprint), 8))
