"""Time and memory of `modelyard render` and `check` beside helm, kustomize and cdk8s over the same objects.

    python -m benchmarks.render [--sizes 100,1000,10000] [--runs 3] [--json FILE]

Each measurement is a whole process; the rows of one size are taken in turn, run after run, and medians are shown.
helm reads our charts and values as one chart in one process, kustomize and cdk8s get the objects that helm made.
kustomize and cdk8s are left out above 1,000 models: they need minutes there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks import catalogue

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
PEER_LIMIT = 1000
CDK8S = """
import json, sys
from cdk8s import ApiObject, App, Chart, JsonPatch
app = App(outdir=sys.argv[2])
chart = Chart(app, "all")
for i, obj in enumerate(json.load(open(sys.argv[1]))):
    head = {"api_version": obj.pop("apiVersion"), "kind": obj.pop("kind"), "metadata": obj.pop("metadata")}
    ApiObject(chart, str(i), **head).add_json_patch(*(JsonPatch.add("/" + key, obj[key]) for key in obj))
app.synth()
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process: wall and CPU seconds, peak resident memory in MiB."""

    wall: float
    cpu: float
    memory: float


# Starts the command and reports on it. A process of its own: the peak memory of a child counts from that of its parent.
LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "wb"), stderr=subprocess.PIPE)
errors = process.stderr.read()
_, status, usage = os.wait4(process.pid, 0)
wall = time.perf_counter() - start
if os.waitstatus_to_exitcode(status):
    sys.exit(errors.decode())
print(json.dumps([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


def measure(command: list[str], *, into: Path | None = None) -> Sample:
    """Run `command`; its output goes to `into` or nowhere. Raises CalledProcessError when it fails."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(into or os.devnull), *command]
    done = subprocess.run(launcher, check=True, capture_output=True, text=True)
    return Sample(*json.loads(done.stdout))


def one_chart(folder: Path, tree: Path) -> list[str]:
    """helm over all Jobs and services: our two charts and their values as one, which spares helm a process."""
    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True)
    for name in ("prestage", "model-services"):
        for path in (tree / "charts" / name / "templates").iterdir():
            shutil.copy(path, chart / "templates" / f"{name}-{path.name}")
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: all\nversion: 0.1.0\n", encoding="utf-8")
    shutil.copy(tree / "charts/prestage/values.yaml", chart / "values.yaml")
    values: dict[str, Any] = yaml.load((tree / "clusters/hub/prestage.yaml").read_bytes(), yaml.CSafeLoader)
    values["modelPrestage"] |= {"s3Bucket": "bucket", "region": "eu-west-1"}
    values["cluster"] = {"bucket": "bucket", "region": "eu-west-1"}
    values["services"] = {}
    for path in (tree / "clusters/hub/services").iterdir():
        values["services"] |= yaml.load(path.read_bytes(), yaml.CSafeLoader)["services"]
    merged = folder / "values.yaml"
    merged.write_bytes(yaml.dump(values, Dumper=yaml.CSafeDumper, sort_keys=False, encoding="utf-8"))
    return [helm(), "template", "all", str(chart), "-n", "ray-system", "-f", str(merged)]


def helm() -> str:
    return os.environ.get("MODELYARD_HELM") or shutil.which("helm") or str(CACHE / "tools" / "helm")


def kubectl() -> str:
    return shutil.which("kubectl") or str(CACHE / "tools" / "kubectl")


def cdk8s_python() -> str:
    """Interpreter of an environment of its own with cdk8s (PyPI), made on first use."""
    home = CACHE / "bench"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin/pip"), "install", "-q", "cdk8s==2.70.115"], check=True)
        (home / "ready").touch()
    return str(home / "bin/python")


def rows(folder: Path, size: int) -> list[tuple[str, Callable[[], Sample]]]:
    """Name and measurement of every row at one size."""
    plain = catalogue.write(folder / "plain", size)
    changed = catalogue.write(folder / "changed", size, changed=size // 2)
    tree, work = folder / "tree", folder / "work"
    ours = [sys.executable, "-m", "generator.cli"]
    subprocess.run([*ours, "render", "-f", str(plain), "-o", str(tree)], check=True, capture_output=True)
    subprocess.run([*ours, "render", "-f", str(plain), "-o", str(work)], check=True, capture_output=True)
    template = one_chart(folder, tree)

    def cold() -> Sample:
        shutil.rmtree(folder / "cold", ignore_errors=True)
        return measure([*ours, "render", "-f", str(plain), "-o", str(folder / "cold")])

    def one_changed() -> Sample:
        subprocess.run([*ours, "render", "-f", str(plain), "-o", str(work)], check=True, capture_output=True)
        return measure([*ours, "render", "-f", str(changed), "-o", str(work)])

    found = [
        ("modelyard render, empty folder", cold),
        ("modelyard render, one model changed", one_changed),
        ("modelyard check, clean tree", lambda: measure([*ours, "check", "-f", str(plain), "-o", str(tree)])),
        ("helm template", lambda: measure(template)),
    ]
    return found + (peers(folder, template) if size <= PEER_LIMIT else [])


def peers(folder: Path, template: list[str]) -> list[tuple[str, Callable[[], Sample]]]:
    """kustomize and cdk8s over the objects that helm makes of our tree."""
    objects = folder / "kustomize" / "objects.yaml"
    objects.parent.mkdir()
    measure(template, into=objects)
    (objects.parent / "kustomization.yaml").write_text("resources: [objects.yaml]\n", encoding="utf-8")
    data = folder / "objects.json"
    data.write_text(
        json.dumps([o for o in yaml.load_all(objects.read_bytes(), yaml.CSafeLoader) if o]), encoding="utf-8"
    )
    script = folder / "synth.py"
    script.write_text(CDK8S, encoding="utf-8")
    synth = [cdk8s_python(), str(script), str(data), str(folder / "synth")]
    return [
        ("kubectl kustomize", lambda: measure([kubectl(), "kustomize", str(objects.parent)])),
        ("cdk8s synth", lambda: measure(synth)),
    ]


def small(runs: int) -> dict[str, list[Sample]]:
    """`check` of the repository's own models.yaml beside importing pydantic."""
    check = [sys.executable, "-m", "generator.cli", "check", "-f", str(ROOT / "models.yaml")]
    commands = {
        "python -c 'import pydantic'": [sys.executable, "-c", "import pydantic"],
        "modelyard check, own models.yaml": check,
    }
    for command in commands.values():
        measure(command)
    return _in_turn({name: partial(measure, command) for name, command in commands.items()}, runs)


def _in_turn(measurements: dict[str, Callable[[], Sample]], runs: int) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {name: [] for name in measurements}
    for _ in range(runs):
        for name, take in measurements.items():
            samples[name].append(take())
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for size in map(int, arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            results[str(size)] = show(
                f"{size} models, {size} services", _in_turn(dict(rows(Path(folder), size)), arguments.runs)
            )
    results["own"] = show("the repository's own models.yaml", small(max(arguments.runs, 7)))
    ratios(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def show(title: str, samples: dict[str, list[Sample]]) -> dict[str, Any]:
    """Print the medians of one size and return them."""
    print(f"\n{title} (medians of {len(next(iter(samples.values())))})")
    print(f"{'':40}{'wall s':>9}{'CPU s':>9}{'MiB':>8}")
    medians = {}
    for name, taken in samples.items():
        row = {key: statistics.median(getattr(s, key) for s in taken) for key in ("wall", "cpu", "memory")}
        medians[name] = row
        print(f"{name:40}{row['wall']:9.3f}{row['cpu']:9.3f}{row['memory']:8.0f}")
    return medians


def ratios(results: dict[str, dict[str, Any]]) -> None:
    """The ratios that docs/figures.md claims."""
    print("\nratios of medians")
    for size, table in results.items():
        if "helm template" in table:
            peer = table["helm template"]["wall"]
            for name in ("modelyard render, empty folder", "modelyard check, clean tree"):
                print(f"{size:>6}: {name} / helm template = {table[name]['wall'] / peer:.2f}")
    if "1000" in results and "10000" in results:
        for name in ("modelyard render, empty folder", "modelyard check, clean tree"):
            print(
                f"growth 1000 to 10000: {name} = {results['10000'][name]['wall'] / results['1000'][name]['wall']:.1f}"
            )
    own = list(results["own"].values())
    print(f"own models.yaml: check / import pydantic = {own[1]['wall'] / own[0]['wall']:.2f}")


if __name__ == "__main__":
    main()
