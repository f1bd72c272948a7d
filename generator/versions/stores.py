"""What lies below `models/` of a bucket or of a mounted volume, as one listing; nothing is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from generator import naming
from generator.errors import UserError
from generator.gc.bucket import Bucket
from generator.gc.prefixes import Item

_BUCKET = re.compile(r"(?:s3://)?([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*?))?/?")


@dataclass(frozen=True, slots=True)
class BucketPart:
    """A bucket, or what lies below `prefix` of it: empty, or a key that ends with a slash."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def bucket_part(text: str) -> BucketPart:
    """`s3://bucket`, `s3://bucket/team/a` or a bare name. Raises UserError where it is neither."""
    found = _BUCKET.fullmatch(text)
    if found is None:
        hint = "write s3://BUCKET or s3://BUCKET/PREFIX; a folder goes to --volume"
        raise UserError.of(f"`{text}` names no bucket", hint=hint)
    return BucketPart(found[1], f"{found[2]}/" if found[2] else "")


def in_bucket(part: BucketPart, endpoint_url: str | None = None) -> Iterator[Item]:
    """Keys count from the prefix. Raises UserError where S3 refuses or does not answer."""
    for item in Bucket(part.bucket, endpoint_url).objects(f"{part.prefix}{naming.MODELS_PREFIX}/"):
        yield replace(item, key=item.key.removeprefix(part.prefix))


def on_volume(folder: Path) -> Iterator[Item]:
    """Keys are paths from `folder`, where the volume is mounted; links are not followed.

    Raises UserError where it holds no models or cannot be read.
    """
    top = folder / naming.MODELS_PREFIX
    if not top.is_dir():
        hint = f"name the folder where the volume is mounted: it holds {naming.MODELS_PREFIX}/<model>/<commit>"
        raise UserError.of(f"has no folder {naming.MODELS_PREFIX}", file=str(folder), hint=hint)
    for here, _, names in os.walk(top, onerror=_refused):
        for path in (Path(here, name) for name in names):
            try:
                facts = path.lstat()
            except FileNotFoundError:
                continue  # a Job renames its partial files
            yield Item(path.relative_to(folder).as_posix(), facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))


def _refused(error: OSError) -> NoReturn:
    raise UserError.of(f"cannot read: {error.strerror}", file=str(error.filename)) from error
