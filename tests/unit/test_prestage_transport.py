"""Ranges over a real server: every answer that is not the range is refused, and connections are kept and given up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.prestage.exits import PrestageExit
from generator.prestage.faults import Transient
from generator.prestage.transport import Origin, Ranges, Refused, Watch, origin, retry_after
from tests.standins.loopback import Asked, Loopback, Reply, part

BODY = bytes(range(256)) * 40
SIZE = len(BODY)
HEADERS = {"Authorization": "Bearer secret", "User-Agent": "modelyard/0"}
FIRST, LENGTH = 100, 1000
STATED = f"bytes {FIRST}-{FIRST + LENGTH - 1}/{SIZE}"
PIECE = BODY[FIRST : FIRST + LENGTH]


class Place:
    """A server whose answer a test sets."""

    def __init__(self, name: str) -> None:
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Reply] = lambda asked: part(asked, BODY, SIZE, {})
        self.server = Loopback(name, lambda asked: self.answer(asked), self.asked)
        self.url = self.server.url


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place("one")
    with made.server:
        yield made


@pytest.fixture
def other() -> Iterator[Place]:
    made = Place("two")
    with made.server:
        yield made


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def read(url: str, start: int = FIRST, length: int = LENGTH, *, ranges: Ranges | None = None) -> bytes:
    """What one answer gave."""
    buffer = bytearray(length)
    with nullcontext(ranges) if ranges else closing(Ranges(Watch())) as asking:
        got = asking.read(url, HEADERS, start, memoryview(buffer), SIZE)
    return bytes(buffer[:got])


def said(status: int = 206, body: bytes = PIECE, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"Content-Range": STATED, **named} if status == 206 else named, body)


def test_a_range_is_read(place: Place) -> None:
    assert read(place.url) == PIECE
    assert place.asked[0].headers["range"] == f"bytes={FIRST}-{FIRST + LENGTH - 1}"
    assert place.asked[0].headers["accept-encoding"] == "identity"
    assert place.asked[0].token == "secret"


def test_all_of_a_file_may_come_without_a_range(place: Place) -> None:
    place.answer = lambda asked: Reply(200, {}, BODY)
    assert read(place.url, 0, SIZE) == BODY


REFUSED: Mapping[str, tuple[Reply, PrestageExit, str]] = {
    "busy": (said(429, b""), PrestageExit.TRANSIENT, "429"),
    "timeout": (said(408, b""), PrestageExit.TRANSIENT, "408"),
    "broken": (said(500, b""), PrestageExit.TRANSIENT, "500"),
    "cloudflare": (said(524, b""), PrestageExit.TRANSIENT, "524"),
    "shorter": (said(416, b""), PrestageExit.INTEGRITY, "no byte 100"),
    "encoded": (said(Content_Encoding="gzip"), PrestageExit.INTEGRITY, "gzip"),
    "whole": (Reply(200, {}, BODY), PrestageExit.TRANSIENT, "200 to a range"),
    "page": (Reply(200, {"Content-Type": "text/html"}, b"<html>"), PrestageExit.TRANSIENT, "200 to a range"),
    "no range": (Reply(206, {}, PIECE), PrestageExit.INTEGRITY, "no Content-Range"),
    "elsewhere": (said(Content_Range=f"bytes 101-1100/{SIZE}"), PrestageExit.INTEGRITY, "101-1100"),
    "shortened": (said(Content_Range=f"bytes 100-1098/{SIZE}"), PrestageExit.INTEGRITY, "100-1098"),
    "another size": (said(Content_Range="bytes 100-1099/9"), PrestageExit.INTEGRITY, "has 9 bytes"),
    "no number": (said(Content_Range="bytes 100-1099/x"), PrestageExit.INTEGRITY, "100-1099"),
    "garbage": (said(Content_Range="none"), PrestageExit.INTEGRITY, "none"),
    "too little": (said(body=PIECE[:-1]), PrestageExit.INTEGRITY, "999 bytes"),
    "too much": (said(body=PIECE + b"x"), PrestageExit.INTEGRITY, "1001 bytes"),
    "reset": (Reply(reset=True), PrestageExit.TRANSIENT, "127.0.0.1"),
    "loop": (Reply(302, {"Location": "/again"}), PrestageExit.TRANSIENT, "redirects more than 5"),
    "nowhere": (Reply(302, {"Location": "ftp://127.0.0.1/x"}), PrestageExit.TRANSIENT, "none of HTTP"),
    "no port": (Reply(302, {"Location": "http://127.0.0.1:x/"}), PrestageExit.TRANSIENT, "none of HTTP"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_answers_that_are_not_the_range(place: Place, name: str) -> None:
    reply, exit, named = REFUSED[name]
    place.answer = lambda asked: reply
    with pytest.raises(Transient) as caught:
        read(place.url)
    assert caught.value.exit is exit and named in caught.value.reason
    place.answer = lambda asked: part(asked, BODY, SIZE, {})
    assert read(place.url) == PIECE


def test_a_size_may_be_unknown(place: Place) -> None:
    """RFC 9110, 14.4: `*` where the server does not know."""
    place.answer = lambda asked: said(Content_Range="bytes 100-1099/*")
    assert read(place.url) == PIECE


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 410, 451])
def test_what_the_caller_has_to_judge(place: Place, status: int) -> None:
    place.answer = lambda asked: Reply(status)
    with pytest.raises(Refused) as caught:
        read(place.url)
    assert caught.value.status == status


@pytest.mark.parametrize("fault", [{}, {"reset": True}])
def test_what_came_before_the_line_broke_is_kept(place: Place, fault: dict[str, bool]) -> None:
    place.answer = lambda asked: Reply(206, {"Content-Range": STATED}, PIECE, cut=300, **fault)
    try:
        got = read(place.url)
    except Transient:
        assert fault  # a reset may overtake the bytes before it
    else:
        assert got == PIECE[: len(got)] and len(got) <= 300


def test_nothing_is_sent_to_a_server_that_is_gone(place: Place) -> None:
    with Loopback("gone", place.answer, []) as server:
        url = server.url
    with pytest.raises(Transient, match=r"127\.0\.0\.1"):
        read(url)


def test_redirects_are_followed_without_credentials(place: Place, other: Place) -> None:
    place.answer = lambda asked: Reply(307, {"Location": f"{other.url}/x?signed=1"})
    assert read(place.url) == PIECE
    (asked,) = other.asked
    assert asked.token is None and asked.query == {"signed": "1"}
    assert asked.headers["range"] == place.asked[0].headers["range"]


def test_a_redirect_inside_keeps_credentials(place: Place) -> None:
    place.answer = lambda asked: (
        part(asked, BODY, SIZE, {}) if asked.path == "/new" else Reply(301, {"Location": "/new"})
    )
    assert read(f"{place.url}/old") == PIECE
    assert [asked.token for asked in place.asked] == ["secret", "secret"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a/x", Origin("http", "a", 80)),
        ("https://A.example:8443/x", Origin("https", "a.example", 8443)),
        ("HTTPS://a", Origin("https", "a", 443)),
    ],
)
def test_origin(url: str, expected: Origin) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("0", 0, 0),
        ("12", 12, 12),
        ("1.5", 1.5, 1.5),
        ("-3", 0, 0),
        pytest.param(formatdate(time.time() + 86_400, usegmt=True), 80_000, 86_400, id="tomorrow"),
        (formatdate(0, usegmt=True), 0, 0),
    ],
)
def test_retry_after(value: str, least: float, most: float) -> None:
    found = retry_after(value)
    assert found is not None and least <= found <= most


DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(("Mon", "x")),
    st.integers(0, 40),
    st.sampled_from(("Jan", "Dec", "Foo")),
    st.integers(0, 12_000),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(("GMT", "-0000", "+9999", "+2359", "-2359", "", "EST")),
)


@given(st.text(max_size=12) | DATES)
def test_no_retry_after_is_a_fault(value: str) -> None:
    found = retry_after(value)
    assert found is None or found >= 0


@pytest.mark.parametrize("value", [None, "", "soon", "nan?"])
def test_no_retry_after(value: str | None) -> None:
    assert retry_after(value) is None
