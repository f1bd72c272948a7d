"""The emitters: one pure module per family of artefact, listed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from generator.assets import Assets
from generator.emit import argocd, backstage, catalogue, charts, graphs, images, monitoring, nodepools, serve, terraform
from generator.plan import Plan

Emitter = Callable[[Plan, Assets], Iterator[tuple[str, bytes]]]
"""Yields `(POSIX path inside the tree, content)`; pure, decides no default."""

EMITTERS: Mapping[str, Emitter] = MappingProxyType(
    {
        "argocd": argocd.emit,
        "charts": charts.emit,
        "kro": graphs.emit,
        "serve": serve.emit,
        "images": images.emit,
        "monitoring": monitoring.emit,
        "nodepools": nodepools.emit,
        "terraform": terraform.emit,
        "backstage": backstage.emit,
        "catalogue": catalogue.emit,
    }
)


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """Every file of the tree."""
    for emitter in EMITTERS.values():
        yield from emitter(plan, assets)
