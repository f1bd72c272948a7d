"""Bodies, faults and the document, with operations of the test's own."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from common.errors import Overloaded, PromptRefused, Unavailable
from common.http import MOST, Fault, Operation, Problem, Strict, application
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.requests import Request

from tests.serving.asgi import Answer, ask


class Body(Strict):
    text: str
    size: int | None = None
    share: float | list[int] = 0


class Said(BaseModel):
    said: str


class Gone(Exception):
    pass


class Carried(PromptRefused):
    """As Ray makes one of an error in another process."""

    cause = PromptRefused("too long")


ERRORS: Mapping[str, Exception] = {
    "refused": PromptRefused("no such thing"),
    "carried": Carried("Traceback (most recent call last): ..."),
    "full": Overloaded("40 requests wait already", 7),
    "down": Unavailable("the engine is closed"),
    "gone": Gone("an actor"),
    "known": Problem(409, Fault(("text",), "is taken"), headers={"X-Why": "taken"}),
    "bug": KeyError("secret"),
}


async def say(_: Request, body: Body) -> Said:
    if body.text in ERRORS:
        raise ERRORS[body.text]
    return Said(said=body.text)


async def hello(_: Request, __: None) -> Said:
    return Said(said="hello")


OPERATIONS: list[Operation[Any]] = [
    Operation("POST", "/", say, Said, "Say it", Body, statuses=(409,)),
    Operation("GET", "/hello/{name:path}", hello, Said, "Hello"),
]
APP = application(OPERATIONS, title="Test", unavailable=(Gone,))


def post(body: object = None, **options: Any) -> Answer:
    return ask(APP, "POST", "/", body, **options)


def test_an_answer() -> None:
    answer = post({"text": "a"})
    assert (answer.status, answer.json) == (200, {"said": "a"})
    assert answer.headers["content-type"] == "application/json"


def test_a_body_in_pieces() -> None:
    assert post(raw=[b'{"te', b'xt": "a', b'"}']).json == {"said": "a"}


@pytest.mark.parametrize("path", ["", "/"])
def test_the_route_with_and_without_slash(path: str) -> None:
    assert ask(APP, "POST", path, {"text": "a"}, root="/route").status == 200


@pytest.mark.parametrize(
    ("raw", "status", "where"),
    [
        (b"", 400, ["body"]),
        (b"{", 400, ["body"]),
        (b"\xff\xfe", 400, ["body"]),
        (b'{"text": "\xff"}', 400, ["body"]),
        (b"[" * 100_000, 400, ["body"]),
        (b'{"text": ' * 100_000, 400, ["body"]),
        (b'{"text": "\\ud800"}', 400, ["body"]),
        (b'{"text": "a", "size": ' + b"9" * 5000 + b"}", 400, ["body"]),
        (b"[]", 422, ["body"]),
        (b"{}", 422, ["body", "text"]),
        (b'{"text": 1}', 422, ["body", "text"]),
        (b'{"text": null}', 422, ["body", "text"]),
        (b'{"text": "a", "size": true}', 422, ["body", "size"]),
        (b'{"text": "a", "size": 1.5}', 422, ["body", "size"]),
        (b'{"text": "a", "share": NaN}', 422, ["body", "share"]),
        (b'{"text": "a", "share": 1e400}', 422, ["body", "share"]),
        (b'{"text": "a", "share": [1, "b"]}', 422, ["body", "share"]),
        (b'{"text": "a", "other": 1}', 422, ["body", "other"]),
        (b'{"text": "a", "str": 1}', 422, ["body", "str"]),
        (b'{"text": "a", "' + b"x" * 5000 + b'": 1}', 422, ["body", "x" * 100]),
    ],
    ids=range(20),
)
def test_malformed_bodies(raw: bytes, status: int, where: list[str]) -> None:
    answer = post(raw=[raw])
    assert (answer.status, answer.json["detail"][0]["loc"]) == (status, where)
    assert len(answer.body) < 2000


def test_more_faults_than_anybody_reads() -> None:
    answer = post({f"{n}": 0 for n in range(100)})
    assert len(answer.json["detail"]) == 10
    answer = post({f"{n}": 0 for n in range(2000)})
    assert answer.json["detail"] == [{"loc": ["body"], "msg": "2001 faults in the body"}]


@given(st.binary(max_size=50) | st.text().map(lambda text: f'{{"text": "{text}"}}'.encode("utf-8", "surrogatepass")))
def test_no_body_is_a_fault_of_the_server(raw: bytes) -> None:
    assert post(raw=[raw]).status in (200, 400, 422)


def chunks(size: int) -> Iterable[bytes]:
    return (b" " * 2**20 for _ in range(size // 2**20))


def test_a_body_that_is_too_long() -> None:
    assert post(raw=[*chunks(MOST - 2**20), b'{"text": "a"}']).status == 200
    answer = post(raw=chunks(64 * 2**20))
    assert (answer.status, answer.json["detail"][0]["msg"]) == (413, f"the body has more than {MOST} bytes")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"content-type": "Application/JSON; charset=utf-8"}, 200),
        ({"content-type": "application/vnd.x+json"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_types_of_bodies(headers: Mapping[str, str], status: int) -> None:
    assert post({"text": "a"}, headers=headers).status == status


@pytest.mark.parametrize(
    ("text", "status", "detail", "headers"),
    [
        ("refused", 422, {"loc": ["body"], "msg": "no such thing"}, {}),
        ("carried", 422, {"loc": ["body"], "msg": "too long"}, {}),
        ("full", 503, {"loc": [], "msg": "40 requests wait already"}, {"retry-after": "7"}),
        ("down", 503, {"loc": [], "msg": "the engine is closed"}, {"retry-after": "1"}),
        ("gone", 503, {"loc": [], "msg": "no replica can answer now"}, {"retry-after": "1"}),
        ("known", 409, {"loc": ["text"], "msg": "is taken"}, {"x-why": "taken"}),
        ("bug", 500, {"loc": [], "msg": "the request failed"}, {}),
    ],
)
def test_errors(text: str, status: int, detail: object, headers: Mapping[str, str]) -> None:
    answer = post({"text": text})
    assert (answer.status, answer.json) == (status, {"detail": [detail]})
    assert headers.items() <= answer.headers.items()


@pytest.mark.parametrize("error", [PromptRefused("why"), Overloaded("full", 7), Unavailable("down")])
def test_refusals_survive_the_way_between_processes(error: Exception) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301  our own
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_unknown_paths_and_methods() -> None:
    assert ask(APP, "GET", "/nothing").json == {"detail": [{"loc": [], "msg": "Not Found"}]}
    assert ask(APP, "GET", "/nothing").status == 404
    answer = ask(APP, "GET", "/")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_the_document() -> None:
    document = ask(APP, "GET", "/openapi.json", root="/route").json
    assert document["servers"] == [{"url": "/route"}]
    assert set(document["paths"]) == {"/", "/hello/{name}"}
    described = document["paths"]["/"]["post"]
    assert set(described["responses"]) == {"200", "400", "409", "413", "415", "422", "503"}
    assert described["responses"]["503"]["headers"]["Retry-After"]["schema"] == {"type": "integer"}
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    body = document["components"]["schemas"][schema["$ref"].removeprefix("#/components/schemas/")]
    assert (body["required"], body["additionalProperties"]) == (["text"], False)
