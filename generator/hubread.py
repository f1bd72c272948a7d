"""Reads files of one commit from the Hub, never more of them than asked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from huggingface_hub import HfApi, get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # exported lazily

from generator import __version__, safetensors
from generator.errors import UserError
from generator.lock import LockedFile, ModelSource

TIMEOUT = 30.0  # seconds without a byte
FIRST_READ = 100_000  # most safetensors headers are shorter, so one request is enough for a file


class Place(NamedTuple):
    """One commit of one repository, and how to read from it."""

    api: HfApi
    source: ModelSource
    commit: str


def read(place: Place, path: str, limit: int, *, ranged: bool = False) -> bytes:
    """All of a file, refused when longer than `limit` bytes; or just its first `limit` bytes (`ranged`)."""
    url = hf_hub_url(place.source.repo, path, revision=place.commit, endpoint=place.api.endpoint)
    headers = build_hf_headers(token=place.api.token, library_name="modelyard", library_version=__version__)
    headers["Accept-Encoding"] = "identity"
    if ranged:
        headers["Range"] = f"bytes=0-{limit - 1}"
    data = bytearray()
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as response:
        hf_raise_for_status(response)
        for chunk in response.iter_bytes(2**16):
            data += chunk
            if len(data) > limit:
                break
    if len(data) > limit and not ranged:
        raise UserError.of(f"{place.source.repo}/{path} is longer than {limit} bytes", hint="choose another revision")
    return bytes(data[:limit])


def read_json(place: Place, path: str, limit: int) -> Mapping[str, Any]:
    """A JSON object of at most `limit` bytes."""
    try:
        data = json.loads(read(place, path, limit))
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise UserError.of(f"{place.source.repo}/{path} is not a JSON object", hint="choose another revision")
    return data


def parameters(place: Place, file: LockedFile) -> Counter[str]:
    """Number of values by dtype of one safetensors file, from its header alone."""
    try:
        start = read(place, file.path, FIRST_READ, ranged=True) if file.size else b""
        end = safetensors.header_end(start, file.size)
        if end > len(start):
            start = read(place, file.path, end, ranged=True)
        return safetensors.parameters(start[safetensors.PREFIX : end])
    except safetensors.HeaderError as error:
        raise UserError.of(
            f"{place.source.repo}/{file.path} is not a safetensors file: {error}",
            hint="choose another revision",
        ) from error
