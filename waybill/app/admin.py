# SPDX-License-Identifier: Apache-2.0
"""Spaces, environments, tenants and machines: what an administrator sets up.

Refused: names that exist, environments of a Remote Space where a local one is needed, changes over a newer revision.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from waybill.app import access, identity, ids, lookup
from waybill.app.revisions import check_revision
from waybill.domain.access import Caller, Permission
from waybill.domain.names import check_name, check_slug, free_slug
from waybill.domain.spaces import Environment, Machine, Space, Tenant
from waybill.domain.trusts import TrustState
from waybill.errors import ConflictError, FormatError, NotFoundError, PolicyError, TrustError
from waybill.ports import SITE, Ports, Work

SEEN_GRAIN: Final = timedelta(seconds=15)
"""``last_seen_at`` is written at most this often."""

_MACHINE_PREFIX: Final = "wbm_"


def create_space(ports: Ports, caller: Caller, *, name: str, slug: str | None = None) -> Space:
    """A Space with its identity keys.

    Raises:
        ConflictError: record.conflict, when the name or the slug is taken.
        FormatError: request.invalid, for a name or slug that cannot be used.
        PolicyError: authz.denied, without ``site.admin``.
    """
    access.require(caller, SITE, Permission.SITE_ADMIN)
    checked = check_name(name, field="name")
    space = Space(
        id=ids.fresh(ports, "spc"),
        slug=check_slug(slug, field="slug") if slug else "",
        name=checked,
        created_at=ports.clock.now(),
    )
    with ports.ledger.read(SITE) as work:
        _free_space(work, space)
    # Keys first: a crash between the two leaves keys that nobody uses, never a Space without keys.
    with ports.ledger.write(space.id) as work:
        identity.make_keys(ports, work, name=checked)
        work.audit(at=space.created_at, actor=caller.name, action="space.created", subject=space.id, detail=checked)
    with ports.ledger.write(SITE) as work:
        space = work.of(Space).add(replace(space, slug=_free_space(work, space)))
        work.audit(at=space.created_at, actor=caller.name, action="space.created", subject=space.id, detail=checked)
    return space


def list_spaces(ports: Ports, caller: Caller) -> list[Space]:
    """The Spaces that the caller may see, by name."""
    return access.visible_spaces(ports, caller)


def get_space(ports: Ports, caller: Caller, *, space: str) -> Space:
    """The Space with this id, slug or name. Raises NotFoundError record.absent, also when the caller may not see it."""
    found = lookup.find_space(ports, space)
    if not access.permits(caller, found.id, Permission.SPACE_READ):
        raise NotFoundError("record.absent", "there is no such Space here", field="space", found=space[:100])
    return found


def create_environment(ports: Ports, caller: Caller, *, space_id: str, name: str, sort_order: int = 0) -> Environment:
    """An environment of this Space.

    Raises:
        ConflictError: record.conflict, when an own environment has that name.
        FormatError: request.invalid, for a name that cannot be used, the separator among the reasons (A41).
    """
    access.require(caller, space_id, Permission.SPACE_EDIT)
    checked = check_name(name, field="name")
    with ports.ledger.write(space_id) as work:
        rows = work.of(Environment).where()
        _free_name(checked, [row.name for row in rows if not row.is_remote], noun="environment")
        environment = Environment(
            id=ids.fresh(ports, "env"),
            space_id=space_id,
            slug=free_slug(checked, {row.slug for row in rows}),
            name=checked,
            sort_order=sort_order,
        )
        _audit(ports, work, caller, "environment.created", environment.id, checked)
        return work.of(Environment).add(environment)


def list_environments(ports: Ports, caller: Caller, *, space_id: str) -> list[Environment]:
    """Own environments by sort order and name, then remote ones by name."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        rows = work.of(Environment).where()
    return sorted(rows, key=lambda row: (row.is_remote, row.sort_order, row.name.casefold()))


def rename_environment(ports: Ports, caller: Caller, *, space_id: str, environment: str, name: str, if_revision: int) -> Environment:
    """The environment under its new name; its id and slug stay, so nothing that refers to it changes (A29).

    Raises:
        ConflictError: record.conflict, record.stale.
    """
    access.require(caller, space_id, Permission.SPACE_EDIT)
    checked = check_name(name, field="name")
    with ports.ledger.write(space_id) as work:
        row = lookup.find_environment(work, environment)
        check_revision(row, if_revision)
        siblings = [one.name for one in work.of(Environment).where(trust_id=row.trust_id) if one.id != row.id]
        _free_name(checked, siblings, noun="environment")
        _audit(ports, work, caller, "environment.renamed", row.id, f"{row.name} -> {checked}")
        return work.of(Environment).replace(replace(row, name=checked))


def create_remote_environment(ports: Ports, caller: Caller, *, space_id: str, trust: str, name: str) -> Environment:
    """A placeholder for an environment of a Remote Space (A40), unconfirmed until a receipt mentions it (A44).

    Args:
        name: the environment's own name there, without the Space's name.
    Raises:
        ConflictError: record.conflict. TrustError: trust.retired.
    """
    access.require(caller, space_id, Permission.SPACE_EDIT)
    checked = check_name(name, field="name")
    with ports.ledger.write(space_id) as work:
        peer = lookup.find_trust(work, trust)
        if peer.state is TrustState.RETIRED:
            raise TrustError("trust.retired", f"the trust with {peer.name} has been ended", field="trust", found=peer.name)
        rows = work.of(Environment).where()
        _free_name(checked, [row.name for row in rows if row.trust_id == peer.id], noun="environment")
        environment = Environment(
            id=ids.fresh(ports, "env"),
            space_id=space_id,
            slug=free_slug(f"{peer.name} {checked}", {row.slug for row in rows}),
            name=checked,
            trust_id=peer.id,
            confirmed=False,
        )
        _audit(ports, work, caller, "environment.created", environment.id, lookup.shown_environment(environment, [peer]))
        return work.of(Environment).add(environment)


def create_tenant(ports: Ports, caller: Caller, *, space_id: str, name: str, tags: Sequence[str] = ()) -> Tenant:
    """A tenant of this Space. Raises ConflictError record.conflict; FormatError request.invalid."""
    access.require(caller, space_id, Permission.SPACE_EDIT)
    checked = check_name(name, field="name")
    checked_tags = tuple(dict.fromkeys(check_name(tag, field="tags") for tag in tags))
    with ports.ledger.write(space_id) as work:
        rows = work.of(Tenant).where()
        _free_name(checked, [row.name for row in rows], noun="tenant")
        tenant = Tenant(
            id=ids.fresh(ports, "tnt"),
            space_id=space_id,
            slug=free_slug(checked, {row.slug for row in rows}),
            name=checked,
            tags=checked_tags,
        )
        _audit(ports, work, caller, "tenant.created", tenant.id, checked)
        return work.of(Tenant).add(tenant)


def list_tenants(ports: Ports, caller: Caller, *, space_id: str) -> list[Tenant]:
    """The tenants of this Space by name."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return sorted(work.of(Tenant).where(), key=lambda row: row.name.casefold())


def register_machine(
    ports: Ports, caller: Caller, *, space_id: str, name: str, roles: Sequence[str], environments: Sequence[str]
) -> tuple[Machine, str]:
    """A machine and its token ``wbm_<space_id>_<machine_id>_<43>``, shown once.

    Args:
        environments: ids, slugs or names of own environments, at least one.
    Raises:
        ConflictError: record.conflict; record.read_only, for an environment of a Remote Space (A40).
        FormatError: request.invalid.
    """
    access.require(caller, space_id, Permission.MACHINE_EDIT)
    checked = check_name(name, field="name")
    checked_roles = tuple(dict.fromkeys(check_name(role, field="roles") for role in roles))
    if not environments:
        raise FormatError("request.invalid", "a machine serves at least one environment", field="environments", expected="one or more")
    machine_id = ids.fresh(ports, "mch")
    secret = base64.urlsafe_b64encode(ports.entropy.take(32)).rstrip(b"=").decode("ascii")
    token = f"{_MACHINE_PREFIX}{space_id}_{machine_id}_{secret}"
    with ports.ledger.write(space_id) as work:
        _free_name(checked, [row.name for row in work.of(Machine).where()], noun="machine")
        own = tuple(dict.fromkeys(lookup.find_own_environment(work, one).id for one in environments))
        machine = Machine(
            id=machine_id,
            space_id=space_id,
            name=checked,
            roles=checked_roles,
            environment_ids=own,
            key_sha256=_sha256(token),
            registered_at=ports.clock.now(),
        )
        _audit(ports, work, caller, "machine.registered", machine.id, checked)
        return work.of(Machine).add(machine), token


def list_machines(ports: Ports, caller: Caller, *, space_id: str) -> list[Machine]:
    """The machines of this Space by name."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return sorted(work.of(Machine).where(), key=lambda row: row.name.casefold())


def disable_machine(ports: Ports, caller: Caller, *, space_id: str, machine: str, if_revision: int) -> Machine:
    """The machine runs nothing any more; its token is worthless. Raises ConflictError record.stale."""
    access.require(caller, space_id, Permission.MACHINE_EDIT)
    with ports.ledger.write(space_id) as work:
        row = lookup.find_machine(work, machine)
        check_revision(row, if_revision)
        _audit(ports, work, caller, "machine.disabled", row.id, row.name)
        return work.of(Machine).replace(replace(row, disabled=True))


def machine_of_token(ports: Ports, *, token: str) -> Machine:
    """The machine that holds this token. Raises PolicyError authn.invalid for anything else, a disabled machine too."""
    parts = token.removeprefix(_MACHINE_PREFIX).split("_", 4)
    if not token.startswith(_MACHINE_PREFIX) or not token.isascii() or len(parts) != 5:
        raise PolicyError("authn.invalid", "the credentials are not valid")
    space_id, machine_id = "_".join(parts[:2]), "_".join(parts[2:4])
    with ports.ledger.read(space_id) as work:
        machine = work.of(Machine).find(machine_id)
    if machine is None or machine.disabled or not hmac.compare_digest(machine.key_sha256, _sha256(token)):
        raise PolicyError("authn.invalid", "the credentials are not valid")
    return machine


def touch_machine(ports: Ports, machine: Machine) -> Machine:
    """The machine was seen now; written at most every ``SEEN_GRAIN``."""
    now = ports.clock.now()
    if machine.last_seen_at is not None and now - machine.last_seen_at < SEEN_GRAIN:
        return machine
    with ports.ledger.write(machine.space_id) as work:
        return work.of(Machine).replace(replace(work.of(Machine).get(machine.id), last_seen_at=now))


def _free_space(work: Work, space: Space) -> str:
    """The slug that the Space gets. Raises ConflictError record.conflict."""
    rows = work.of(Space).where()
    _free_name(space.name, [row.name for row in rows], noun="Space")
    if space.slug and any(row.slug == space.slug for row in rows):
        raise ConflictError("record.conflict", "a Space of that slug exists", field="slug", found=space.slug)
    return space.slug or free_slug(space.name, {row.slug for row in rows})


def _free_name(name: str, taken: Sequence[str], *, noun: str) -> None:
    same = next((one for one in taken if one.casefold() == name.casefold()), None)
    if same is not None:
        raise ConflictError("record.conflict", f"a {noun} of that name exists", field="name", found=same)


def _audit(ports: Ports, work: Work, caller: Caller, action: str, subject: str, detail: str) -> None:
    work.audit(at=ports.clock.now(), actor=caller.name, action=action, subject=subject, detail=detail)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8")).hexdigest()
