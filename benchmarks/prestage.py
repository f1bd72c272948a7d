"""`modelyard prestage` beside the ways that people use today, from a Hub on loopback into S3.

    python -m benchmarks.prestage [--only seaweedfs,sink,paced,large,again,kills] [--size 2GiB] [--runs 3] [--json FILE]

seaweedfs  a real S3 server, new for each run: all ways
sink       an S3 that drops what it is sent, so that the client is the limit: all ways, and the limit of the machine
paced      50 ms before each answer of the Hub, 20 MB/s a connection, a link of 200 MB/s: the share of it that is used
large      20 GiB in one sparse file: memory and disk
again      everything is in place: seconds, and bytes of weights that are read
kills      four kills, each after a random share of the model, then a run to the end: bytes that the Hub sent; the same
           shares for snapshot_download alone

Each measurement is a whole process with an empty folder as its home; rows are taken in turn and medians are shown.
Memory is the peak of the largest process of a way (of the four together for copyurl), disk the most that is seen in its
folder, written what it wrote to any disk. The Hub's files are in the page cache for everyone. All tools have their
defaults; HF_HUB_DISABLE_XET is not set, as the stand-in offers no Xet.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import boto3

from benchmarks import copies
from benchmarks.copies import BUCKET, HAND, OURS, Model
from benchmarks.processes import LIMIT as PATIENCE
from benchmarks.processes import ROOT, Cost, cpu_of, group, measure, server
from tests.standins.seaweedfs import SeaweedFS

LIMIT = "the machine: receive and hash, one thread"
MIB = 2**20
LATENCY, RATE, LINK = 0.05, 20e6, 200e6
Result = dict[str, Any]


class Bench:
    """Where files go, how large the model is, and how often a row is taken."""

    def __init__(self, work: Path, size: int, runs: int, seed: int) -> None:
        self.work, self.runs, self.random = work, runs, random.Random(seed)
        self.model = copies.made(work / f"model-{size}", 4, size // 4)
        self.plan = self.model.plan(work / "plan.json")
        self._folders = 0

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty home for one measurement."""
        self._folders += 1
        home = self.work / f"home-{self._folders}"
        home.mkdir()
        try:
            yield home
        finally:
            shutil.rmtree(home)

    @contextmanager
    def seaweedfs(self) -> Iterator[SeaweedFS]:
        with self.folder() as folder, SeaweedFS(folder) as s3:
            boto3.client("s3", **s3.arguments).create_bucket(Bucket=BUCKET)
            yield s3


def sink(bench: Bench) -> Result:
    """All ways against a server that costs next to nothing."""
    samples: dict[str, list[Cost]] = {}
    with server("hub", "--root", str(bench.model.root)) as hub, server("sink") as s3:
        for run in range(bench.runs):
            found = copies.ways(bench.model, bench.plan, f"sink/{run}", hub["hub"], hub["cdn"], s3["s3"])
            env = copies.environment(hub["hub"], s3["s3"])
            for name, (_, steps) in {**found, LIMIT: copies.limit(bench.model, hub["cdn"])}.items():
                samples.setdefault(name, []).append(_taken(bench, steps, env, s3["pid"]))
    return _table("sink: S3 that drops what it is sent", bench.model, samples)


def seaweedfs(bench: Bench) -> Result:
    """All ways against a real server, new for each measurement."""
    samples: dict[str, list[Cost]] = {}
    with server("hub", "--root", str(bench.model.root)) as hub:
        for run in range(bench.runs):
            names = copies.ways(bench.model, bench.plan, "x", hub["hub"], hub["cdn"], "http://x")
            for name in names:
                with bench.seaweedfs() as s3:
                    found = copies.ways(bench.model, bench.plan, f"real/{run}", hub["hub"], hub["cdn"], s3.url)
                    env = copies.environment(hub["hub"], s3.url)
                    samples.setdefault(name, []).append(_taken(bench, found[name].steps, env, s3.pid))
                    _check_sizes(s3, bench.model, f"{found[name].prefix}/")
    return _table("SeaweedFS: a real S3 server on the same two cores", bench.model, samples)


def _taken(bench: Bench, steps: copies.Steps, env: Mapping[str, str], pid: int) -> Cost:
    before = cpu_of(pid)
    with bench.folder() as home:
        cost = measure(steps, env, home)
    return replace(cost, server=cpu_of(pid) - before)


def _check_sizes(s3: SeaweedFS, model: Model, prefix: str) -> None:
    """Every way has to have brought every file."""
    pages = boto3.client("s3", **s3.arguments).list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    held = {item["Key"].removeprefix(prefix): item["Size"] for item in pages["Contents"]}
    wrong = [name for name, blob in model.files.items() if held.get(name) != blob.size]
    if wrong:
        raise RuntimeError(f"not copied: {wrong}")


def paced(bench: Bench) -> Result:
    """A far Hub: what share of the link is filled, from start to end of the process."""
    slow = ("--latency", str(LATENCY), "--rate", str(RATE), "--link", str(LINK))
    taken = []
    with server("hub", "--root", str(bench.model.root), *slow) as hub, server("sink") as s3:
        env = copies.environment(hub["hub"], s3["s3"])
        for run in range(bench.runs):
            taken.append(_taken(bench, [[copies.ours(bench.plan, f"paced/{run}")]], env, s3["pid"]))
    cost = _median(taken)
    share = bench.model.size / cost.wall / LINK
    print(f"\npaced: 50 ms before each answer, 20 MB/s a connection, link of 200 MB/s (median of {bench.runs})")
    print(f"  {cost.wall:.2f} s, {bench.model.size / cost.wall / 1e6:.0f} MB/s, {cost.memory:.0f} MiB")
    print(f"  {_walls(taken)}")
    checks = [_check("paced: share of the link", share, 0.80, least=True)]
    return {"cost": asdict(cost), "samples": _plain(taken), "checks": checks}


def large(bench: Bench) -> Result:
    """Memory and disk do not depend on the size of the model."""
    model = copies.made(bench.work / "large", 1, 20 * 2**30, sparse=True)
    plan = model.plan(bench.work / "large.json")
    with server("hub", "--root", str(model.root)) as hub, server("sink") as s3:
        cost = _taken(bench, [[copies.ours(plan, "large")]], copies.environment(hub["hub"], s3["s3"]), s3["pid"])
    print("\nlarge: 20 GiB in one sparse file")
    print(f"  {cost.wall:.1f} s, {cost.memory:.0f} MiB of memory, {cost.disk:.1f} MiB of disk")
    checks = [_check("large: peak memory, MiB", cost.memory, 160), _check("large: disk, MiB", cost.disk, 0)]
    return {"cost": asdict(cost), "checks": checks}


def again(bench: Bench) -> Result:
    """A run that finds everything in place."""
    with server("hub", "--root", str(bench.model.root)) as hub, bench.seaweedfs() as s3:
        env, command = copies.environment(hub["hub"], s3.url), [[copies.ours(bench.plan, "again")]]
        _taken(bench, command, env, s3.pid)
        before = _served(hub["hub"])
        walls = [_taken(bench, command, env, s3.pid).wall for _ in range(max(bench.runs, 3))]
        sent = _served(hub["hub"]) - before
    wall = statistics.median(walls)
    print(f"\nagain: everything is in place\n  {wall:.2f} s, {sent} bytes from the Hub")
    return {"checks": [_check("again: seconds", wall, 2.0), _check("again: bytes from the Hub", sent, 0)]}


def kills(bench: Bench) -> Result:
    """Bytes that the Hub sent for four killed runs and one to the end, over the size of the model."""
    shares = [bench.random.uniform(0.05, 0.20) for _ in range(4)]
    with server("hub", "--root", str(bench.model.root)) as hub, bench.seaweedfs() as s3:
        env = copies.environment(hub["hub"], s3.url)
        with bench.folder() as home:
            ours = _killed(bench, copies.ours(bench.plan, "kills"), env, home, hub["hub"], shares)
        _check_sizes(s3, bench.model, "kills/")
        with bench.folder() as home:
            theirs = _killed(bench, copies.snapshot(bench.model), env, home, hub["hub"], shares)
    told = ", ".join(f"{share:.3f}" for share in shares)
    print(f"\nkills: after {told} of the model, then to the end; bytes from the Hub over the size of the model")
    print(f"  {OURS} {ours:.2f}, snapshot_download alone {theirs:.2f}")
    checks = [_check("kills: bytes / size", ours, 1.15)]
    return {"shares": shares, "ours": ours, "snapshot_download": theirs, "checks": checks}


def _killed(
    bench: Bench, command: list[str], env: Mapping[str, str], home: Path, hub: str, shares: Sequence[float]
) -> float:
    """Kills when a run was sent its share of the model, so that fast and slow machines are alike.

    Raises RuntimeError where a run ends by itself before.
    """
    first = _served(hub)
    inner = {"PATH": "/usr/bin:/bin", "HOME": str(home), **env}
    printed = home.with_name(home.name + ".printed")
    for share in shares:
        goal, until = _served(hub) + share * bench.model.size, time.monotonic() + PATIENCE
        with printed.open("wb") as file, group(command, inner, home, stdout=file, stderr=file) as process:
            while process.poll() is None and _served(hub) < goal and time.monotonic() < until:
                time.sleep(0.02)
        if process.returncode != -signal.SIGKILL:
            said = printed.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"ended with {process.returncode} before it was killed: {command}\n{said}")
    measure([[command]], env, home)
    return (_served(hub) - first) / bench.model.size


def _served(hub: str) -> int:
    with urllib.request.urlopen(f"{hub}/_served", timeout=10) as answer:  # noqa: S310 - our own server
        return int(json.load(answer)["bytes"])


def _median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(values) for values in zip(*(asdict(cost).values() for cost in costs), strict=True)))


def _table(title: str, model: Model, samples: Mapping[str, list[Cost]]) -> Result:
    medians = {name: _median(costs) for name, costs in samples.items()}
    count = len(next(iter(samples.values())))
    print(f"\n{title}; {model.size / MIB:.0f} MiB (medians of {count})")
    print(f"{'':44}{'wall s':>8}{'CPU s':>8}{'MiB':>7}{'disk MiB':>10}{'written':>9}{'server CPU s':>14}   walls")
    for name, cost in medians.items():
        numbers = f"{cost.wall:>8.2f}{cost.cpu:>8.2f}{cost.memory:>7.0f}{cost.disk:>10.0f}{cost.written:>9.0f}"
        print(f"{name:44}{numbers}{cost.server:>14.2f}   {_walls(samples[name])}")
    plain = {name: asdict(cost) for name, cost in medians.items()}
    every = {name: _plain(costs) for name, costs in samples.items()}
    return {"medians": plain, "samples": every, "checks": _ratios(title, medians)}


def _walls(costs: list[Cost]) -> str:
    return " ".join(f"{cost.wall:.2f}" for cost in costs)


def _plain(costs: list[Cost]) -> list[Result]:
    return [asdict(cost) for cost in costs]


def _ratios(title: str, medians: Mapping[str, Cost]) -> list[Result]:
    mine, hand = medians[OURS], medians[HAND]
    where = title.partition(":")[0]
    real = LIMIT not in medians
    found = [_check(f"{where}: wall / hand-written way", mine.wall / hand.wall, 0.65 if real else 0.35)]
    if real:
        fastest = min(cost.wall for name, cost in medians.items() if name != OURS)
        found.append(_check(f"{where}: wall / fastest other row", mine.wall / fastest, 1.0))
    else:
        found.append(_check(f"{where}: wall / limit of the machine", mine.wall / medians[LIMIT].wall, 2.0))
    found.append(_check(f"{where}: CPU / hand-written way", mine.cpu / hand.cpu, 0.4))
    found += [_check(f"{where}: peak memory, MiB", mine.memory, 160), _check(f"{where}: disk, MiB", mine.disk, 0)]
    return found


def _check(name: str, value: float, target: float, *, least: bool = False) -> Result:
    reached = value >= target if least else value <= target
    return {"name": name, "value": round(value, 3), "target": target, "least": least, "reached": reached}


SECTIONS: dict[str, Callable[[Bench], Result]] = {
    "seaweedfs": seaweedfs,
    "sink": sink,
    "paced": paced,
    "large": large,
    "again": again,
    "kills": kills,
}


def _bytes(text: str) -> int:
    units = {"MiB": 2**20, "GiB": 2**30}
    return int(text[:-3]) * units[text[-3:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--size", type=_bytes, default=2 * 2**30, help="of the model, as 2GiB or 256MiB")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the moments of kills")
    parser.add_argument("--work", type=Path, default=ROOT / "build", help="folder for files, which takes 5 GiB")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers and folders go on the way out
    with tempfile.TemporaryDirectory(dir=asked.work) as work:
        bench = Bench(Path(work), asked.size, asked.runs, asked.seed)
        results = {name: SECTIONS[name](bench) for name in asked.only.split(",")}
    print("\nasked for, and reached")
    for check in (check for result in results.values() for check in result["checks"]):
        asked_for = f"{'at least' if check['least'] else 'at most'} {check['target']:g}"
        verdict = "" if check["reached"] else "   NOT REACHED"
        print(f"  {check['name']:46}{check['value']:>9.2f}   {asked_for}{verdict}")
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
