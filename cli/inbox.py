# SPDX-License-Identifier: Apache-2.0
"""``waybill inbox …``: what came in, what it would change, which values it needs, and the decision about it."""

import time
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from cli.client import Client, items
from cli.exits import Exit
from cli.help_page import noun
from cli.output import chosen_format, heading, say, show_many, show_one
from cli.parameters import BundleId, EnvironmentName, LifecycleOption, Limit, TenantOption, Timeout, Value, ValueFile, ValueStdin, Wait
from cli.session import again, connect
from cli.sign_in import read_value
from cli.waiting import follow
from waybill.errors import WaybillError

inbox_app = noun("inbox", "Received release bundles and the decisions about them.")

PreviewDigest = Annotated[str | None, Parameter(help="The digest of the preview that you read; without it, of the one that is there now.")]

_SECRET_TYPES = {"secret"}
_OVER = {"imported", "rejected", "refused"}
_BUNDLE = ("owner_name", "project_name", "release_version", "state", "bundle_sha256", "release_sha256", "received_at", "expires_at", "id")


@inbox_app.command(name="list")
def inbox_list(
    *, state: Annotated[str | None, Parameter(help="Only those in this state, such as ready.")] = None, limit: Limit = 50
) -> None:
    """List received bundles, newest first.

    Example: waybill inbox list --state ready
    """
    with connect() as client:
        show_many(
            items(client, client.space_path("/inbox"), limit=limit, state=state),
            columns=("owner_name", "project_name", "release_version", "state", "received_at", "id"),
            empty="nothing was received",
        )


@inbox_app.command(name="show")
def inbox_show(bundle: BundleId, /) -> None:
    """Show a received bundle.

    Example: waybill inbox show ibx_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        show_one(client.get(client.space_path(f"/inbox/{bundle}")), fields=(*_BUNDLE, "needs", "decided_by", "reason"))


@inbox_app.command(name="preview")
def inbox_preview(bundle: BundleId, /) -> None:
    """Show what an import would change here.

    Nothing is written; the decision names the preview's digest, which -o name prints alone.

    Example: waybill inbox preview ibx_0123456789abcdef0123456789abcdef
    """
    with connect() as client:
        found = client.get(client.space_path(f"/inbox/{bundle}/preview"))
    if chosen_format() != "table":
        show_one(found, fields=(), name="sha256")
        return
    against = f", compared with {found['previous_version']}" if found["previous_version"] else ", the first release of this project here"
    heading(f"{found['owner_name']}: {found['project_name']} {found['release_version']}{against}; sent by {found['sender_name']}")
    sections: list[tuple[str, str, tuple[str, ...]]] = [
        ("packages", "no packages", ("package_id", "version", "change", "previous_version", "present", "size_bytes")),
        ("actions", "no actions", ("position", "name", "step_package_id", "step_version", "change", "runs_in")),
        ("variables", "no values travel", ("name", "type", "value", "is_secret", "change")),
        ("templates", "no values are asked for", ("name", "label", "environment_name", "tenant_name", "mandatory", "state")),
        ("lifecycles", "this Space has no lifecycle yet", ("name", "preselected")),
    ]
    for key, empty, columns in sections:
        rows = found[key]
        unchanged = [row for row in rows if row.get("change") == "unchanged"] if found["only_changes"] else []
        heading(f"\n{key}" + (f" ({len(unchanged)} unchanged, not shown)" if unchanged else ""))
        shown = [row for row in rows if row not in unchanged]
        if shown or not unchanged:
            _section(shown, columns, empty)
    for warning in found["warnings"]:
        heading(f"! {warning}")
    heading(f"\npreview digest {found['sha256']}")


@inbox_app.command(name="answer")
def inbox_answer(
    bundle: BundleId,
    variable: Annotated[str, Parameter(help="The variable, as the preview names it.")],
    /,
    *,
    environment: EnvironmentName,
    tenant: TenantOption = None,
    value: Value = None,
    value_file: ValueFile = None,
    value_stdin: ValueStdin = False,
) -> None:
    """Give a value that the release asks for; it is kept until the decision.

    Example: waybill inbox answer ibx_0123456789abcdef SiteTitle --environment Production --value "Storefront"
    """
    with connect() as client:
        if value is not None and variable in _secrets_of(client, bundle):
            raise WaybillError(
                "cli.usage", "a secret in a flag can be read by every process; use --value-file or --value-stdin", field="--value"
            )
        text = value if value is not None else read_value(value_file, stdin=value_stdin, ask=f"{variable} in {environment}: ")
        answer = {"variable": variable, "environment": environment, "tenant": tenant, "value": text}
        client.post(client.space_path(f"/inbox/{bundle}/answers"), {"answers": [answer]})
    say(f"kept the value of {variable} for {environment}")


@inbox_app.command(name="approve")
def inbox_approve(
    bundle: BundleId,
    /,
    *,
    preview: PreviewDigest = None,
    lifecycle: LifecycleOption = None,
    reason: Annotated[str | None, Parameter(help="Why; it stands in the audit log.")] = None,
    wait: Wait = True,
    timeout: Timeout = 600,
) -> None:
    """Approve exactly the preview that you saw, and import.

    Example: waybill inbox approve ibx_0123456789abcdef --preview 60303ae2… --lifecycle standard
    """
    _decide(bundle, "approve", preview=preview, lifecycle=lifecycle, reason=reason, wait=wait, timeout=timeout)


@inbox_app.command(name="reject")
def inbox_reject(
    bundle: BundleId,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why; the source Space is told.")],
    preview: PreviewDigest = None,
    wait: Wait = True,
    timeout: Timeout = 600,
) -> None:
    """Reject a bundle; a signed receipt tells the source.

    Example: waybill inbox reject ibx_0123456789abcdef --reason "the freeze is on"
    """
    _decide(bundle, "reject", preview=preview, lifecycle=None, reason=reason, wait=wait, timeout=timeout)


@inbox_app.command(name="wait")
def inbox_wait(
    project: Annotated[str, Parameter(help="The project's name, as its owner calls it.")],
    version: Annotated[str, Parameter(help="The version of the release.")],
    /,
    *,
    state: Annotated[Literal["ready", "imported"], Parameter(help="The state to wait for.")] = "ready",
    timeout: Timeout = 600,
) -> None:
    """Wait until a release has arrived, whole and verified.

    Exit 8 when it was refused or rejected, 7 when it did not come in time.

    Example: waybill inbox wait Storefront 1.0.0
    """
    deadline = time.monotonic() + timeout
    with connect() as client:
        while True:
            for row in items(client, client.space_path("/inbox"), limit=200):
                if (row["project_name"], row["release_version"]) != (project, version):
                    continue
                if row["state"] == state or row["state"] in _OVER:
                    show_one(row, fields=_BUNDLE)
                    raise SystemExit(int(Exit.OK if row["state"] == state else Exit.UNSUCCESSFUL))
                break
            if time.monotonic() > deadline:
                say(f"{project} {version} is not {state} after {timeout:.0f} s; see: {again('inbox', 'list')}")
                raise SystemExit(int(Exit.TIMED_OUT))
            time.sleep(0.5)


def _section(rows: list[dict[str, Any]], columns: tuple[str, ...], empty: str) -> None:
    if rows:
        show_many(rows, columns=columns, empty=empty)
    else:
        heading(f"  {empty}")


def _secrets_of(client: Client, bundle: str) -> set[str]:
    """The names of the secrets that the release asks for."""
    asked = client.get(client.space_path(f"/inbox/{bundle}/preview"))["templates"]
    return {row["name"] for row in asked if row.get("type") in _SECRET_TYPES}


def _decide(
    bundle: str, verdict: str, *, preview: str | None, lifecycle: str | None, reason: str | None, wait: bool, timeout: float
) -> None:
    with connect() as client:
        path = client.space_path(f"/inbox/{bundle}")
        found = client.get(f"{path}/preview")
        body = {
            "verdict": verdict,
            "bundle_sha256": found["bundle_sha256"],
            "preview_sha256": preview or found["sha256"],
            "lifecycle": lifecycle,
            "reason": reason,
        }
        decided = client.post(f"{path}/decision", body, idempotent=True)
        _follow_import(client, path, decided, wait=wait, timeout=timeout)


def _follow_import(client: Client, path: str, decided: dict[str, Any], *, wait: bool, timeout: float) -> None:
    row = decided
    task_id = row["import_task_id"]
    if task_id is None:
        raise WaybillError("bundle.not_ready", "the import has no task yet; try again shortly", field="bundle")
    task = client.get(client.space_path(f"/tasks/{task_id}"))
    _, code = follow(client, task, wait=wait, timeout_seconds=timeout)
    show_one(client.get(path), fields=(*_BUNDLE, "decided_by", "release_row_id"))
    raise SystemExit(int(code))
