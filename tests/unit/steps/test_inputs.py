# SPDX-License-Identifier: Apache-2.0
"""Inputs are checked against the schema of their step package, with a pointer to what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.domain.ids import JsonValue
from waybill.steps.inputs import check, coerce

SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": {"type": "string", "pattern": "^https?://", "maxLength": 40},
        "method": {"type": "string", "enum": ["GET", "POST"]},
        "status": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 100, "maximum": 599}},
        "follow": {"type": "boolean"},
        "wait": {"type": "number"},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "token": {"type": "object", "isSensitiveValue": True},
        "auth": {"$ref": "#/definitions/Auth"},
    },
    "definitions": {
        "Auth": {
            "anyOf": [
                {"type": "object", "required": ["kind", "user"], "properties": {"kind": {"const": "basic"}, "user": {"type": "string"}}},
                {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "none"}}},
            ]
        }
    },
}


@pytest.mark.parametrize(
    "inputs",
    [
        {"url": "https://a"},
        {"url": "#{Site}/ready", "method": "#{Method}", "status": ["#{Status}", 200], "follow": "#{Follow}", "wait": "#{Wait}"},
        {"url": "http://a", "status": [200], "follow": True, "wait": 0.5, "headers": {"a": "b", "c": "#{Token}"}, "token": "#{Secret}"},
        {"url": "http://a", "auth": {"kind": "basic", "user": "#{User}"}},
        {"url": "http://a", "auth": {"kind": "none"}},
    ],
)
def test_right_inputs_have_no_fault(inputs: JsonValue) -> None:
    """Values of the schema, and bindings wherever one value is wanted."""
    assert check(inputs, SCHEMA) == ()


@pytest.mark.parametrize(
    ("inputs", "pointers"),
    [
        ({}, ["/url"]),
        ([], [""]),
        ({"url": 5}, ["/url"]),
        ({"url": "ftp://a"}, ["/url"]),
        ({"url": "https://" + "a" * 40}, ["/url"]),
        ({"url": "http://a", "method": "PATCH"}, ["/method"]),
        ({"url": "http://a", "status": []}, ["/status"]),
        ({"url": "http://a", "status": "#{All}"}, ["/status"]),
        ({"url": "http://a", "status": [200, 99, 600, True, "x"]}, ["/status/1", "/status/2", "/status/3", "/status/4"]),
        ({"url": "http://a", "follow": 1, "wait": True}, ["/follow", "/wait"]),
        ({"url": "http://a", "headers": {"a/b~c": 1}}, ["/headers/a~1b~0c"]),
        ({"url": "http://a", "colour": "blue"}, ["/colour"]),
        ({"url": "http://a", "auth": {"kind": "basic"}}, ["/auth/user"]),
        ({"url": "http://a", "auth": {"kind": "#{Kind}"}}, ["/auth/kind"]),
    ],
)
def test_wrong_inputs_are_named(inputs: JsonValue, pointers: list[str]) -> None:
    """Each fault has the pointer of the value, and not the value."""
    faults = check(inputs, SCHEMA)
    assert [fault.pointer for fault in faults] == pointers
    assert "blue" not in repr(faults)


def test_the_root_may_be_a_marked_definition() -> None:
    """As Octopus builds it: the definition with isRoot is the schema, whatever stands at the top."""
    schema: dict[str, JsonValue] = {
        "definitions": {"Inputs": {"isRoot": True, "type": "object", "required": ["name"]}, "Other": {"type": "string"}}
    }
    assert [fault.pointer for fault in check({}, schema)] == ["/name"]


def test_resolved_bindings_take_the_wanted_type() -> None:
    """Exact spellings become numbers and truth values; anything else stays for the check to name."""
    inputs: dict[str, JsonValue] = {"url": "1", "status": ["200", "2e2"], "follow": " TRUE ", "wait": "-0.5", "headers": {"a": "1"}}
    assert coerce(inputs, SCHEMA) == {"url": "1", "status": [200, "2e2"], "follow": True, "wait": -0.5, "headers": {"a": "1"}}


_JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("#{X}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["url", "auth", "kind", "status", "x"]), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON, st.dictionaries(st.sampled_from(["type", "properties", "items", "anyOf", "$ref", "enum", "required", "minimum"]), _JSON))
def test_no_value_and_no_schema_raise(inputs: JsonValue, schema: dict[str, JsonValue]) -> None:
    """Checking ends and never raises, also for schemas that are nonsense or refer to themselves."""
    check(inputs, schema)
    check(inputs, SCHEMA)
    looping: dict[str, JsonValue] = {"$ref": "#/definitions/A", "definitions": {"A": {"$ref": "#/definitions/A"}}}
    assert check(coerce(inputs, looping), looping) == ()
