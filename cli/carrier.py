# SPDX-License-Identifier: Apache-2.0
"""``waybill carrier | receipt | bundle | audit …``: what a person carries, what came home, and how it is checked."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx2
from cyclopts import Parameter

from cli.client import items, tls_context
from cli.exits import Exit, ExitError, exit_of
from cli.files import write_bytes
from cli.help_page import noun
from cli.output import chosen_format, human_bytes, print_json, say, show_many, show_one
from cli.package import upload
from cli.parameters import Limit, Timeout, TrustName
from cli.session import connect
from cli.waiting import follow
from waybill.errors import CODES, UnavailableError, WaybillError

carrier_app = noun("carrier", "Carrier files: all for a Remote Space in one file.")
receipt_app = noun("receipt", "Signed receipts.")
bundle_app = noun("bundle", "Carrier files without a server: look inside, verify.")
audit_app = noun("audit", "The hash-linked log of the Space.")

CarrierFile = Annotated[Path, Parameter(help="The carrier file.")]

_CARRIER = ("direction", "state", "size_bytes", "sha256", "summary", "id")
_RECEIPT = (
    "direction", "event", "environment_name", "release_sha256", "bundle_sha256", "happened_at", "learned_at", "seq", "gap", "quarantine_code", "id",
)  # fmt: skip


@carrier_app.command(name="export")
def carrier_export(
    *,
    trust: TrustName,
    out: Annotated[Path, Parameter(help="The file to write; it must not exist.")],
    repeat: Annotated[bool, Parameter(help="Also what an earlier file took and was lost, or was missed there.", negative="")] = False,
    timeout: Timeout = 3600,
) -> None:
    """Write all that waits for a Remote Space into one file.

    Bundles, receipts, identities, and those packages, or deltas of them, that the Remote Space has not proven to hold.

    Example: waybill carrier export --trust vault --out to-vault.wbc
    """
    if out.exists():
        raise WaybillError("cli.usage", f"{out} exists; an existing file is never overwritten", field="--out", found=out)
    with connect() as client:
        made = client.post(client.space_path("/carriers/exports"), {"trust": trust, "repeat": repeat}, idempotent=True)
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
def carrier_import(file: CarrierFile, /, *, timeout: Timeout = 3600) -> None:
    """Take in a carrier file that somebody brought.

    Nothing of it is stored before its signed index verifies; exit 6 when it does not.

    Example: waybill carrier import to-vault.wbc
    """
    with connect() as client:
        uploaded = upload(client, file, {"purpose": "carrier", "filename": file.name}, timeout=timeout)
        if uploaded.upload_id is None:
            raise WaybillError("record.conflict", "these bytes were uploaded before; see: waybill carrier list", field="file", found=file)
        made = client.post(client.space_path("/carriers/imports"), {"upload_id": uploaded.upload_id}, idempotent=True)
        task, code = follow(client, made["task"], wait=True, timeout_seconds=timeout)
        found = client.get(client.space_path(f"/carriers/{made['carrier']['id']}"))
        show_one(found if chosen_format() == "json" else _brief(found), fields=_CARRIER)
    if code == Exit.UNSUCCESSFUL and exit_of(str(task.get("code") or ""), None) == Exit.VERIFICATION:
        code = Exit.VERIFICATION
    raise SystemExit(int(_refused(found["summary"]) or code))


@carrier_app.command(name="list")
def carrier_list(*, limit: Limit = 50) -> None:
    """List carrier files, newest first.

    Example: waybill carrier list
    """
    with connect() as client:
        show_many(
            items(client, client.space_path("/carriers"), limit=limit),
            columns=("direction", "state", "size_bytes", "sha256", "id"),
            empty="no carriers",
        )


@receipt_app.command(name="list")
def receipt_list(*, limit: Limit = 100) -> None:
    """List receipts, newest first.

    Quarantined ones show why they were not applied.

    Example: waybill receipt list
    """
    with connect() as client:
        show_many(
            items(client, client.space_path("/receipts"), limit=limit),
            columns=("direction", "event", "environment_name", "happened_at", "learned_at", "seq", "quarantine_code", "id"),
            empty="no receipts",
        )


@receipt_app.command(name="show")
def receipt_show(
    receipt: Annotated[str, Parameter(help="The receipt's id.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Write its signed envelope to this file; any DSSE tool can check it.")] = None,
) -> None:
    """Show a receipt, or write its signed envelope.

    Example: waybill receipt show rcp_0123456789abcdef0123456789abcdef --out receipt.json
    """
    with connect() as client:
        if out is not None:
            write_bytes(out, client.fetch_bytes(client.space_path(f"/receipts/{receipt}/document")))
            say(f"wrote {out}")
        show_one(client.get(client.space_path(f"/receipts/{receipt}")), fields=_RECEIPT)


@bundle_app.command(name="inspect")
def bundle_inspect(file: CarrierFile, /) -> None:
    """Show what a carrier file says that it holds.

    Signer, releases, packages, values asked for; it needs no server, proves nothing, and no secret can be seen.

    Example: waybill bundle inspect to-vault.wbc
    """
    from cli.bundle_file import inspect_file  # cryptography, formats and trust: no other command needs them

    with _whatever_is_wrong_is_exit_6():
        found = inspect_file(file)
    show_one(
        found,
        fields=(
            "verified",
            "sender_space_id",
            "target_space_id",
            "signing_keys",
            "created_at",
            "volume",
            "envelopes",
            "releases",
            "deliveries",
            "blobs",
        ),
        name="set_id",
    )
    say(f"nothing of this was verified; do that with: waybill bundle verify {file} --identity FILE")


@bundle_app.command(name="verify")
def bundle_verify(
    file: CarrierFile, /, *, identity: Annotated[Path, Parameter(help="The identity file of the sender, from somebody you trust.")]
) -> None:
    """Check every signature and byte of a carrier file.

    It needs no server; exit 6 when anything is wrong.

    Example: waybill bundle verify to-vault.wbc --identity devtest.identity.json
    """
    from cli.bundle_file import verify_file

    with _whatever_is_wrong_is_exit_6():
        found = verify_file(file, identity, now=datetime.now(UTC))
    say(f"{file}: every signature and digest is right")
    show_one(found, fields=("sender_space_id", "signer_fingerprint", "envelopes", "blobs", "bytes"), name="signer_fingerprint")


@audit_app.command(name="list")
def audit_list(*, limit: Limit = 100) -> None:
    """List the audit log, newest first.

    Example: waybill audit list --limit 20
    """
    with connect() as client:
        show_many(
            items(client, client.space_path("/audit"), limit=limit),
            columns=("seq", "at", "actor", "action", "subject", "detail"),
            name="id",
            empty="nothing yet",
        )


@audit_app.command(name="verify")
def audit_verify() -> None:
    """Check that each entry follows from the one before.

    Example: waybill audit verify
    """
    with connect() as client:
        found: dict[str, Any] = client.get(client.space_path("/audit/verification"))
        say("the chain is intact")
        show_one(found, fields=("entries",), name="entries")


def api_get(path: Annotated[str, Parameter(help="A path of the API, such as /api/v1/spaces.")], /) -> None:
    """Print the API's JSON answer to GET PATH.

    Example: waybill api /api/v1/spaces
    """
    with connect() as client:
        print_json(client.get(path))


def _brief(carrier: dict[str, Any]) -> dict[str, Any]:
    """The row with numbers instead of lists in its summary."""
    summary = carrier["summary"]
    counted: dict[str, Any] = {"source": summary.get("source")}
    if isinstance(summary.get("envelopes"), list):
        counted |= Counter(str(entry["state"]) for entry in summary["envelopes"])
    if isinstance(summary.get("blobs"), dict):
        counted |= {f"blobs {key}": len(value) for key, value in summary["blobs"].items() if isinstance(value, list)}
    return {**carrier, "summary": counted}


def _refused(summary: dict[str, Any]) -> Exit | None:
    """Each envelope and blob of an imported carrier that was refused is named; the exit code of the first one."""
    blobs = summary.get("blobs")
    entries = [*(summary.get("envelopes") or []), *((blobs or {}).get("refused") or [])] if isinstance(blobs, dict) else []
    refused = [entry for entry in entries if entry.get("code")]
    for entry in refused:
        say(f"refused: {entry.get('kind', 'blob')} {entry['sha256']} [{entry['code']}]")
    return exit_of(refused[0]["code"], CODES[refused[0]["code"]].http_status if refused[0]["code"] in CODES else None) if refused else None


@contextmanager
def _whatever_is_wrong_is_exit_6() -> Iterator[None]:
    """Of a file that somebody brought nothing is a mistake of the person at the keyboard, but that it cannot be read at all."""
    try:
        yield
    except WaybillError as error:
        if error.code == "cli.usage":
            raise
        raise ExitError(error, Exit.VERIFICATION) from error


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
    except OSError as error:
        raise WaybillError("cli.usage", f"{partial} cannot be written: {error.strerror}", field="--out") from error
    if done != size:
        raise UnavailableError("transfer.interrupted", "the download is incomplete", field="carrier", expected=size, found=done)
    partial.replace(out)
