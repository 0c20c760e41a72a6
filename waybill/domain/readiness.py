# SPDX-License-Identifier: Apache-2.0
"""Which value a deployment gets for a name, and which names still lack one. Pure over values that the caller read.

First hit wins: what was set or answered here, then what the release and its delivery brought, then the template's default.
Inside each of the first two the published order of ``waybill.domain.resolution`` decides, so that a value scoped at the source
means the same there and here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from waybill.domain.resolution import applies, choose
from waybill.domain.spaces import Environment, Tenant
from waybill.domain.variables import Scope, Template, ValueType

LAYERS = ("here", "release")
"""Where a value comes from, strongest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldValue:
    """A value or a template as a deployment sees it; the scope's environments are ours.

    Exactly one of ``value``, ``sealed`` and ``template`` is set. ``row_id`` and ``table`` are what a sealed one is bound to.
    """

    layer: str
    variable_id: str
    name: str
    type: ValueType
    scope: Scope
    value: str | None = None
    sealed: bytes | None = None
    template: Template | None = None
    table: str = ""
    row_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something runs: what scopes are compared with."""

    environment: Environment
    tenant: Tenant | None
    channel: str
    action: str = ""


def resolve(values: Sequence[HeldValue], name: str, place: Place) -> HeldValue | None:
    """The value of ``name`` at ``place``, a template's default as the last resort, or None.

    Raises:
        ConflictError: variable.tie, when two values of one layer apply equally well.
    """
    for layer in LAYERS:
        here = [one for one in values if one.layer == layer and one.template is None]
        found = choose(
            here, name=name, environment_id=place.environment.id, tenant=place.tenant, channel=place.channel, action=place.action
        )
        if found is not None:
            return found
    return next(
        (one for one in templates_at(values, place) if one.name == name and one.template and one.template.default is not None), None
    )


def text_of(found: HeldValue) -> str | None:
    """The value in clear of one that is not sealed: its own, or its template's default."""
    return found.template.default if found.template is not None else found.value


def templates_at(values: Iterable[HeldValue], place: Place) -> tuple[HeldValue, ...]:
    """The templates that ask for a value at ``place``, in the order given."""
    return tuple(
        one
        for one in values
        if one.template is not None
        and applies(one.scope, environment_id=place.environment.id, tenant=place.tenant, channel=place.channel, action=place.action)
    )


def missing_at(values: Sequence[HeldValue], place: Place) -> tuple[HeldValue, ...]:
    """The mandatory templates without any value at ``place``: nothing may be deployed there before they have one (A39)."""
    return tuple(
        one
        for one in templates_at(values, place)
        if one.template is not None and one.template.mandatory and resolve(values, one.name, place) is None
    )


def answer_state(values: Sequence[HeldValue], template: HeldValue, place: Place) -> str:
    """How a template stands at ``place``: ``answered | default | missing | optional``."""
    found = resolve(values, template.name, place)
    if found is not None:
        return "default" if found.template is not None else "answered"
    return "missing" if template.template is not None and template.template.mandatory else "optional"
