"""Image tags to digests, against a registry on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from generator.errors import Severity, UserError
from generator.registry import ImageName, RegistryError, parse, resolve, resolve_all
from tests.standins.loopback import Asked, Reply
from tests.standins.oci import INDEX, RegistryStandIn, digest_of

DIGEST = "sha256:" + "ab" * 32
HUB = "registry-1.docker.io"


@pytest.fixture
def registry() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as server:
        yield server


@pytest.fixture
def guarded() -> Iterator[RegistryStandIn]:
    with RegistryStandIn(token="pull") as server:
        yield server


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        ("python", ImageName(HUB, "library/python", "latest", None)),
        ("python:3.12-slim", ImageName(HUB, "library/python", "3.12-slim", None)),
        ("rayproject/ray:2.55.1", ImageName(HUB, "rayproject/ray", "2.55.1", None)),
        ("docker.io/python:3", ImageName(HUB, "library/python", "3", None)),
        ("index.docker.io/a/b:1", ImageName(HUB, "a/b", "1", None)),
        ("public.ecr.aws/x/y/z:v1.1", ImageName("public.ecr.aws", "x/y/z", "v1.1", None)),
        ("localhost/x:1", ImageName("localhost", "x", "1", None)),
        ("localhost:5000/x:1", ImageName("localhost:5000", "x", "1", None)),
        (f"ghcr.io/a/b:1@{DIGEST}", ImageName("ghcr.io", "a/b", "1", DIGEST)),
        (f"ghcr.io/a/b@{DIGEST}", ImageName("ghcr.io", "a/b", "latest", DIGEST)),
    ],
)
def test_parse(reference: str, image: ImageName) -> None:
    assert parse(reference) == image


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "a b:1",
        "ghcr.io/:1",
        "ghcr.io/UPPER/x:1",
        "ghcr.io/a/../b:1",
        "ghcr.io/a//b:1",
        "x@sha256:12",
        "a/b:1?q",
        "a:\n1",
    ],
)
def test_parse_refuses(reference: str) -> None:
    with pytest.raises(UserError, match="not an image reference"):
        parse(reference)


def test_only_loopback_is_asked_without_tls() -> None:
    urls = {host: parse(f"{host}/x:1").manifest_url for host in ("ghcr.io", "localhost:5", "127.0.0.1:5", "10.0.0.1:5")}
    assert {host: url.partition("://")[0] for host, url in urls.items()} == {
        "ghcr.io": "https",
        "localhost:5": "http",
        "127.0.0.1:5": "http",
        "10.0.0.1:5": "https",
    }


def test_digest_of_a_multi_architecture_image(registry: RegistryStandIn) -> None:
    reference, digest = registry.push("team/app:1.0")
    assert resolve(reference) == digest
    assert registry.methods() == ["HEAD /v2/team/app/manifests/1.0"]
    assert INDEX in registry.asked[0].headers["accept"]


def test_a_reference_by_digest_is_not_asked_for(registry: RegistryStandIn) -> None:
    assert resolve(f"{registry.host}/x:1@{DIGEST}") == DIGEST
    assert registry.asked == []


def test_anonymous_token(guarded: RegistryStandIn) -> None:
    reference, digest = guarded.push("team/app:1.0")
    assert resolve(reference) == digest
    assert guarded.methods() == [
        "HEAD /v2/team/app/manifests/1.0",
        "GET /token",
        "HEAD /v2/team/app/manifests/1.0",
    ]
    assert dict(guarded.asked[1].query) == {"service": "stand-in", "scope": "repository:team/app:pull"}
    assert "authorization" not in guarded.asked[1].headers


def test_a_registry_without_head_is_asked_with_get(registry: RegistryStandIn) -> None:
    reference, digest = registry.push("team/app:1.0")
    registry.intercept = lambda asked: Reply(405) if asked.method == "HEAD" else None
    assert resolve(reference) == digest


def test_without_a_stated_digest_the_body_is_counted(registry: RegistryStandIn) -> None:
    reference, digest = registry.push("team/app:1.0")
    registry.intercept = lambda asked: Reply(200, body=registry.manifests["team/app:1.0"])
    assert resolve(reference) == digest


def test_a_false_digest_is_refused(registry: RegistryStandIn) -> None:
    reference, _ = registry.push("team/app:1.0")
    registry.intercept = lambda asked: (
        Reply(405) if asked.method == "HEAD" else Reply(200, {"Docker-Content-Digest": DIGEST}, b"{}")
    )
    with pytest.raises(RegistryError, match=f"states digest {DIGEST} of a manifest whose digest is {digest_of(b'{}')}"):
        resolve(reference)


def test_a_redirect_takes_no_token_to_another_origin(guarded: RegistryStandIn, registry: RegistryStandIn) -> None:
    reference, _ = guarded.push("team/app:1.0")
    _, digest = registry.push("team/app:1.0", {"moved": True})
    home = {"Location": f"{registry.url}/v2/team/app/manifests/1.0"}
    guarded.intercept = lambda asked: Reply(307, home) if asked.token else None
    assert resolve(reference) == digest
    assert [(a.method, a.token) for a in registry.asked] == [("HEAD", None)]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(404), "has no team/app:1.0"),
        (Reply(401, {"WWW-Authenticate": 'Basic realm="x"'}), "wants credentials"),
        (Reply(401), "wants credentials"),
        (
            Reply(401, {"WWW-Authenticate": 'Bearer realm="http://169.254.169.254/token"'}),
            "refused to ask http://169.254",
        ),
        (Reply(401, {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}), "refused to ask file://"),
        (Reply(403), "without credentials"),
        (Reply(429), "refuses more requests"),
        (Reply(503), "answers 503"),
        (Reply(302, {"Location": "http://192.0.2.1/x"}), "refused to ask http://192.0.2.1"),
        (Reply(302, {"Location": "file:///etc/passwd"}), "answers 302"),
        (Reply(302, {"Location": "/v2/team/app/manifests/1.0"}), "answers 302"),
    ],
)
def test_refusals(registry: RegistryStandIn, reply: Reply, why: str) -> None:
    registry.intercept = lambda asked: reply
    with pytest.raises(RegistryError, match=why):
        resolve(f"{registry.host}/team/app:1.0")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\nb"}', b"[" * 100_000])
def test_no_token_given(guarded: RegistryStandIn, body: bytes) -> None:
    guarded.intercept = lambda asked: Reply(200, body=body) if asked.path == "/token" else None
    with pytest.raises(RegistryError, match="gives no anonymous token"):
        resolve(f"{guarded.host}/team/app:1.0")


def test_a_token_that_does_not_open_the_repository(guarded: RegistryStandIn) -> None:
    guarded.intercept = lambda asked: Reply(200, body=b'{"token": "other"}') if asked.path == "/token" else None
    with pytest.raises(RegistryError, match="without credentials"):
        resolve(f"{guarded.host}/team/app:1.0")
    assert len(guarded.asked) == 3


def test_an_endless_manifest_is_cut(registry: RegistryStandIn) -> None:
    registry.intercept = lambda asked: Reply(405) if asked.method == "HEAD" else Reply(200, body=bytes(5 * 2**20))
    with pytest.raises(RegistryError, match="longer than"):
        resolve(f"{registry.host}/team/app:1.0")


def test_unreachable_is_a_warning_and_hides_no_other_image(registry: RegistryStandIn) -> None:
    reference, digest = registry.push("team/app:1.0")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = f"127.0.0.1:{closed.getsockname()[1]}/x:1"
    digests, diagnostics = resolve_all([gone, reference, reference, "a b"])
    assert digests == {reference: digest}
    assert {(d.severity, d.message.partition(":")[0]) for d in diagnostics} == {
        (Severity.WARNING, "the digest of image 127.0.0.1"),
        (Severity.ERROR, "`a b` is not an image reference"),
    }
    assert "cannot be reached" in next(d for d in diagnostics if gone in d.message).message


def test_a_server_that_is_no_registry(registry: RegistryStandIn) -> None:
    def nonsense(asked: Asked) -> Reply:
        return Reply(200, {"Docker-Content-Digest": "latest"}, b"<html>" if asked.method == "GET" else b"")

    registry.intercept = nonsense
    with pytest.raises(RegistryError, match="states digest latest"):
        resolve(f"{registry.host}/team/app:1.0")
