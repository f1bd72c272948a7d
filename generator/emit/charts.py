"""Our Helm charts, copied as they are, and the values that make them this catalogue's."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from generator import runtimes, stagings
from generator.assets import Assets
from generator.plan import Plan
from generator.runtimes import RUNTIMES, Runtime
from generator.stagings import Staging
from generator.yamlio import dump


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """`charts/`, static, and `clusters/<cluster>/`, the values of each."""
    for chart in charts_used(plan):
        for name, content in assets.files(f"chart-templates/{chart}"):
            yield f"charts/{chart}/{name}", content
    for row in stagings.used(plan):
        digest = _digest(assets, row.chart)
        for cluster in stagings.clusters(plan, row.way):
            yield (
                staging_values_path(cluster.name, row),
                dump(row.values(plan, cluster, plan.staged(cluster.name, row.way), digest)),
            )
    for cluster in plan.clusters:
        for service in plan.services_on(cluster.name):
            runtime = RUNTIMES[service.runtime]
            yield (
                f"{services_folder(cluster.name, runtime)}/{service.name}.yaml",
                dump({"services": {service.name: runtime.values(plan, cluster, service)}}),
            )


def charts_used(plan: Plan) -> tuple[str, ...]:
    serving = {delivery.chart for _, delivery in runtimes.deliveries() if runtimes.clusters(plan, delivery)}
    return (*(row.chart for row in stagings.used(plan)), *sorted(serving))


def staging_values_path(cluster: str, row: Staging) -> str:
    return f"clusters/{cluster}/{row.file}"


def services_folder(cluster: str, runtime: Runtime) -> str:
    return f"clusters/{cluster}/{runtime.folder}"


def _digest(assets: Assets, chart: str) -> str:
    """Digest of a chart's templates."""
    digest = sha256()
    for name, content in assets.files(f"chart-templates/{chart}/templates"):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()
