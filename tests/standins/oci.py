"""A container registry as its anonymous readers see it (OCI distribution v1.1), with Bearer tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Self

from tests.standins.loopback import Asked, Loopback, Reply

INDEX = "application/vnd.oci.image.index.v1+json"


class RegistryStandIn:
    """Serves manifests by `repository:tag`; `intercept` may answer a request itself, to play faults."""

    def __init__(self, *, token: str | None = None) -> None:
        self.token = token  # None: readable without one
        self.manifests: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.intercept: Callable[[Asked], Reply | None] = lambda asked: None
        self._server = Loopback("registry", self._answer, self.asked)
        self.host, self.url = self._server.host, self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def push(self, name: str, manifest: dict[str, Any] | None = None) -> tuple[str, str]:
        """Adds a manifest under `repository:tag`; its reference and digest."""
        body = json.dumps(manifest or {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"of": name}]}).encode()
        self.manifests[name] = body
        return f"{self.host}/{name}", digest_of(body)

    def methods(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def challenge(self, repository: str) -> Reply:
        scope = f'scope="repository:{repository}:pull"'
        realm = f'Bearer realm="{self.url}/token",service="stand-in",{scope}'
        return Reply(401, {"WWW-Authenticate": realm}, b'{"errors":[{"code":"UNAUTHORIZED"}]}')

    def _answer(self, asked: Asked) -> Reply:
        if reply := self.intercept(asked):
            return reply
        if asked.path == "/token":
            return self._token(asked)
        repository, _, tag = asked.path.removeprefix("/v2/").partition("/manifests/")
        if self.token and asked.token != f"{self.token}/{repository}":
            return self.challenge(repository)
        body = self.manifests.get(f"{repository}:{tag}")
        if body is None or INDEX not in asked.headers.get("accept", ""):
            return Reply(404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        return Reply(200, {"Content-Type": INDEX, "Docker-Content-Digest": digest_of(body)}, body)

    def _token(self, asked: Asked) -> Reply:
        """A token that opens the one repository of its scope."""
        repository = asked.query["scope"].removeprefix("repository:").removesuffix(":pull")
        return Reply(200, body=json.dumps({"token": f"{self.token}/{repository}", "expires_in": 300}).encode())


def digest_of(body: bytes) -> str:
    return f"sha256:{sha256(body).hexdigest()}"
