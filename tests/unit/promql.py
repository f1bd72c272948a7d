"""PromQL in tests: what a query selects, and what Prometheus' own promtool says of rules over made-up series."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

ROOT = Path(__file__).parents[2]


def promtool() -> str:
    """Prometheus' own judge of rules: Debian's package `prometheus` has it. Skips where it is not installed."""
    there = os.environ.get("MODELYARD_PROMTOOL") or shutil.which("promtool")
    here = ROOT / ".cache/bin/promtool"
    if there is None and not here.is_file():
        pytest.skip("promtool is not installed")
    return there or str(here)


def check(spec: Mapping[str, Any], folder: Path) -> None:
    """The groups of a PrometheusRule are rules for Prometheus, without a doubt."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(dict(spec)))
    done = subprocess.run([promtool(), "check", "rules", "rules.yaml"], cwd=folder, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "SUCCESS" in said and "duplicate" not in said, said


def judge(rules: Iterable[Mapping[str, Any]], test: Mapping[str, Any], folder: Path) -> None:
    """Run one test of promtool ("Unit testing for rules", prometheus.io); samples are a minute apart."""
    group = {"groups": [{"name": "all", "rules": [dict(rule) for rule in rules]}]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(group))
    (folder / "test.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [{"interval": "1m", **test}]})
    )
    done = subprocess.run([promtool(), "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def fires(
    rules: Iterable[Mapping[str, Any]], name: str, minutes: int, series: Mapping[str, str], wanted: bool, folder: Path
) -> None:
    """Whether exactly one alert of that name is firing after so many minutes."""
    query = f'count(ALERTS{{alertname="{name}", alertstate="firing"}})'
    samples = [{"labels": "{}", "value": 1}] if wanted else []
    test = {
        "input_series": [{"series": s, "values": values} for s, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": f"{minutes}m", "exp_samples": samples}],
    }
    judge(rules, test, folder)


def selectors(node: Any) -> Iterator[Any]:
    """Every vector that an expression selects."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        if getattr(node, name, None) is not None:
            yield from selectors(getattr(node, name))
    for argument in getattr(node, "args", ()):
        yield from selectors(argument)


def grouped(text: str) -> set[str]:
    """Labels that an expression groups or matches by."""
    return set(re.findall(r"\w+", " ".join(re.findall(r"(?:by|on) \(([^)]*)\)", text))))


def shown(board: Mapping[str, Any]) -> dict[str, str]:
    """Every query of a dashboard by where it stands; Grafana's own interval filled in."""
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    queries = {f"{p['title']} {t['refId']}": t["expr"] for p in panels for t in p["targets"]}
    return {name: text.replace("$__rate_interval", "5m") for name, text in queries.items()}
