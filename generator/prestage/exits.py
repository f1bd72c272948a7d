"""Exit codes of the prestage program (BSD sysexits.h values); the Job's podFailurePolicy is made from them."""

from __future__ import annotations

from enum import IntEnum


class PrestageExit(IntEnum):
    """What ended the program."""

    DONE = 0  # staged now, or already there
    PLAN = 64  # the plan file or the arguments are wrong
    INTEGRITY = 65  # the bytes are not those of the lock, after retries; or the load test fails
    NOT_FOUND = 66  # no such repository, commit or file
    STORAGE = 73  # target full or not writable
    TRANSIENT = 75  # faults that may pass, retries used up
    FORBIDDEN = 77  # gated, private, or the token is refused
    INTERRUPTED = 143  # SIGTERM


PERMANENT = tuple(
    sorted(
        (
            PrestageExit.PLAN,
            PrestageExit.INTEGRITY,
            PrestageExit.NOT_FOUND,
            PrestageExit.STORAGE,
            PrestageExit.FORBIDDEN,
        )
    )
)
"""A retry in a new pod would end the same way."""
