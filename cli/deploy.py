# SPDX-License-Identifier: Apache-2.0
"""``waybill deployment | dashboard …``: deploying a release here, and what runs where."""

from typing import Annotated, Literal

from cyclopts import Parameter

from cli.client import items
from cli.exits import Exit
from cli.help_page import noun
from cli.output import chosen_format, heading, say, show_many, show_one
from cli.parameters import DeploymentId, EnvironmentName, Limit, ProjectName, ReleaseVersion, TenantOption, Timeout, Wait
from cli.session import again, connect
from cli.waiting import follow

deployment_app = noun("deployment", "Deployments in this Space.")

_DEPLOYMENT = ("project_name", "release_version", "environment_name", "state", "started_at", "finished_at", "code", "message", "id")


@deployment_app.command(name="start")
def deployment_start(
    project: ProjectName,
    version: ReleaseVersion,
    /,
    *,
    to: EnvironmentName,
    tenant: TenantOption = None,
    wait: Wait = True,
    timeout: Timeout = 3600,
) -> None:
    """Deploy a release to an environment, local or imported alike.

    Exit 8 when it fails, or when a step was interrupted and waits for a decision.

    Example: waybill deployment start storefront 1.0.0 --to Test
    """
    body = {"project": project, "release": version, "environment": to, "tenant": tenant}
    with connect() as client:
        made = client.post(client.space_path("/deployments"), body, idempotent=True)
        task, code = follow(client, made["task"], wait=wait, timeout_seconds=timeout, until_waiting=True)
        found = client.get(client.space_path(f"/deployments/{made['deployment']['id']}"))
        if task["state"] == "waiting":
            code = Exit.UNSUCCESSFUL
            say(f"see its runs with: {again('deployment', 'show', made['deployment']['id'])}")
            say("then decide with: waybill deployment decide DEPLOYMENT RUN retry|fail")
        show_one({**found["deployment"], "runs": found["runs"]}, fields=_DEPLOYMENT)
    raise SystemExit(int(code))


@deployment_app.command(name="check")
def deployment_check(project: ProjectName, version: ReleaseVersion, /, *, to: EnvironmentName, tenant: TenantOption = None) -> None:
    """Show what is missing before a deployment could start; exit 5 when something is.

    Example: waybill deployment check storefront 1.0.0 --to Test
    """
    with connect() as client:
        found = client.post(
            client.space_path("/deployments/check"), {"project": project, "release": version, "environment": to, "tenant": tenant}
        )
        show_many(
            found["blockers"], columns=("code", "subject", "environment", "tenant", "message"), name="code", empty="nothing is missing"
        )
    raise SystemExit(int(Exit.OK if found["ready"] else Exit.REFUSED))


@deployment_app.command(name="list")
def deployment_list(*, limit: Limit = 50) -> None:
    """List deployments, newest first.

    Example: waybill deployment list
    """
    with connect() as client:
        show_many(
            items(client, client.space_path("/deployments"), limit=limit),
            columns=("project_name", "release_version", "environment_name", "state", "finished_at", "message", "id"),
            empty="nothing was deployed; start with: waybill deployment start PROJECT VERSION --to ENVIRONMENT",
        )


@deployment_app.command(name="show")
def deployment_show(deployment: DeploymentId, /) -> None:
    """Show a deployment and every run of its steps.

    Example: waybill deployment show dep_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        found = client.get(client.space_path(f"/deployments/{deployment}"))
    if chosen_format() == "json":
        show_one(found, fields=())
        return
    show_one(found["deployment"], fields=_DEPLOYMENT)
    if chosen_format() == "name":
        return
    heading("")
    show_many(found["runs"], columns=("position", "action_name", "attempt", "state", "code", "message", "id"), empty="no step has run")


@deployment_app.command(name="decide")
def deployment_decide(
    deployment: DeploymentId,
    run: Annotated[str, Parameter(help="The interrupted run, as waybill deployment show lists it.")],
    verdict: Annotated[Literal["retry", "fail"], Parameter(help="Run it again, or let the deployment fail.")],
    /,
) -> None:
    """Decide about a step that was interrupted.

    Example: waybill deployment decide dep_0123456789abcdef run_0123456789abcdef retry
    """
    with connect() as client:
        made = client.post(client.space_path(f"/deployments/{deployment}/steps/{run}/decision"), {"verdict": verdict}, idempotent=True)
        show_one(made, fields=_DEPLOYMENT)


def dashboard() -> None:
    """Show what runs where, remote Spaces as receipts prove.

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
