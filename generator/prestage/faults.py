"""What can go wrong, as two exceptions: a fault that may pass, and one that ends the program."""

from __future__ import annotations

from generator.prestage.exits import PrestageExit


class Transient(Exception):
    """A fault that may pass. `after`: seconds that the server asked us to wait; `exit`: what it is if it does not."""

    def __init__(
        self, reason: str, *, after: float | None = None, exit: PrestageExit = PrestageExit.TRANSIENT, hint: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason, self.after, self.exit, self.hint = reason, after, exit, hint


class PrestageError(Exception):
    """Ends the program: why, in one sentence, and what mends it."""

    def __init__(self, exit: PrestageExit, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.exit, self.reason, self.hint = exit, reason, hint


class UploadGone(Exception):
    """The multipart upload ended without us: completed or aborted by another run, or by a lifecycle rule."""


class Exists(Exception):
    """A conditional write found something that it may not replace."""


class Stopped(Exception):
    """The run ends for another reason; this thread has nothing to say."""


def wrong_plan(reason: str, hint: str = "render again with `modelyard render`") -> PrestageError:
    """The plan or the arguments are wrong."""
    return PrestageError(PrestageExit.PLAN, reason, hint)


def mismatch(reason: str) -> Transient:
    """The bytes, or what is said of them, are not those of the plan; asked again, as a proxy may have done it."""
    return Transient(reason, exit=PrestageExit.INTEGRITY, hint="do not use this copy; compare the lock with the Hub")
