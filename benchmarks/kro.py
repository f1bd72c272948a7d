"""Time and size of `modelyard kro check` and `expand` on a large graph, beside parsing its YAML alone.

    python -m benchmarks.kro [--resources 200] [--expressions 21] [--runs 3] [--broken 500]

kro itself does not run without a cluster, so there is no peer; PyYAML, which only reads the file, is the floor. With
`--broken`, that many altered graphs are checked after it: one part taken out or replaced in each, by a seed.
"""

from __future__ import annotations

import argparse
import copy
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from generator import yamlio
from generator.kro.check import check
from generator.kro.expand import expand
from generator.kro.reading import Document

Place = tuple[Any, Any]
"""A container and a key or index in it."""


def graph(resources: int, expressions: int) -> dict[str, Any]:
    """ConfigMaps, each but the first refers to the one before."""
    items = [_resource(i, expressions) for i in range(resources)]
    schema = {"apiVersion": "v1alpha1", "kind": "Large", "spec": {"name": "string | required=true", "count": "integer"}}
    return {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "ResourceGraphDefinition",
        "metadata": {"name": "large"},
        "spec": {"schema": schema, "resources": items},
    }


def _resource(i: int, expressions: int) -> dict[str, Any]:
    before = f" + r{i - 1}.metadata.name" if i else ""
    data = {f"k{k}": "${schema.spec.name" + f" + '-{k}'" + (before if k == 0 else "") + "}" for k in range(expressions)}
    metadata = {"name": "${schema.metadata.name}" + f"-{i}"}
    return {"id": f"r{i}", "template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}}


def instance() -> dict[str, Any]:
    metadata = {"name": "one", "namespace": "default"}
    return {"apiVersion": "kro.run/v1alpha1", "kind": "Large", "metadata": metadata, "spec": {"name": "n", "count": 1}}


def timed(action: Callable[[], object], runs: int) -> float:
    """Median of the CPU seconds of some runs."""
    return statistics.median(_cpu(action) for _ in range(runs))


def _cpu(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def broken(whole: dict[str, Any], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Copies of the graph, each with one part taken out or replaced."""
    chance = random.Random(seed)
    for _ in range(count):
        altered = copy.deepcopy(whole)
        parent, key = chance.choice(list(_places(altered)))
        if chance.random() < 0.5:
            del parent[key]
        else:
            parent[key] = chance.choice([None, 1, "", "${", "${x.y}", [], {}, "${schema.spec}", "a" * 300])
        yield altered


def _places(node: Any) -> Iterator[Place]:
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from _places(node[key])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--resources", type=int, default=200)
    parser.add_argument("--expressions", type=int, default=21, help="of each resource")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--broken", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    whole = graph(asked.resources, asked.expressions)
    text = yamlio.dump(whole)
    rows = (
        ("PyYAML reads it", timed(lambda: yaml.safe_load(text), asked.runs)),
        ("check", timed(lambda: check([Document(whole, "large.yaml")]), asked.runs)),
        ("expand", timed(lambda: expand(whole, instance()), asked.runs)),
    )
    count = asked.resources * asked.expressions
    print(
        f"{asked.resources} resources, {count:,} expressions, {len(text) / 1024:,.0f} KiB; median of {asked.runs} runs"
    )
    for name, seconds in rows:
        print(f"  {name:<16} {seconds:8.3f} s of CPU")
    found = sum(bool(check([Document(one, "broken.yaml")])) for one in broken(graph(6, 3), asked.broken, asked.seed))
    print(f"{asked.broken:,} altered graphs (seed {asked.seed}): {found:,} with findings, no crash")
    return 0


if __name__ == "__main__":
    sys.exit(main())
