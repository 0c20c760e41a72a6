# SPDX-License-Identifier: Apache-2.0
"""``waybill project | process | variable | lifecycle …``: what is released, how, with which values, and in which order."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from cli.client import Client
from cli.output import say, show_many, show_one
from cli.session import connect
from cli.sign_in import read_value
from waybill.errors import FormatError, WaybillError

project_app = App(name="project", help="Projects, own and remote ones.")
process_app = App(name="process", help="The steps of a project.")
variable_app = App(name="variable", help="Values, secrets and templates of a project.")
lifecycle_app = App(name="lifecycle", help="The order in which releases may move.")

ValueTypeName = Literal["text", "multiline", "number", "boolean", "choice", "secret", "certificate", "account"]
_PROJECT = ("slug", "name", "group", "owner_name", "lifecycle_id", "id")


@project_app.command(name="list")
def project_list() -> None:
    """List projects; remote ones show their owner."""
    with connect() as client:
        show_many(
            client.get(client.space_path("/projects"))["items"],
            columns=_PROJECT,
            name="slug",
            empty="no projects; make one with: waybill project create NAME",
        )


@project_app.command(name="create")
def project_create(name: str, /, *, lifecycle: str | None = None, group: str = "") -> None:
    """Make a project. Example: waybill project create Storefront --lifecycle standard"""
    with connect() as client:
        show_one(
            client.post(client.space_path("/projects"), {"name": name, "lifecycle": lifecycle, "group": group}),
            fields=_PROJECT,
            name="slug",
        )


@project_app.command(name="change")
def project_change(project: str, /, *, name: str | None = None, lifecycle: str | None = None, group: str | None = None) -> None:
    """Change a project's name, lifecycle or group; of a remote project only the lifecycle."""
    body = {key: value for key, value in {"name": name, "lifecycle": lifecycle, "group": group}.items() if value is not None}
    with connect() as client:
        path = client.space_path(f"/projects/{project}")
        _, etag = client.get_tagged(path)
        show_one(client.patch(path, body, etag=etag), fields=_PROJECT, name="slug")


@process_app.command(name="show")
def process_show(project: str, /) -> None:
    """Print the process as JSON, in the form that `process set` takes."""
    with connect() as client:
        found = client.get(client.space_path(f"/projects/{project}/process"))
    print(json.dumps({"actions": found["actions"]}, indent=2, ensure_ascii=False))


@process_app.command(name="set")
def process_set(project: str, file: Path, /) -> None:
    """Replace the process by the JSON FILE, after checking every input. Example: waybill process set storefront process.json"""
    body = read_json(file)
    with connect() as client:
        path = client.space_path(f"/projects/{project}/process")
        _, etag = client.get_tagged(path)
        saved = client.put(path, body, etag=etag)
    show_many(
        saved["actions"], columns=("name", "step.package_id", "step.version", "roles", "id"), name="id", empty="the process has no actions"
    )


@variable_app.command(name="list")
def variable_list(project: str, /) -> None:
    """List a project's values; of a secret only whether it is set."""
    with connect() as client:
        show_many(
            client.get(client.space_path(f"/projects/{project}/variables"))["items"],
            columns=("name", "type", "value", "is_secret", "is_set", "scope.environments", "template.label", "origin", "id"),
            name="name",
            empty="no variables; set one with: waybill variable set PROJECT NAME --value VALUE",
        )


@variable_app.command(name="set")
def variable_set(
    project: str,
    name: str,
    /,
    *,
    value: str | None = None,
    value_file: Path | None = None,
    value_stdin: bool = False,
    type: ValueTypeName = "text",
    environment: Annotated[list[str] | None, Parameter(negative="")] = None,
    tenant: Annotated[list[str] | None, Parameter(negative="")] = None,
    channel: Annotated[list[str] | None, Parameter(negative="")] = None,
    action: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> None:
    """Set a value, for everywhere or for a scope. A secret comes from a file or standard input, never from a flag.

    Example: waybill variable set storefront ApiKey --type secret --value-stdin < key.txt
    """
    if type == "secret" and value is not None:
        raise WaybillError(
            "cli.usage", "a secret in a flag can be read by every process; use --value-file or --value-stdin", field="--value"
        )
    text = value if value is not None else read_value(value_file, stdin=value_stdin, ask=f"{name}: ")
    scope = {"environments": environment or [], "tenants": tenant or [], "channels": channel or [], "actions": action or []}
    with connect() as client:
        show_variable(_put_variable(client, project, {"name": name, "type": type, "value": text, "scope": scope}))


@variable_app.command(name="template")
def variable_template(
    project: str,
    name: str,
    /,
    *,
    label: str,
    help: str = "",
    type: ValueTypeName = "text",
    optional: bool = False,
    default: str | None = None,
    choice: Annotated[list[str] | None, Parameter(negative="")] = None,
    per: Literal["environment", "tenant_environment"] = "environment",
) -> None:
    """Declare a value that whoever deploys must give.

    Example: waybill variable template storefront SiteTitle --label "Title of the site" --help "Shown on the front page"
    """
    template = {"label": label, "help": help, "mandatory": not optional, "default": default, "choices": choice or [], "per": per}
    with connect() as client:
        show_variable(_put_variable(client, project, {"name": name, "type": type, "template": template}))


@variable_app.command(name="delete")
def variable_delete(project: str, variable: str, /) -> None:
    """Delete the variable with this id."""
    with connect() as client:
        rows = client.get(client.space_path(f"/projects/{project}/variables"))["items"]
        row = next((row for row in rows if variable == row["id"]), None)
        if row is None:
            raise WaybillError("record.absent", f"{project} has no variable with this id", field="variable", found=variable)
        client.delete(client.space_path(f"/projects/{project}/variables/{row['id']}"), etag=f'"{row["revision"]}"')
    say(f"deleted {row['name']}")


@lifecycle_app.command(name="list")
def lifecycle_list() -> None:
    """List lifecycles."""
    with connect() as client:
        rows = client.get(client.space_path("/lifecycles"))["items"]
    for row in rows:
        row["order"] = " -> ".join(phase["name"] for phase in row["phases"])
    show_many(
        rows,
        columns=("slug", "name", "order", "id"),
        name="slug",
        empty="no lifecycles; make one with: waybill lifecycle create NAME --phase …",
    )


@lifecycle_app.command(name="create")
def lifecycle_create(name: str, /, *, phase: Annotated[list[str], Parameter(negative="")]) -> None:
    """Make a lifecycle; each --phase is NAME=MEMBER[,MEMBER…], a member being an environment or a Remote Space.

    Example: waybill lifecycle create Standard --phase Test=Test --phase Production=Prod
    """
    phases = []
    for entry in phase:
        title, separator, members = entry.partition("=")
        if not separator or not members:
            raise WaybillError("cli.usage", "a phase is NAME=MEMBER[,MEMBER]", field="--phase", found=entry)
        phases.append({"name": title, "members": members.split(",")})
    with connect() as client:
        show_one(
            client.post(client.space_path("/lifecycles"), {"name": name, "phases": phases}),
            fields=("slug", "name", "phases", "id"),
            name="slug",
        )


def read_json(file: Path) -> Any:
    """The JSON in ``file``. Raises FormatError request.malformed with line and column."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise FormatError("request.malformed", f"{file} is not JSON: {error}", field=str(file)) from error
    except OSError as error:
        raise WaybillError("cli.usage", f"{file} cannot be read: {error.strerror}", field="file") from error


def show_variable(row: dict[str, Any]) -> None:
    """One variable, without its value when it is a secret."""
    show_one(row, fields=("name", "type", "value", "is_secret", "is_set", "scope", "id"), name="id")


def _put_variable(client: Client, project: str, body: dict[str, Any]) -> dict[str, Any]:
    """The variable made, or the one of the same name and scope replaced at the revision that is there now."""
    path = client.space_path(f"/projects/{project}/variables")
    wanted = body.get("scope") or {}
    for row in client.get(path)["items"]:
        if row["name"] == body["name"] and _same_scope(client, row["scope"], wanted):
            return dict(client.post(path, body, etag=f'"{row["revision"]}"'))
    return dict(client.post(path, body))


def _same_scope(client: Client, stored: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """True when both scopes name the same things; the stored one holds ids, the wanted one ids, slugs or names."""
    known = client.get(client.space_path("/environments"))["items"]
    ids = {entry[key]: entry["id"] for entry in known for key in ("slug", "name", "id")}
    environments = {ids.get(name, name) for name in wanted.get("environments", [])}
    others = all(set(stored.get(kind, [])) == set(wanted.get(kind, [])) for kind in ("tenants", "channels", "actions"))
    return environments == set(stored.get("environments", [])) and others
