# SPDX-License-Identifier: Apache-2.0
"""Who may do what, and how people and programs prove who they are.

``require`` is the first line of every use case. A Space in which the caller has no right at all answers as absent, never as forbidden.
Tokens are 256 random bits, shown once; the ledger holds their SHA-256 only.
"""

import base64
import hashlib
import zlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from waybill.app import ids
from waybill.domain.access import EVERY_SPACE, AccessGrant, Account, ApiKey, Caller, Permission, Session
from waybill.domain.names import check_name
from waybill.domain.spaces import Space
from waybill.errors import ConflictError, FormatError, NotFoundError, PolicyError
from waybill.ports import SITE, Ports

SYSTEM: Final = Caller(id="system", name="system", kind="system", grants=(AccessGrant(space_id=EVERY_SPACE, permissions=("*",)),))
"""The site itself: stories, sweeps and set-up."""

SESSION_LIFE: Final = timedelta(hours=12)
MIN_PASSWORD_LENGTH: Final = 12
MAX_PASSWORD_LENGTH: Final = 256
MAX_KEY_LIFE: Final = timedelta(days=366)
LAST_USED_GRAIN: Final = timedelta(minutes=5)
"""A key's last use is written at most this often, so that reads do not become writes."""

_SITE_RIGHTS: Final = frozenset({Permission.SITE_ADMIN, Permission.PAYLOAD_DECODE})
_KEY_PREFIX: Final = "waybill_"


def permits(caller: Caller, space_id: str, permission: Permission) -> bool:
    """True when the caller holds the right in that Space; ``site.admin`` and ``payload.decode`` are held for every Space or not at all."""
    if permission in _SITE_RIGHTS:
        return any(grant.space_id == EVERY_SPACE and _holds(grant, permission) for grant in caller.grants)
    return any(grant.space_id in (EVERY_SPACE, space_id) and _holds(grant, permission) for grant in caller.grants)


def require(caller: Caller, space_id: str, permission: Permission) -> None:
    """Nothing, when the caller holds the right there.

    Raises:
        NotFoundError: record.absent, when the caller has no right at all in that Space: it answers like one that does not exist.
        PolicyError: authz.denied, naming the right, when the caller has others there.
    """
    if permits(caller, space_id, permission):
        return
    if permission not in _SITE_RIGHTS and not _sees(caller, space_id):
        raise NotFoundError("record.absent", "there is no such Space", field="space")
    raise PolicyError("authz.denied", f"{caller.name} may not do that", field="permission", expected=permission.value)


def visible_spaces(ports: Ports, caller: Caller) -> list[Space]:
    """The Spaces in which the caller has any right, by name."""
    with ports.ledger.read(SITE) as work:
        rows = work.of(Space).where()
    return sorted((row for row in rows if _sees(caller, row.id)), key=lambda row: row.name.casefold())


def login(ports: Ports, *, username: str, password: str) -> tuple[Session, str]:
    """A session and the token for its cookie. Limiting attempts is the edge's part.

    Raises:
        PolicyError: authn.invalid, the same words and the same time whether the name or the password is wrong.
    """
    with ports.ledger.read(SITE) as work:
        account = work.of(Account).first(username=username)
    if account is None or account.disabled:
        # A hash is computed for a name that nobody has, so that the time does not tell names.
        ports.passwords.hash(password[:MAX_PASSWORD_LENGTH])
        raise _invalid()
    if len(password) > MAX_PASSWORD_LENGTH or not ports.passwords.matches(account.password_hash, password):
        raise _invalid()
    now = ports.clock.now()
    token = _random_token(ports)
    session = Session(
        id=ids.fresh(ports, "ses"), account_id=account.id, token_sha256=_sha256(token), created_at=now, expires_at=now + SESSION_LIFE
    )
    with ports.ledger.write(SITE) as work:
        work.of(Session).add(session)
        work.audit(at=now, actor=account.username, action="session.opened", subject=account.id)
    return session, token


def logout(ports: Ports, *, token: str) -> None:
    """The session of this token is gone, whether it was there or not."""
    with ports.ledger.write(SITE) as work:
        session = work.of(Session).first(token_sha256=_sha256(token))
        if session is not None:
            work.of(Session).remove(session)


def caller_of_session(ports: Ports, *, token: str) -> Caller:
    """The person whose session this is. Raises PolicyError authn.invalid, when it is unknown, over, or the account is disabled."""
    with ports.ledger.read(SITE) as work:
        session = work.of(Session).first(token_sha256=_sha256(token))
        if session is None or session.expires_at <= ports.clock.now():
            raise _invalid()
        account = work.of(Account).find(session.account_id)
    if account is None or account.disabled:
        raise _invalid()
    return Caller(id=account.id, name=account.username, kind="person", grants=account.grants)


def caller_of_key(ports: Ports, *, token: str) -> Caller:
    """The program that holds this API key; a mistyped one is refused by its checksum without a query.

    Raises:
        PolicyError: authn.invalid, when it is malformed, unknown, expired, revoked, or its account is disabled.
    """
    if not _checksum_fits(token):
        raise _invalid()
    now = ports.clock.now()
    with ports.ledger.read(SITE) as work:
        key = work.of(ApiKey).first(token_sha256=_sha256(token))
        account = work.of(Account).find(key.account_id) if key else None
    if key is None or account is None or key.revoked_at is not None or key.expires_at <= now or account.disabled:
        raise _invalid()
    if key.last_used_at is None or now - key.last_used_at >= LAST_USED_GRAIN:
        _note_use(ports, key, now)
    grants = tuple(grant for grant in (_common(one, account.grants) for one in key.grants) if grant.permissions)
    return Caller(id=key.id, name=f"{account.username} ({key.name})", kind="key", grants=grants)


def change_password(ports: Ports, caller: Caller, *, current: str, new: str) -> Account:
    """The caller's account has the new password, and every session of it but none key is over.

    Raises:
        PolicyError: authn.invalid, when ``current`` is wrong or the caller is not a person.
        FormatError: request.invalid, when ``new`` is too short, too long or the same.
    """
    with ports.ledger.read(SITE) as work:
        account = work.of(Account).find(caller.id) if caller.kind == "person" else None
    if account is None or len(current) > MAX_PASSWORD_LENGTH or not ports.passwords.matches(account.password_hash, current):
        raise _invalid()
    _check_password(new)
    if new == current:
        raise FormatError("request.invalid", "the new password is the current one", field="new", expected="another password")
    hashed = ports.passwords.hash(new)
    with ports.ledger.write(SITE) as work:
        changed = work.of(Account).replace(replace(work.of(Account).get(account.id), password_hash=hashed, must_change_password=False))
        for session in work.of(Session).where(account_id=account.id):
            work.of(Session).remove(session)
        work.audit(at=ports.clock.now(), actor=caller.name, action="account.password_changed", subject=account.id)
    return changed


def create_account(
    ports: Ports, caller: Caller, *, username: str, password: str, grants: tuple[AccessGrant, ...], must_change_password: bool = True
) -> Account:
    """A person of this site may sign in.

    Raises:
        ConflictError: record.conflict, when the name is taken.
        FormatError: request.invalid, for a name, password or grant that cannot be used.
    """
    require(caller, SITE, Permission.SITE_ADMIN)
    name = check_name(username, field="username")
    _check_password(password)
    _check_grants(grants)
    account = Account(
        id=ids.fresh(ports, "acc"),
        username=name,
        password_hash=ports.passwords.hash(password),
        grants=grants,
        created_at=ports.clock.now(),
        must_change_password=must_change_password,
    )
    with ports.ledger.write(SITE) as work:
        if work.of(Account).first(username=name) is not None:
            raise ConflictError("record.conflict", "an account of that name exists", field="username", found=name)
        work.of(Account).add(account)
        work.audit(at=account.created_at, actor=caller.name, action="account.created", subject=account.id, detail=name)
    return account


def list_accounts(ports: Ports, caller: Caller) -> list[Account]:
    """All accounts of the site by name."""
    require(caller, SITE, Permission.SITE_ADMIN)
    with ports.ledger.read(SITE) as work:
        return sorted(work.of(Account).where(), key=lambda account: account.username.casefold())


def create_key(ports: Ports, caller: Caller, *, name: str, grants: tuple[AccessGrant, ...], expires_at: datetime) -> tuple[ApiKey, str]:
    """An API key of the caller's account, and its token, shown once.

    Raises:
        PolicyError: authz.denied, when a grant exceeds the caller's own or the caller is not a person.
        FormatError: request.invalid, for a grant, or an expiry in the past or more than ``MAX_KEY_LIFE`` away.
    """
    if caller.kind != "person":
        raise PolicyError("authz.denied", "only a person makes keys", field="caller", expected="person", found=caller.kind)
    label = check_name(name, field="name")
    _check_grants(grants)
    now = ports.clock.now()
    if not now < expires_at <= now + MAX_KEY_LIFE:
        raise FormatError(
            "request.invalid", "the key would not live that long", field="expires_at", expected="within 366 days", found=expires_at
        )
    for grant in grants:
        if _common(grant, caller.grants).permissions != grant.permissions:
            raise PolicyError("authz.denied", "a key cannot do more than its maker", field="grants", expected="your own rights")
    body = _random_token(ports)
    token = f"{_KEY_PREFIX}{body}_{zlib.crc32(body.encode('ascii')):08x}"
    key = ApiKey(
        id=ids.fresh(ports, "key"),
        name=label,
        account_id=caller.id,
        token_sha256=_sha256(token),
        grants=grants,
        created_at=now,
        expires_at=expires_at,
    )
    with ports.ledger.write(SITE) as work:
        work.of(ApiKey).add(key)
        work.audit(at=now, actor=caller.name, action="key.created", subject=key.id, detail=label)
    return key, token


def list_keys(ports: Ports, caller: Caller) -> list[ApiKey]:
    """The keys of the caller's account; all of them for an administrator of the site."""
    with ports.ledger.read(SITE) as work:
        if permits(caller, SITE, Permission.SITE_ADMIN):
            return list(work.of(ApiKey).where())
        return list(work.of(ApiKey).where(account_id=caller.id))


def revoke_key(ports: Ports, caller: Caller, *, key_id: str) -> ApiKey:
    """The key opens nothing any more. Raises NotFoundError record.absent, also for another account's key."""
    now = ports.clock.now()
    with ports.ledger.write(SITE) as work:
        key = work.of(ApiKey).find(key_id)
        if key is None or (key.account_id != caller.id and not permits(caller, SITE, Permission.SITE_ADMIN)):
            raise NotFoundError("record.absent", "there is no such key", field="key")
        if key.revoked_at is not None:
            return key
        work.audit(at=now, actor=caller.name, action="key.revoked", subject=key.id, detail=key.name)
        return work.of(ApiKey).replace(replace(key, revoked_at=now))


def _holds(grant: AccessGrant, permission: Permission) -> bool:
    return "*" in grant.permissions or permission.value in grant.permissions


def _sees(caller: Caller, space_id: str) -> bool:
    return any(grant.space_id in (EVERY_SPACE, space_id) and grant.permissions for grant in caller.grants)


def _common(grant: AccessGrant, held: tuple[AccessGrant, ...]) -> AccessGrant:
    """The part of ``grant`` that ``held`` covers, in the order of ``grant``."""
    covering = [one for one in held if one.space_id in (EVERY_SPACE, grant.space_id)]
    if any("*" in one.permissions for one in covering):
        return grant
    if "*" in grant.permissions:
        owned = tuple(sorted({permission for one in covering for permission in one.permissions}))
        return replace(grant, permissions=owned)
    return replace(grant, permissions=tuple(p for p in grant.permissions if any(p in one.permissions for one in covering)))


def _check_grants(grants: tuple[AccessGrant, ...]) -> None:
    known = {permission.value for permission in Permission} | {"*"}
    for number, grant in enumerate(grants):
        strange = [permission for permission in grant.permissions if permission not in known]
        if strange or not grant.permissions:
            raise FormatError(
                "request.invalid", "that is not a permission", field=f"grants/{number}", expected=", ".join(sorted(known)), found=strange
            )


def _check_password(password: str) -> None:
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        expected = f"{MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters"
        raise FormatError(
            "request.invalid", "the password cannot be used", field="password", expected=expected, found=f"{len(password)} characters"
        )


def _note_use(ports: Ports, key: ApiKey, now: datetime) -> None:
    with ports.ledger.write(SITE) as work:
        fresh = work.of(ApiKey).find(key.id)
        if fresh is not None and fresh.last_used_at == key.last_used_at:
            work.of(ApiKey).replace(replace(fresh, last_used_at=now))


def _random_token(ports: Ports) -> str:
    return base64.urlsafe_b64encode(ports.entropy.take(32)).rstrip(b"=").decode("ascii")


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def _checksum_fits(token: str) -> bool:
    body, _, checksum = token.removeprefix(_KEY_PREFIX).rpartition("_")
    if not token.startswith(_KEY_PREFIX) or not token.isascii() or len(body) != 43:
        return False
    return checksum == f"{zlib.crc32(body.encode('ascii')):08x}"


def _invalid() -> PolicyError:
    return PolicyError("authn.invalid", "the credentials are not valid")
