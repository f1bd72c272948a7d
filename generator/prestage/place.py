"""Addresses of sources and targets: `s3://bucket/prefix` or a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from generator import filechoice
from generator.prestage.faults import wrong_plan

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class S3Prefix(NamedTuple):
    """A folder in a bucket; `prefix` has no slash at its ends."""

    bucket: str
    prefix: str

    def key(self, path: str) -> str:
        return f"{self.prefix}/{path}"

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


class Folder(NamedTuple):
    """A folder of this machine, such as a mounted volume."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


def parse(address: str) -> S3Prefix | Folder:
    """Raises PrestageError where `address` is neither."""
    hint = "write s3://bucket/prefix, or the path of a folder"
    if address.startswith("s3://"):
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/")
        if not _BUCKET.fullmatch(bucket):
            raise wrong_plan(f"{address!r} names no bucket", hint)
        if fault := filechoice.path_fault(prefix) if prefix else "is empty":
            raise wrong_plan(f"the prefix of {address!r} {fault}", hint)
        return S3Prefix(bucket, prefix)
    if "://" in address and not address.startswith("file:///"):
        raise wrong_plan(f"{address!r} is neither S3 nor a folder", hint)
    if not address:
        raise wrong_plan("an empty address", hint)
    return Folder(Path(unquote(urlsplit(address).path) if address.startswith("file:///") else address).absolute())
