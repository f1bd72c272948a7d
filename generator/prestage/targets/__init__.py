"""Where a model goes: a module and a line in `opened` for each kind."""

from __future__ import annotations

from generator.prestage.place import Folder, S3Prefix, parse
from generator.prestage.settings import Settings
from generator.prestage.targets.base import Target


def opened(address: str, settings: Settings) -> Target:
    """The target at `address`. Imports what it needs, no more."""
    match parse(address):
        case Folder(path):
            from generator.prestage.targets.volume import VolumeTarget

            return VolumeTarget(path, settings)
        case S3Prefix() as prefix:
            from generator.prestage.targets.s3 import S3Target

            return S3Target(prefix, settings)
