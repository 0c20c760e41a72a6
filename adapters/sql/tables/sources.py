# SPDX-License-Identifier: Apache-2.0
"""Tables of what is released: lifecycles, projects, processes, variables, packages, releases and their signed documents."""

from typing import Final

from sqlalchemy import Table

from adapters.sql.columns import (
    METADATA,
    belongs_to,
    document,
    index,
    moment,
    number,
    octets,
    reference,
    revision,
    site_key,
    space_key,
    unique,
    words,
)

LIFECYCLES: Final = Table(
    "lifecycles",
    METADATA,
    *space_key(),
    words("slug"),
    words("name"),
    document("phases"),
    revision(),
    unique("lifecycles_slug", "slug"),
)

PROJECTS: Final = Table(
    "projects",
    METADATA,
    *space_key(),
    words("slug"),
    words("name"),
    words("group"),
    reference("lifecycle_id", null=True),
    reference("owner_space_id", null=True),
    words("owner_name", null=True),
    words("remote_project_id", null=True),
    reference("trust_id", null=True),
    moment("created_at", null=True),
    revision(),
    belongs_to("lifecycles", "lifecycle_id"),
    belongs_to("trusts", "trust_id"),
    unique("projects_slug", "slug"),
    unique("projects_remote", "owner_space_id", "remote_project_id"),
    index("projects_lifecycle_id", "lifecycle_id"),
)

PROCESSES: Final = Table(
    "processes",
    METADATA,
    *space_key(),
    document("actions"),
    revision(),
    belongs_to("projects", "id"),
)

VARIABLES: Final = Table(
    "variables",
    METADATA,
    *space_key(),
    reference("project_id"),
    words("name"),
    words("type"),
    document("scope"),
    words("value", null=True),
    octets("sealed", null=True),
    document("template", null=True),
    words("origin"),
    revision(),
    belongs_to("projects", "project_id"),
    index("variables_project_id", "project_id", "name"),
)

BLOBS: Final = Table(
    "blobs",
    METADATA,
    site_key(),
    number("size_bytes"),
    moment("verified_at"),
    revision(),
)

ENCODERS_HERE: Final = Table(
    "encoders_here",
    METADATA,
    site_key(),
    document("encoders"),
    moment("noted_at"),
    revision(),
)

MADE_DELTAS: Final = Table(
    "made_deltas",
    METADATA,
    site_key(),
    words("base_sha256"),
    words("new_sha256"),
    words("sha256", null=True),
    number("size_bytes"),
    moment("made_at"),
    revision(),
)

PACKAGES: Final = Table(
    "packages",
    METADATA,
    *space_key(),
    words("package_id"),
    words("package_version"),
    number("size_bytes"),
    words("sha256"),
    words("media_type"),
    words("filename"),
    words("origin"),
    moment("created_at"),
    reference("trust_id", null=True),
    revision(),
    unique("packages_version", "package_id", "package_version"),
    index("packages_sha256", "sha256"),
)

STEP_PACKAGES: Final = Table(
    "step_packages",
    METADATA,
    *space_key(),
    words("package_id"),
    words("package_version"),
    number("size_bytes"),
    words("sha256"),
    document("manifest"),
    document("inputs_schema"),
    words("origin"),
    moment("created_at"),
    reference("trust_id", null=True),
    revision(),
    unique("step_packages_version", "package_id", "package_version"),
    index("step_packages_sha256", "sha256"),
)

UPLOADS: Final = Table(
    "uploads",
    METADATA,
    *space_key(),
    words("sha256"),
    number("size_bytes"),
    number("part_size_bytes"),
    words("purpose"),
    words("multipart_id"),
    moment("created_at"),
    words("created_by"),
    reference("trust_id", null=True),
    moment("completed_at", null=True),
    words("package_id"),
    words("package_version"),
    words("filename"),
    words("media_type"),
    revision(),
    index("uploads_sha256", "sha256"),
)

RELEASES: Final = Table(
    "releases",
    METADATA,
    *space_key(),
    reference("project_id"),
    reference("release_id"),
    words("release_version"),
    words("channel"),
    words("notes"),
    moment("frozen_at"),
    words("release_sha256"),
    words("document_sha256"),
    words("created_by"),
    words("delivery_sha256", null=True),
    reference("trust_id", null=True),
    document("environment_map"),
    words("blocked_reason", null=True),
    revision(),
    belongs_to("projects", "project_id"),
    unique("releases_version", "project_id", "release_version"),
    index("releases_release_sha256", "release_sha256"),
)

SNAPSHOT_VALUES: Final = Table(
    "snapshot_values",
    METADATA,
    *space_key(),
    reference("release_row_id"),
    reference("variable_id"),
    words("name"),
    words("type"),
    document("scope"),
    words("value", null=True),
    octets("sealed", null=True),
    document("template", null=True),
    reference("trust_id", null=True),
    revision(),
    belongs_to("releases", "release_row_id"),
    index("snapshot_values_release_row_id", "release_row_id"),
)

DOCUMENTS: Final = Table(
    "documents",
    METADATA,
    *space_key(),
    words("sha256"),
    words("payload_sha256"),
    words("kind"),
    octets("body"),
    moment("created_at"),
    revision(),
    unique("documents_sha256", "sha256"),
    index("documents_payload_sha256", "payload_sha256"),
)
