# SPDX-License-Identifier: Apache-2.0
"""Releases as this Space holds them: the signed document by digest, and the values frozen with it."""

from dataclasses import dataclass
from datetime import datetime

from waybill.domain.variables import Scope, Template, ValueType


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A frozen release. ``release_sha256`` is equal in every Space; ``document_sha256`` names its envelope in ``documents``.

    ``release_id`` is the id inside the signed document (the owner's); ``id`` is the row of this Space.
    ``delivery_sha256`` is the bundle it came with, for an imported one. ``environment_map`` maps the sender's environment ids to ours.
    """

    id: str
    space_id: str
    project_id: str
    release_id: str
    release_version: str
    channel: str
    notes: str
    frozen_at: datetime
    release_sha256: str
    document_sha256: str
    created_by: str
    delivery_sha256: str | None = None
    trust_id: str | None = None
    environment_map: tuple[tuple[str, str], ...] = ()
    blocked_reason: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotValue:
    """One variable as frozen with a release: what the signed document leaves out is here (secrets, values for one target).

    ``trust_id`` set: meant for that Remote Space only. ``passthrough`` holds a ciphertext that a relay carries unopened.
    """

    id: str
    space_id: str
    release_row_id: str
    variable_id: str
    name: str
    type: ValueType
    scope: Scope = Scope()
    value: str | None = None
    sealed: bytes | None = None
    template: Template | None = None
    trust_id: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A signed envelope as it was made or as it came. ``id`` is ``{space_id}:{sha256 of the envelope}``; ``payload_sha256`` is what receipts name."""

    id: str
    space_id: str
    sha256: str
    payload_sha256: str
    kind: str
    body: bytes
    created_at: datetime
    revision: int = 1
