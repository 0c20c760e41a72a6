# SPDX-License-Identifier: Apache-2.0
"""Inputs of an action against the ``inputs.json`` of its step package.

Understood is the part of JSON Schema draft-07 that step packages use: type, properties, required, additionalProperties, items, enum,
const, anyOf, minimum, maximum, minLength, maxLength, pattern, minItems, maxItems, $ref into ``definitions``; the root may be a definition
marked ``isRoot``. Other keywords are notes for people.
A text that holds a binding ``#{…}`` fits wherever one value is wanted, because it becomes one only when it is deployed; ``coerce`` then
turns the resolved text into the wanted type, and ``check`` is asked once more. Values never reach an error text.
"""

import re
from dataclasses import dataclass
from typing import Final

from waybill.domain.ids import JsonValue

BINDING: Final = "#{"
MAX_DEPTH: Final = 30
MAX_FAULTS: Final = 50

Schema = dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFault:
    """One thing that is wrong: where, as a JSON pointer into the inputs (empty for the whole), and what would be right."""

    pointer: str
    message: str
    expected: str


def check(inputs: JsonValue, schema: Schema) -> tuple[InputFault, ...]:
    """What is wrong with ``inputs``, at most ``MAX_FAULTS`` things; empty when nothing is.

    Args:
        inputs: the inputs as stored, bindings unresolved, or as resolved.
        schema: ``StepPackageManifest.inputs_schema``.
    """
    faults: list[InputFault] = []
    _Check(schema, faults).value(inputs, root_of(schema), "", 0)
    return tuple(faults[:MAX_FAULTS])


def coerce(inputs: JsonValue, schema: Schema) -> JsonValue:
    """``inputs`` with every text that stands where a number or a truth value is wanted turned into one, when it spells one exactly.

    What does not spell one stays as it is, for ``check`` to name.
    """
    return _coerce(inputs, root_of(schema), schema, 0)


def root_of(schema: Schema) -> Schema:
    """The schema of the whole inputs: the definition marked ``isRoot``, else the document itself."""
    definitions = schema.get("definitions")
    if isinstance(definitions, dict):
        for definition in definitions.values():
            if isinstance(definition, dict) and definition.get("isRoot") is True:
                return definition
    return schema


class _Check:
    def __init__(self, document: Schema, faults: list[InputFault]) -> None:
        self._document = document
        self._faults = faults

    def value(self, value: JsonValue, schema: Schema, pointer: str, depth: int) -> None:
        schema = _followed(schema, self._document)
        if depth > MAX_DEPTH:
            self._fault(pointer, "the inputs are nested too deeply", f"at most {MAX_DEPTH} levels")
            return
        if isinstance(value, str) and BINDING in value and _takes_one_value(schema):
            return
        if not self._typed(value, schema, pointer):
            return
        self._allowed(value, schema, pointer)
        if isinstance(value, str):
            self._text(value, schema, pointer)
        elif isinstance(value, dict):
            self._object(value, schema, pointer, depth)
        elif isinstance(value, list):
            self._list(value, schema, pointer, depth)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._number(value, schema, pointer)
        self._choices(value, schema, pointer, depth)

    def _typed(self, value: JsonValue, schema: Schema, pointer: str) -> bool:
        types = _types(schema)
        if not types or any(_is(value, each) for each in types):
            return True
        self._fault(pointer, "the value has the wrong type", " or ".join(types))
        return False

    def _allowed(self, value: JsonValue, schema: Schema, pointer: str) -> None:
        enum = schema.get("enum")
        if isinstance(enum, list) and not any(_same(value, each) for each in enum):
            self._fault(pointer, "the value is not one of those allowed", ", ".join(str(each) for each in enum[:20]))
        if "const" in schema and not _same(value, schema["const"]):
            self._fault(pointer, "the value is not the one allowed", str(schema["const"]))

    def _text(self, value: str, schema: Schema, pointer: str) -> None:
        least, most = _bound(schema, "minLength"), _bound(schema, "maxLength")
        if least is not None and len(value) < least:
            self._fault(pointer, "the text is too short", f"at least {least:g} characters")
        if most is not None and len(value) > most:
            self._fault(pointer, "the text is too long", f"at most {most:g} characters")
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and not _searches(pattern, value):
            self._fault(pointer, "the text does not have the required form", pattern)

    def _number(self, value: float, schema: Schema, pointer: str) -> None:
        least, most = _bound(schema, "minimum"), _bound(schema, "maximum")
        if least is not None and value < least:
            self._fault(pointer, "the number is too small", f"at least {least:g}")
        if most is not None and value > most:
            self._fault(pointer, "the number is too large", f"at most {most:g}")

    def _list(self, value: list[JsonValue], schema: Schema, pointer: str, depth: int) -> None:
        least, most = _bound(schema, "minItems"), _bound(schema, "maxItems")
        if least is not None and len(value) < least:
            self._fault(pointer, "the list is too short", f"at least {least:g} entries")
        if most is not None and len(value) > most:
            self._fault(pointer, "the list is too long", f"at most {most:g} entries")
        items = schema.get("items")
        if isinstance(items, dict):
            for at, each in enumerate(value):
                self.value(each, items, f"{pointer}/{at}", depth + 1)

    def _object(self, value: dict[str, JsonValue], schema: Schema, pointer: str, depth: int) -> None:
        required = schema.get("required")
        for name in required if isinstance(required, list) else ():
            if isinstance(name, str) and name not in value:
                self._fault(f"{pointer}/{_escaped(name)}", "the input is missing", _wanted(schema, name))
        properties = schema.get("properties")
        known = properties if isinstance(properties, dict) else {}
        others = schema.get("additionalProperties", True)
        for name, each in value.items():
            inner = known.get(name, others)
            where = f"{pointer}/{_escaped(name)}"
            if inner is False:
                self._fault(where, "there is no such input", ", ".join(known) or "no further inputs")
            elif isinstance(inner, dict):
                self.value(each, inner, where, depth + 1)

    def _choices(self, value: JsonValue, schema: Schema, pointer: str, depth: int) -> None:
        """One of ``anyOf`` must fit; the faults of the one that comes nearest are told."""
        choices = schema.get("anyOf")
        if not isinstance(choices, list):
            return
        nearest: list[InputFault] | None = None
        for choice in choices:
            if not isinstance(choice, dict):
                continue
            faults: list[InputFault] = []
            _Check(self._document, faults).value(value, choice, pointer, depth + 1)
            if not faults:
                return
            if nearest is None or len(faults) < len(nearest):
                nearest = faults
        self._faults.extend(nearest or [])

    def _fault(self, pointer: str, message: str, expected: str) -> None:
        if len(self._faults) < MAX_FAULTS:
            self._faults.append(InputFault(pointer=pointer, message=message, expected=expected[:300]))


def _coerce(value: JsonValue, schema: Schema, document: Schema, depth: int) -> JsonValue:
    schema = _followed(schema, document)
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, dict):
        properties = schema.get("properties")
        known = properties if isinstance(properties, dict) else {}
        inner = {name: known.get(name, schema.get("additionalProperties")) for name in value}
        return {name: _coerce(each, _dict(inner[name]), document, depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_coerce(each, _dict(schema.get("items")), document, depth + 1) for each in value]
    types = _types(schema)
    if not isinstance(value, str) or not types or "string" in types:
        return value
    return _spelled(value.strip(), types, value)


def _spelled(text: str, types: tuple[str, ...], otherwise: JsonValue) -> JsonValue:
    if "boolean" in types and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if ("integer" in types or "number" in types) and re.fullmatch(r"-?[0-9]{1,15}", text):
        return int(text)
    if "number" in types and re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{1,15}", text):
        return float(text)
    return otherwise


def _followed(schema: Schema, document: Schema) -> Schema:
    for _ in range(MAX_DEPTH):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        found = _dict(document.get("definitions")).get(reference.removeprefix("#/definitions/"))
        if not isinstance(found, dict):
            return {}
        schema = found
    return {}


def _takes_one_value(schema: Schema) -> bool:
    """True when the place is one that can be bound: not an object, not a list, not a choice that the form depends on."""
    if schema.get("isDiscriminator") is True or "const" in schema:
        return False
    types = _types(schema)
    if not types:
        return "properties" not in schema and "items" not in schema and "anyOf" not in schema
    return schema.get("isSensitiveValue") is True or not {"object", "array"} >= set(types)


def _types(schema: Schema) -> tuple[str, ...]:
    found = schema.get("type")
    if isinstance(found, str):
        return ("string",) if schema.get("isSensitiveValue") is True and found == "object" else (found,)
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def _is(value: JsonValue, name: str) -> bool:
    match name:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "null":
            return value is None
        case _:
            return False


def _same(left: JsonValue, right: JsonValue) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _searches(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True  # a pattern that only JavaScript knows is the executor's to check


def _bound(schema: Schema, name: str) -> float | None:
    found = schema.get(name)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def _wanted(schema: Schema, name: str) -> str:
    inner = _dict(_dict(schema.get("properties")).get(name))
    return " or ".join(_types(inner)) or "a value"


def _dict(value: JsonValue) -> Schema:
    return value if isinstance(value, dict) else {}


def _escaped(name: str) -> str:
    return name[:100].replace("~", "~0").replace("/", "~1")
