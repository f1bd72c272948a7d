"""The manifest on the disk: which files are ours, and what they held when we wrote them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from generator.errors import UserError
from generator.tree.files import MANIFEST, MANIFEST_NAME, MANIFEST_VERSION, META
from generator.tree.folders import naming, opened, read


@dataclass(frozen=True, slots=True)
class Ownership:
    """`digests`: path to sha256 of what we wrote there; `manifest`: the manifest's own bytes, None when
    missing.

    The paths come from a file that anybody may edit: they are only ever looked up, never opened.
    """

    digests: Mapping[str, str]
    manifest: bytes | None

    @property
    def digest(self) -> str | None:
        """The sha256 of the manifest itself."""
        return None if self.manifest is None else hashlib.sha256(self.manifest).hexdigest()


def read_manifest(root: int) -> bytes | None:
    """The bytes of the manifest, None when there is none."""
    with naming(MANIFEST), contextlib.suppress(FileNotFoundError), opened(root, META) as meta:
        return read(meta, MANIFEST_NAME)
    return None


def ownership(root: int, shown: str) -> Ownership:
    """Read the manifest under `root`. Raises UserError, for the file `shown`, when it is not one of ours."""
    manifest = read_manifest(root)
    if manifest is None:
        return Ownership(MappingProxyType({}), None)
    return Ownership(MappingProxyType(_digests(manifest, shown)), manifest)


def _digests(manifest: bytes, shown: str) -> dict[str, str]:
    try:
        document = json.loads(manifest)
        version, digests = document["version"], document["files"]
        known = all(isinstance(digest, str) for digest in digests.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known, version = False, MANIFEST_VERSION
    if version != MANIFEST_VERSION:
        raise UserError.of(
            f"this manifest has version {version!r}; this modelyard reads version {MANIFEST_VERSION}",
            file=shown,
            hint="render with the modelyard that wrote it, or a newer one",
        )
    if not known:
        raise UserError.of(
            "this manifest cannot be read; a merge conflict?",
            file=shown,
            hint=f"take one side as it is, e.g. `git checkout HEAD -- {shown}`, and render again",
        )
    return dict(digests)
