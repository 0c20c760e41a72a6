# SPDX-License-Identifier: Apache-2.0
"""``waybill identity | trust …``: who this Space is, and whom it trusts for what."""

import base64
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from cli.files import read_bytes, write_bytes
from cli.help_page import noun
from cli.output import say, show_many, show_one
from cli.parameters import TrustName
from cli.session import again, confirm, connect, may_ask
from waybill.errors import WaybillError

identity_app = noun("identity", "This Space's signed identity, to be carried to others.")
trust_app = noun("trust", "Remote Spaces and what is granted to each.")

Grant = Literal["send-releases", "accept-releases", "send-receipts", "accept-receipts", "relay"]
RoadName = Literal["call", "answer", "carrier"]
Road = Annotated[RoadName, Parameter(help="call: we open the connections; answer: they do; carrier: a person carries files.")]
Grants = Annotated[list[Grant] | None, Parameter(help="What passes between the two; may be repeated.")]
Projects = Annotated[list[str] | None, Parameter(help="Limit the trust to this project; may be repeated.")]
IdentityFile = Annotated[Path, Parameter(help="The identity that the other Space has exported.")]
_FIELDS = ("slug", "name", "state", "road", "peer_name", "fingerprint", "grants", "last_contact_at", "last_error", "id")


@identity_app.command(name="show")
def identity_show() -> None:
    """Show the fingerprint that the other side must see.

    Example: waybill identity show
    """
    with connect() as client:
        show_one(client.get(client.space_path("/identity")), fields=("name", "fingerprint", "version", "space_id"), name="fingerprint")


@identity_app.command(name="export")
def identity_export(*, out: Annotated[Path, Parameter(help="The file to write.")]) -> None:
    """Write the signed identity to a file; it holds no private key.

    Example: waybill identity export --out devtest.identity.json
    """
    with connect() as client:
        write_bytes(out, client.fetch_bytes(client.space_path("/identity/document")))
        shown = client.get(client.space_path("/identity"))
    say(f"wrote {out}; fingerprint {_grouped(shown['fingerprint'])}")


@trust_app.command(name="list")
def trust_list() -> None:
    """List Remote Spaces.

    Example: waybill trust list
    """
    with connect() as client:
        show_many(
            client.get(client.space_path("/trusts"))["items"],
            columns=("slug", "name", "state", "road", "peer_name", "last_contact_at", "last_error"),
            name="slug",
            empty="no Remote Spaces; register one with: waybill trust register FILE --name NAME --road call|answer|carrier",
        )


@trust_app.command(name="show")
def trust_show(trust: TrustName, /) -> None:
    """Show a Remote Space.

    Example: waybill trust show prod
    """
    with connect() as client:
        show_one(client.get(client.space_path(f"/trusts/{trust}")), fields=_FIELDS, name="slug")


@trust_app.command(name="register")
def trust_register(
    file: IdentityFile,
    /,
    *,
    name: Annotated[str, Parameter(help="What this Space calls it.")],
    road: Road,
    grant: Grants = None,
    project: Projects = None,
) -> None:
    """Register a Remote Space from its identity file.

    Nothing passes until its fingerprint is confirmed.

    Example: waybill trust register prod.identity.json --name Prod --road answer --grant send-releases --grant accept-receipts
    """
    body = {"name": name, "road": road, "identity": base64.b64encode(read_bytes(file)).decode(), "grants": _grants(grant, project)}
    with connect() as client:
        made = client.post(client.space_path("/trusts"), body)
    say(f"pending. Compare this with the other side by voice: {_grouped(made['fingerprint'])}")
    # The command to paste holds no fingerprint: what is confirmed must come from the other side, not from this file.
    say(f"then confirm what they read to you: {again('trust', 'confirm', made['slug'], '--fingerprint', 'FINGERPRINT')}")
    show_one(made, fields=_FIELDS, name="slug")


@trust_app.command(name="confirm")
def trust_confirm(
    trust: TrustName,
    /,
    *,
    fingerprint: Annotated[str | None, Parameter(help="As the other side told it to you; asked for by default.")] = None,
) -> None:
    """Confirm the fingerprint that the other side shows.

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
    trust: TrustName,
    /,
    *,
    road: Road | None = None,
    grant: Grants = None,
    project: Projects = None,
) -> None:
    """Change the road, or replace the grants.

    Example: waybill trust change prod --road carrier
    """
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
def trust_update(trust: TrustName, file: IdentityFile, /) -> None:
    """Import the next version of its identity.

    Example: waybill trust update prod prod.identity.json
    """
    with connect() as client:
        body = {"identity": base64.b64encode(read_bytes(file)).decode()}
        show_one(client.post(client.space_path(f"/trusts/{trust}/identity"), body), fields=_FIELDS, name="slug")


@trust_app.command(name="retire")
def trust_retire(trust: TrustName, /) -> None:
    """End a trust for ever; asks for its name.

    Example: waybill trust retire prod
    """
    with connect() as client:
        path = client.space_path(f"/trusts/{trust}")
        known, etag = client.get_tagged(path)
        confirm(f"nothing passes between this Space and {known['name']} any more", typed=known["name"])
        client.delete(path, etag=etag)
    say(f"ended the trust {known['name']}")


def _grants(grant: list[Grant] | None, project: list[str] | None) -> dict[str, Any]:
    given = {name.replace("-", "_"): True for name in grant or []}
    return {**given, "projects": project or []}


def _compared(known: dict[str, Any]) -> str:
    if not may_ask():
        raise WaybillError("cli.usage", "give --fingerprint as the other side showed it", field="--fingerprint")
    print(f"type the fingerprint that {known['peer_name']} reads to you: ", end="", file=sys.stderr, flush=True)
    given = input()
    # A run by a person ends with what a script would say instead.
    say(f"automation command: {again('trust', 'confirm', known['slug'], '--fingerprint', given.replace(' ', ''))}")
    return given


def _grouped(fingerprint: str) -> str:
    return " ".join(fingerprint[start : start + 8] for start in range(0, len(fingerprint), 8))
