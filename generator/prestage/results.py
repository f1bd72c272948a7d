"""Results as files, one bare value each: what Argo Workflows reads as output parameters (`valueFrom.path`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.outcome import Tally
from generator.prestage.plan import Plan


def write(folder: Path | None, plan: Plan, target: str, tally: Tally, seconds: float) -> None:
    """`path`, `commit`, `bytes` (of the model) and `seconds`; nothing without a folder. Raises PrestageError."""
    if folder is None:
        return
    values: Mapping[str, object] = {
        "path": target,
        "commit": plan.commit,
        "bytes": tally.bytes,
        "seconds": round(seconds, 3),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            (folder / name).write_text(str(value))
    except OSError as error:
        reason = f"the outputs cannot be written: {error.filename or folder}: {error.strerror or error}"
        raise PrestageError(PrestageExit.STORAGE, reason, "give --outputs a folder that can be written") from error
