"""Each fault of the Hub reaches a real client as what it is."""

from __future__ import annotations

import gzip
import http.client
import random
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError

from tests.standins.faultplan import FaultPlan
from tests.standins.hub import HubStandIn
from tests.standins.hubfaults import CORRUPTIONS, FAULTS, IN_HEADERS, HubFaults, Swap, fitting, thing
from tests.standins.loopback import Asked, Reply

REPO = "org/tiny"
SMALL, LARGE = b'{"hidden_size": 8}', random.Random(1).randbytes(200_000)
TIMEOUT = 5.0


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as server:
        server.add(REPO, {"config.json": SMALL, "a.safetensors": LARGE, "b.safetensors": LARGE[::-1]})
        yield server


def play(hub: HubStandIn, kind: str, *, drip: float | None = None) -> None:
    """Every GET and HEAD meets this fault; `drip` shortens its time."""

    def intercept(asked: Asked) -> Reply:
        made = {**FAULTS, **CORRUPTIONS}[kind](asked, hub.right(asked), random.Random(1))
        return made if drip is None else replace(made, drip=drip)

    hub.intercept = intercept


def get(hub: HubStandIn, path: str = "a.safetensors", wanted: str = "") -> tuple[http.client.HTTPResponse, bytes]:
    """The content as plain HTTP gives it, from the CDN for large files."""
    blob = hub.repositories[REPO].commits[hub.repositories[REPO].refs["main"]][path]
    url = f"{hub.cdn_url}/{blob.sha256}" if blob.lfs else f"{hub.url}/{REPO}/resolve/main/{path}"
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
    connection.request("GET", urlsplit(url).path, headers={"Range": wanted} if wanted else {})
    response = connection.getresponse()
    try:
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("kind", ["408", "429", "429 without a time", "500", "502", "503", "504", "page with 502"])
def test_refusals(hub: HubStandIn, kind: str) -> None:
    play(hub, kind)
    with pytest.raises(HfHubHTTPError) as caught:
        HfApi(endpoint=hub.url, token=False).model_info(REPO)
    assert str(caught.value.response.status_code) in kind
    assert (caught.value.response.headers.get("Retry-After") == "1") == (kind in ("429", "503"))


@pytest.mark.parametrize("kind", ["reset", "reset midway"])
def test_resets_are_hard(hub: HubStandIn, kind: str) -> None:
    play(hub, kind)
    with pytest.raises(ConnectionResetError):
        get(hub)


@pytest.mark.parametrize("kind", ["stall", "stall midway"])
def test_stalls_end_when_the_server_does(hub: HubStandIn, kind: str) -> None:
    play(hub, kind)
    url = urlsplit(hub.cdn_url)
    blob = hub.repositories[REPO].commits[hub.repositories[REPO].refs["main"]]["a.safetensors"]
    with socket.create_connection((url.hostname, url.port), timeout=0.3) as line:
        line.sendall(f"GET /{blob.sha256} HTTP/1.1\r\nHost: cdn\r\n\r\n".encode())
        got = 0
        with pytest.raises(TimeoutError):
            while chunk := line.recv(65536):
                got += len(chunk)
    assert (got > 0) == (kind == "stall midway")
    assert got < len(LARGE)


def test_short_read(hub: HubStandIn) -> None:
    play(hub, "short read")
    with pytest.raises(http.client.IncompleteRead):
        get(hub)


def test_drip(hub: HubStandIn) -> None:
    play(hub, "drip", drip=0.001)
    assert get(hub, "config.json")[1] == SMALL


def test_a_range_that_is_none(hub: HubStandIn) -> None:
    play(hub, "200 for a range")
    response, body = get(hub, wanted="bytes=10-19")
    assert (response.status, body, response.headers["Content-Range"]) == (200, LARGE, None)


def test_another_range(hub: HubStandIn) -> None:
    play(hub, "another range")
    response, body = get(hub, wanted="bytes=1000-1999")
    start = int(response.headers["Content-Range"].removeprefix("bytes ").partition("-")[0])
    assert response.status == 206
    assert 0 <= start < 1000
    assert body == LARGE[start : start + 1000]


def test_redirect_loop(hub: HubStandIn, tmp_path: Path) -> None:
    play(hub, "redirect loop")
    with pytest.raises(Exception, match="redirect"):
        hf_hub_download(REPO, "config.json", endpoint=hub.url, cache_dir=tmp_path, token=False)


def test_a_page_with_200_is_no_answer(hub: HubStandIn) -> None:
    play(hub, "page with 200")
    with pytest.raises(ValueError):
        HfApi(endpoint=hub.url, token=False).model_info(REPO)
    assert get_hf_file_metadata(hf_hub_url(REPO, "config.json", endpoint=hub.url), token=False).commit_hash is None


def test_gzip(hub: HubStandIn) -> None:
    play(hub, "gzip")
    response, body = get(hub)
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == LARGE


@pytest.mark.parametrize("kind", sorted(CORRUPTIONS.keys() - IN_HEADERS - {"cut", "overrun", "gzip"}))
def test_corruptions_change_the_body_and_nothing_else(hub: HubStandIn, kind: str) -> None:
    play(hub, kind)
    response, body = get(hub)
    assert response.status == 200
    assert "Content-Encoding" not in response.headers
    assert body != LARGE
    assert int(response.headers["Content-Length"]) == len(body)
    match kind:
        case "bit flip":
            assert sum(bin(a ^ b).count("1") for a, b in zip(body, LARGE, strict=True)) == 1
        case "truncated":
            assert LARGE.startswith(body)
        case "extended":
            assert body.startswith(LARGE)
        case "compressed":
            assert gzip.decompress(body) == LARGE


def test_lengths_that_do_not_fit(hub: HubStandIn) -> None:
    play(hub, "overrun")
    assert get(hub)[1] == LARGE  # as http.client stops at Content-Length
    play(hub, "cut")
    with pytest.raises(http.client.IncompleteRead):
        get(hub)


@pytest.mark.parametrize(("path", "size"), [("config.json", 40), ("a.safetensors", 64)])
def test_wrong_headers(hub: HubStandIn, path: str, size: int) -> None:
    url = hf_hub_url(REPO, path, endpoint=hub.url)
    right = get_hf_file_metadata(url, token=False)
    play(hub, "wrong etag")
    wrong = get_hf_file_metadata(url, token=False)
    assert (len(wrong.etag or ""), wrong.commit_hash, wrong.size) == (size, right.commit_hash, right.size)
    assert wrong.etag != right.etag
    play(hub, "wrong commit")
    wrong = get_hf_file_metadata(url, token=False)
    assert (len(wrong.commit_hash or ""), wrong.etag) == (40, right.etag)
    assert wrong.commit_hash != right.commit_hash


@pytest.mark.parametrize("pair", [("a.safetensors", "b.safetensors"), ("config.json", "b.safetensors")])
def test_swapped_files(hub: HubStandIn, pair: tuple[str, str]) -> None:
    contents = {path: get(hub, path)[1] for path in pair}
    hub.intercept = Swap(hub, REPO, *pair)
    for path, other in (pair, reversed(pair)):
        response, body = get(hub, path)
        assert body == contents[other]
        assert int(response.headers["Content-Length"]) == len(body)
    assert get(hub, "a.safetensors", "bytes=0-9")[1] in (LARGE[:10], LARGE[::-1][:10])


def test_what_the_hubs_own_client_makes_of_it(hub: HubStandIn, tmp_path: Path) -> None:
    """huggingface_hub 2.4.0 compares sizes only, so a turned bit gets through (promise P4)."""
    play(hub, "truncated")
    with pytest.raises(OSError, match="Consistency check failed"):
        hf_hub_download(REPO, "a.safetensors", endpoint=hub.url, cache_dir=tmp_path / "a", token=False)
    play(hub, "bit flip")
    path = hf_hub_download(REPO, "a.safetensors", endpoint=hub.url, cache_dir=tmp_path / "b", token=False)
    assert Path(path).read_bytes() != LARGE


def test_faults_are_drawn_by_plan(hub: HubStandIn) -> None:
    plan = FaultPlan("1", 0.0, first=1, weights={kind: 0.0 for kind in FAULTS if kind != "503"})
    hub.intercept = HubFaults(hub, plan)
    statuses = [get(hub, "config.json")[0].status for _ in range(2)]
    assert statuses == [503, 200]
    assert [tried.fault for tried in plan.tried] == ["503", ""]


def test_which_faults_fit() -> None:
    head, plain = Asked("hub", "HEAD", "/a", {}), Asked("hub", "GET", "/a", {})
    ranged = Asked("hub", "GET", "/a", {"range": "bytes=5-9"})
    assert set(fitting(ranged)) == set(FAULTS)
    assert set(FAULTS) - set(fitting(plain)) == {"200 for a range", "another range"}
    assert not {"drip", "gzip", "short read"} & set(fitting(head))
    assert thing(ranged) == thing(replace(ranged, headers={"range": "bytes=7-9"})) != thing(plain)
