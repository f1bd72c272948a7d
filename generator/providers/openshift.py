"""OpenShift, on any cloud or none: security context constraints give each namespace its users."""

from __future__ import annotations

from generator.providers.base import Provider

PROVIDER = Provider(name="openshift", uid=None)
