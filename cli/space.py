# SPDX-License-Identifier: Apache-2.0
"""``waybill space | environment | tenant | machine …``: what a Space consists of."""

from typing import Annotated

from cyclopts import App, Parameter

from cli.output import say, show_many, show_one
from cli.session import connect

space_app = App(name="space", help="Spaces of this site.")
environment_app = App(name="environment", help="Environments of the Space, and references to those of Remote Spaces.")
tenant_app = App(name="tenant", help="Tenants of the Space.")
machine_app = App(name="machine", help="Machines that run steps.")


@space_app.command(name="list")
def space_list() -> None:
    """List the Spaces that you may see."""
    with connect() as client:
        show_many(client.get("/api/v1/spaces")["items"], columns=("slug", "name", "id"), name="slug", empty="no Spaces are granted to you")


@space_app.command(name="create")
def space_create(name: str, /, *, slug: str | None = None) -> None:
    """Make a Space with keys of its own. Example: waybill space create DevTest"""
    with connect() as client:
        show_one(client.post("/api/v1/spaces", {"name": name, "slug": slug}), fields=("slug", "name", "id"), name="slug")


@environment_app.command(name="list")
def environment_list() -> None:
    """List environments, own ones first."""
    with connect() as client:
        show_many(
            client.get(client.space_path("/environments"))["items"],
            columns=("slug", "name", "trust_id", "confirmed", "id"),
            name="slug",
            empty="no environments; make one with: waybill environment create NAME",
        )


@environment_app.command(name="create")
def environment_create(name: str, /, *, trust: str | None = None, sort_order: int = 0) -> None:
    """Make an environment; with --trust a reference to one of that Remote Space.

    Example: waybill environment create Production --trust Prod
    """
    with connect() as client:
        made = client.post(client.space_path("/environments"), {"name": name, "trust": trust, "sort_order": sort_order})
        show_one(made, fields=("slug", "name", "trust_id", "id"), name="slug")


@tenant_app.command(name="list")
def tenant_list() -> None:
    """List the tenants of the Space."""
    with connect() as client:
        show_many(
            client.get(client.space_path("/tenants"))["items"], columns=("slug", "name", "tags", "id"), name="slug", empty="no tenants"
        )


@tenant_app.command(name="create")
def tenant_create(name: str, /, *, tag: Annotated[list[str] | None, Parameter(negative="")] = None) -> None:
    """Make a tenant. Example: waybill tenant create "Harbour Clinic" --tag Region/North"""
    with connect() as client:
        show_one(
            client.post(client.space_path("/tenants"), {"name": name, "tags": tag or []}),
            fields=("slug", "name", "tags", "id"),
            name="slug",
        )


@machine_app.command(name="list")
def machine_list() -> None:
    """List machines and when each was last seen."""
    with connect() as client:
        show_many(
            client.get(client.space_path("/machines"))["items"],
            columns=("name", "roles", "environment_ids", "last_seen_at", "disabled", "id"),
            name="name",
            empty="no machines; register one with: waybill machine register NAME --role web --environment Test",
        )


@machine_app.command(name="register")
def machine_register(
    name: str,
    /,
    *,
    role: Annotated[list[str] | None, Parameter(negative="")] = None,
    environment: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> None:
    """Register a machine; its token is shown once, on standard output.

    Example: waybill machine register web1 --role web --environment Test -o name | waybill-site machine add ./site web1
    """
    with connect() as client:
        made = client.post(client.space_path("/machines"), {"name": name, "roles": role or [], "environments": environment or []})
        say("this token is shown once; give it to the machine now")
        show_one({**made["machine"], "token": made["token"]}, fields=("name", "roles", "id", "token"), name="token")
