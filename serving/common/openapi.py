"""The OpenAPI document of an application, out of the rows that its routes are made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

if TYPE_CHECKING:
    from common.http import Operation

WITH_BODY = (400, 413, 415)
ALWAYS = (503,)
RETRY = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}


def document(operations: Sequence[Operation[Any]], title: str) -> dict[str, Any]:
    """OpenAPI 3.1, without `servers`."""
    schemas, definitions = models_json_schema(
        sorted(set(_models(operations)), key=lambda each: (each[0].__name__, each[1])),
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, Any] = {}
    for operation in operations:
        path = operation.path.replace(":path}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {"schemas": definitions["$defs"]},
    }


def _models(operations: Sequence[Operation[Any]]) -> Iterator[tuple[type[BaseModel], Any]]:
    for operation in operations:
        if operation.body is not None:
            yield operation.body, "validation"
        for answer in (operation.answer, operation.style.model, *operation.other.values()):
            yield answer, "serialization"


def _described(operation: Operation[Any], schemas: Any) -> dict[str, Any]:
    answers = {200: _answer(operation, schemas)}
    answers |= {status: _content(schemas[model, "serialization"], status) for status, model in operation.other.items()}
    refusal = schemas[operation.style.model, "serialization"]
    answers |= {status: _content(refusal, status) for status in _statuses(operation) if status not in answers}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}{operation.path}",
        "responses": {str(status): answers[status] for status in sorted(answers)},
    }
    if operation.body is not None:
        schema = schemas[operation.body, "validation"]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if "{" in operation.path:
        name = operation.path.partition("{")[2].partition("}")[0].removesuffix(":path")
        # What is empty or has a slash at its end is another path.
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        ]
    return described


def _statuses(operation: Operation[Any]) -> tuple[int, ...]:
    with_body = (*WITH_BODY, operation.style.invalid) if operation.body is not None else ()
    return (*with_body, *operation.statuses, *ALWAYS)


def _answer(operation: Operation[Any], schemas: Any) -> dict[str, Any]:
    answer = _content(schemas[operation.answer, "serialization"], 200)
    if operation.streams:
        answer["content"]["text/event-stream"] = {}  # OpenAPI 3.1 has no schema for events
    return answer


def _content(schema: Any, status: int) -> dict[str, Any]:
    described = {"description": HTTPStatus(status).phrase, "content": {"application/json": {"schema": schema}}}
    return described | ({"headers": RETRY} if status == HTTPStatus.SERVICE_UNAVAILABLE else {})
