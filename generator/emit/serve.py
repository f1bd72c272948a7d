"""`serve/`: the zips of the applications, and the ConfigMaps that carry them where models.yaml says so."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from generator import naming
from generator.assets import Assets
from generator.bundle import Bundle
from generator.plan import Plan
from generator.yamlio import dump


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """One zip for each set of applications that a service runs; its digest is in its name."""
    mounted = {s.code.sha256 for s in plan.services if s.code is not None and s.code_by == "config-map"}
    for bundle in plan.bundles:
        yield f"serve/{bundle.filename}", bundle.zip
        if bundle.sha256 in mounted:
            name = naming.code_config_map(bundle.app, bundle.sha256)
            yield f"serve/{name}.yaml", dump(_config_map(bundle, plan.platform.namespace))


def _config_map(bundle: Bundle, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": naming.code_config_map(bundle.app, bundle.sha256),
            "namespace": namespace,
            "labels": dict(naming.labels("serve-code", bundle.app)),
        },
        "immutable": True,
        "binaryData": {bundle.filename: b64encode(bundle.zip).decode("ascii")},
    }
