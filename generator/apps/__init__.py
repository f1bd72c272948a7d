"""The applications that a service can run: a module and a row each. `vllm` is Ray's, the others are ours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from generator.apps import composition, router, text_generation, translation, vllm
from generator.apps.base import OWN_FIELDS, App, Deployment, Helper, Served

APPS: Mapping[str, App] = MappingProxyType(
    {module.APP.name: module.APP for module in (text_generation, vllm, translation, router, composition)}
)

__all__ = ["APPS", "OWN_FIELDS", "App", "Deployment", "Helper", "Served"]
