"""Expands the charts of a rendered tree with real helm, as Argo CD would for each cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

NAMESPACE = "ray-system"
PRESTAGE = "prestage"
# The values of a cluster that each chart takes; every other chart takes those of services.
VALUES = {
    PRESTAGE: "prestage.yaml",
    "platform-manifests": "platform-manifests.yaml",
    "kserve-service": "inference/*.yaml",
    "": "services/*.yaml",
}
# What the ApplicationSets read from the annotations of a cluster's Secret.
CLUSTER_FACTS = {
    PRESTAGE: ("modelPrestage.s3Bucket=demo-ray-models-000000000000", "modelPrestage.region=eu-west-1"),
    "kserve-service": (),
    "": ("cluster.bucket=demo-ray-models-000000000000", "cluster.region=eu-west-1"),
}


@dataclass(frozen=True, slots=True)
class Release:
    """One chart with the values that one cluster, or one of the chart's own examples, gives it."""

    chart: Path
    values: tuple[Path, ...]
    facts: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the values belong to: `<cluster>` or `ci/<file>`."""
        first = self.values[0]
        return first.parent.name if self.chart in first.parents else first.relative_to(self.chart.parents[1]).parts[1]

    def arguments(self) -> list[str]:
        files = [word for path in self.values for word in ("-f", str(path))]
        return [str(self.chart), *files, *(word for fact in self.facts for word in ("--set-string", fact))]


def releases(tree: Path) -> Iterator[Release]:
    """Each chart below `tree` with each set of values that it is made for."""
    for chart in sorted(path.parent for path in tree.glob("charts/*/Chart.yaml")):
        for example in sorted(chart.glob("ci/*.yaml")):
            yield Release(chart, (example,), ())
        pattern = VALUES.get(chart.name, VALUES[""])
        for cluster in sorted((tree / "clusters").glob("*")):
            if values := tuple(sorted(cluster.glob(pattern))):
                yield Release(chart, values, CLUSTER_FACTS.get(chart.name, CLUSTER_FACTS[""]))


def lint(helm: Path, release: Release) -> None:
    """Raises subprocess.CalledProcessError with helm's words."""
    _run([str(helm), "lint", "--strict", *release.arguments()])


def template(helm: Path, release: Release) -> str:
    """The manifests, as one YAML stream. Raises subprocess.CalledProcessError."""
    chart, *rest = release.arguments()
    return _run([str(helm), "template", release.chart.name, chart, "--namespace", NAMESPACE, *rest])


def kinds(manifests: str) -> Sequence[str]:
    """The kinds of the objects in YAML of helm's or ours: `kind` stands at the left edge, once an object."""
    return [line.removeprefix("kind: ") for line in manifests.splitlines() if line.startswith("kind: ")]


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
