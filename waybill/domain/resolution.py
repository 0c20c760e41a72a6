# SPDX-License-Identifier: Apache-2.0
"""Which value applies where, and which names a text refers to.

The published order (A38), most specific first: tenant, tenant tag, action, environment, channel, then values without a scope.
A value that names a more specific kind wins whatever else the other names. Two values that name the same kinds and can apply at once are a tie.

A binding is ``#{Name}``; ``##{`` stands for the two characters themselves. ``#{Step[Action].Output.Name}`` is an output of an earlier action.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Final, Protocol, TypeVar

from waybill.domain.ids import JsonValue
from waybill.domain.spaces import Tenant
from waybill.domain.variables import Scope
from waybill.errors import ConflictError, FormatError

MAX_DEPTH: Final = 16
"""How deep a value may refer to another."""

FACTS: Final = frozenset(
    {
        "Waybill.Space.Name",
        "Waybill.Project.Name",
        "Waybill.Release.Version",
        "Waybill.Release.Channel",
        "Waybill.Environment.Name",
        "Waybill.Tenant.Name",
        "Waybill.Deployment.Id",
        "Waybill.Machine.Name",
    }
)
"""Names that every deployment knows without a variable."""

_BINDING: Final = re.compile(r"#(#?)\{([^{}]*)\}")
_NAME: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_.\- ]{0,199}$")
_OUTPUT: Final = re.compile(r"^Step\[([^\[\]{}]+)\]\.Output\.([A-Za-z_][A-Za-z0-9_.\-]*)$")


class Scoped(Protocol):
    """Anything that has a name and a scope: a Variable, a SnapshotValue."""

    @property
    def name(self) -> str: ...
    @property
    def scope(self) -> Scope: ...


S = TypeVar("S", bound=Scoped)


def check_variable_name(text: str, *, field: str = "name") -> str:
    """``text`` itself, when it may name a variable. Raises FormatError variable.invalid."""
    if not _NAME.match(text) or text != text.strip() or text.endswith("\n") or text in FACTS:
        raise FormatError(
            "variable.invalid",
            "that is not the name of a variable",
            field=field,
            expected="a letter or _, then letters, digits, blanks and . _ -, and no name that Waybill uses itself",
            found=text[:60].encode("unicode_escape").decode("ascii"),
        )
    return text


def rank(scope: Scope) -> tuple[bool, bool, bool, bool, bool]:
    """Which kinds a scope names, most specific first; of two ranks the greater one wins."""
    return bool(scope.tenants), bool(scope.tenant_tags), bool(scope.actions), bool(scope.environments), bool(scope.channels)


def applies(scope: Scope, *, environment_id: str, tenant: Tenant | None = None, channel: str = "", action: str = "") -> bool:
    """True when every kind that the scope names is met there. ``action`` is the action's name."""
    tenant_ids = (tenant.id,) if tenant else ()
    tags = tenant.tags if tenant else ()
    wanted = (
        (scope.environments, (environment_id,)),
        (scope.tenants, tenant_ids),
        (scope.tenant_tags, tags),
        (scope.channels, (channel,)),
        (scope.actions, (action,)),
    )
    return all(not named or any(one in named for one in here) for named, here in wanted)


def choose(
    variables: Iterable[S], *, name: str, environment_id: str, tenant: Tenant | None = None, channel: str = "", action: str = ""
) -> S | None:
    """The value of ``name`` that applies there, or None.

    Raises:
        ConflictError: variable.tie, when two apply equally well (tags of one tenant; other ties were refused when they were saved).
    """
    fitting = [
        one
        for one in variables
        if one.name == name and applies(one.scope, environment_id=environment_id, tenant=tenant, channel=channel, action=action)
    ]
    if not fitting:
        return None
    best = max(rank(one.scope) for one in fitting)
    winners = [one for one in fitting if rank(one.scope) == best]
    if len(winners) > 1:
        raise ConflictError(
            "variable.tie", f"{len(winners)} values of {name} apply equally well", field=name, expected="one", found=len(winners)
        )
    return winners[0]


def find_tie(variables: Sequence[S], tenants: Sequence[Tenant] = ()) -> tuple[S, S] | None:
    """Two values of one name that could apply at once with equal rank, or None. ``tenants`` tell which tags meet in one tenant."""
    for one, other in combinations(variables, 2):
        if one.name == other.name and rank(one.scope) == rank(other.scope) and _can_meet(one.scope, other.scope, tenants):
            return one, other
    return None


def bindings(text: str) -> tuple[str, ...]:
    """The names between ``#{`` and ``}`` in ``text``, in order, each once."""
    found = (match.group(2).strip() for match in _BINDING.finditer(text) if not match.group(1))
    return tuple(dict.fromkeys(found))


def bindings_in(value: JsonValue) -> tuple[str, ...]:
    """The names that any text inside ``value`` refers to; keys of objects are not looked at."""
    if isinstance(value, str):
        return bindings(value)
    if isinstance(value, list):
        return tuple(dict.fromkeys(name for one in value for name in bindings_in(one)))
    if isinstance(value, dict):
        return tuple(dict.fromkeys(name for one in value.values() for name in bindings_in(one)))
    return ()


def output_of(name: str) -> tuple[str, str] | None:
    """(action name, output name) of a binding to an output of a step, or None."""
    match = _OUTPUT.match(name)
    return (match.group(1), match.group(2)) if match else None


def expand(text: str, lookup: Callable[[str], str | None]) -> str:
    """``text`` with every binding replaced by what ``lookup`` says, values that hold bindings included.

    Raises:
        ConflictError: variable.missing, when ``lookup`` knows a name not.
        FormatError: variable.invalid, when values refer to each other in a circle or deeper than ``MAX_DEPTH``.
    """
    return _expand(text, lookup, ())


def expand_in(value: JsonValue, lookup: Callable[[str], str | None]) -> JsonValue:
    """``value`` with every text inside it expanded."""
    if isinstance(value, str):
        return expand(value, lookup)
    if isinstance(value, list):
        return [expand_in(one, lookup) for one in value]
    if isinstance(value, dict):
        return {key: expand_in(one, lookup) for key, one in value.items()}
    return value


def _expand(text: str, lookup: Callable[[str], str | None], path: tuple[str, ...]) -> str:
    def replaced(match: re.Match[str]) -> str:
        if match.group(1):
            return match.group(0)[1:]
        name = match.group(2).strip()
        if name in path or len(path) >= MAX_DEPTH:
            raise FormatError("variable.invalid", "variables refer to each other in a circle", field=name, found=" > ".join((*path, name)))
        value = lookup(name)
        if value is None:
            raise ConflictError("variable.missing", f"{name} has no value here", field=name, expected="a value")
        return _expand(value, lookup, (*path, name))

    return _BINDING.sub(replaced, text)


def _can_meet(one: Scope, other: Scope, tenants: Sequence[Tenant]) -> bool:
    pairs = (
        (one.environments, other.environments),
        (one.tenants, other.tenants),
        (one.channels, other.channels),
        (one.actions, other.actions),
    )
    if any(a and b and not set(a) & set(b) for a, b in pairs):
        return False
    if not one.tenant_tags or set(one.tenant_tags) & set(other.tenant_tags):
        return True
    return any(set(one.tenant_tags) & set(tenant.tags) and set(other.tenant_tags) & set(tenant.tags) for tenant in tenants)
