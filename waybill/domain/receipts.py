# SPDX-License-Identifier: Apache-2.0
"""Receipts as rows, and what they prove about remote environments."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """A receipt that was signed here (``out``) or came in (``in``). ``id`` is the receipt's own id.

    ``quarantine_code`` set: stored and shown, never applied (A87).
    """

    id: str
    space_id: str
    direction: str
    trust_id: str
    epoch: int
    seq: int
    event: str
    event_no: int
    release_sha256: str
    bundle_sha256: str
    document_sha256: str
    happened_at: datetime
    learned_at: datetime
    deployment_id: str | None = None
    environment_name: str | None = None
    project_id: str | None = None
    promotion_id: str | None = None
    code: str | None = None
    lifecycle_name: str | None = None
    phases_done: int | None = None
    phases_total: int | None = None
    gap: bool = False
    quarantine_code: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCell:
    """What verified receipts prove about one project in one remote environment. ``id`` is ``{project_id}:{trust_id}:{environment_name}``."""

    id: str
    space_id: str
    project_id: str
    trust_id: str
    environment_name: str
    release_version: str
    release_sha256: str
    state: str
    happened_at: datetime
    learned_at: datetime
    receipt_id: str
    last_success_version: str | None = None
    last_success_at: datetime | None = None
    deployment_key: str | None = None
    event_no: int = 0
    revision: int = 1
