"""Removal of one prefix: its manifests first, so that nobody starts from half a model or publishes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from generator.errors import UserError
from generator.gc.bucket import BATCH, Bucket
from generator.gc.prefixes import held, manifests_of


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of a prefix. `kept` says why nothing was done; `refused`: why, by key that stays."""

    key: str
    objects: int = 0
    uploads: int = 0
    kept: str = ""
    refused: tuple[tuple[str, str], ...] = ()


def remove(
    bucket: Bucket, key: str, limit: timedelta, now: datetime, said: Callable[[int, int], None] | None = None
) -> Removal:
    """Deletes what lies below `key`, if it is as old as `limit` still: a Job may have begun since it was listed.

    `said` is told how many objects are gone, of how many. Raises UserError where S3 does not answer.
    """
    below = f"{key}/"
    objects, uploads = list(bucket.objects(below)), list(bucket.uploads(below))
    found = held(objects, uploads).prefixes
    if not found:
        return Removal(key, kept="it is gone already")
    if not found[0].older_than(limit, now):
        return Removal(key, kept="it was written to since it was listed")
    first = [item.key for item in objects if item.key in manifests_of(key)]
    keys = [item.key for item in objects if item.key not in first]
    refused = bucket.delete(first) if first else {}
    if refused:
        return Removal(key, refused=tuple(refused.items()))
    for start in range(0, len(keys), BATCH):
        refused |= bucket.delete(keys[start : start + BATCH])
        if said:
            said(min(start + BATCH, len(keys)), len(keys))
    for upload in uploads:
        try:
            bucket.abort(upload)
        except UserError as error:
            refused[upload.key] = str(error)
    return Removal(key, len(objects) - len(refused), len(uploads), refused=tuple(refused.items()))
