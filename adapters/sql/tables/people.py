# SPDX-License-Identifier: Apache-2.0
"""Tables of Spaces and of who may enter them: spaces, keys, environments, tenants, machines, accounts, sessions, the audit log."""

from typing import Final

from sqlalchemy import Column, ForeignKeyConstraint, Table

from adapters.sql.columns import (
    ID,
    METADATA,
    NUMBER,
    belongs_to,
    document,
    flag,
    index,
    moment,
    number,
    octets,
    reference,
    revision,
    site_index,
    site_key,
    site_unique,
    space_key,
    unique,
    words,
)

SPACES: Final = Table(
    "spaces",
    METADATA,
    site_key(),
    words("slug"),
    words("name"),
    moment("created_at"),
    moment("retired_at", null=True),
    revision(),
    site_unique("spaces_slug", "slug"),
)

SPACE_KEYS: Final = Table(
    "space_keys",
    METADATA,
    *space_key(),
    number("identity_version"),
    octets("identity_envelope"),
    words("identity_sha256"),
    words("fingerprint"),
    number("epoch"),
    octets("identity_key_wrapped"),
    octets("signing_key_wrapped"),
    octets("encryption_key_wrapped"),
    revision(),
)

ENVIRONMENTS: Final = Table(
    "environments",
    METADATA,
    *space_key(),
    words("slug"),
    words("name"),
    reference("trust_id", null=True),
    flag("confirmed"),
    number("sort_order"),
    revision(),
    belongs_to("trusts", "trust_id"),
    unique("environments_slug", "slug"),
    index("environments_trust_id", "trust_id"),
)

TENANTS: Final = Table(
    "tenants",
    METADATA,
    *space_key(),
    words("slug"),
    words("name"),
    document("tags"),
    revision(),
    unique("tenants_slug", "slug"),
)

MACHINES: Final = Table(
    "machines",
    METADATA,
    *space_key(),
    words("name"),
    document("roles"),
    document("environment_ids"),
    words("key_sha256"),
    moment("registered_at"),
    moment("last_seen_at", null=True),
    flag("disabled"),
    revision(),
    unique("machines_name", "name"),
    unique("machines_key_sha256", "key_sha256"),
)

ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    site_key(),
    words("username"),
    words("password_hash"),
    document("grants"),
    moment("created_at"),
    flag("must_change_password"),
    flag("disabled"),
    revision(),
    site_unique("accounts_username", "username"),
)

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    site_key(),
    words("name"),
    reference("account_id"),
    words("token_sha256"),
    document("grants"),
    moment("created_at"),
    moment("expires_at"),
    moment("last_used_at", null=True),
    moment("revoked_at", null=True),
    revision(),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    site_unique("api_keys_token_sha256", "token_sha256"),
    site_index("api_keys_account_id", "account_id"),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    site_key(),
    reference("account_id"),
    words("token_sha256"),
    moment("created_at"),
    moment("expires_at"),
    revision(),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    site_unique("sessions_token_sha256", "token_sha256"),
    site_index("sessions_account_id", "account_id"),
)

IDEMPOTENT_ANSWERS: Final = Table(
    "idempotent_answers",
    METADATA,
    site_key(),
    words("request_sha256"),
    number("status"),
    octets("body"),
    moment("created_at"),
    revision(),
)

AUDIT_ENTRIES: Final = Table(
    "audit_entries",
    METADATA,
    Column("space_id", ID, primary_key=True),
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    reference("id"),
    moment("at"),
    words("actor"),
    words("action"),
    words("subject"),
    words("detail"),
    words("prev_sha256"),
    words("sha256"),
)

AUDIT_HEADS: Final = Table(
    "audit_heads",
    METADATA,
    Column("space_id", ID, primary_key=True),
    number("size"),
    words("last_sha256"),
    document("frontier"),
)
"""One row per Space: where its audit log ends, and the Merkle frontier over it. The row is also the newest truth of the checkpoint."""
