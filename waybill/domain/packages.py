# SPDX-License-Identifier: Apache-2.0
"""Packages: bytes named by id, version, size and SHA-256. The digest is the identity; the names are for people."""

from dataclasses import dataclass, field
from datetime import datetime

from waybill.domain.ids import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes that this site's object store holds and that were re-read and hashed. ``id`` is the SHA-256; site-wide, not of one Space."""

    id: str
    size_bytes: int
    verified_at: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that a Space may use. ``origin``: ``pushed`` or ``bundle``; ``trust_id`` says from whom it came."""

    id: str
    space_id: str
    package_id: str
    package_version: str
    size_bytes: int
    sha256: str
    media_type: str
    filename: str
    origin: str
    created_at: datetime
    trust_id: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPackage:
    """A registered step package; ``manifest`` is its metadata.json as read, ``inputs_schema`` its inputs.json, both as read."""

    id: str
    space_id: str
    package_id: str
    package_version: str
    size_bytes: int
    sha256: str
    manifest: dict[str, JsonValue]
    origin: str
    created_at: datetime
    trust_id: str | None = None
    inputs_schema: dict[str, JsonValue] = field(default_factory=dict)
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload under way into this site's store, granted for exactly these bytes.

    ``purpose``: ``package`` | ``step_package`` | ``carrier`` | ``peer`` | ``peer_download``, or ``peer_delta`` | ``peer_delta_download``.
    ``multipart_id`` names the store's own upload.
    The key is that of the digest; a blob exists only after completion was re-read and hashed. A delta becomes no blob.
    ``package_id``, ``package_version``, ``filename`` and ``media_type`` say what the bytes become when they are right.
    """

    id: str
    space_id: str
    sha256: str
    size_bytes: int
    part_size_bytes: int
    purpose: str
    multipart_id: str
    created_at: datetime
    created_by: str
    trust_id: str | None = None
    completed_at: datetime | None = None
    package_id: str = ""
    package_version: str = ""
    filename: str = ""
    media_type: str = ""
    revision: int = 1
