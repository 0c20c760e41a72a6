# SPDX-License-Identifier: Apache-2.0
"""``waybill release | promotion …``: freezing a release, and sending it to a Remote Space."""

from typing import Annotated, Any

from cyclopts import Parameter

from cli import completing
from cli.client import Client, items
from cli.help_page import noun
from cli.output import human_bytes, show_many, show_one
from cli.parameters import Limit, ProjectName, ProjectOption, PromotionId, ReleaseVersion, Timeout, TrustName, Wait
from cli.session import connect
from cli.waiting import follow
from waybill.errors import WaybillError

release_app = noun("release", "Frozen releases.")
promotion_app = noun("promotion", "Releases on their way to Remote Spaces.")

ReleaseName = Annotated[str, Parameter(help="The release, by version with --project, or by id.", completer=completing.versions)]

_RELEASE = ("release_version", "project_name", "release_sha256", "frozen_at", "blocked_reason", "notes", "id")
_PROMOTION = (
    "project_name", "release_version", "trust_name", "state", "last_event", "last_event_at", "bytes_packages", "bytes_sent", "bytes_saved", "message",
    "packages", "id",
)  # fmt: skip


@release_app.command(name="create")
def release_create(
    project: ProjectName,
    version: Annotated[str, Parameter(help="The new version, such as 1.1.0.")],
    /,
    *,
    notes: Annotated[str, Parameter(help="What is new, for people.")] = "",
    channel: Annotated[str, Parameter(help="The channel of the release.")] = "Default",
    package: Annotated[
        list[str] | None, Parameter(help="NAME=VERSION for a package reference of the process; the newest by default; may be repeated.")
    ] = None,
) -> None:
    """Freeze process, values and exact packages, signed once.

    Example: waybill release create storefront 1.1.0 --notes "New styles" --package styles=2.1.1
    """
    body = {"project": project, "version": version, "channel": channel, "notes": notes, "packages": _packages(package)}
    with connect() as client:
        show_one(client.post(client.space_path("/releases"), body), fields=_RELEASE, name="id")


@release_app.command(name="list")
def release_list(*, project: ProjectOption = None, limit: Limit = 50) -> None:
    """List releases, newest first.

    Example: waybill release list --project storefront
    """
    with connect() as client:
        show_many(
            items(client, client.space_path("/releases"), limit=limit, project=project),
            columns=("project_name", "release_version", "frozen_at", "release_sha256", "blocked_reason", "id"),
            name="id",
            empty="no releases; make one with: waybill release create PROJECT VERSION",
        )


@release_app.command(name="show")
def release_show(release: ReleaseName, /, *, project: ProjectOption = None) -> None:
    """Show what is frozen in a release.

    Example: waybill release show 1.0.0 --project storefront
    """
    with connect() as client:
        found = client.get(client.space_path(f"/releases/{release}"), project=project)
        show_one(
            {**found["release"], **{key: found[key] for key in ("actions", "variables", "packages", "step_packages")}},
            fields=(*_RELEASE, "packages", "step_packages"),
            name="id",
        )


@release_app.command(name="diff")
def release_diff(before: ReleaseName, after: ReleaseName, /, *, project: ProjectOption = None) -> None:
    """Compare two releases of one project.

    Example: waybill release diff 1.0.0 1.1.0 --project storefront
    """
    with connect() as client:
        found = client.get(client.space_path("/releases/diff"), before=before, after=after, project=project)
        show_many(found["changes"], columns=("kind", "name", "how", "before", "after"), name="name", empty="the releases are equal")


@release_app.command(name="block")
def release_block(
    release: ReleaseName, /, *, reason: Annotated[str, Parameter(help="Why; everybody sees it.")], project: ProjectOption = None
) -> None:
    """Let no new deployment or promotion of a release start.

    Example: waybill release block 1.0.0 --project storefront --reason "wrong prices"
    """
    with connect() as client:
        found = _listed(client, release, project)
        path = client.space_path(f"/releases/{found['id']}/block")
        show_one(client.put(path, {"reason": reason}, etag=f'"{found["revision"]}"'), fields=_RELEASE, name="id")


@release_app.command(name="unblock")
def release_unblock(release: ReleaseName, /, *, project: ProjectOption = None) -> None:
    """Let a release be deployed and promoted again.

    Example: waybill release unblock 1.0.0 --project storefront
    """
    with connect() as client:
        found = _listed(client, release, project)
        client.delete(client.space_path(f"/releases/{found['id']}/block"), etag=f'"{found["revision"]}"')
        show_one({**found, "blocked_reason": None}, fields=_RELEASE, name="id")


@promotion_app.command(name="start")
def promotion_start(
    project: ProjectName,
    version: ReleaseVersion,
    /,
    *,
    to: TrustName,
    follow_days: Annotated[int, Parameter(help="For how many days the site waits for receipts.")] = 90,
    wait: Wait = True,
    to_the_end: Annotated[bool, Parameter(help="Follow on until its lifecycle there is complete, not only until it waits.")] = False,
    timeout: Timeout = 1800,
) -> None:
    """Send a release to a Remote Space.

    Starting the same promotion twice starts it once.

    Example: waybill promotion start storefront 1.0.0 --to prod
    """
    body = {"project": project, "release": version, "trust": to, "follow_days": follow_days}
    with connect() as client:
        made = client.post(client.space_path("/promotions"), body, idempotent=True)
        _, code = follow(client, made["task"], wait=wait, timeout_seconds=timeout, until_waiting=not to_the_end)
        show_one(client.get(client.space_path(f"/promotions/{made['promotion']['id']}")), fields=_PROMOTION)
    raise SystemExit(int(code))


@promotion_app.command(name="list")
def promotion_list(*, limit: Limit = 50) -> None:
    """List promotions, newest first.

    Example: waybill promotion list
    """
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
def promotion_show(promotion: PromotionId, /) -> None:
    """Show a promotion and what its state rests on.

    Example: waybill promotion show prm_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        show_one(client.get(client.space_path(f"/promotions/{promotion}")), fields=_PROMOTION)


@promotion_app.command(name="watch")
def promotion_watch(promotion: PromotionId, /, *, timeout: Timeout = 3600) -> None:
    """Follow a promotion until its lifecycle there is complete.

    Ctrl-C only stops following.

    Example: waybill promotion watch prm_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        found = client.get(client.space_path(f"/promotions/{promotion}"))
        task = client.get(client.space_path(f"/tasks/{found['task_id']}"))
        _, code = follow(client, task, wait=True, timeout_seconds=timeout)
        show_one(client.get(client.space_path(f"/promotions/{promotion}")), fields=_PROMOTION)
    raise SystemExit(int(code))


@promotion_app.command(name="cancel")
def promotion_cancel(promotion: PromotionId, /) -> None:
    """Cancel a promotion; exit 8 when it was too late.

    Before transport nothing of it reaches the other side.

    Example: waybill promotion cancel prm_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        found = client.get(client.space_path(f"/promotions/{promotion}"))
        task = client.post(client.space_path(f"/tasks/{found['task_id']}/cancel"), {}, idempotent=True)
        _, code = follow(client, task, wait=True, timeout_seconds=60, expected=frozenset({"cancelled"}))
        show_one(client.get(client.space_path(f"/promotions/{promotion}")), fields=_PROMOTION)
    raise SystemExit(int(code))


def _listed(client: Client, release: str, project: str | None) -> dict[str, Any]:
    """The row of a release, which is there even when the signed document behind it can no longer be read."""
    if project is None and not release.startswith("rel_"):
        raise WaybillError("cli.usage", "a version alone could be of any project; give --project", field="--project")
    cursor: str | None = None
    while True:
        page = client.get(client.space_path("/releases"), limit=200, cursor=cursor, project=project)
        for row in page["items"]:
            if release in (row["id"], row["release_version"]):
                return dict(row)
        cursor = page.get("next_cursor")
        if cursor is None:
            raise WaybillError("record.absent", "there is no such release here", field="release", found=release)


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
