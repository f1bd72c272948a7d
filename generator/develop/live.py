"""The loop: a version runs, a file changes, the next version runs; a faulty one leaves things as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from generator.develop.version import Version
from generator.errors import UserError

Say = Callable[[str], None]
Tell = Callable[[UserError], None]


class UntouchedError(UserError):
    """A version was refused before anything was changed: the one before needs no help."""


class Place(Protocol):
    """Where a service is developed."""

    def deploy(self, version: Version) -> Mapping[str, str]:
        """Serves the version in place of the one before; route by application."""

    def check(self) -> None:
        """Raises UserError where nothing serves any more."""


def loop(
    place: Place,
    running: Version,
    read: Callable[[], Version],
    changes: Iterable[tuple[Path, ...]],
    say: Say,
    tell: Tell,
) -> None:
    """Serves every version that `changes` bring. Raises UserError where the place does not serve any more."""
    for files in changes:
        say(f"{', '.join(map(_title, files))} changed")
        try:
            new = read()
        except UserError as error:
            tell(error)
            say("the version before goes on serving")
            continue
        if new.content == running.content:
            say("which changes nothing of the service")
            continue
        running = replaced(place, running, new, say, tell)


def _title(path: Path) -> str:
    """`common/http.py` of serving/, or `models.yaml`."""
    return f"{path.parent.name}/{path.name}" if path.suffix == ".py" else path.name


def replaced(place: Place, running: Version, new: Version, say: Say, tell: Tell) -> Version:
    """The version that runs afterwards: `new`, or `running` where it does not start."""
    try:
        place.deploy(new)
    except UntouchedError as error:
        tell(error)
        say("the version before goes on serving")
        return running
    except UserError as error:
        place.check()
        tell(error)
        say("going back to the version before")
        place.deploy(running)
        say("the version before serves")
        return running
    say("reloaded")
    return new
