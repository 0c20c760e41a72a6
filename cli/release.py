# SPDX-License-Identifier: Apache-2.0
"""``waybill release | promotion …``: freezing a release, and sending it to a Remote Space."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from cli.client import items
from cli.exits import Exit
from cli.output import human_bytes, show_many, show_one
from cli.session import connect
from cli.waiting import follow
from waybill.errors import WaybillError

release_app = App(name="release", help="Frozen releases.")
promotion_app = App(name="promotion", help="Releases on their way to Remote Spaces.")

_RELEASE = ("release_version", "project_name", "release_sha256", "frozen_at", "blocked_reason", "notes", "id")
_PROMOTION = (
    "project_name", "release_version", "trust_name", "state", "last_event", "last_event_at", "bytes_packages", "bytes_sent", "bytes_saved", "message", "id",
)  # fmt: skip


@release_app.command(name="create")
def release_create(
    project: str,
    version: str,
    /,
    *,
    notes: str = "",
    channel: str = "Default",
    package: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> None:
    """Freeze a project as VERSION: process, values and exact packages, signed once.

    Example: waybill release create storefront 1.1.0 --notes "New styles" --package styles=2.1.1

    Parameters
    ----------
    package: NAME=VERSION for a package reference of the process; the newest by default.
    """
    body = {"project": project, "version": version, "channel": channel, "notes": notes, "packages": _packages(package)}
    with connect() as client:
        show_one(client.post(client.space_path("/releases"), body), fields=_RELEASE, name="id")


@release_app.command(name="list")
def release_list(*, project: str | None = None, limit: int = 50) -> None:
    """List releases, newest first."""
    with connect() as client:
        show_many(
            items(client, client.space_path("/releases"), limit=limit, project=project),
            columns=("project_name", "release_version", "frozen_at", "release_sha256", "blocked_reason", "id"),
            name="id",
            empty="no releases; make one with: waybill release create PROJECT VERSION",
        )


@release_app.command(name="show")
def release_show(release: str, /, *, project: str | None = None) -> None:
    """Show what is frozen in a release."""
    with connect() as client:
        found = client.get(client.space_path(f"/releases/{release}"), project=project)
        show_one(
            {**found["release"], **{key: found[key] for key in ("actions", "variables", "packages", "step_packages")}},
            fields=(*_RELEASE, "packages", "step_packages"),
            name="id",
        )


@release_app.command(name="diff")
def release_diff(before: str, after: str, /, *, project: str | None = None) -> None:
    """Compare two releases of one project. Example: waybill release diff 1.0.0 1.1.0 --project storefront"""
    with connect() as client:
        found = client.get(client.space_path("/releases/diff"), before=before, after=after, project=project)
        show_many(found["changes"], columns=("kind", "name", "how", "before", "after"), name="name", empty="the releases are equal")


@promotion_app.command(name="start")
def promotion_start(
    project: str, version: str, /, *, to: str, follow_days: int = 90, wait: bool = True, timeout: float = 1800, until_waiting: bool = True
) -> None:
    """Send a release to a Remote Space. Starting the same promotion twice starts it once.

    Example: waybill promotion start storefront 1.0.0 --to prod --wait

    Parameters
    ----------
    until_waiting: stop following when it waits for the other side; with --no-until-waiting follow until its lifecycle there is complete.
    """
    body = {"project": project, "release": version, "trust": to, "follow_days": follow_days}
    with connect() as client:
        made = client.post(client.space_path("/promotions"), body, idempotent=True)
        _, code = follow(client, made["task"], wait=wait, timeout_seconds=timeout, until_waiting=until_waiting)
        show_one(client.get(client.space_path(f"/promotions/{made['promotion']['id']}")), fields=_PROMOTION)
    raise SystemExit(int(code))


@promotion_app.command(name="list")
def promotion_list(*, limit: int = 50) -> None:
    """List promotions, newest first."""
    with connect() as client:
        rows = items(client, client.space_path("/promotions"), limit=limit)
    for row in rows:
        row["sent"] = f"{human_bytes(row['bytes_sent'])} of {human_bytes(row['bytes_packages'])}"
    show_many(
        rows,
        columns=("project_name", "release_version", "trust_name", "state", "last_event", "last_event_at", "sent", "id"),
        empty="no promotions; start one with: waybill promotion start PROJECT VERSION --to TRUST",
    )


@promotion_app.command(name="show")
def promotion_show(promotion: str, /) -> None:
    """Show a promotion and what its state rests on."""
    with connect() as client:
        show_one(client.get(client.space_path(f"/promotions/{promotion}")), fields=_PROMOTION)


@promotion_app.command(name="cancel")
def promotion_cancel(promotion: str, /) -> None:
    """Cancel a promotion; before transport nothing of it reaches the other side."""
    with connect() as client:
        found = client.get(client.space_path(f"/promotions/{promotion}"))
        task = client.post(client.space_path(f"/tasks/{found['task_id']}/cancel"), {}, idempotent=True)
        task, _ = follow(client, task, wait=True, timeout_seconds=60)
        show_one(client.get(client.space_path(f"/promotions/{promotion}")), fields=_PROMOTION)
        raise SystemExit(int(Exit.OK if task["state"] == "cancelled" else Exit.UNSUCCESSFUL))


def _packages(given: list[str] | None) -> dict[str, Any] | None:
    if not given:
        return None
    chosen = {}
    for entry in given:
        name, separator, version = entry.partition("=")
        if not separator:
            raise WaybillError("cli.usage", "a package is NAME=VERSION", field="--package", found=entry)
        chosen[name] = version
    return chosen
