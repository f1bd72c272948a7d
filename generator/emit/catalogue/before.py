"""What has to be there before the rest: clouds, Secrets, images."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from generator.catalog import ADDONS
from generator.emit import terraform
from generator.emit.catalogue.markdown import code, escape, table
from generator.plan import Baked, Bucket, Cluster, Plan, VaultSecret


def first(plan: Plan) -> Iterator[str]:
    yield "## What to apply first"
    yield ""
    for number, step in enumerate(_steps(plan), 1):
        yield f"{number}. {step}"
    yield ""
    yield from _argocd(plan)
    yield from _kubectl(plan)


def _steps(plan: Plan) -> Iterator[str]:
    ways = {cluster.gitops for cluster in plan.clusters}
    for row in terraform.used(plan):
        yield f"{row.title}: [{row.page}]({row.page})."
    if any(isinstance(service.cache, Baked) for service in plan.services):
        yield "The images below `images/`, built and pushed by CI: pods wait for them."
    yield from _by_hand(plan)
    if any(_rows(plan)):
        yield "The Secrets below, on each cluster."
    if "argocd" in ways:
        yield "The health checks, merged into `argocd-cm`; then Argo CD waits for models and services."
        yield "The root Application; Argo CD takes the rest from Git."
    if "kubectl" in ways:
        yield "The folders of the clusters without Argo CD."


def _by_hand(plan: Plan) -> Iterator[str]:
    """What services name or need, and nothing here makes."""
    for cluster in plan.clusters:
        wanted = list(_software(plan, cluster)) if cluster.gitops == "kubectl" else []
        if wanted:
            yield f"On {code(cluster.name)}: {', '.join(wanted)}."
    named = {("PriorityClass", s.priority_class) for s in plan.services} | {
        ("LocalQueue", s.queue) for s in plan.services
    }
    named |= {("GatewayClass", s.upgrade.gateway_class) for s in plan.services if s.upgrade}
    found = [f"{kind} {code(name)}" for kind, name in sorted((kind, name) for kind, name in named if name)]
    if found:
        yield f"What services name, on their clusters: {', '.join(found)}."


def _software(plan: Plan, cluster: Cluster) -> Iterator[str]:
    """What Argo CD would bring to the cluster, or the platform has."""
    services = plan.services_on(cluster.name)
    ray = any(service.runtime == "ray" for service in services)
    if ray and not terraform.brings(cluster, "kuberay-operator"):
        operator = ADDONS["kuberay-operator"]
        yield f"the KubeRay operator {operator.version} in namespace {code(cluster.operator_namespace)}"
    if ray and cluster.services_by == "kro":
        yield f"kro {ADDONS['kro'].version}"
    if any(isinstance(service.cache, Bucket) for service in services):
        yield f"the Mountpoint S3 CSI driver {ADDONS['mountpoint-s3-csi-driver'].version}"
    if any(service.runtime == "kserve" for service in services):
        yield "KServe in Standard mode"


def _argocd(plan: Plan) -> Iterator[str]:
    if any(cluster.gitops == "argocd" for cluster in plan.clusters):
        argocd = shlex.quote(plan.platform.argocd_namespace)
        yield "```sh"
        yield f"kubectl -n {argocd} patch configmap argocd-cm --patch-file bootstrap/argocd-cm.yaml"
        yield f"kubectl -n {argocd} apply -f bootstrap/root.yaml"
        yield "```"
        yield ""


def _kubectl(plan: Plan) -> Iterator[str]:
    names = [cluster.name for cluster in plan.clusters if cluster.gitops == "kubectl"]
    if names:
        yield "With `oc` as with `kubectl`:"
        yield ""
        yield "```sh"
        for name in names:
            yield f"kubectl --context {name} apply --server-side -k clusters/{name}"
        yield "```"
        yield ""


def secrets(plan: Plan) -> Iterator[str]:
    yield "## Secrets that must exist"
    yield ""
    rows = sorted(_rows(plan))
    if not rows:
        yield "None."
        yield ""
        return
    yield "The repository holds their names only."
    yield ""
    columns = ("Cluster", "Namespace", "Secret", "Key", "What it is")
    yield from table(columns, ((code(c), code(n), code(s), key, what) for c, n, s, key, what in rows))


def _rows(plan: Plan) -> set[tuple[str, ...]]:
    """Cluster, namespace, Secret, key, what it is."""
    own = ((cluster, plan.platform.namespace, *rest) for cluster, *rest in _secret_rows(plan))
    return {*own, *_of_drivers(plan)}


_Row = tuple[str, str, str, str]
"""Cluster, Secret, key, what it is."""


def _secret_rows(plan: Plan) -> Iterator[_Row]:
    made = {(cluster.name, item.secret) for cluster in plan.clusters for item in _vaulted(cluster)}
    for row in (*_of_models(plan), *_of_services(plan)):
        if row[:2] not in made:
            yield row
    for cluster in plan.clusters:
        for item in _vaulted(cluster):
            yield cluster.name, item.secret, code(item.key), f"Made of {code(item.object)} in Key Vault"


def _vaulted(cluster: Cluster) -> tuple[VaultSecret, ...]:
    return cluster.key_vault.secrets if cluster.key_vault else ()


def _of_models(plan: Plan) -> Iterator[_Row]:
    for prestage in plan.prestages:
        model = prestage.model
        for cluster in prestage.ways:
            if model.token is not None:
                yield cluster, model.token.secret, code(model.token.key), "Hugging Face token"
            if isinstance(model.cache, Bucket) and model.cache.server is not None:
                server = model.cache.server
                yield cluster, server.secret, "`access_key_id`, `secret_access_key`", f"For {code(server.endpoint)}"


def _of_services(plan: Plan) -> Iterator[_Row]:
    for service in plan.services:
        for cluster in service.clusters:
            if service.ingress is not None and service.ingress.tls_secret is not None:
                what = f"Certificate of {code(service.ingress.host)}"
                yield cluster, service.ingress.tls_secret, "`tls.crt`, `tls.key`", what
            store = service.fault_tolerance
            if store is not None and store.password_secret is not None:
                yield cluster, store.password_secret, code(store.password_key), f"Password of {code(store.redis)}"
            if service.auth_secret is not None:
                yield cluster, service.auth_secret, "`auth_token`", f"Token of the Ray cluster {code(service.name)}"


def _of_drivers(plan: Plan) -> Iterator[tuple[str, ...]]:
    """The Mountpoint driver has keys of its own (mountpoint-s3-csi-driver v2.7.0, chart value `awsAccessSecret`)."""
    namespace = ADDONS["mountpoint-s3-csi-driver"].namespace
    for service in plan.services:
        if isinstance(service.cache, Bucket) and service.cache.server is not None:
            what = f"For the Mountpoint driver, which reads {code(service.cache.server.endpoint)}"
            for cluster in service.clusters:
                yield cluster, namespace, "aws-secret", "`key_id`, `access_key`", what


def images(plan: Plan) -> Iterator[str]:
    yield "## Images"
    yield ""
    rows = ((code(image), escape(role), _pinned(image, role)) for image, role in sorted(plan.images.items()))
    yield from table(("Image", "Used by", "Pinned by digest"), rows)


def _pinned(image: str, role: str) -> str:
    if role == "baked":
        return "its tag is a digest of all that goes into it"
    return "yes" if "@sha256:" in image else "no: `modelyard lock` pins it"
