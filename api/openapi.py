# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document: every operation with its id, its right, its example and every error as a problem.

``python -m api.openapi`` writes ``docs/openapi.json``; a test fails when that file and the routes differ.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import problems

DESCRIPTION: Final = (
    "Promotes releases between Spaces on separate sites and brings signed receipts home. "
    "Send an API key as `Authorization: Bearer waybill_…`. Every error is a problem document (RFC 9457) with a stable `code`. "
    "Long work answers 202 with a task. Lists are paged by `cursor`. "
    "What changes a single record needs `If-Match` with the ETag that was read. POSTs that start work take an `Idempotency-Key`."
)
VERSION: Final = "0.1.0"
"""The version of the API that the committed document describes."""
TARGET: Final = Path("docs") / "openapi.json"
_METHODS: Final = ("get", "put", "post", "delete", "patch", "options")
_PUBLIC: Final = frozenset({"site_alive", "site_ready", "problems_list", "problems_get", "session_login"})
_PROBLEM: Final = {"content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_WORDS: Final = {
    "400": "The request cannot be read",
    "401": "No caller, or credentials that are not valid",
    "403": "Not allowed, or not trusted",
    "404": "Absent, or not yours to see",
    "409": "Somebody was first, or it is not possible now",
    "412": "Changed since you read it",
    "413": "The body is over its limit",
    "422": "A value is not allowed",
    "428": "If-Match is missing",
    "429": "Too many requests",
    "503": "Something outside does not answer",
    "default": "Any other error",
}


def install(app: FastAPI) -> None:
    """``app.openapi()`` gives the document of this module."""

    def cached() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build(app)
        return app.openapi_schema

    setattr(app, "openapi", cached)  # noqa: B010  # assigning a method is how FastAPI documents it


def build(app: FastAPI) -> dict[str, Any]:
    """The document of the routes of ``app``."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes, openapi_version="3.1.0")
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schema = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key, or the key of a machine."},
        "session": {"type": "apiKey", "in": "cookie", "name": "__Host-waybill_session"},
    }
    document["components"]["responses"] = {status: {"description": words, **_PROBLEM} for status, words in _WORDS.items()}
    for path, method, operation in operations(document):
        _finish(path, method, operation)
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation, one by one."""
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield path, method, methods[method]


def _finish(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for status in _statuses(path, method, operation):
        responses.setdefault(status, {"$ref": f"#/components/responses/{status}"})
    responses["default"] = {"$ref": "#/components/responses/default"}
    if operation["operationId"] in _PUBLIC or path.startswith("/peer/"):
        operation["security"] = []
    elif path.startswith("/api/v1/machine/"):
        operation["security"] = [{"key": []}]
    else:
        operation["security"] = [{"key": []}, {"session": []}]


def _statuses(path: str, method: str, operation: dict[str, Any]) -> Iterable[str]:
    if operation["operationId"] in ("site_alive", "problems_list"):
        return ()
    statuses = {"429", "503"}
    if operation["operationId"] not in _PUBLIC and not path.startswith("/peer/"):
        statuses |= {"401"}
    if operation.get("x-permission") or path.startswith(("/peer/", "/api/v1/machine/")):
        statuses |= {"403"}
    if "{" in path:
        statuses |= {"404"}
    if operation.get("parameters") or "requestBody" in operation:
        statuses |= {"422"}
    if "requestBody" in operation:
        statuses |= {"400", "413"}
    if method != "get":
        statuses |= {"409"}
    if method in ("put", "patch", "delete") and not path.startswith("/api/v1/me"):
        statuses |= {"412", "428"}
    return sorted(statuses)


def text(document: dict[str, Any]) -> str:
    """The document as it is committed."""
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    """The document is written to ``docs/openapi.json``, or to the path given."""
    from api.app import bare_app  # the routes import this module's words, so they are needed only here

    target = Path(arguments[0]) if arguments else TARGET
    target.write_text(text(build(bare_app(version=VERSION))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
