"""OpenShift, on any cloud or none: security context constraints give each namespace its users."""

from __future__ import annotations

from generator.providers.base import Provider

# OpenShift's DNS pods listen on 5353 (namespace openshift-dns, DaemonSet dns-default); a NetworkPolicy is about pods.
PROVIDER = Provider(name="openshift", uid=None, dns=("openshift-dns", 5353), api_port=6443)
