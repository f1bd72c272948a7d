"""Which application is asked, and whether it is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from generator.develop import asked
from generator.errors import UserError
from tests.unit import developing
from tests.unit.developing import Server

TINY = {"name": "tiny", "route_prefix": "/chat"}
WORDS = {"name": "words", "route_prefix": "/"}


@pytest.fixture
def server() -> Iterator[Server]:
    with developing.server() as found:
        yield found


def test_the_only_one_or_the_named_one() -> None:
    assert asked.chosen([TINY], None, "chat") == TINY
    assert asked.chosen([TINY, WORDS], "words", "chat") == WORDS


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (None, "service `chat` has 2 applications", "name one: --application tiny (of tiny, words)"),
        ("word", "service `chat` has no application `word`", "did you mean `words`?"),
    ],
)
def test_none_of_them(name: str | None, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        asked.chosen([TINY, WORDS], name, "chat")
    (fault,) = caught.value.diagnostics
    assert (fault.message, fault.hint) == (message, hint)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://models.example.com/", "https://models.example.com"),
    ],
)
def test_base(given: str, expected: str) -> None:
    assert asked.base(given) == expected


def test_no_address() -> None:
    with pytest.raises(UserError, match="is no address"):
        asked.base("file:///etc/passwd")


@pytest.mark.parametrize(
    "routes",
    [(200, b'{"/chat": "tiny"}'), (404, b"the proxy in front"), (200, b"<html>"), (200, b"[]")],
    ids=["served", "hidden", "a page", "a list"],
)
def test_an_application_that_may_be_there(server: Server, routes: tuple[int, bytes]) -> None:
    server.replies["GET /-/routes"] = routes
    assert asked.check(server.url, TINY, "hint") == f"{server.url}/chat"


@pytest.mark.parametrize(("routes", "there"), [(b'{"/x": "x", "/b": "y"}', "/b, /x"), (b"{}", "nothing")])
def test_something_else_is_there(server: Server, routes: bytes, there: str) -> None:
    server.replies["GET /-/routes"] = (200, routes)
    with pytest.raises(UserError, match="serves no application at /chat") as caught:
        asked.check(server.url, TINY, "go away")
    assert caught.value.diagnostics[0].hint == f"{there} is served there; go away"


def test_the_route_is_that_of_another_service(server: Server) -> None:
    server.replies["GET /-/routes"] = (200, b'{"/chat": "large"}')
    with pytest.raises(UserError, match="serves `large` at /chat, not `tiny`") as caught:
        asked.check(server.url, TINY, "serve it")
    assert caught.value.diagnostics[0].hint == "another service has this route there; serve it"


def test_nothing_is_there() -> None:
    with pytest.raises(UserError, match="nothing answers at http://127") as caught:
        asked.check("http://127.0.0.1:1", TINY, "start it")
    assert caught.value.diagnostics[0].hint == "start it"
