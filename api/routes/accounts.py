# SPDX-License-Identifier: Apache-2.0
"""Accounts and API keys. Answers that show a token once take no Idempotency-Key, because that would store the token."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response

from api import queries
from api.deps import IfMatch, Site, operation, tag
from api.schemas.access import AccountCreate, AccountShape, GrantBody, KeyCreate, KeyCreated, KeyShape
from api.schemas.base import Listing
from waybill.app import access, lookup
from waybill.domain.access import EVERY_SPACE, AccessGrant, Permission
from waybill.errors import ConflictError
from waybill.ports import Ports

router = APIRouter(prefix="/api/v1", tags=["accounts"])


@router.get("/accounts", response_model=Listing[AccountShape], **operation("accounts_list", Permission.SITE_ADMIN))
def accounts_list(who: Site) -> Any:
    """All accounts of the site."""
    return queries.whole(access.list_accounts(who.ports, who.caller), AccountShape.model_validate)


@router.post("/accounts", response_model=AccountShape, **operation("accounts_create", Permission.SITE_ADMIN, status=201))
def accounts_create(body: AccountCreate, who: Site, response: Response) -> Any:
    """A new account; its first password must be changed."""
    access.require(who.caller, "", Permission.SITE_ADMIN)
    grants = _grants(who.ports, body.grants)
    row = access.create_account(who.ports, who.caller, username=body.username, password=body.password, grants=grants)
    tag(response, row.revision)
    return row


@router.get("/keys", response_model=Listing[KeyShape], **operation("keys_list"))
def keys_list(who: Site) -> Any:
    """The caller's own API keys; all of them for an administrator."""
    return queries.whole(access.list_keys(who.ports, who.caller), KeyShape.model_validate)


@router.post("/keys", response_model=KeyCreated, **operation("keys_create", status=201))
def keys_create(body: KeyCreate, who: Site, response: Response) -> Any:
    """A new API key for a program. Its token is in this answer and nowhere else."""
    expires_at = who.ports.clock.now() + timedelta(days=body.days)
    grants = _grants(who.ports, body.grants, visible_to=who)
    key, token = access.create_key(who.ports, who.caller, name=body.name, grants=grants, expires_at=expires_at)
    tag(response, key.revision)
    return {"key": key, "token": token}


@router.delete("/keys/{key}", response_model=KeyShape, **operation("keys_revoke"))
def keys_revoke(key: str, who: Site, if_match: IfMatch, response: Response) -> Any:
    """The key opens nothing any more."""
    current = next((row for row in access.list_keys(who.ports, who.caller) if row.id == key), None)
    if current is not None and current.revision != if_match and current.revoked_at is None:
        raise ConflictError(
            "record.stale", "the key was changed since you read it", field="If-Match", found=current.revision, expected=if_match
        )
    row = access.revoke_key(who.ports, who.caller, key_id=key)
    tag(response, row.revision)
    return row


def _grants(ports: Ports, bodies: Sequence[GrantBody], *, visible_to: Site | None = None) -> tuple[AccessGrant, ...]:
    """The grants with Spaces named by id, slug or name turned into ids; only Spaces that the caller sees."""
    if visible_to is None:
        return tuple(AccessGrant(space_id=_space_id(ports, body.space_id), permissions=tuple(body.permissions)) for body in bodies)
    names = {text: row.id for row in access.visible_spaces(ports, visible_to.caller) for text in (row.id, row.slug, row.name)}
    return tuple(AccessGrant(space_id=names.get(body.space_id, body.space_id), permissions=tuple(body.permissions)) for body in bodies)


def _space_id(ports: Ports, space: str) -> str:
    return EVERY_SPACE if space == EVERY_SPACE else lookup.find_space(ports, space).id
