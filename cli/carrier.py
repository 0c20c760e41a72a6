# SPDX-License-Identifier: Apache-2.0
"""``waybill carrier | receipt | bundle | audit …``: what a person carries, what came home, and how it is checked."""

import json
from pathlib import Path
from typing import Any

import httpx2
from cyclopts import App

from cli.bundle_file import inspect_file, verify_file
from cli.client import items, tls_context
from cli.exits import Exit
from cli.output import human_bytes, say, show_many, show_one
from cli.package import upload
from cli.session import CURRENT, connect
from cli.waiting import follow
from waybill.errors import UnavailableError, WaybillError

carrier_app = App(name="carrier", help="Carrier files: everything for a Remote Space in one file, in both directions.")
receipt_app = App(name="receipt", help="Signed receipts.")
bundle_app = App(name="bundle", help="Carrier files without a server: look inside, verify.")
audit_app = App(name="audit", help="The hash-linked log of the Space.")

_CARRIER = ("direction", "state", "size_bytes", "sha256", "summary", "id")
_RECEIPT = (
    "direction", "event", "environment_name", "release_sha256", "bundle_sha256", "happened_at", "learned_at", "seq", "gap", "quarantine_code", "id",
)  # fmt: skip


@carrier_app.command(name="export")
def carrier_export(*, trust: str, out: Path, timeout: float = 3600) -> None:
    """Write all that waits for a Remote Space into one carrier file: bundles with their packages, receipts, identities.

    Example: waybill carrier export --trust vault --out to-vault.wbc
    """
    if out.exists():
        raise WaybillError("cli.usage", f"{out} exists; an existing file is never overwritten", field="--out", found=out)
    with connect() as client:
        made = client.post(client.space_path("/carriers/exports"), {"trust": trust}, idempotent=True)
        _, code = follow(client, made["task"], wait=True, timeout_seconds=timeout)
        if code != Exit.OK:
            raise SystemExit(int(code))
        path = client.space_path(f"/carriers/{made['carrier']['id']}")
        granted = client.get(f"{path}/download")
        found = client.get(path)
        _fetch(granted["url"], out, size=found["size_bytes"], ca=client.profile.ca)
        say(f"wrote {out}: {human_bytes(found['size_bytes'])}, SHA-256 {found['sha256']}")
        show_one(found, fields=_CARRIER)


@carrier_app.command(name="import")
def carrier_import(file: Path, /, *, timeout: float = 3600) -> None:
    """Take in a carrier FILE that somebody brought. Nothing of it is stored before its signed index verifies.

    Example: waybill carrier import to-vault.wbc
    """
    with connect() as client:
        upload(client, file, {"purpose": "carrier", "filename": file.name}, timeout=timeout)
        if not CURRENT.echoed:
            raise WaybillError("record.conflict", "these bytes were uploaded before; see: waybill carrier list", field="file", found=file)
        made = client.post(client.space_path("/carriers/imports"), {"upload_id": CURRENT.echoed[-1]}, idempotent=True)
        task, code = follow(client, made["task"], wait=True, timeout_seconds=timeout)
        found = client.get(client.space_path(f"/carriers/{made['carrier']['id']}"))
        show_one(found, fields=_CARRIER)
    if code == Exit.UNSUCCESSFUL and str(task.get("code") or "").split(".")[0] in {"signature", "carrier", "envelope", "trust"}:
        code = Exit.VERIFICATION
    raise SystemExit(int(code))


@carrier_app.command(name="list")
def carrier_list(*, limit: int = 50) -> None:
    """List carrier files, newest first."""
    with connect() as client:
        show_many(
            items(client, client.space_path("/carriers"), limit=limit),
            columns=("direction", "state", "size_bytes", "sha256", "id"),
            empty="no carriers",
        )


@receipt_app.command(name="list")
def receipt_list(*, limit: int = 100) -> None:
    """List receipts, newest first; quarantined ones show why they were not applied."""
    with connect() as client:
        show_many(
            items(client, client.space_path("/receipts"), limit=limit),
            columns=("direction", "event", "environment_name", "happened_at", "learned_at", "seq", "quarantine_code", "id"),
            empty="no receipts",
        )


@receipt_app.command(name="show")
def receipt_show(receipt: str, /, *, out: Path | None = None) -> None:
    """Show a receipt; with --out also write its signed envelope, which any DSSE tool can check."""
    with connect() as client:
        if out is not None:
            out.write_bytes(client.fetch_bytes(client.space_path(f"/receipts/{receipt}/document")))
            say(f"wrote {out}")
        show_one(client.get(client.space_path(f"/receipts/{receipt}")), fields=_RECEIPT)


@bundle_app.command(name="inspect")
def bundle_inspect(file: Path, /) -> None:
    """Show what a carrier FILE holds, with no server: signer, releases, packages, values asked for. No secret can be seen.

    Example: waybill bundle inspect to-vault.wbc
    """
    show_one(
        inspect_file(file),
        fields=("sender_space_id", "signer_fingerprint", "set_id", "volume", "envelopes", "releases", "blobs"),
        name="set_id",
    )


@bundle_app.command(name="verify")
def bundle_verify(file: Path, /, *, identity: Path) -> None:
    """Check every signature and every byte of a carrier FILE against the sender's IDENTITY file, with no server; exit 6 when anything is wrong.

    Example: waybill bundle verify to-vault.wbc --identity devtest.identity.json
    """
    found = verify_file(file, identity)
    say(f"{file}: every signature and digest is right")
    show_one(found, fields=("sender_space_id", "signer_fingerprint", "envelopes", "blobs", "bytes"), name="signer_fingerprint")


@audit_app.command(name="list")
def audit_list(*, limit: int = 100) -> None:
    """List the audit log, newest first."""
    with connect() as client:
        show_many(
            items(client, client.space_path("/audit"), limit=limit),
            columns=("seq", "at", "actor", "action", "subject", "detail"),
            name="id",
            empty="nothing yet",
        )


@audit_app.command(name="verify")
def audit_verify() -> None:
    """Check that each entry of the log follows from the one before."""
    with connect() as client:
        found: dict[str, Any] = client.get(client.space_path("/audit/verification"))
        say("the chain is intact")
        show_one(found, fields=("entries",), name="entries")


def api_get(path: str, /) -> None:
    """Print the JSON answer to GET PATH, signed in as you are. Example: waybill api /api/v1/spaces"""
    with connect() as client:
        print(json.dumps(client.get(path), indent=2, ensure_ascii=False))


def _fetch(url: str, out: Path, *, size: int, ca: str | None) -> None:
    """``url`` written beside ``out`` and put in place when it is whole."""
    partial = out.with_name(out.name + ".partial")
    done = 0
    try:
        with httpx2.Client(verify=tls_context(ca), timeout=60) as http, http.stream("GET", url) as answer, partial.open("wb") as file:
            if answer.status_code != 200:
                raise UnavailableError("transfer.interrupted", f"the store answered {answer.status_code}", field="carrier")
            for piece in answer.iter_bytes(1024 * 1024):
                file.write(piece)
                done += len(piece)
    except httpx2.HTTPError as error:
        raise UnavailableError("transfer.interrupted", f"the download broke off: {error}", field="carrier") from error
    if done != size:
        raise UnavailableError("transfer.interrupted", "the download is incomplete", field="carrier", expected=size, found=done)
    partial.replace(out)
