# SPDX-License-Identifier: Apache-2.0
"""What a process may say: checked when it is saved, and again when it is frozen, so that a release always runs.

``process.unsupported`` names a setting that the format knows and this version cannot execute; ``process.invalid`` one that is wrong.
A literal where a secret is wanted is refused: it would travel in clear in every release.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from waybill.domain.coordinates import check_package_id, matches_spec, version_key
from waybill.domain.ids import JsonValue
from waybill.domain.names import check_name
from waybill.domain.packages import StepPackage
from waybill.domain.projects import Action
from waybill.domain.resolution import bindings_in, output_of
from waybill.errors import FormatError
from waybill.steps import inputs as step_inputs

MAX_ACTIONS: Final = 200
MAX_RETRIES: Final = 10
MAX_TIMEOUT_SECONDS: Final = 24 * 3600
MAX_NOTES: Final = 10_000

_REF_NAME: Final = re.compile(r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
_NOT_IN_ACTION_NAMES: Final = frozenset("[]{}#")


def check_process(actions: Sequence[Action], *, step_packages: Iterable[StepPackage]) -> None:
    """Nothing, when every action can be executed.

    Args:
        step_packages: all that are registered in the Space.
    Raises:
        FormatError: process.invalid, process.unsupported, bundle.secret_in_clear, package.coordinate_invalid; the field named.
    """
    if len(actions) > MAX_ACTIONS:
        raise _invalid("actions", f"at most {MAX_ACTIONS} actions", len(actions))
    registered = list(step_packages)
    names: list[str] = []
    seen_ids: set[str] = set()
    for number, action in enumerate(actions):
        at = f"actions/{number}"
        _check_name(action, names, at)
        if action.id in seen_ids:
            raise _invalid(f"{at}/id", "an id that no other action has", action.id)
        _check_unsupported(action, at)
        _check_limits(action, at)
        _check_packages(action, at)
        _check_outputs(action, names, at)
        check_inputs(action, pin_step(action, registered, field=f"{at}/step"), field=f"{at}/inputs")
        seen_ids.add(action.id)
        names.append(action.name)


def pin_step(action: Action, step_packages: Iterable[StepPackage], *, field: str) -> StepPackage:
    """The step package that the action runs: the exact version, or the newest stable one of the major.

    Raises:
        FormatError: process.invalid, when none is registered here.
    """
    of_id = [one for one in step_packages if one.package_id == action.step.package_id]
    fitting = [one for one in of_id if matches_spec(one.package_version, action.step.version)]
    if not fitting:
        here = ", ".join(sorted(one.package_version for one in of_id)) or "no version of it"
        wanted = f"{action.step.package_id} {action.step.version}"
        raise FormatError("process.invalid", f"{wanted} is not registered here", field=field, expected=wanted, found=here)
    exact = [one for one in fitting if one.package_version == action.step.version]
    return exact[0] if exact else max(fitting, key=lambda one: version_key(one.package_version))


def check_inputs(action: Action, step: StepPackage, *, field: str) -> None:
    """Nothing, when the action's inputs fit the step package's schema and hold no secret in clear. Values never reach the error.

    Raises:
        FormatError: process.invalid, with the pointer of the first fault; bundle.secret_in_clear.
    """
    faults = step_inputs.check(action.inputs, step.inputs_schema)
    if faults:
        first = faults[0]
        raise FormatError("process.invalid", f"{action.name}: {first.message}", field=f"{field}{first.pointer}", expected=first.expected)
    literal = _literal_secret(action.inputs, step_inputs.root_of(step.inputs_schema), step.inputs_schema, "")
    if literal is not None:
        raise FormatError(
            "bundle.secret_in_clear",
            f"{action.name}: a secret would stand in clear in every release",
            field=f"{field}{literal}",
            expected="a binding to a secret variable, such as #{Password}",
        )


def _check_name(action: Action, names: Sequence[str], at: str) -> None:
    check_name(action.name, field=f"{at}/name")
    if _NOT_IN_ACTION_NAMES & set(action.name):
        raise _invalid(f"{at}/name", "a name without [ ] { } #, since outputs are named by it", action.name)
    if any(name.casefold() == action.name.casefold() for name in names):
        raise _invalid(f"{at}/name", "a name that no other action has", action.name)


def _check_unsupported(action: Action, at: str) -> None:
    rules: tuple[tuple[str, bool, str, object], ...] = (
        ("start", action.start != "after_previous", "after_previous", action.start),
        ("condition", action.condition != "success", "success", action.condition),
        ("window", action.window is not None, "nothing", action.window),
        ("pool", action.pool is not None, "nothing; name roles", action.pool),
        ("scopes/tenant_tags", bool(action.scopes.tenant_tags), "nothing", ", ".join(action.scopes.tenant_tags)),
    )
    for name, is_unsupported, expected, found in rules:
        if is_unsupported:
            raise FormatError(
                "process.unsupported",
                f"{action.name}: this version cannot execute that",
                field=f"{at}/{name}",
                expected=expected,
                found=found,
            )


def _check_limits(action: Action, at: str) -> None:
    if not 0 <= action.retries <= MAX_RETRIES:
        raise _invalid(f"{at}/retries", f"0 to {MAX_RETRIES}", action.retries)
    if not 1 <= action.timeout_s <= MAX_TIMEOUT_SECONDS:
        raise _invalid(f"{at}/timeout_s", f"1 to {MAX_TIMEOUT_SECONDS} seconds", action.timeout_s)
    if len(action.notes) > MAX_NOTES:
        raise _invalid(f"{at}/notes", f"at most {MAX_NOTES} characters", len(action.notes))
    if _holds_float(action.inputs):
        raise _invalid(f"{at}/inputs", "whole numbers; write a fraction as text", "a fraction")
    for role in action.roles:
        check_name(role, field=f"{at}/roles")


def _check_packages(action: Action, at: str) -> None:
    names = [use.ref_name for use in action.packages]
    for number, use in enumerate(action.packages):
        field = f"{at}/packages/{number}"
        if not _REF_NAME.match(use.ref_name) or names.count(use.ref_name) > 1:
            raise _invalid(f"{field}/ref_name", "a letter, then letters, digits, - and _; each name once", use.ref_name[:70])
        check_package_id(use.package_id, field=f"{field}/package_id")


def _check_outputs(action: Action, earlier: Sequence[str], at: str) -> None:
    for name in bindings_in(action.inputs):
        output = output_of(name)
        if output is not None and output[0] not in earlier:
            raise _invalid(f"{at}/inputs", "an output of an earlier action", name[:100])


def _literal_secret(value: JsonValue, schema: dict[str, JsonValue], document: dict[str, JsonValue], pointer: str) -> str | None:
    """The pointer of the first text that stands where the schema wants a secret and is not a binding as a whole, or None."""
    definitions = document.get("definitions")
    reference = schema.get("$ref")
    if isinstance(reference, str) and isinstance(definitions, dict):
        target = definitions.get(reference.removeprefix("#/definitions/"))
        return _literal_secret(value, target, document, pointer) if isinstance(target, dict) else None
    if schema.get("isSensitiveValue") is True:
        return None if isinstance(value, str) and _is_binding(value) else pointer
    properties = schema.get("properties")
    items = schema.get("items")
    inner: list[tuple[str, JsonValue, JsonValue]] = []
    if isinstance(value, dict):
        known = properties if isinstance(properties, dict) else {}
        others = schema.get("additionalProperties")
        inner = [(f"{pointer}/{name}", each, known.get(name, others)) for name, each in value.items()]
    elif isinstance(value, list):
        inner = [(f"{pointer}/{number}", each, items) for number, each in enumerate(value)]
    choices = schema.get("anyOf")
    if isinstance(choices, list):
        inner.extend(
            (pointer, value, choice)
            for choice in choices
            if isinstance(choice, dict) and not step_inputs.check(value, {**document, **choice})
        )
    for where, each, wanted in inner:
        found = _literal_secret(each, wanted, document, where) if isinstance(wanted, dict) else None
        if found is not None:
            return found
    return None


def _is_binding(text: str) -> bool:
    return bool(re.fullmatch(r"(?:#\{[^{}]+\})+", text))


def _holds_float(value: JsonValue) -> bool:
    """Signed documents hold no floats (docs/formats/encoding-v1.md)."""
    if isinstance(value, list):
        return any(_holds_float(each) for each in value)
    if isinstance(value, dict):
        return any(_holds_float(each) for each in value.values())
    return isinstance(value, float)


def _invalid(field: str, expected: str, found: object) -> FormatError:
    return FormatError("process.invalid", "the process cannot be saved", field=field, expected=expected, found=found)
