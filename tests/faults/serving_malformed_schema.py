"""What schemathesis makes of the OpenAPI document of the application: what it allows, and what it forbids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.faults.serving_cluster import fetch
from tests.faults.serving_load import Measured, kind_of

TOO_LONG = 413
SHORT = 4  # tokens: what is allowed is answered, and that takes its time
SHAPE = response_schema_conformance
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    SHAPE,
    negative_data_rejection,
]


def documented(found: Measured, base: str, count: int, number: int, patience: float) -> None:
    """`count` requests by the document, and what schemathesis finds wrong with their answers."""
    target = found.count + count
    described = json.loads(fetch(f"{base}/openapi.json")[1])
    described.pop("servers", None)
    cases = st.one_of(list(_cases(schemathesis.openapi.from_dict(described))))
    session = requests.Session()

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def each(case: Any) -> None:
        if found.count < target:
            _judge(found, case, base, session, patience)

    with session:
        each()


def _cases(schema: Any) -> Iterator[st.SearchStrategy[Any]]:
    for result in schema.get_all_operations():
        operation = result.ok()
        yield operation.as_strategy(generation_mode=GenerationMode.POSITIVE).map(_short)
        if operation.body:  # the others have nothing that could be wrong
            yield operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


def _short(case: Any) -> Any:
    if isinstance(case.body, dict) and ("prompt" in case.body or "messages" in case.body):
        case.body["max_tokens"] = SHORT
        case.body.pop("max_completion_tokens", None)
    return case


def _judge(found: Measured, case: Any, base: str, session: requests.Session, patience: float) -> None:
    found.count += 1
    shown = f"{case.method} {case.formatted_path} {str(case.body)[:300]!r}"
    try:
        answer = case.call(base_url=base, session=session, timeout=patience)
    except requests.RequestException as error:
        found.notes[f"schema: {type(error).__name__}"] += 1
        found.wrong.append(f"{error!r} to {shown}")
        return
    found.notes[f"schema: {kind_of(answer.status_code, {name.lower(): '' for name in answer.headers})}"] += 1
    streamed = "text/event-stream" in answer.headers.get("content-type", [""])[0]
    try:
        # A schema of a stream is that of its text, and schemathesis takes it for that of an event (OpenAPI 3.2).
        case.validate_response(answer, checks=[each for each in CHECKS if not (streamed and each is SHAPE)])
    except* Exception as group:
        for fault in group.exceptions:
            if isinstance(fault, AcceptedNegativeData) and answer.status_code == TOO_LONG:
                continue  # a refusal, too, which schemathesis does not know as one
            found.wrong.append(f"{type(fault).__name__} {answer.status_code} to {shown}: {str(fault)[:400]}")
