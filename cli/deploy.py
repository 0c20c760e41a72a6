# SPDX-License-Identifier: Apache-2.0
"""``waybill deployment | dashboard …``: deploying a release here, and what runs where."""

from typing import Literal

from cyclopts import App

from cli.client import items
from cli.output import chosen_format, say, show_many, show_one
from cli.session import connect
from cli.waiting import follow

deployment_app = App(name="deployment", help="Deployments in this Space.")

_DEPLOYMENT = ("project_name", "release_version", "environment_name", "state", "started_at", "finished_at", "code", "message", "id")


@deployment_app.command(name="start")
def deployment_start(
    project: str, version: str, /, *, to: str, tenant: str | None = None, wait: bool = True, timeout: float = 3600
) -> None:
    """Deploy a release to an environment of this Space, local or imported alike.

    Example: waybill deployment start storefront 1.0.0 --to Test --wait
    """
    body = {"project": project, "release": version, "environment": to, "tenant": tenant}
    with connect() as client:
        made = client.post(client.space_path("/deployments"), body, idempotent=True)
        _, code = follow(client, made["task"], wait=wait, timeout_seconds=timeout, until_waiting=True)
        found = client.get(client.space_path(f"/deployments/{made['deployment']['id']}"))
        show_one({**found["deployment"], "runs": found["runs"]}, fields=_DEPLOYMENT)
    raise SystemExit(int(code))


@deployment_app.command(name="check")
def deployment_check(project: str, version: str, /, *, to: str, tenant: str | None = None) -> None:
    """Show what is missing before a deployment could start; exit 5 when something is."""
    with connect() as client:
        found = client.post(
            client.space_path("/deployments/check"), {"project": project, "release": version, "environment": to, "tenant": tenant}
        )
        show_many(
            found["blockers"], columns=("code", "subject", "environment", "tenant", "message"), name="code", empty="nothing is missing"
        )
    raise SystemExit(0 if found["ready"] else 5)


@deployment_app.command(name="list")
def deployment_list(*, limit: int = 50) -> None:
    """List deployments, newest first."""
    with connect() as client:
        show_many(
            items(client, client.space_path("/deployments"), limit=limit),
            columns=("project_name", "release_version", "environment_name", "state", "finished_at", "message", "id"),
            empty="nothing was deployed; start with: waybill deployment start PROJECT VERSION --to ENVIRONMENT",
        )


@deployment_app.command(name="show")
def deployment_show(deployment: str, /) -> None:
    """Show a deployment and every run of its steps."""
    with connect() as client:
        found = client.get(client.space_path(f"/deployments/{deployment}"))
    if chosen_format() == "json":
        show_one(found, fields=())
        return
    show_one(found["deployment"], fields=_DEPLOYMENT)
    show_many(found["runs"], columns=("position", "action_name", "attempt", "state", "code", "message", "id"), empty="no step has run")


@deployment_app.command(name="decide")
def deployment_decide(deployment: str, run: str, verdict: Literal["retry", "fail"], /) -> None:
    """Decide about a step that was interrupted: run it again, or let the deployment fail.

    Example: waybill deployment decide dep_… run_… retry
    """
    with connect() as client:
        made = client.post(client.space_path(f"/deployments/{deployment}/steps/{run}/decision"), {"verdict": verdict}, idempotent=True)
        show_one(made, fields=_DEPLOYMENT)


def dashboard() -> None:
    """Show projects by environments: release and state of each, remote ones as their receipts prove.

    Example: waybill dashboard
    """
    with connect() as client:
        found = client.get(client.space_path("/dashboard"))
    if chosen_format() == "json":
        show_one(found, fields=())
        return
    names = {column["id"]: column["name"] for column in found["columns"]}
    rows = []
    for project in found["rows"]:
        row = {"project": project["name"], **dict.fromkeys(names.values(), "-")}
        for cell in project["cells"]:
            learned = f", learned {cell['learned_at'][11:19]}" if cell["learned_at"] != cell["happened_at"] else ""
            row[names[cell["column_id"]]] = (
                f"{cell['release_version']} {cell['state']} ({cell['happened_at'][:19].replace('T', ' ')}{learned})"
            )
        rows.append(row)
    show_many(rows, columns=("project", *names.values()), name="project", empty="no projects")
    say(f"as of {found['read_at'][:19].replace('T', ' ')} UTC")
