"""What the harness changes in a client: to break it, so that finding nothing means something, or to spare time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def _no_comparison() -> None:
    """Bytes are hashed, and whatever comes out is right."""
    from generator.prestage.digest import Digest

    Digest.right = property(lambda self: True)  # type: ignore[method-assign, assignment]


def _manifest_first() -> None:
    """The manifest is written before anything is copied."""
    from generator.prestage import manifest, run

    copy = run._copy

    def careless(*arguments: Any) -> Any:
        plan, _, target, files, *_ = arguments
        entries = [manifest.Entry(file.path, file.size, file.digest.removeprefix("sha256:"), "") for file in files]
        target.write_manifest(manifest.of(plan, entries), "")
        return copy(*arguments)

    run._copy = careless  # type: ignore[assignment]


def _no_pause() -> None:
    """What failed is tried again at once."""
    from generator.prestage import patience

    patience.backoff = lambda attempt, first: 0.0


def _no_sweep() -> None:
    """Uploads of dead runs stay."""
    from generator.prestage.targets.s3 import S3Target

    S3Target.sweep = lambda self, **how: None  # type: ignore[method-assign]


def _note_each_part() -> None:
    """Progress is noted after each part, not after 32 MiB, so that small models are continued, too."""
    from generator.prestage.targets import s3

    s3._NOTE_BYTES = 1


def _short_stall() -> None:
    """A connection is given up after 1.5 to 5 s without a byte, not after 30 to 60 s."""
    from generator.prestage import s3client
    from generator.prestage.sources import hub
    from generator.prestage.transport import Watch

    Watch.__init__.__defaults__ = (1.5,)
    hub._TIMEOUT = 3.0
    s3client.SEND = s3client.ANSWER = 5.0


SABOTAGE: Mapping[str, Callable[[], None]] = {
    "manifest first": _manifest_first,
    "no comparison": _no_comparison,
    "no pause": _no_pause,
    "no sweep": _no_sweep,
}
TUNING: Mapping[str, Callable[[], None]] = {"note each part": _note_each_part, "short stall": _short_stall}
