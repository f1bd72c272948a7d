"""Any other Kubernetes: nothing of a cloud."""

from __future__ import annotations

from generator.providers.base import Provider

PROVIDER = Provider(name="kubernetes", api_port=6443)
