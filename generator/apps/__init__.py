"""The applications that a service can run: a module and a row each. `text-generation` is ours, `vllm` is Ray's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from generator.apps import text_generation, vllm
from generator.apps.base import App, Deployment

APPS: Mapping[str, App] = MappingProxyType({app.name: app for app in (text_generation.APP, vllm.APP)})

__all__ = ["APPS", "App", "Deployment"]
