# SPDX-License-Identifier: Apache-2.0
"""Trusts, identities, receipts, carriers and the audit log as the API takes and shows them."""

import base64
import binascii
from datetime import datetime

from pydantic import Field

from api.schemas.base import Json, Name, Reference, Request, Shape, example
from api.schemas.tasks import TaskShape
from waybill.domain.trusts import Road, TrustState
from waybill.errors import FormatError


class GrantsBody(Request):
    """What may pass under a trust, each direction apart. ``projects`` empty means every project."""

    send_releases: bool = False
    accept_releases: bool = False
    send_receipts: bool = False
    accept_receipts: bool = False
    relay: bool = False
    send_history: bool = True
    send_missing_names: bool = True
    projects: list[Name] = Field(default_factory=list, max_length=1000)


class TrustRegister(Request):
    """A Remote Space by its identity file. ``identity``: the signed document, base64 or as the JSON text itself."""

    model_config = example(
        {
            "name": "Prod",
            "road": "answer",
            "identity": "eyJwYXlsb2FkIjoi4oCmIn0=",
            "grants": {"send_releases": True, "accept_receipts": True},
        }
    )

    name: Name
    identity: str = Field(max_length=1024 * 1024)
    road: Road
    grants: GrantsBody = Field(default_factory=GrantsBody)


class IdentityUpdate(Request):
    """The next version of a peer's identity, base64 or as the JSON text itself."""

    identity: str = Field(max_length=1024 * 1024)


class TrustConfirm(Request):
    """The fingerprint that was compared with the other side: 64 hexadecimal digits; blanks and colons do not matter."""

    fingerprint: str = Field(max_length=200)


class TrustChange(Request):
    """What is given is changed."""

    road: Road | None = None
    grants: GrantsBody | None = None


class GrantsShape(Shape):
    """What may pass under a trust."""

    send_releases: bool
    accept_releases: bool
    send_receipts: bool
    accept_receipts: bool
    relay: bool
    send_history: bool
    send_missing_names: bool
    projects: list[str]


class TrustShape(Shape):
    """A Remote Space under its local name."""

    id: str
    slug: str
    name: str
    peer_space_id: str
    peer_name: str
    fingerprint: str
    identity_version: int
    state: TrustState
    road: Road
    grants: GrantsShape
    created_at: datetime
    created_by: str
    confirmed_at: datetime | None
    confirmed_by: str | None
    last_contact_at: datetime | None
    last_error: str | None
    revision: int


class IdentityShape(Shape):
    """This Space's identity, as people compare it."""

    space_id: str
    name: str
    version: int
    fingerprint: str


class ReceiptShape(Shape):
    """A receipt, signed here (``out``) or come in (``in``). With ``quarantine_code``: stored and shown, never applied."""

    id: str
    direction: str
    trust_id: str
    epoch: int
    seq: int
    event: str
    event_no: int
    release_sha256: str
    bundle_sha256: str
    happened_at: datetime
    learned_at: datetime
    deployment_id: str | None
    environment_name: str | None
    project_id: str | None
    promotion_id: str | None
    code: str | None
    lifecycle_name: str | None
    phases_done: int | None
    phases_total: int | None
    gap: bool
    quarantine_code: str | None


class CarrierExport(Request):
    """Everything that waits for this trust, into one file.

    ``repeat``: also what earlier files took and nobody has acknowledged, and, whole, the packages of a bundle of which the target misses some.
    """

    model_config = example({"trust": "vault", "repeat": False})

    trust: Reference
    repeat: bool = False


class CarrierImport(Request):
    """A carrier file that was uploaded with purpose ``carrier`` and completed."""

    upload_id: Reference


class CarrierShape(Shape):
    """A carrier file: ``out`` made here, ``in`` brought here. ``summary`` tells what was in it."""

    id: str
    direction: str
    trust_id: str | None
    task_id: str
    state: str
    created_at: datetime
    created_by: str
    sha256: str | None
    size_bytes: int | None
    summary: dict[str, Json]
    revision: int


class CarrierStarted(Shape):
    """The carrier and the task that makes or reads it."""

    carrier: CarrierShape
    task: TaskShape


class DownloadShape(Shape):
    """A URL that reads one file for ``seconds``."""

    url: str
    seconds: int


class AuditShape(Shape):
    """One line of the append-only log; ``sha256`` covers it and the line before."""

    id: str
    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    prev_sha256: str
    sha256: str


class AuditVerified(Shape):
    """How many entries of the log were checked, each against the one before."""

    entries: int


def identity_bytes(text: str) -> bytes:
    """The envelope in ``text``: JSON as it stands, else base64. Raises FormatError request.malformed (field ``identity``)."""
    stripped = text.strip()
    if stripped.startswith("{"):
        return stripped.encode("utf-8")
    try:
        return base64.b64decode(stripped, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("request.malformed", "the identity is neither JSON nor base64", field="identity") from None
