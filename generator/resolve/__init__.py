"""Spec, lock and bundles to the Plan: every default, name, path and reference decided, once.

Assumes that `checks` found no error. What the user may have left out is settled here and nowhere else.
"""

from __future__ import annotations

from generator import __version__, baking, plan
from generator.baking import Recipe
from generator.lock import Lock
from generator.resolve.clusters import cache, cluster, ways
from generator.resolve.models import model, prestage
from generator.resolve.platform import digested, platform
from generator.resolve.services import by_profile, service
from generator.services import Code
from generator.spec import Spec


def resolve(spec: Spec, lock: Lock, code: Code, recipe: Recipe, text: str) -> plan.Plan:
    """The Plan of a catalogue.

    `code` maps a folder of serving/ to its files, `recipe` is what images with models are built by, `text` is
    models.yaml as read.
    """
    clusters = tuple(cluster(c, spec.services, spec.caches) for c in spec.clusters)
    caches = {c.name: cache(c) for c in spec.caches}
    staging = {c.name: ways(c, spec.clusters) for c in spec.caches}
    everywhere = tuple(c.name for c in clusters)
    models = tuple(
        model(asked, lock, caches[asked.cache], everywhere) for asked in sorted(spec.models, key=lambda m: m.name)
    )
    by_name = {m.name: m for m in models}
    alike = [part for asked in sorted(spec.services, key=lambda s: s.name) for part in by_profile(asked, clusters)]
    served = tuple(service(asked, profile, spec.platform, by_name, lock, code) for asked, profile in alike)
    used = {s.code.filename: s.code for s in served if s.code is not None}
    image = digested(spec.platform.images.prestage, lock)
    prestages = {m.name: prestage(m, staging[m.cache.name], image, spec.platform) for m in models}
    placed, baked = baking.bake(served, prestages, recipe)
    return plan.Plan(
        platform=platform(spec.platform, text),
        clusters=clusters,
        models=models,
        prestages=tuple(prestages.values()),
        services=placed,
        bundles=tuple(used[name] for name in sorted(used)),
        images={image: "prestage"}
        | {g.image: "ray" for s in served for g in s.groups}
        | {s.image: "ray" for s in served}
        | {made.reference: "baked" for made in baked},
        version=__version__,
        baked=baked,
    )
