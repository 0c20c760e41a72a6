# SPDX-License-Identifier: Apache-2.0
"""Odd text: it is stored and returned unchanged, or refused with a code; it is never an error of ours."""

import re
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.test_access import IN_SPACE, example_of, filled, names
from tests.api.world import World

ODD = [
    "", " ", "\t\n", "nil", "undefined", "null", "../../etc/passwd", "%00", "a/b", "a\\b", "' OR 1=1 --", "<script>alert(1)</script>",
    "{{7*7}}", "${jndi:ldap://x}", "=HYPERLINK(1)", "\u202eevil", "\u0000", "\x1b[31m", "Ω≈ç√∫", "田中さん", "👩‍👩‍👧‍👦", "Z̮̞̠͙͔ͅa̘l̫g͡o", "ﷺ",
    "1e400", "-9223372036854775809", "NaN", "x" * 10_000, ": ", "Prod: Web", "\ufeff", "\u00a0", "ſ", "i̇", "𝐀", "*", "spc_" + "0" * 32,
]  # fmt: skip
"""Of the kind of the Big List of Naughty Strings."""
WRITING = [one for one in IN_SPACE if "requestBody" in one[2]]


def places(value: Any) -> list[tuple[str | int, ...]]:
    """The path of every text inside ``value``."""
    if isinstance(value, str):
        return [()]
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(name, *rest) for name, member in members for rest in places(member)]


def put(value: Any, place: tuple[str | int, ...], text: str) -> Any:
    """``value`` with ``text`` at ``place``."""
    if not place:
        return text
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = put(value[place[0]], place[1:], text)
    return copy


def send(world: World, method: str, path: str, operation: dict[str, Any], body: Any) -> None:
    """The request, which may be refused but not break."""
    answer = world.client.request(method, filled(path, "devtest"), headers={**world.as_admin(), "If-Match": '"1"'}, json=body)
    assert answer.status_code < 500, (operation["operationId"], body, answer.text)


@pytest.mark.parametrize(("method", "path", "operation"), WRITING, ids=names(WRITING))
def test_no_text_in_a_body_breaks_us(shared: World, method: str, path: str, operation: dict[str, Any]) -> None:
    """Every odd text in some field, and every field with some odd text; the slow twin tries all pairs."""
    body = example_of(operation)
    fields = places(body)
    for number in range(max(len(ODD), len(fields)) if fields else 0):
        send(shared, method, path, operation, put(body, fields[number % len(fields)], ODD[number % len(ODD)]))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "operation"), WRITING, ids=names(WRITING))
def test_no_text_in_any_field_breaks_us(shared: World, method: str, path: str, operation: dict[str, Any]) -> None:
    """Every text field of every body, each with every odd text."""
    body = example_of(operation)
    for place in places(body):
        for text in ODD:
            send(shared, method, path, operation, put(body, place, text))


@pytest.mark.parametrize(("method", "path", "operation"), IN_SPACE, ids=names(IN_SPACE))
def test_no_text_in_an_address_breaks_us(shared: World, method: str, path: str, operation: dict[str, Any]) -> None:
    """Every parameter of every path and query that is text, with odd texts."""
    described = [parameter for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    queries = [parameter["name"] for parameter in described if parameter["schema"].get("type") != "integer"]
    for text in ODD[:: 1 if queries else 3]:
        target = re.sub(r"\{\w+\}", quote(text[:300], safe="").replace("\\", "\\\\") or "-", path.replace("{space}", "devtest"))
        answer = shared.client.request(
            method,
            target,
            params=dict.fromkeys(queries, text[:300]),
            headers={**shared.as_admin(), "If-Match": '"1"'},
            json=example_of(operation),
        )
        assert answer.status_code < 500, (text, answer.text)


@pytest.mark.parametrize("text", [one for one in ODD if one.strip() == one and 0 < len(one) < 100 and one.isprintable() and ":" not in one])
def test_a_stored_text_comes_back_unchanged(world: World, text: str) -> None:
    """What is accepted as a value is returned as it came."""
    world.send("POST", "/projects", {"name": "Storefront"})
    made = world.send("POST", "/projects/storefront/variables", {"name": "Text", "value": text})
    assert made["value"] == text
    assert world.get("/projects/storefront/variables")["items"][0]["value"] == text


@pytest.mark.parametrize("number", [-1, 2**53 + 1, 2**63, 10**400, 1.5, True, None, "1"])
def test_numbers_are_bounded(shared: World, number: object) -> None:
    """No number is too large for us."""
    body = {"purpose": "carrier", "size_bytes": number, "sha256": "0" * 64}
    answer = shared.client.post(f"{shared.base}/uploads", headers=shared.as_admin(), json=body)
    assert answer.status_code < 500, answer.text
