# SPDX-License-Identifier: Apache-2.0
"""Scopes, templates and value types as they stand in a Release and in a Delivery.

A tenant never crosses a Space: a scope that names one is refused by the writer, and the wire has no member for it.
"""

import hashlib
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.domain.variables import Scope, Template, ValueType
from waybill.errors import FormatError
from waybill.formats import canonical
from waybill.formats.fields import MAX_NAME, MAX_NOTES, MAX_VALUE, Fields

MAX_SCOPE: Final = 1000
MAX_CHOICES: Final = 1000
_TYPES: Final = tuple(kind.value for kind in ValueType)
_PER: Final = ("environment", "tenant_environment")


def scope_to_json(scope: Scope) -> JsonValue:
    """``scope`` as it is signed. Raises FormatError payload.invalid, when it names a tenant."""
    if scope.tenants:
        raise FormatError("payload.invalid", "A value for a tenant never leaves its Space", field="scope/tenants")
    return {
        "actions": list(scope.actions),
        "channels": list(scope.channels),
        "environments": list(scope.environments),
        "tenant_tags": list(scope.tenant_tags),
    }


def scope_sha256(scope: Scope) -> str:
    """The digest that binds a sealed value to its scope, whatever the order of the entries.

    Source: docs/formats/sealing-v1.md, section 3.
    """
    ordered = Scope(
        environments=tuple(sorted(scope.environments)),
        tenant_tags=tuple(sorted(scope.tenant_tags)),
        channels=tuple(sorted(scope.channels)),
        actions=tuple(sorted(scope.actions)),
        tenants=scope.tenants,
    )
    return hashlib.sha256(canonical.encode(scope_to_json(ordered))).hexdigest()


def read_scope(fields: Fields) -> Scope:
    """The scope in ``fields``."""
    scope = Scope(
        environments=fields.ids("environments", most=MAX_SCOPE),
        tenant_tags=fields.texts("tenant_tags", most=MAX_SCOPE),
        channels=fields.texts("channels", most=MAX_SCOPE),
        actions=fields.texts("actions", most=MAX_SCOPE),
    )
    fields.end()
    return scope


def template_to_json(template: Template) -> JsonValue:
    """``template`` as it is signed."""
    return {
        "choices": list(template.choices),
        "default": template.default,
        "help": template.help,
        "label": template.label,
        "mandatory": template.mandatory,
        "per": template.per,
    }


def read_template(fields: Fields, *, type: ValueType) -> Template:  # noqa: A002 - the name of the member
    """The template in ``fields``. Raises FormatError bundle.secret_in_clear, when a secret has a default."""
    template = Template(
        label=fields.text("label"),
        help=fields.text("help", least=0, most=MAX_NOTES),
        mandatory=fields.boolean("mandatory"),
        default=fields.optional("default", lambda name: fields.text(name, least=0, most=MAX_VALUE)),
        choices=fields.texts("choices", most=MAX_CHOICES),
        per=fields.choice("per", _PER),
    )
    if type is ValueType.SECRET and template.default is not None:
        raise FormatError("bundle.secret_in_clear", "A secret cannot have a default", field=fields.at("default"))
    fields.end()
    return template


def read_type(fields: Fields) -> ValueType:
    """The member ``type``."""
    return ValueType(fields.choice("type", _TYPES))


def read_name(fields: Fields) -> str:
    """The member ``name`` of a variable."""
    return fields.name("name", most=MAX_NAME)


def read_clear_value(fields: Fields, *, type: ValueType) -> str:  # noqa: A002 - the name of the member
    """The member ``value``. Raises FormatError bundle.secret_in_clear, when the type is ``secret``."""
    if type is ValueType.SECRET:
        raise FormatError("bundle.secret_in_clear", "A secret stands in clear", field=fields.at("value"))
    return fields.text("value", least=0, most=MAX_VALUE)
