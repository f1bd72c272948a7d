"""python -m tests.promises [--helm PATH]: every payload in every string; prints count and failures."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.promises import strings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--helm", default=shutil.which("helm") or ".cache/tools/helm", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, cells = strings.baseline(folder), strings.cells()
        failures: list[str] = []
        accepted: list[strings.Rendered] = []
        for cell in cells:
            judged = strings.judge(cell, folder)
            if isinstance(judged, strings.Rendered):
                failures += strings.faults(judged, plain)
                accepted.append(judged)
            elif judged:
                failures.append(judged)
        failures += strings.through_helm(arguments.helm, accepted, folder)
    for failure in failures[:20]:
        print(failure)
    print(
        f"no seed: all of {len(strings.PAYLOADS)} payloads in all strings; {len(accepted)} rendered, the others refused"
    )
    print(f"{len(cells) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
