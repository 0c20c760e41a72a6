# SPDX-License-Identifier: Apache-2.0
"""Variables, their scopes, and the templates that ask a Space for a value."""

from dataclasses import dataclass
from enum import StrEnum


class ValueType(StrEnum):
    """The type of a value (A35)."""

    TEXT = "text"
    MULTILINE = "multiline"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    SECRET = "secret"  # noqa: S105 - the name of a type, not a password
    CERTIFICATE = "certificate"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a value applies: OR inside a kind, AND across kinds, empty means everywhere. Environments and tenants are ids, actions names."""

    environments: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    tenant_tags: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A declared need for a value (A34): ``per`` is ``environment`` or ``tenant_environment``. A secret has no default (A36)."""

    label: str
    help: str = ""
    mandatory: bool = True
    default: str | None = None
    choices: tuple[str, ...] = ()
    per: str = "environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A named value of a project, or a template that asks for one.

    Of ``value``, ``sealed`` and ``template`` exactly one is set.
    ``sealed`` is a secret under ``KeyStore.wrap`` with the associated data of ``waybill.app.secrets``; it never leaves the database in clear.
    ``origin``: ``local``, or ``answer`` when it fills a template of a remote project.
    """

    id: str
    space_id: str
    project_id: str
    name: str
    type: ValueType
    scope: Scope = Scope()
    value: str | None = None
    sealed: bytes | None = None
    template: Template | None = None
    origin: str = "local"
    revision: int = 1
