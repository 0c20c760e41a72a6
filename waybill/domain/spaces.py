# SPDX-License-Identifier: Apache-2.0
"""Spaces, their environments (own and remote), tenants and the machines that run steps."""

from dataclasses import dataclass
from datetime import datetime

SEPARATOR = ": "
"""Stands between a Space's name and the name of something that it owns: ``Prod: Production``. Refused inside local names (A41)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """An owner of everything else; ``id`` is also its name in certificates and documents."""

    id: str
    slug: str
    name: str
    created_at: datetime
    retired_at: datetime | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceKeys:
    """The Space's identity: private keys wrapped by the key file, and the signed identity document as it stands.

    ``id`` is the space id. ``*_wrapped`` are PKCS#8 or raw private keys under ``KeyStore.wrap``.
    """

    id: str
    space_id: str
    identity_version: int
    identity_envelope: bytes
    identity_sha256: str
    fingerprint: str
    epoch: int
    identity_key_wrapped: bytes
    signing_key_wrapped: bytes
    encryption_key_wrapped: bytes
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where releases run. With a ``trust_id`` it is a reference to an environment of a Remote Space and nothing runs there (A40)."""

    id: str
    space_id: str
    slug: str
    name: str
    trust_id: str | None = None
    confirmed: bool = True
    sort_order: int = 0
    revision: int = 1

    @property
    def is_remote(self) -> bool:
        """True when another Space owns it."""
        return self.trust_id is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One for whom a release is deployed apart; never crosses a Space (A83)."""

    id: str
    space_id: str
    slug: str
    name: str
    tags: tuple[str, ...] = ()
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A registered machine with a ``steps`` worker; its task queue is ``machine:{id}`` in the steps namespace."""

    id: str
    space_id: str
    name: str
    roles: tuple[str, ...]
    environment_ids: tuple[str, ...]
    key_sha256: str
    registered_at: datetime
    last_seen_at: datetime | None = None
    disabled: bool = False
    revision: int = 1
