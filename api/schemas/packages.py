# SPDX-License-Identifier: Apache-2.0
"""Packages, step packages and uploads as the API takes and shows them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.base import Count, Json, Request, Sha256, Shape, example


class UploadBegin(Request):
    """Permission to upload exactly these bytes. Only a package needs id, version and filename."""

    model_config = example(
        {
            "purpose": "package",
            "package_id": "storefront",
            "version": "1.0.0",
            "filename": "storefront-1.0.0.tgz",
            "media_type": "application/gzip",
            "size_bytes": 48213,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        }
    )

    purpose: Literal["package", "step_package", "carrier"] = "package"
    package_id: str = Field(default="", max_length=400)
    version: str = Field(default="", max_length=400)
    filename: str = Field(default="", max_length=400)
    media_type: str = Field(default="application/octet-stream", max_length=200)
    size_bytes: Count
    sha256: Sha256


class PackageShape(Shape):
    """A package of a Space. ``origin``: ``pushed`` here, or ``bundle``."""

    id: str
    package_id: str
    package_version: str
    size_bytes: int
    sha256: str
    media_type: str
    filename: str
    origin: str
    created_at: datetime
    trust_id: str | None
    revision: int


class StepPackageShape(Shape):
    """A registered step package with its metadata."""

    id: str
    package_id: str
    package_version: str
    size_bytes: int
    sha256: str
    manifest: dict[str, Json]
    origin: str
    created_at: datetime
    trust_id: str | None
    revision: int


class PartShape(Shape):
    """Permission to put one part: ``size_bytes`` from ``offset`` of the file, by PUT to ``url`` before it lapses."""

    number: int
    offset: int
    size_bytes: int
    url: str


class UploadShape(Shape):
    """An upload under way."""

    id: str
    sha256: str
    size_bytes: int
    part_size_bytes: int
    purpose: str
    created_at: datetime
    completed_at: datetime | None


class UploadAnswer(Shape):
    """What to do next: nothing when ``existing`` is set, else put the ``parts`` that are not ``confirmed``, then complete."""

    upload: UploadShape | None
    existing: PackageShape | StepPackageShape | None
    parts: list[PartShape]
    confirmed: list[int]
