# SPDX-License-Identifier: Apache-2.0
"""Values by their type: what fits, and which types are kept sealed.

A value that holds a binding is checked when it is resolved, not here. No error of this module holds the value of a sealed type.
"""

import re
from typing import Final

from waybill.domain.names import check_name
from waybill.domain.resolution import bindings
from waybill.domain.variables import Template, ValueType
from waybill.errors import FormatError

MAX_VALUE_BYTES: Final = 64 * 1024
SEALED_TYPES: Final = frozenset({ValueType.SECRET, ValueType.ACCOUNT})
"""Types whose values are secrets."""

PER: Final = ("environment", "tenant_environment")

_NUMBER: Final = re.compile(r"^-?\d+(\.\d+)?$")


def is_sealed(kind: ValueType) -> bool:
    """True when values of this type are secrets."""
    return kind in SEALED_TYPES


def check_value(kind: ValueType, value: str, *, field: str, choices: tuple[str, ...] = ()) -> str:
    """``value`` itself, when it is of the type.

    Args:
        choices: what a value of type ``choice`` may be.
    Raises:
        FormatError: template.value_invalid, naming the field and the type; never the value of a secret.
    """
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > MAX_VALUE_BYTES:
        raise FormatError(
            "limit.exceeded", "the value is too long", field=field, expected=f"at most {MAX_VALUE_BYTES} bytes", found=f"{size} bytes"
        )
    if not value.isprintable() and any(0xD800 <= ord(character) <= 0xDFFF or character == "\0" for character in value):
        raise _refused(kind, field, "text without NUL")
    if is_sealed(kind):
        if not value:
            raise _refused(kind, field, "a secret that is not empty")
        return value
    if bindings(value):
        return value
    expected = _expected(kind, value, choices)
    if expected is not None:
        raise _refused(kind, field, expected)
    return value


def check_template(kind: ValueType, template: Template, *, field: str) -> Template:
    """``template`` itself, when it does not contradict itself or its type.

    Raises:
        FormatError: variable.invalid; template.value_invalid, for a default of the wrong type.
    """
    check_name(template.label, field=f"{field}/label", separator_allowed=True)
    if template.per not in PER:
        raise _contradiction(f"{field}/per", " | ".join(PER), template.per)
    if is_sealed(kind) and template.default is not None:
        raise _contradiction(f"{field}/default", "no default, since it would stand in clear", "a default")
    if (kind is ValueType.CHOICE) != bool(template.choices) or len(set(template.choices)) != len(template.choices):
        raise _contradiction(
            f"{field}/choices", "different choices for type choice, none for any other", f"{len(template.choices)} choices"
        )
    if template.default is not None:
        check_value(kind, template.default, field=f"{field}/default", choices=template.choices)
    return template


def _expected(kind: ValueType, value: str, choices: tuple[str, ...]) -> str | None:
    """What would have been right, or None when it is."""
    if kind is ValueType.NUMBER and not (_NUMBER.match(value) and not value.endswith("\n")):
        return "a number such as 42 or 0.5"
    if kind is ValueType.BOOLEAN and value not in ("true", "false"):
        return "true | false"
    if kind is ValueType.CHOICE and value not in choices:
        return " | ".join(choices) or "a template that lists the choices"
    if kind is ValueType.TEXT and ("\n" in value or "\r" in value):
        return "one line; use multiline for more"
    if kind is ValueType.CERTIFICATE and ("-----BEGIN CERTIFICATE-----" not in value or "PRIVATE KEY" in value):
        return "a PEM certificate without a private key"
    return None


def _refused(kind: ValueType, field: str, expected: str) -> FormatError:
    return FormatError("template.value_invalid", f"the value is not of type {kind.value}", field=field, expected=expected)


def _contradiction(field: str, expected: str, found: str) -> FormatError:
    return FormatError("variable.invalid", "the template contradicts itself", field=field, expected=expected, found=found)
