# SPDX-License-Identifier: Apache-2.0
"""The documentation of the API: committed, complete, true."""

import json
from pathlib import Path

from api import openapi
from api.app import bare_app
from tests.api.test_access import DOCUMENT, OPERATIONS
from tests.api.world import World

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
SECRET_WORDS = ("sealed", "wrapped", "password_hash", "token_sha256", "key_sha256", "private")


def test_the_committed_document_is_the_current_one() -> None:
    """``python -m api.openapi`` was run after the last change."""
    assert COMMITTED.read_text(encoding="utf-8") == openapi.text(openapi.build(bare_app(version=openapi.VERSION)))


def test_every_operation_is_described() -> None:
    """An id of its own, a tag, words, and problems as errors."""
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(ids) == len(set(ids))
    for _, path, operation in OPERATIONS:
        assert operation["tags"], path
        assert operation["description"], path
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/default"}, path
        assert "security" in operation, path


def test_every_error_is_a_problem() -> None:
    """The shared error answers have the one media type and the one schema."""
    for answer in DOCUMENT["components"]["responses"].values():
        assert answer["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_every_request_model_has_an_example_or_is_small() -> None:
    """A body with more than two fields shows how it is meant."""
    schemas = DOCUMENT["components"]["schemas"]
    for _, path, operation in OPERATIONS:
        reference = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
        if reference:
            schema = schemas[reference.rsplit("/", 1)[1]]
            assert schema.get("additionalProperties") is False, path
            assert "examples" in schema or len(schema["properties"]) <= 3, path


def test_no_answer_has_a_field_for_a_secret() -> None:
    """Secrets are write-only: no model of an answer names a hash, a wrapped key or a sealed value."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field in schema.get("properties", {}):
            assert not any(word in field for word in SECRET_WORDS), (name, field)
            assert field != "token" or name in ("KeyCreated", "MachineCreated"), name


def test_work_is_accepted_with_a_place_to_look(world: World) -> None:
    """Operations that answer 202 take an Idempotency-Key."""
    accepted = [operation for _, _, operation in OPERATIONS if "202" in operation["responses"]]
    assert len(accepted) >= 8
    for operation in accepted:
        assert "idempotency-key" in {parameter["name"] for parameter in operation["parameters"]}, operation["operationId"]


def test_changes_of_one_record_take_a_revision() -> None:
    """Every PUT, PATCH and DELETE documents If-Match, except the one on the caller's own password."""
    for method, path, operation in OPERATIONS:
        if method in ("PUT", "PATCH", "DELETE") and path != "/api/v1/me/password":
            assert "if-match" in {parameter["name"] for parameter in operation["parameters"]}, path


def test_the_known_get_the_document(world: World) -> None:
    """The site serves its own document to those who are signed in."""
    answer = world.client.get("/api/v1/openapi.json", headers=world.as_admin())
    assert answer.json() == json.loads(openapi.text(openapi.build(world.app)))
    assert answer.json()["openapi"] == "3.1.0"
