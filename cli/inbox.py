# SPDX-License-Identifier: Apache-2.0
"""``waybill inbox …``: what came in, what it would change, which values it needs, and the decision about it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from cli.client import Client, items
from cli.output import chosen_format, say, show_many, show_one
from cli.session import connect
from cli.sign_in import read_value
from cli.waiting import follow
from waybill.errors import WaybillError

inbox_app = App(name="inbox", help="Received release bundles and the decisions about them.")

_BUNDLE = ("owner_name", "project_name", "release_version", "state", "bundle_sha256", "release_sha256", "received_at", "expires_at", "id")


@inbox_app.command(name="list")
def inbox_list(*, state: str | None = None, limit: int = 50) -> None:
    """List received bundles, newest first."""
    with connect() as client:
        show_many(
            items(client, client.space_path("/inbox"), limit=limit, state=state),
            columns=("owner_name", "project_name", "release_version", "state", "received_at", "id"),
            empty="nothing was received",
        )


@inbox_app.command(name="show")
def inbox_show(bundle: str, /) -> None:
    """Show a received bundle."""
    with connect() as client:
        show_one(client.get(client.space_path(f"/inbox/{bundle}")), fields=(*_BUNDLE, "needs", "decided_by", "reason"))


@inbox_app.command(name="preview")
def inbox_preview(bundle: str, /) -> None:
    """Show what an import would change here; nothing is written. The decision names the preview's digest."""
    with connect() as client:
        found = client.get(client.space_path(f"/inbox/{bundle}/preview"))
    if chosen_format() != "table":
        show_one(found, fields=(), name="sha256")
        return
    against = f", compared with {found['previous_version']}" if found["previous_version"] else ", the first release of this project here"
    say(f"{found['owner_name']}: {found['project_name']} {found['release_version']}{against}; sent by {found['sender_name']}")
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
        say(f"\n{key}" + (f" ({len(unchanged)} unchanged, not shown)" if unchanged else ""))
        shown = [row for row in rows if row not in unchanged]
        if shown or not unchanged:
            show_many(shown, columns=columns, empty=f"  {empty}")
    for warning in found["warnings"]:
        say(f"! {warning}")
    say(f"\npreview digest {found['sha256']}")


@inbox_app.command(name="answer")
def inbox_answer(
    bundle: str,
    variable: str,
    /,
    *,
    environment: str,
    tenant: str | None = None,
    value: str | None = None,
    value_file: Path | None = None,
    value_stdin: bool = False,
) -> None:
    """Give a value that the release asks for; it is kept until the decision.

    Example: waybill inbox answer ibx_… SiteTitle --environment Production --value "Storefront"
    """
    text = value if value is not None else read_value(value_file, stdin=value_stdin, ask=f"{variable} in {environment}: ")
    answer = {"variable": variable, "environment": environment, "tenant": tenant, "value": text}
    with connect() as client:
        client.post(client.space_path(f"/inbox/{bundle}/answers"), {"answers": [answer]})
    say(f"kept the value of {variable} for {environment}")


@inbox_app.command(name="approve")
def inbox_approve(
    bundle: str,
    /,
    *,
    preview: str | None = None,
    lifecycle: str | None = None,
    reason: str | None = None,
    wait: bool = True,
    timeout: float = 600,
) -> None:
    """Approve exactly the preview that you saw, and import the release.

    Example: waybill inbox approve ibx_… --preview 60303ae2… --lifecycle standard

    Parameters
    ----------
    preview: the digest of the preview that you read; without it, of the one that is there now.
    """
    _decide(bundle, "approve", preview=preview, lifecycle=lifecycle, reason=reason, wait=wait, timeout=timeout)


@inbox_app.command(name="reject")
def inbox_reject(bundle: str, /, *, reason: str, preview: str | None = None, wait: bool = True, timeout: float = 600) -> None:
    """Reject a bundle with a reason; a signed receipt tells the source."""
    _decide(bundle, "reject", preview=preview, lifecycle=None, reason=reason, wait=wait, timeout=timeout)


@inbox_app.command(name="wait")
def inbox_wait(
    project: str,
    version: str,
    /,
    *,
    state: Annotated[Literal["ready", "imported"], Parameter(help="The state to wait for.")] = "ready",
    timeout: float = 600,
) -> None:
    """Wait until a release of PROJECT has arrived in the inbox, whole and verified; prints its row."""
    import time

    deadline = time.monotonic() + timeout
    with connect() as client:
        while True:
            for row in items(client, client.space_path("/inbox"), limit=200):
                if (row["project_name"], row["release_version"]) == (project, version) and row["state"] == state:
                    show_one(row, fields=_BUNDLE)
                    return
            if time.monotonic() > deadline:
                say(f"{project} {version} is not {state} after {timeout:.0f} s")
                raise SystemExit(7)
            time.sleep(0.5)


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
