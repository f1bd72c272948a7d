"""Container image tag to digest, through the OCI distribution API (v1.1), anonymously.

A manifest list keeps its own digest, so one pin serves every architecture. Plain HTTP only on loopback.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from hashlib import sha256
from typing import IO, NamedTuple

from generator.errors import Diagnostic, Severity, UserError

TIMEOUT = 15.0
"""Seconds without an answer after which a registry counts as unreachable."""
MAX_MANIFEST = 4 * 2**20  # what registries accept at least (OCI distribution spec v1.1, "Pushing Manifests")
MAX_TOKEN = 2**18
PARALLEL = 8

_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_REPOSITORY = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REFERENCE = re.compile(
    r"(?P<name>[A-Za-z0-9.:\[\]/_-]+?)(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_CHALLENGE = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_DOCKER_HUB = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io"))


class RegistryError(Exception):
    """The registry did not tell the digest; the text says why."""


@dataclass(frozen=True, slots=True)
class ImageName:
    """A reference taken apart: where to ask, and what for."""

    host: str
    repository: str
    tag: str
    digest: str | None

    @property
    def manifest_url(self) -> str:
        scheme = "http" if _is_loopback(self.host) else "https"
        return f"{scheme}://{self.host}/v2/{self.repository}/manifests/{self.tag}"


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes
    url: str  # after redirects


def parse(reference: str) -> ImageName:
    """A reference taken apart as the Docker client does: `python:3` is `library/python:3` of Docker Hub.

    Raises UserError.
    """
    found = _REFERENCE.fullmatch(reference)
    host, _, repository = found["name"].partition("/") if found else ("", "", "")
    if found and not (repository and (set(host) & set(".:") or host == "localhost")):
        host, repository = "docker.io", found["name"]
    if found is None or not _REPOSITORY.fullmatch(repository):
        raise UserError.of(f"`{reference}` is not an image reference", hint="write registry/repository:tag")
    if host in _DOCKER_HUB:
        host = "registry-1.docker.io"
        repository = repository if "/" in repository else f"library/{repository}"
    return ImageName(host, repository, found["tag"] or "latest", found["digest"])


def resolve(reference: str, *, timeout: float = TIMEOUT) -> str:
    """The digest, `sha256:<64 hex>`, that the tag points to now.

    Raises RegistryError where it cannot be read, UserError where the reference is none.
    """
    image = parse(reference)
    if image.digest:
        return image.digest
    try:
        return _digest(image, timeout)
    except (OSError, http.client.HTTPException) as error:
        raise RegistryError(f"{image.host} cannot be reached: {_reason(error)}") from error


def resolve_all(
    references: Iterable[str], *, timeout: float = TIMEOUT
) -> tuple[Mapping[str, str], tuple[Diagnostic, ...]]:
    """Digests by reference, and a warning for each image whose digest could not be read: its tag stays."""
    wanted = sorted(set(references))
    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = dict(zip(wanted, pool.map(lambda reference: _attempt(reference, timeout), wanted), strict=True))
    digests = {reference: answer for reference, answer in answers.items() if isinstance(answer, str)}
    return digests, tuple(answer for answer in answers.values() if isinstance(answer, Diagnostic))


def _attempt(reference: str, timeout: float) -> str | Diagnostic:
    try:
        return resolve(reference, timeout=timeout)
    except RegistryError as error:
        return Diagnostic(
            f"the digest of image {reference} is not known: {error}",
            hint="the tag stays; run `modelyard lock` where the registry is reachable, or add its @sha256:…",
            severity=Severity.WARNING,
        )
    except UserError as error:
        return error.diagnostics[0]


def _digest(image: ImageName, timeout: float) -> str:
    """HEAD costs no pull quota (Docker Hub); a registry that does not answer it well is asked with GET."""
    answer = _authorised("HEAD", image, timeout)
    stated = answer.headers.get("Docker-Content-Digest", "")
    if answer.status == 200 and _DIGEST.fullmatch(stated):
        return stated
    if answer.status not in (200, 400, 404, 405, 501):
        raise RegistryError(_refusal(image, answer.status))
    answer = _authorised("GET", image, timeout)
    if answer.status != 200:
        raise RegistryError(_refusal(image, answer.status))
    counted = f"sha256:{sha256(answer.body).hexdigest()}"
    stated = answer.headers.get("Docker-Content-Digest", counted)
    if stated != counted:
        raise RegistryError(f"{image.host} states digest {stated} of a manifest whose digest is {counted}")
    return counted


def _refusal(image: ImageName, status: int) -> str:
    if status == 404:
        return f"{image.host} has no {image.repository}:{image.tag} (404)"
    if status in (401, 403):
        return f"{image.host} lets nobody read {image.repository} without credentials ({status})"
    if status == 429:
        return f"{image.host} refuses more requests for now (429)"
    return f"{image.host} answers {status}"


def _authorised(method: str, image: ImageName, timeout: float) -> Answer:
    """The answer for the manifest, with an anonymous token where the registry asks for one."""
    headers = {"Accept": _ACCEPT}
    answer = _request(method, image.manifest_url, headers, timeout, MAX_MANIFEST)
    if answer.status != 401:
        return answer
    token = _token(answer.headers.get("WWW-Authenticate", ""), timeout)
    return _request(method, answer.url, {**headers, "Authorization": f"Bearer {token}"}, timeout, MAX_MANIFEST)


def _token(challenge: str, timeout: float) -> str:
    """An anonymous pull token (distribution v2 token authentication: realm, service, scope)."""
    fields = {key.lower(): value for key, value in _CHALLENGE.findall(challenge)}
    if not challenge.lower().startswith("bearer ") or "realm" not in fields:
        raise RegistryError("the registry wants credentials, not an anonymous token (401)")
    query = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
    separator = "&" if "?" in fields["realm"] else "?"
    answer = _request("GET", f"{fields['realm']}{separator}{query}", {}, timeout, MAX_TOKEN)
    try:
        given = json.loads(answer.body) if answer.status == 200 else {}
        token = given.get("token") or given.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        token = None
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
        raise RegistryError(f"the registry gives no anonymous token ({answer.status})")
    return token


def _request(method: str, url: str, headers: Mapping[str, str], timeout: float, limit: int) -> Answer:
    """One exchange, redirects included; 4xx and 5xx are answers too. Raises RegistryError, OSError."""
    request = urllib.request.Request(  # noqa: S310 - _checked lets https through, http on loopback
        _checked(url), headers=dict(headers), method=method
    )
    try:
        with _OPENER.open(request, timeout=timeout) as response:
            return _answer(response, limit)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error, limit)


def _answer(response: http.client.HTTPResponse | urllib.error.HTTPError, limit: int) -> Answer:
    body = response.read(limit + 1)
    if len(body) > limit:
        raise RegistryError(f"the answer is longer than {limit} bytes")
    return Answer(response.status or 0, response.headers, body, response.url)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https only, keeps the method, and takes the token to no other origin."""

    max_redirections = 5

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request:
        kept = dict(req.headers)
        if _origin(newurl) != _origin(req.full_url):
            kept.pop("Authorization", None)
        return urllib.request.Request(_checked(newurl), headers=kept, method=req.get_method())  # noqa: S310 - as above


_OPENER = urllib.request.build_opener(_Redirects)


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _checked(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.netloc)):
        return url
    raise RegistryError(f"refused to ask {parts.scheme}://{parts.netloc}: only https is trusted")


def _is_loopback(netloc: str) -> bool:
    host = urllib.parse.urlsplit(f"//{netloc}").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(cause) or type(cause).__name__
