"""All judges, one after the other; what one cannot read is no reason to skip the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from generator.prestage import audit
from generator.prestage.limits import Verify
from generator.prestage.loadtest import configuration, tokenizer, weights
from generator.prestage.loadtest.base import Finding, Reader
from generator.prestage.manifest import Manifest
from generator.prestage.settings import Settings
from generator.prestage.targets.base import Target


def findings(target: Target, listed: Manifest, settings: Settings) -> Iterator[Finding]:
    """Of every file that is judged. The bytes were verified when they were copied; here only sizes are compared."""
    damaged = audit.faults(target, listed, replace(settings, verify=Verify.SIZE))
    yield from (Finding("fault", path, why) for path, why in sorted(damaged.items()))
    sizes = {entry.path: entry.size for entry in listed.files if entry.path not in damaged}
    reader = Reader(target, sizes, settings.patience)
    config, found = configuration.judged(reader)
    yield from found
    yield from weights.findings(reader)
    yield from tokenizer.findings(reader, max(configuration.vocabularies(config), default=None))
