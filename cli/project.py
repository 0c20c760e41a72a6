# SPDX-License-Identifier: Apache-2.0
"""``waybill project | process | variable | lifecycle …``: what is released, how, with which values, and in which order."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from cli import completing
from cli.client import Client
from cli.files import read_json
from cli.help_page import noun
from cli.output import print_json, say, show_many, show_one
from cli.parameters import LifecycleOption, ProjectName, Value, ValueFile, ValueStdin
from cli.session import confirm, connect
from cli.sign_in import read_value
from waybill.errors import WaybillError

project_app = noun("project", "Projects, own and remote ones.")
process_app = noun("process", "The steps of a project.")
variable_app = noun("variable", "Values, secrets and templates of a project.")
lifecycle_app = noun("lifecycle", "The order in which releases may move.")

ValueTypeName = Literal["text", "multiline", "number", "boolean", "choice", "secret", "certificate", "account"]
ValueKind = Annotated[ValueTypeName, Parameter(help="The type of the value.")]
VariableName = Annotated[str, Parameter(help="The name of the variable.")]
Group = Annotated[str, Parameter(help="The group that it is listed under.")]

_PROJECT = ("slug", "name", "group", "owner_name", "lifecycle_id", "id")


@project_app.command(name="list")
def project_list() -> None:
    """List projects; remote ones show their owner.

    Example: waybill project list
    """
    with connect() as client:
        show_many(
            client.get(client.space_path("/projects"))["items"],
            columns=_PROJECT,
            name="slug",
            empty="no projects; make one with: waybill project create NAME",
        )


@project_app.command(name="create")
def project_create(
    name: Annotated[str, Parameter(help="What people call it.")], /, *, lifecycle: LifecycleOption = None, group: Group = ""
) -> None:
    """Make a project.

    Example: waybill project create Storefront --lifecycle standard
    """
    with connect() as client:
        show_one(
            client.post(client.space_path("/projects"), {"name": name, "lifecycle": lifecycle, "group": group}),
            fields=_PROJECT,
            name="slug",
        )


@project_app.command(name="change")
def project_change(
    project: ProjectName,
    /,
    *,
    name: Annotated[str | None, Parameter(help="Its new name.")] = None,
    lifecycle: LifecycleOption = None,
    group: Annotated[str | None, Parameter(help="The group that it is listed under.")] = None,
) -> None:
    """Change name, lifecycle or group; of a remote project only the lifecycle.

    Example: waybill project change storefront --lifecycle standard
    """
    body = {key: value for key, value in {"name": name, "lifecycle": lifecycle, "group": group}.items() if value is not None}
    with connect() as client:
        path = client.space_path(f"/projects/{project}")
        _, etag = client.get_tagged(path)
        show_one(client.patch(path, body, etag=etag), fields=_PROJECT, name="slug")


@process_app.command(name="show")
def process_show(project: ProjectName, /) -> None:
    """Print the process as JSON, as process set takes it.

    Example: waybill process show storefront > process.json
    """
    with connect() as client:
        found = client.get(client.space_path(f"/projects/{project}/process"))
    print_json({"actions": found["actions"]})


@process_app.command(name="set")
def process_set(project: ProjectName, file: Annotated[Path, Parameter(help="The process as JSON.")], /) -> None:
    """Replace the process, after checking every input.

    Example: waybill process set storefront process.json
    """
    body = read_json(file)
    with connect() as client:
        path = client.space_path(f"/projects/{project}/process")
        _, etag = client.get_tagged(path)
        saved = client.put(path, body, etag=etag)
    show_many(
        saved["actions"], columns=("name", "step.package_id", "step.version", "roles", "id"), name="id", empty="the process has no actions"
    )


@variable_app.command(name="list")
def variable_list(project: ProjectName, /) -> None:
    """List a project's values; of a secret only whether it is set.

    Example: waybill variable list storefront
    """
    with connect() as client:
        show_many(
            client.get(client.space_path(f"/projects/{project}/variables"))["items"],
            columns=("name", "type", "value", "is_secret", "is_set", "scope.environments", "template.label", "origin", "id"),
            name="name",
            empty="no variables; set one with: waybill variable set PROJECT NAME --value VALUE",
        )


@variable_app.command(name="set")
def variable_set(
    project: ProjectName,
    name: VariableName,
    /,
    *,
    value: Value = None,
    value_file: ValueFile = None,
    value_stdin: ValueStdin = False,
    type: ValueKind = "text",
    environment: Annotated[
        list[str] | None, Parameter(help="Only in this environment; may be repeated.", completer=completing.environments)
    ] = None,
    tenant: Annotated[list[str] | None, Parameter(help="Only for this tenant; may be repeated.", completer=completing.tenants)] = None,
    channel: Annotated[list[str] | None, Parameter(help="Only in this channel; may be repeated.")] = None,
    action: Annotated[list[str] | None, Parameter(help="Only for this action; may be repeated.")] = None,
) -> None:
    """Set a value, for everywhere or for a scope.

    A secret comes from a file or standard input, never from a flag.

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
    project: ProjectName,
    name: VariableName,
    /,
    *,
    label: Annotated[str, Parameter(help="What people are asked for.")],
    help_text: Annotated[str, Parameter(help="A sentence that helps them.")] = "",
    type: ValueKind = "text",
    optional: Annotated[bool, Parameter(help="It may stay without a value.")] = False,
    default: Annotated[str | None, Parameter(help="The value when nobody gives one.")] = None,
    choice: Annotated[list[str] | None, Parameter(help="One of the values to choose from; may be repeated.")] = None,
    per: Annotated[Literal["environment", "tenant_environment"], Parameter(help="What each value belongs to.")] = "environment",
) -> None:
    """Declare a value that whoever deploys must give.

    Example: waybill variable template storefront SiteTitle --label "Title of the site" --help-text "Shown on the front page"
    """
    template = {"label": label, "help": help_text, "mandatory": not optional, "default": default, "choices": choice or [], "per": per}
    with connect() as client:
        show_variable(_put_variable(client, project, {"name": name, "type": type, "template": template}))


@variable_app.command(name="delete")
def variable_delete(project: ProjectName, variable: Annotated[str, Parameter(help="The variable's id.")], /) -> None:
    """Delete a variable.

    Example: waybill variable delete storefront var_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        rows = client.get(client.space_path(f"/projects/{project}/variables"))["items"]
        row = next((row for row in rows if variable == row["id"]), None)
        if row is None:
            raise WaybillError("record.absent", f"{project} has no variable with this id", field="variable", found=variable)
        confirm(f"{row['name']} and its value are gone then", typed=row["name"])
        client.delete(client.space_path(f"/projects/{project}/variables/{row['id']}"), etag=f'"{row["revision"]}"')
    say(f"deleted {row['name']}")


@lifecycle_app.command(name="list")
def lifecycle_list() -> None:
    """List lifecycles.

    Example: waybill lifecycle list
    """
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
def lifecycle_create(
    name: Annotated[str, Parameter(help="What people call it.")],
    /,
    *,
    phase: Annotated[list[str], Parameter(help="NAME=MEMBER[,MEMBER]; a member is an environment or a Remote Space; repeated in order.")],
) -> None:
    """Make a lifecycle, phase by phase.

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
            fields=("slug", "name", "id"),
            name="slug",
        )


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
