"""Connections over a real server: kept, made anew, given up, and led through a proxy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from socket import socket

import pytest

from generator.prestage.faults import Transient
from generator.prestage.transport import Ranges, Refused, Watch
from tests.standins.loopback import Reply, part
from tests.unit.test_prestage_transport import BODY, LENGTH, PIECE, SIZE, STATED, Place, read


class Seen(Watch):
    """Counts signs of life, and which connections are waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.signs = 0

    def moved(self, connection: socket, received: int = 0) -> None:
        self.signs += 1
        super().moved(connection, received)


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


@pytest.fixture
def watch() -> Seen:
    return Seen()


@pytest.fixture
def ranges(watch: Seen) -> Iterator[Ranges]:
    with closing(Ranges(watch)) as made:
        yield made


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Wires:
    """Counts the connections of a server."""

    def __init__(self, place: Place) -> None:
        self.count = 0
        accepted = place.server._server.get_request

        def counted() -> tuple[socket, object]:
            self.count += 1
            return accepted()

        place.server._server.get_request = counted  # type: ignore[method-assign]


def test_a_connection_is_kept(place: Place, ranges: Ranges) -> None:
    wires = Wires(place)
    for start in range(0, 5000, LENGTH):
        assert read(place.url, start, ranges=ranges) == BODY[start : start + LENGTH]
    assert wires.count == 1


@pytest.mark.parametrize("reply", ["200", "cut", "404"])
def test_after_a_wrong_answer_it_is_not(place: Place, ranges: Ranges, reply: str) -> None:
    wires = Wires(place)
    wrong = {"200": Reply(200, {}, BODY), "cut": Reply(206, {"Content-Range": STATED}, PIECE, cut=5)}
    place.answer = lambda asked: wrong.get(reply, Reply(404, {}, b"page"))
    try:
        assert read(place.url, ranges=ranges) == PIECE[:5]
    except (Transient, Refused):
        assert reply != "cut"
    place.answer = lambda asked: part(asked, BODY, SIZE, {})
    assert read(place.url, ranges=ranges) == PIECE
    assert wires.count == 2


def test_a_kept_connection_that_was_closed_is_made_anew(place: Place, ranges: Ranges) -> None:
    """The server gives up idle connections; the first use of one after that fails, and is no failure."""
    wires = Wires(place)
    assert read(place.url, ranges=ranges) == PIECE
    ((_, kept),) = ranges._own.kept.items()
    kept.sock.shutdown(2)
    assert read(place.url, ranges=ranges) == PIECE
    assert wires.count == 2


def test_threads_do_not_share_connections(place: Place, ranges: Ranges) -> None:
    wires, got = Wires(place), list[bytes]()
    for _ in range(3):
        thread = threading.Thread(target=lambda: got.append(read(place.url, ranges=ranges)))
        thread.start()
        thread.join()
    assert got == [PIECE] * 3 and wires.count == 3


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}], ids=["kept", "closed"])
def test_bytes_are_a_sign_of_life(place: Place, watch: Seen, ranges: Ranges, headers: dict[str, str]) -> None:
    """Also where the server ends the connection after its answer."""
    place.answer = lambda asked: part(asked, BODY, SIZE, headers)
    assert read(place.url, ranges=ranges) == PIECE
    assert watch.signs >= 2 and not watch._moved


@pytest.mark.parametrize("reply", [Reply(wait=60.0), Reply(206, {"Content-Range": STATED}, PIECE, cut=9, hang=60.0)])
def test_a_stalled_connection_is_given_up(place: Place, watch: Seen, ranges: Ranges, reply: Reply) -> None:
    assert read(place.url, ranges=ranges) == PIECE  # a connection whose own timeout is longer
    place.answer = lambda asked: reply
    ended = threading.Event()
    watch.stall = 0.2

    def looking() -> None:
        while not ended.wait(0.05):
            watch.look()

    thread = threading.Thread(target=looking)
    thread.start()
    try:
        assert read(place.url, ranges=ranges) == PIECE[:9]
    except Transient:
        assert reply.wait
    finally:
        ended.set()
        thread.join()


def test_the_end_of_the_run_ends_reading(place: Place, watch: Seen, ranges: Ranges) -> None:
    place.answer = lambda asked: Reply(wait=60.0)
    ended = list[str]()

    def reading() -> None:
        with pytest.raises(Transient):
            read(place.url, ranges=ranges)
        ended.append("read")

    thread = threading.Thread(target=reading)
    thread.start()
    while not place.asked:
        time.sleep(0.01)
    watch.close()
    thread.join(30)
    assert ended == ["read"]
    with pytest.raises(Transient):
        read(place.url, ranges=ranges)  # nor does another one begin


@pytest.mark.parametrize("form", ["{}", "{}/"])
def test_a_proxy_of_the_environment_is_asked(
    place: Place, other: Place, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", form.format(other.url))
    assert read("http://hub.invalid:8080/a%20b?c=d") == PIECE
    assert [asked.target for asked in other.asked] == ["http://hub.invalid:8080/a%20b?c=d"]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert read(place.url) == PIECE
    assert len(other.asked) == 1


def test_a_proxy_that_asks_for_a_password_gets_it(other: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As huggingface_hub's own client and curl do with this variable."""
    monkeypatch.setenv("http_proxy", other.url.replace("http://", "http://user:pa%3Ass@"))
    assert read("http://hub.invalid/a") == PIECE
    assert other.asked[0].headers.get("proxy-authorization") == "Basic dXNlcjpwYTpzcw=="


def test_tls_through_a_proxy_is_a_tunnel(other: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", other.url)
    with pytest.raises(Transient, match="501"):  # what the stand-in answers to CONNECT
        read("https://hub.invalid/a")
