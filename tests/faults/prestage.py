"""Faults against the prestage program, at any scale, on a real S3 server.

`python -m tests.faults.prestage --seed 1 --kills 1000 --corruptions 2000 --hub-faults 10000 --s3-faults 10000
--races 200 --terms 200` prints for each section the seed, the count, the number of failures, what happened how
often, and each failure with the number of its trial; `--trial N` beside one section runs that trial alone. It
exits 1 when there is a failure. `--broken NAME` alters the client so that there have to be some.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.faults.alterations import SABOTAGE
from tests.faults.prestage_corruptions import corruptions
from tests.faults.prestage_kills import kills, races, terms
from tests.faults.prestage_requests import hub_faults, s3_faults
from tests.faults.prestage_scenes import World, world
from tests.faults.prestage_sections import Found, trials
from tests.standins.seaweedfs import SeaweedFS

SHOWN = 20  # failures


class Section(NamedTuple):
    """`at_once`: trials that run side by side; those that mostly wait may be many."""

    help: str
    at_once: int
    trial: Callable[..., Found]


SECTIONS = {
    "kills": Section("SIGKILLs at random moments and at requests", 3, kills),
    "corruptions": Section("runs that are given wrong bytes, lengths or digests", 12, corruptions),
    "hub-faults": Section("requests to the Hub that meet a fault", 16, hub_faults),
    "s3-faults": Section("requests to S3 that meet a fault", 16, s3_faults),
    "races": Section("rounds of 2 to 16 runs on one model at once", 1, races),
    "terms": Section("SIGTERMs at random moments", 3, terms),
}


def run(
    world: World, name: str, count: int, seed: int, *, only: int | None = None, broken: Sequence[str] = ()
) -> Found:
    """The section `name` until it has counted `count`, or its trial `only`."""
    section = SECTIONS[name]

    def trial(title: str, number: int, dice: Random) -> Found:
        return section.trial(world, title, number, dice, broken=broken)

    return trials(name, trial, count, seed, at_once=section.at_once, only=only)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.prestage", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trial", type=int, help="just this trial of the section that is named")
    parser.add_argument("--broken", action="append", default=[], choices=sorted(SABOTAGE), help="alter the client")
    for name, section in SECTIONS.items():
        parser.add_argument(f"--{name}", type=int, default=0, metavar="COUNT", help=section.help)
    chosen = vars(parser.parse_args())
    wanted = {name: count for name in SECTIONS if (count := chosen[name.replace("-", "_")])}
    if not wanted:
        parser.error("name at least one section")
    options = {"only": chosen["trial"], "broken": chosen["broken"]}
    return 1 if sum(_section(name, count, chosen["seed"], **options) for name, count in wanted.items()) else 0


def _section(name: str, count: int, seed: int, *, only: int | None, broken: Sequence[str]) -> int:
    """Runs a section on a fresh SeaweedFS, prints what came of it, and returns the number of failures."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, SeaweedFS(Path(folder)) as s3, world(s3) as place:
        found = run(place, name, count, seed, only=only, broken=broken)
    took = time.monotonic() - began
    notes = ", ".join(f"{what}: {number}" for what, number in sorted(found.notes.items()))
    say = partial(print, flush=True)
    say(f"{name}: seed {seed}, count {found.count}, failures {len(found.wrong)}, {took:.0f} s ({notes})")
    for what in found.wrong[:SHOWN]:
        say(f"  {what}")
    if len(found.wrong) > SHOWN:
        say(f"  and {len(found.wrong) - SHOWN} more")
    return len(found.wrong)


if __name__ == "__main__":
    sys.exit(main())
