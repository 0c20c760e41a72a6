# SPDX-License-Identifier: Apache-2.0
"""``waybill space | environment | tenant | machine …``: what a Space consists of."""

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from cli import completing
from cli.help_page import noun
from cli.output import say, show_many, show_one
from cli.parameters import MachineName
from cli.profile import chosen_name, find_profile, save_profile
from cli.session import CURRENT, confirm, connect
from waybill.errors import PolicyError, WaybillError

space_app = noun("space", "Spaces of this site.")
environment_app = noun("environment", "Environments, own ones and those of Remote Spaces.")
tenant_app = noun("tenant", "Tenants of the Space.")
machine_app = noun("machine", "Machines that run steps.")


@space_app.command(name="list")
def space_list() -> None:
    """List the Spaces that you may see.

    Example: waybill space list
    """
    with connect() as client:
        show_many(client.get("/api/v1/spaces")["items"], columns=("slug", "name", "id"), name="slug", empty="no Spaces are granted to you")


@space_app.command(name="create")
def space_create(
    name: Annotated[str, Parameter(help="What people call it.")],
    /,
    *,
    slug: Annotated[str | None, Parameter(help="Its short name in addresses; made from the name by default.")] = None,
) -> None:
    """Make a Space with keys of its own.

    Example: waybill space create DevTest
    """
    with connect() as client:
        show_one(client.post("/api/v1/spaces", {"name": name, "slug": slug}), fields=("slug", "name", "id"), name="slug")


@space_app.command(name="use")
def space_use(space: Annotated[str, Parameter(help="The Space, by slug or id.", completer=completing.spaces)], /) -> None:
    """Work in this Space when no other is named.

    Example: waybill space use devtest
    """
    with connect() as client:
        found = client.get(f"/api/v1/spaces/{space}")
    profile = find_profile(chosen_name(CURRENT.profile))
    if profile is None:
        raise PolicyError("authn.required", "only a profile keeps a Space; run: waybill login URL --username NAME", field="profile")
    save_profile(replace(profile, space=found["slug"]), make_default=False)
    say(f"profile {profile.name} works in the Space {found['name']} from now on")


@environment_app.command(name="list")
def environment_list() -> None:
    """List environments, own ones first.

    Example: waybill environment list
    """
    with connect() as client:
        rows = client.get(client.space_path("/environments"))["items"]
        names = {row["id"]: row["name"] for row in client.get(client.space_path("/trusts"))["items"]}
    for row in rows:
        owner = names.get(row["trust_id"])
        row["full_name"] = f"{owner}: {row['name']}" if owner else row["name"]
    show_many(
        rows,
        columns=("slug", "full_name", "confirmed", "id"),
        name="slug",
        empty="no environments; make one with: waybill environment create NAME",
    )


@environment_app.command(name="create")
def environment_create(
    name: Annotated[str, Parameter(help="Its name; of a remote one, the name that it has there.")],
    /,
    *,
    trust: Annotated[str | None, Parameter(help="The Remote Space that it belongs to.", completer=completing.trusts)] = None,
    sort_order: Annotated[int, Parameter(help="Its place among the others; small comes first.")] = 0,
) -> None:
    """Make an environment, or refer to a remote one.

    Example: waybill environment create Production --trust Prod
    """
    with connect() as client:
        made = client.post(client.space_path("/environments"), {"name": name, "trust": trust, "sort_order": sort_order})
        show_one(made, fields=("slug", "name", "trust_id", "id"), name="slug")


@tenant_app.command(name="list")
def tenant_list() -> None:
    """List the tenants of the Space.

    Example: waybill tenant list
    """
    with connect() as client:
        show_many(
            client.get(client.space_path("/tenants"))["items"], columns=("slug", "name", "tags", "id"), name="slug", empty="no tenants"
        )


@tenant_app.command(name="create")
def tenant_create(
    name: Annotated[str, Parameter(help="What people call it.")],
    /,
    *,
    tag: Annotated[list[str] | None, Parameter(help="A tag, as Set/Tag; may be repeated.")] = None,
) -> None:
    """Make a tenant.

    Example: waybill tenant create "Harbour Clinic" --tag Region/North
    """
    with connect() as client:
        show_one(
            client.post(client.space_path("/tenants"), {"name": name, "tags": tag or []}),
            fields=("slug", "name", "tags", "id"),
            name="slug",
        )


@machine_app.command(name="list")
def machine_list() -> None:
    """List machines and when each was last seen.

    Example: waybill machine list
    """
    with connect() as client:
        show_many(
            client.get(client.space_path("/machines"))["items"],
            columns=("name", "roles", "environment_ids", "last_seen_at", "disabled", "id"),
            name="name",
            empty="no machines; register one with: waybill machine register NAME --role web --environment Test",
        )


@machine_app.command(name="register")
def machine_register(
    name: Annotated[str, Parameter(help="What the machine is called.")],
    /,
    *,
    role: Annotated[list[str] | None, Parameter(help="What it is for, as processes name it; may be repeated.")] = None,
    environment: Annotated[
        list[str] | None, Parameter(help="An environment that it belongs to; may be repeated.", completer=completing.environments)
    ] = None,
) -> None:
    """Register a machine; its token is shown once, on standard output.

    Example: waybill machine register web1 --role web --environment Test -o name | waybill-site machine add ./site web1
    """
    with connect() as client:
        made = client.post(client.space_path("/machines"), {"name": name, "roles": role or [], "environments": environment or []})
        say("this token is shown once; give it to the machine now")
        show_one({**made["machine"], "token": made["token"]}, fields=("name", "roles", "id", "token"), name="token")


@machine_app.command(name="disable")
def machine_disable(machine: MachineName, /) -> None:
    """Let a machine run nothing any more; its token is worthless at once.

    Example: waybill machine disable web1
    """
    with connect() as client:
        rows = client.get(client.space_path("/machines"))["items"]
        row = next((row for row in rows if machine in (row["id"], row["name"])), None)
        if row is None:
            raise WaybillError("record.absent", "there is no such machine here", field="machine", found=machine)
        confirm(f"the machine {machine} can never come back under its token", typed="disable")
        client.delete(client.space_path(f"/machines/{row['id']}"), etag=f'"{row["revision"]}"')
    say(f"disabled {machine}")
