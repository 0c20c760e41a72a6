# SPDX-License-Identifier: Apache-2.0
"""Who may do what: accounts, API keys, sessions, and the caller that every use case gets."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Permission(StrEnum):
    """One right inside one Space; ``site.*`` rights are held for the whole site."""

    SPACE_READ = "space.read"
    SPACE_EDIT = "space.edit"
    PROJECT_EDIT = "project.edit"
    VARIABLE_EDIT = "variable.edit"
    PACKAGE_PUSH = "package.push"
    STEP_INSTALL = "step.install"
    RELEASE_CREATE = "release.create"
    PROMOTION_START = "promotion.start"
    BUNDLE_DECIDE = "bundle.decide"
    DEPLOYMENT_START = "deployment.start"
    TASK_CANCEL = "task.cancel"
    CARRIER_MOVE = "carrier.move"
    TRUST_EDIT = "trust.edit"
    MACHINE_EDIT = "machine.edit"
    AUDIT_READ = "audit.read"
    SITE_ADMIN = "site.admin"
    PAYLOAD_DECODE = "payload.decode"


EVERY_SPACE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessGrant:
    """Rights in one Space (its id), or in every Space (``*``). ``permissions`` may hold ``*``."""

    space_id: str
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person of this site; nobody from another site ever has one here (A4)."""

    id: str
    username: str
    password_hash: str
    grants: tuple[AccessGrant, ...]
    created_at: datetime
    must_change_password: bool = False
    disabled: bool = False
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key for a program: shown once, stored as SHA-256."""

    id: str
    name: str
    account_id: str
    token_sha256: str
    grants: tuple[AccessGrant, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in browser; ``token_sha256`` of the cookie."""

    id: str
    account_id: str
    token_sha256: str
    created_at: datetime
    expires_at: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. ``kind``: ``person | key | machine | peer | system``. ``name`` is what the audit shows."""

    id: str
    name: str
    kind: str
    grants: tuple[AccessGrant, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentAnswer:
    """The first answer to a request with an Idempotency-Key. ``id`` is ``{caller id}:{key}``; ``status`` 0 while it is still running."""

    id: str
    request_sha256: str
    status: int
    body: bytes
    created_at: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the append-only log of a Space. ``seq`` counts from 1; ``sha256`` covers the line and ``prev_sha256``."""

    id: str
    space_id: str
    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    prev_sha256: str
    sha256: str
