"""Ray's dashboard over HTTP, with a real server that answers as it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from generator.develop import rest
from generator.develop.rest import Dashboard, NotFoundError
from generator.errors import UserError
from tests.unit import developing
from tests.unit.developing import Reply, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with developing.server() as found:
        yield found


def guarded(headers: Mapping[str, str]) -> Reply:
    """As Ray 2.60 does with token authentication."""
    match headers.get("Authorization"):
        case None:
            return 401, b"Unauthorized: Missing authentication token"
        case "Bearer sesame":
            return 200, b'{"applications": {}}'
        case _:
            return 403, b"Forbidden: Invalid authentication token"


@pytest.mark.parametrize(("token", "words"), [("", "asks for a token"), ("sess-me", "refuses the token")])
def test_a_token_that_is_missing_or_wrong(server: Server, token: str, words: str) -> None:
    server.replies["GET /api"] = guarded
    with pytest.raises(UserError) as caught:
        Dashboard(lambda: server.url, token).get("/api")
    (fault,) = caught.value.diagnostics
    assert words in fault.message and fault.hint == rest.TOKEN_HINT
    assert "sess-me" not in repr(Dashboard(lambda: server.url, token))


def test_a_token_that_opens(server: Server) -> None:
    server.replies["GET /api"] = guarded
    assert Dashboard(lambda: server.url, "sesame").get("/api") == {"applications": {}}


def test_what_is_sent(server: Server) -> None:
    server.replies |= {"POST /jobs": (200, b"{}"), "PUT /zip": (200, b"")}
    dashboard = Dashboard(lambda: server.url)
    assert dashboard.post("/jobs", {"a": 1}) == {}
    assert dashboard.ask("PUT", "/zip", b"\0\1") == b""
    assert server.asked == [("POST /jobs", b'{"a": 1}'), ("PUT /zip", b"\0\1")]


def test_what_is_not_there(server: Server) -> None:
    with pytest.raises(NotFoundError):
        Dashboard(lambda: server.url).get("/api")


def test_other_refusals(server: Server) -> None:
    server.replies["GET /api"] = (503, b"The GCS may\n  be down")
    with pytest.raises(UserError, match="answers HTTP 503: The GCS may be down"):
        Dashboard(lambda: server.url).get("/api")


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://nobody.invalid:8265", "http://[x"])
def test_nobody_answers(address: str) -> None:
    with pytest.raises(UserError, match="no answer from") as caught:
        Dashboard(lambda: address).get("/api")
    assert "port 8265" in caught.value.diagnostics[0].hint


def test_where_the_token_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert rest.token({}) == ""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("home\n")
    assert rest.token({}) == "home"
    (tmp_path / "file").write_text(" named ")
    named = {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "file")}
    assert rest.token(named) == "named"
    assert rest.token({**named, "RAY_AUTH_TOKEN": "given"}) == "given"
    with pytest.raises(UserError, match="names no file"):
        rest.token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "nothing")})
    with pytest.raises(UserError, match="cannot be read"):
        rest.token({"RAY_AUTH_TOKEN_PATH": str(tmp_path)})
