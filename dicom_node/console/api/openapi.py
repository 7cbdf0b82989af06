"""The OpenAPI 3.1 document of the API, made of the table of its operations."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

from dicom_node.console.api.answers import Problem
from dicom_node.console.api.operations import OPERATIONS, Operation

VERSION = "1.0"  #: of the interface; a field that is added is no new one
BASE = "/api/v1"
PROBLEM_TYPE = "application/problem+json"  #: RFC 9457
SCHEMA = "#/components/schemas/{model}"
PROBLEMS = {
    400: "A parameter is not known, or its value is none.",
    401: "No token, or one that is not known, was revoked or has expired.",
    403: "The token is of a role that may not ask this.",
    404: "There is no such thing.",
    429: "Too many requests; Retry-After says how many seconds to wait.",
    503: "The database, or the storage folder, is away.",
}
DESCRIPTION = (
    "What the pages of the console show, for programs. It only reads, sets and takes no cookie, and"
    " names no patient: series and studies are named by their UIDs. Research use only."
)


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Make the document."""
    types = list(dict.fromkeys([*(operation.answer for operation in OPERATIONS), Problem]))
    references, shared = TypeAdapter.json_schemas(
        [(one.__name__, "serialization", TypeAdapter(one)) for one in types], ref_template=SCHEMA
    )
    schemas = dict(shared["$defs"])
    for one in types:  # a type of its own place may be given as it is
        schemas.setdefault(one.__name__, references[one.__name__, "serialization"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "dicom-node", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": BASE}],
        "security": [{"token": []}],
        "paths": {operation.path: {"get": _described(operation)} for operation in OPERATIONS},
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {
                f"Problem{status}": _answer(Problem.__name__, meaning, PROBLEM_TYPE)
                for status, meaning in PROBLEMS.items()
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made by `dicom-node token add NAME`.",
                }
            },
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    """Describe an operation."""
    role = f" Role: {operation.role}." if operation.role else ""
    answers: dict[str, Any] = {
        str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in PROBLEMS
    }
    answers["200"] = _answer(operation.answer.__name__, "The answer.")
    if operation.role is None:  # where no token was checked it fails for what it is about alone
        answers["503"] = _answer(operation.answer.__name__, "The node is down, or takes nothing.")
        answers["503"]["content"] |= _answer(Problem.__name__, "", PROBLEM_TYPE)["content"]
    described = {
        "operationId": operation.name,
        "summary": operation.summary + role,
        "parameters": [*_in_path(operation), *_in_query(operation)],
        "responses": dict(sorted(answers.items())),
    }
    return described if operation.role else described | {"security": [{}, {"token": []}]}


def _answer(schema: str, meaning: str, media_type: str = "application/json") -> dict[str, Any]:
    reference = {"$ref": SCHEMA.format(model=schema)}
    return {"description": meaning, "content": {media_type: {"schema": reference}}}


def _in_path(operation: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def _in_query(operation: Operation) -> list[dict[str, Any]]:
    schema = operation.query.model_json_schema()
    known = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "description": field.pop("description"),
            "schema": _inlined(field, known),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _inlined(schema: Any, known: dict[str, Any]) -> Any:  # noqa: ANN401  # any part of a JSON schema
    """Put what is referred to in its place."""
    if isinstance(schema, list):
        return [_inlined(one, known) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(known[schema["$ref"].rpartition("/")[2]], known)
    return {name: _inlined(value, known) for name, value in schema.items()}
