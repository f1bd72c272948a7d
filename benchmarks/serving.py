"""Text generation beside the ways that people serve it today, with the same model and the same clients.

    python -m benchmarks.serving [--quick] [--only fp32,bf16,equal,mixed,startup] [--rounds 3] [--json FILE]

fp32, bf16  answers of 32 tokens at 1, 8 and 32 clients: tokens per second, time to the first text, latency, CPU, memory
equal       prompts of 2 to 200 tokens at once, in both dtypes: the same tokens as unbatched generate?
mixed       answers of 8 to 256 tokens at 32 clients, beside static batching; memory under load
startup     from the start of the process, phase by phase, beside the hand-written application

The model is a Llama of 56 M parameters that is made first (servingmodel.py). All servers have the same number of
threads, but for the hand-written one that has Ray's default; all that are not asked are held still (SIGSTOP). Clients
are one process that shares the machine. Rounds are taken in turn, medians are shown; servers that answer one request
at a time are measured in one round. Every answer of every server is checked for its length.

    python -m benchmarks.serving --only ours [--profile]     our engine without HTTP, and where its time goes
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import servingengine, servingsections, servingstartup
from benchmarks.processes import LIMIT, ROOT
from benchmarks.servingfleet import Fleet
from benchmarks.servingreport import rates, verdicts
from benchmarks.servingsections import FULL, QUICK, Extent, Findings

SECTIONS = ("fp32", "bf16", "equal", "mixed", "startup")
QUICKLY = ("fp32", "equal", "mixed", "startup")
QUIET = 0.2  # cores
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def steps(sections: list[str], dtype: str) -> list[str]:
    """The sections that a dtype has part in, in the order in which they are taken. `mixed` is measured in float32."""
    wanted = ["fp32" if dtype == "float32" else "bf16", "equal", *(["mixed"] if dtype == "float32" else [])]
    if sections == ["equal"]:
        return ["equal"]
    if dtype == "bfloat16" and "bf16" not in sections:
        return []
    return [section for section in wanted if section in sections]


def measured(fleet: Fleet, section: str, extent: Extent) -> Findings:
    """One section in one dtype."""
    kinds = {"equal": servingsections.equal, "mixed": servingsections.mixed}
    print(f"{section}: {fleet.dtype}", file=sys.stderr, flush=True)
    return kinds.get(section, servingsections.rates)(fleet, extent)


def everything(made: Path, asked: argparse.Namespace, extent: Extent) -> Iterator[tuple[str, Findings]]:
    """Findings by title, each as soon as it is there."""
    for dtype in DTYPES.values():
        with Fleet(made, dtype, asked.threads, made.parent, asked.serving) as fleet:
            for section in steps(asked.only, dtype):
                yield f"{section}: {dtype}", measured(fleet, section, extent)
    if "startup" in asked.only:
        print("startup", file=sys.stderr, flush=True)
        with Fleet(made, "float32", asked.threads, made.parent, asked.serving) as fleet:
            yield "startup: float32", servingstartup.startup(fleet, extent.rounds)


def disturbance(others: float) -> str:
    """What other processes did, in cores, in the round that they disturbed most."""
    verdict = "" if others < QUIET else ": THE MACHINE WAS NOT QUIET, measure again"
    return f"at most {others:.2f} cores were used by others in a round{verdict}"


def shown(title: str, findings: Findings) -> None:
    print(f"\n## {title}\n")
    if findings.rows:
        print(rates(findings.rows))
    for note in findings.notes:
        print(f"\n{note}")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round, float32: about three minutes")
    parser.add_argument("--only", help=f"of {', '.join(SECTIONS)}, separated by commas; or ours")
    parser.add_argument("--profile", action="store_true", help="with --only ours: where the engine's time goes")
    parser.add_argument("--rounds", type=int, help="of the servers that batch")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="of every server")
    parser.add_argument("--serving", type=Path, default=ROOT / "serving", help="another version of serving/")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    asked = parser.parse_args()
    asked.only = asked.only.split(",") if asked.only else list(QUICKLY if asked.quick else SECTIONS)
    if unknown := set(asked.only) - {*SECTIONS, "ours"}:
        parser.error(f"no section: {', '.join(sorted(unknown))}")
    return asked


def main() -> None:
    asked = arguments()
    extent = QUICK if asked.quick else FULL
    if asked.rounds:
        extent = replace(extent, rounds=asked.rounds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers and folders go on the way out
    begun, found = time.monotonic(), {}
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as work:
        made = Path(work) / "models"
        print("making the model", file=sys.stderr, flush=True)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.servingmodel", str(made)], cwd=ROOT, check=True, timeout=LIMIT
        )
        if "ours" in asked.only:
            servingengine.show(made, asked.threads, asked.serving, profile=asked.profile)
            return
        for title, findings in everything(made, asked, extent):
            shown(title, findings)
            found[title] = findings
    print(f"\n## Asked for, and reached\n\n{verdicts(t for each in found.values() for t in each.targets)}")
    rounds = [each for findings in found.values() for row in findings.rows for each in row.rounds]
    others = max((each.others for each in rounds), default=0.0)
    print(f"\n{time.monotonic() - begun:.0f} s, {asked.threads} threads a server; {disturbance(others)}")
    if asked.json:
        plain = {title: asdict(findings) for title, findings in found.items()}
        asked.json.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
