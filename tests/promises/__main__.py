"""The full figures: python -m tests.promises [--seed N] [--cells N] [--helm PATH]

Prints the seed, the count and the failures of each promise, and `N passed, N failed` in all.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.promises import credentials, engines, limits, same_bytes, strings
from tests.standins import scaffolder

EVERY = 10**9
Figure = tuple[str, int, list[str]]
"""What was tried, how often, and what went wrong."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m tests.promises", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="of the choice of cells")
    parser.add_argument("--cells", type=int, default=EVERY, help="payloads in fields to try; all when left out")
    parser.add_argument("--helm", default=shutil.which("helm") or ".cache/tools/helm", type=Path)
    chosen = parser.parse_args()
    tried = failed = 0
    with tempfile.TemporaryDirectory() as name:
        for what, count, wrong in _figures(chosen, Path(name)):
            print(f"{what}: seed {chosen.seed}, count {count}, failures {len(wrong)}", flush=True)
            sys.stdout.writelines(f"  {line}\n" for line in wrong[:20])
            tried, failed = tried + count, failed + len(wrong)
    print(f"{tried - failed} passed, {failed} failed")
    return 1 if failed else 0


def _figures(chosen: argparse.Namespace, folder: Path) -> Iterator[Figure]:
    cells = strings.cells(chosen.seed, chosen.cells)
    accepted, wrong = strings.judged(cells, _made(folder / "cells"))
    yield (
        f"G5 strings ({len(strings.PAYLOADS)} payloads; {len(accepted)} rendered, the others refused)",
        len(cells),
        wrong,
    )
    yield (
        "G5 through the charts that they reach",
        engines.reaching(accepted),
        list(engines.through_helm(chosen.helm, accepted, folder)),
    )
    wrong = list(engines.through_backstage(accepted))
    yield f"G5 through {' and '.join(scaffolder.PACKAGES)}", len(accepted) * len(scaffolder.PACKAGES), wrong
    yield "G7, G8 traps and limits", len(limits.SAMPLES), list(limits.faults(_made(folder / "limits")))
    count = len(same_bytes.EVERY)
    yield "G10 same bytes", count, list(same_bytes.faults(count, _made(folder / "bytes")))
    count = len(credentials.TOKENS) * len(credentials.PLACES)
    yield "G13 credentials", count, list(credentials.faults(_made(folder / "credentials")))
    yield "G13 ordinary text", len(credentials.ORDINARY), list(credentials.mistaken(_made(folder / "ordinary")))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
