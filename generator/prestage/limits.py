"""Sizes and numbers of a run, and the limits of S3 behind them."""

from __future__ import annotations

from enum import StrEnum

MIB = 2**20
WORKERS = 12
MIN_PART = 5 * MIB  # S3 takes no smaller part but the last (Amazon S3 multipart upload limits)
MAX_PARTS = 10_000  # S3 takes no more
PART = 5 * MIB
BUFFERS = 96 * MIB  # all parts in memory; for files above 60 GB parts grow and workers get fewer


class Verify(StrEnum):
    """How a copy that says it is complete is looked at."""

    SIZE = "size"  # one listing
    CHECKSUM = "checksum"  # a HEAD of each object
    FULL = "full"  # every byte is read
