# SPDX-License-Identifier: Apache-2.0
"""Received bundles, seen from the target: what lies in the inbox and what people decided about it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class InboxState(StrEnum):
    """``waiting_packages`` until every package is here, ``ready`` until a person decides."""

    WAITING_PACKAGES = "waiting_packages"
    READY = "ready"
    IMPORTING = "importing"
    IMPORTED = "imported"
    REJECTED = "rejected"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A blob that this Space lacks. ``role``: ``package`` | ``step_package`` | ``attachment``."""

    sha256: str
    size_bytes: int
    role: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxBundle:
    """A verified Delivery and its Release. ``bundle_sha256`` is the Delivery's payload digest: what approvals and receipts name.

    Unique by (trust, delivery_id) and by bundle_sha256: the same bundle twice gives this row again.
    """

    id: str
    space_id: str
    trust_id: str
    delivery_id: str
    bundle_sha256: str
    delivery_document: str
    release_sha256: str
    release_document: str
    owner_space_id: str
    owner_name: str
    project_name: str
    remote_project_id: str
    release_version: str
    seq: int
    size_bytes: int
    received_at: datetime
    expires_at: datetime
    state: InboxState
    task_id: str
    needs: tuple[Need, ...] = ()
    bytes_received: int = 0
    lifecycle_id: str | None = None
    preview_sha256: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None
    import_task_id: str | None = None
    release_row_id: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A value that somebody gave for a template before the import was decided; secrets are wrapped, never in a payload.

    ``id`` is ``{bundle row id}:{variable_id}:{environment_id}:{tenant_id or ''}``.
    """

    id: str
    space_id: str
    inbox_id: str
    variable_id: str
    environment_id: str
    tenant_id: str | None
    value: str | None
    sealed: bytes | None
    answered_by: str
    answered_at: datetime
    revision: int = 1
