# SPDX-License-Identifier: Apache-2.0
"""Promotions, seen from the source: one release on its way to one Remote Space."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PromotionState(StrEnum):
    """Where a promotion stands, as far as verified receipts tell (A6)."""

    QUEUED = "queued"
    SEALED = "sealed"
    IN_TRANSIT = "in_transit"
    RECEIVED = "received"
    READY = "ready"
    IMPORTED = "imported"
    DEPLOYING = "deploying"
    DEPLOYED = "deployed"
    COMPLETED = "completed"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One crossing. ``bytes_packages`` is what the manifest names, ``bytes_sent`` what went over the road, ``bytes_saved`` what did not have to."""

    id: str
    space_id: str
    release_row_id: str
    project_id: str
    trust_id: str
    state: PromotionState
    task_id: str
    created_at: datetime
    created_by: str
    follow_until: datetime
    delivery_id: str | None = None
    delivery_sha256: str | None = None
    bytes_packages: int = 0
    bytes_sent: int = 0
    bytes_saved: int = 0
    last_event: str | None = None
    last_event_at: datetime | None = None
    code: str | None = None
    message: str | None = None
    finished_at: datetime | None = None
    revision: int = 1
