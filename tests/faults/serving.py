"""Faults against the text-generation application, at any scale, on a real Ray cluster with two nodes.

`python -m tests.faults.serving --seed 1 --kills 300 --malformed 50000 --overload 60 --stallers 500 --swaps 100
--drains 200 --broken-models` prints for each section the seed, the count, the number of failures, what happened how
often, its figures, and each failure. It exits 1 when there is a failure, or a figure is not what we promise
(`missed`). `--json FILE` writes the same. `--broken NAME` deploys a copy of the application in which there have to be
failures. Everything stays on loopback; Ray, torch and transformers are needed (the `serving` extra).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.serving_alterations import SABOTAGE, altered
from tests.faults.serving_changes import drains, swaps
from tests.faults.serving_kills import kills
from tests.faults.serving_load import Measured
from tests.faults.serving_malformed import malformed
from tests.faults.serving_overload import overload
from tests.faults.serving_refusals import broken_models
from tests.faults.serving_scene import SERVING, Scene, scene
from tests.faults.serving_stallers import stallers

SHOWN = 20  # failures
ALONE = "broken-models"  # needs no cluster


class Section(NamedTuple):
    help: str
    run: Callable[[Scene, int, int], Measured]


SECTIONS: Mapping[str, Section] = {
    "malformed": Section("requests that are none", malformed),
    "overload": Section("seconds of ten times the requests that can be answered", overload),
    "stallers": Section("clients that stall or leave", stallers),
    "swaps": Section("changes of the model revision", swaps),
    "drains": Section("replicas less, and SIGTERMs to a node", drains),
    "kills": Section("SIGKILLs of a replica or a proxy", kills),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.serving", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are written")
    parser.add_argument("--broken", action="append", default=[], choices=sorted(SABOTAGE), help="break the application")
    parser.add_argument(f"--{ALONE}", action="store_true", help="folders that no replica may start from")
    for name, section in SECTIONS.items():
        parser.add_argument(f"--{name}", type=int, default=0, metavar="COUNT", help=section.help)
    chosen = vars(parser.parse_args())
    wanted = {name: count for name in SECTIONS if (count := chosen[name])}
    if not wanted and not chosen["broken_models"]:
        parser.error("name at least one section")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the cluster goes on the way out
    with tempfile.TemporaryDirectory() as folder:
        sources = altered(SERVING, chosen["broken"], Path(folder) / "serving") if chosen["broken"] else SERVING
        told = _all(sources, wanted, chosen["seed"], alone=chosen["broken_models"])
    if chosen["json"]:
        chosen["json"].write_text(json.dumps(told, indent=1) + "\n")
    return 1 if any(each["failures"] or each["missed"] for each in told.values()) else 0


def _all(sources: Path, wanted: Mapping[str, int], seed: int, *, alone: bool) -> dict[str, Any]:
    told = {}
    if alone:
        told[ALONE] = _section(ALONE, seed, lambda: broken_models(sources))
    if wanted:
        with scene(sources) as place:
            for name, count in wanted.items():
                told[name] = _section(name, seed, partial(SECTIONS[name].run, place, count, seed))
    return told


def _section(name: str, seed: int, run: Callable[[], Measured]) -> dict[str, Any]:
    """Runs a section and prints what came of it. One that breaks off has failed; the next one may go on."""
    began = time.monotonic()
    try:
        found = run()
    except Exception as error:
        found = Measured(0, [f"the section broke off: {error!r}"])
    took = time.monotonic() - began
    say = partial(print, flush=True)
    notes = ", ".join(f"{what}: {number}" for what, number in sorted(found.notes.items()))
    say(f"{name}: seed {seed}, count {found.count}, failures {len(found.wrong)}, {took:.0f} s ({notes})")
    for what, figure in found.figures.items():
        say(f"  {what}: {figure}")
    for what in found.wrong[:SHOWN]:
        say(f"  FAILED {what}")
    if len(found.wrong) > SHOWN:
        say(f"  and {len(found.wrong) - SHOWN} more")
    for what in found.missed:
        say(f"  MISSED {what}")
    return {
        "seed": seed,
        "count": found.count,
        "failures": len(found.wrong),
        "seconds": round(took, 1),
        "notes": dict(found.notes),
        "figures": found.figures,
        "wrong": found.wrong[:SHOWN],
        "missed": found.missed,
    }


if __name__ == "__main__":
    sys.exit(main())
