# SPDX-License-Identifier: Apache-2.0
"""``waybill package | step …``: packages, pushed part by part straight into the site's store, and resumed."""

import base64
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import httpx2
from cyclopts import Parameter

from cli.client import Client, items, tls_context
from cli.exits import Exit
from cli.help_page import noun
from cli.output import say, show_many, show_one
from cli.parameters import Limit, Timeout
from cli.session import connect
from cli.waiting import byte_progress, follow, sent_line
from waybill.errors import CODES, ConflictError, UnavailableError, WaybillError

package_app = noun("package", "Packages of the Space.")
step_app = noun("step", "Step packages of the Space.")

_PIECE = 1024 * 1024
_ATTEMPTS = 5
GRANT_PARTS = 500
"""How many parts one grant names at most; a larger file asks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """``existing`` is the package that the site had already; else ``upload_id`` names what was sent."""

    upload_id: str | None = None
    existing: dict[str, Any] | None = None


@package_app.command(name="push")
def package_push(
    file: Annotated[Path, Parameter(help="The file of the package.")],
    /,
    *,
    id: Annotated[str, Parameter(help="The package's id, as its ecosystem knows it, such as @scope/name.")],
    version: Annotated[str, Parameter(help="The package's version.")],
    media_type: Annotated[str, Parameter(help="What kind of file it is.")] = "application/octet-stream",
    timeout: Timeout = 3600,
) -> None:
    """Push a file as a package.

    What the site has already is not sent; what broke off goes on.

    Example: waybill package push babel-2.17.0-py3-none-any.whl --id babel --version 2.17.0
    """
    body = {"purpose": "package", "package_id": id, "version": version, "filename": file.name, "media_type": media_type}
    with connect() as client:
        uploaded = upload(client, file, body, timeout=timeout)
        found = uploaded.existing or client.get(client.space_path("/packages/one"), package_id=id, version=version)
        show_one(found, fields=("package_id", "package_version", "size_bytes", "sha256"), name="sha256")


@package_app.command(name="list")
def package_list(*, id: Annotated[str | None, Parameter(help="Only versions of this package.")] = None, limit: Limit = 100) -> None:
    """List packages, newest first.

    Example: waybill package list --id babel
    """
    with connect() as client:
        show_many(
            items(client, client.space_path("/packages"), limit=limit, package_id=id),
            columns=("package_id", "package_version", "size_bytes", "sha256", "origin"),
            name="sha256",
            empty="no packages; push one with: waybill package push FILE --id ID --version VERSION",
        )


@step_app.command(name="install")
def step_install(file: Annotated[Path, Parameter(help="The archive of the step package.")], /, *, timeout: Timeout = 600) -> None:
    """Install a step package from its archive.

    Example: waybill step install run-script.1.0.0.zip
    """
    with connect() as client:
        upload(client, file, {"purpose": "step_package", "filename": file.name}, timeout=timeout)
        digest = _sha256(file)
        found = [row for row in client.get(client.space_path("/step-packages"))["items"] if row["sha256"] == digest]
        show_one(found[0], fields=("package_id", "package_version", "size_bytes", "sha256"), name="package_id")


@step_app.command(name="list")
def step_list() -> None:
    """List installed step packages.

    Example: waybill step list
    """
    with connect() as client:
        show_many(
            client.get(client.space_path("/step-packages"))["items"],
            columns=("package_id", "package_version", "sha256", "origin"),
            name="package_id",
            empty="no step packages; install the first-party ones with: waybill step install FILE",
        )


def upload(client: Client, file: Path, body: dict[str, Any], *, timeout: float) -> Uploaded:
    """``file`` is in the site's store and verified, or was there before.

    Raises:
        WaybillError: with the site's code when it refuses; package.hash_mismatch when its bytes are not those that were sent.
    """
    if not file.is_file():
        raise WaybillError("cli.usage", f"there is no file {file}", field="file", found=file)
    size, digest = file.stat().st_size, _sha256(file)
    grant = client.post(client.space_path("/uploads"), {**body, "size_bytes": size, "sha256": digest})
    if grant["existing"] is not None:
        say(f"{file.name}: the site has these bytes already; nothing was sent")
        return Uploaded(existing=dict(grant["existing"]))
    grant = _put_parts(client, file, grant)
    task = client.post(client.space_path(f"/uploads/{grant['upload']['id']}/complete"), {}, idempotent=True)
    task, code = follow(client, task, wait=True, timeout_seconds=timeout)
    if code != Exit.OK:
        refused = task.get("code")
        raise ConflictError(
            refused if refused in CODES else "upload.incomplete", task.get("message") or task["details"] or task["state"], field=file.name
        )
    return Uploaded(upload_id=grant["upload"]["id"])


def _put_parts(client: Client, file: Path, grant: dict[str, Any]) -> dict[str, Any]:
    """Every part is in the store; what breaks off is asked for again, and goes on from what the store confirmed."""
    started, size = time.monotonic(), grant["upload"]["size_bytes"]
    failures = 0
    with httpx2.Client(verify=tls_context(client.profile.ca), timeout=60) as http, file.open("rb") as content, byte_progress() as bar:
        row = bar.add_task(f"push {file.name}", total=size)
        while grant["parts"]:
            bar.update(row, completed=grant["parts"][0]["offset"])
            whole = len(grant["parts"]) < GRANT_PARTS
            try:
                for part in grant["parts"]:
                    _put_part(http, content, part)
                    bar.update(row, advance=part["size_bytes"])
            except (httpx2.HTTPError, UnavailableError) as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise UnavailableError("transfer.interrupted", f"pushing {file.name} broke off: {error}", field=file.name) from error
                say(f"broke off ({error}); going on from what the store confirmed")
                time.sleep(failures)
                whole = False
            if whole:
                break
            grant = client.post(client.space_path(f"/uploads/{grant['upload']['id']}/parts"), {})
    say(f"sent {file.name}: {sent_line(size, time.monotonic() - started)}")
    return grant


def _put_part(http: httpx2.Client, content: BinaryIO, part: dict[str, Any]) -> None:
    def pieces() -> Iterator[bytes]:
        content.seek(part["offset"])
        left = part["size_bytes"]
        while piece := content.read(min(_PIECE, left)):
            left -= len(piece)
            yield piece

    digest = hashlib.md5(usedforsecurity=False)  # a store may take a body that broke off for a whole part; not with this
    for piece in pieces():
        digest.update(piece)
    headers = {"Content-Length": str(part["size_bytes"]), "Content-MD5": base64.b64encode(digest.digest()).decode("ascii")}
    answer = http.put(part["url"], content=pieces(), headers=headers)
    if answer.status_code >= 300:
        raise UnavailableError("transfer.interrupted", f"the store answered {answer.status_code} to part {part['number']}", field="part")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
