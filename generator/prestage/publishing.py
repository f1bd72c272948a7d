"""A held copy becomes one that readers see: its manifest is written under the real name."""

from __future__ import annotations

from generator.prestage import manifest
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.settings import Settings
from generator.prestage.targets.base import Held, Target


def publish(target: Target, held: Held, settings: Settings) -> None:
    """Writes what `held` lists, as it was read and judged. Raises PrestageError where another run changed it since."""
    real = target.manifest()
    new = manifest.joined(held.manifest, real.manifest if real else None)
    now = target.manifest(manifest.HELD)
    if now is not None and now.version == held.version:
        replaces = real.version if real else ""
        if settings.patience.call("write", lambda: target.write_manifest(new, replaces), path=manifest.PATH):
            return
    real = target.manifest()
    if real is None or real.manifest != new:
        reason = f"another run has changed {target.name} since it was looked at"
        raise PrestageError(PrestageExit.TRANSIENT, reason, "run again")
    settings.events.emit("already", model=new.model, by="another run, which finished first")
