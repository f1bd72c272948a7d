"""Where bytes come from: a module and a line in `opened` for each kind."""

from __future__ import annotations

from generator.prestage.place import Folder, S3Prefix, parse
from generator.prestage.plan import Plan
from generator.prestage.settings import Settings
from generator.prestage.sources.base import Source


def opened(address: str | None, plan: Plan, settings: Settings) -> Source:
    """The source at `address`; without one, the Hub repository of the plan. Imports what it needs, no more."""
    match parse(address) if address else None:
        case None:
            from generator.prestage.sources.hub import HubSource

            return HubSource(plan, settings)
        case Folder(path):
            from generator.prestage.sources.folder import FolderSource

            return FolderSource(plan, path)
        case S3Prefix() as prefix:
            from generator.prestage.sources.s3 import S3Source

            return S3Source(plan, prefix, settings)
