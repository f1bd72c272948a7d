"""Caches without a cloud: what the rules let pass, and what the prestage chart is told of each cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, compile, yamlio
from generator.caches import s3
from generator.errors import Severity
from generator.plan import S3Server

COMMIT = "fe8a4ea1ffedaf415f4da2f062534de366a451e6"
MINIO = {"type": "s3", "endpoint": "http://minio.minio.svc:9000", "bucket": "models", "region": "us-east-1"}
CEPH = {**MINIO, "endpoint": "https://ceph.example.com:8443", "credentialsSecret": "ceph"}
DISK = {"type": "pvc", "storageClass": "fast", "size": "10Gi"}
SHARE = {"type": "pvc", "storageClass": "files", "size": "10Gi", "accessMode": "ReadWriteMany"}
CACHES = {"minio": {**MINIO, "credentialsSecret": "minio"}, "ceph": CEPH, "disk": DISK, "share": SHARE}


def catalogue(cache: str, provider: str = "kubernetes", **service: Any) -> dict[str, Any]:
    """One model in one of the caches above, and a service of it."""
    asked = {"name": "chat", "clusters": ["main"], "applications": [{"model": "tiny", "memory": "8Gi"}], **service}
    return {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "ModelCatalog",
        "platform": {
            "prefix": "acme",
            "repository": {"url": "https://git.example.com/acme/gitops.git"},
            "images": {"prestage": "registry.example.com/prestage:1.0"},
        },
        "clusters": [{"name": "main", "provider": provider, "servicesBy": "helm"}],
        "caches": [{"name": cache, **CACHES[cache]}],
        "models": [{"name": "tiny", "source": {"huggingface": "org/tiny", "revision": COMMIT}, "cache": cache}],
        "services": [asked],
    }


def values(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the chart `prestage` is told, after no rule was broken."""
    (folder / "models.yaml").write_bytes(yamlio.dump(data))
    found = assets.find()
    planned = compile.plan_catalogue(folder / "models.yaml", found)
    assert planned.plan is not None, [d for d in planned.diagnostics if d.severity is Severity.ERROR]
    tree = compile.files(planned.plan, found)
    return dict(yaml.safe_load(tree.files["clusters/main/prestage.yaml"])["modelPrestage"])


GPU: dict[str, Any] = {
    "upgrade": {"strategy": "none"},
    "workers": [{"name": "gpu", "accelerator": "nvidia-l4", "tolerations": [{"key": "team", "value": "ml"}]}],
}
MANY: dict[str, Any] = {"applications": [{"model": "tiny", "memory": "8Gi", "replicas": {"max": 4}}]}


@pytest.mark.parametrize(
    ("cache", "service"), [("disk", {"upgrade": {"strategy": "none"}}), ("share", MANY), ("minio", MANY), ("ceph", {})]
)
@pytest.mark.parametrize("provider", ["kubernetes", "openshift", "aks", "eks"])
def test_no_cloud_is_needed(tmp_path: Path, provider: str, cache: str, service: dict[str, Any]) -> None:
    """And none is in the way: on EKS it works as well."""
    target = values(catalogue(cache, provider, **service), tmp_path)["models"]["tiny"]["target"]
    assert target["key"] == f"models/tiny/{COMMIT[:12]}"


def test_several_services_read_a_share(tmp_path: Path) -> None:
    data = catalogue("share")
    data["services"].append({**data["services"][0], "name": "batch"})
    assert values(data, tmp_path)["models"].keys() == {"tiny"}


@pytest.mark.parametrize(
    ("cache", "provider", "ports", "namespaces"),
    [
        ("minio", "kubernetes", [443], ["minio"]),
        ("ceph", "openshift", [443, 8443], []),
        ("share", "aks", [443], []),
        ("ceph", "eks", [443, 8443], []),
    ],
)
def test_pods_connect_to_what_they_need(
    tmp_path: Path, cache: str, provider: str, ports: list[int], namespaces: list[str]
) -> None:
    found = values(catalogue(cache, provider), tmp_path)
    dns = {"openshift": {"namespace": "openshift-dns", "port": 5353}}
    assert found["egress"] == {
        "dns": dns.get(provider, {"namespace": "kube-system", "port": 53}),
        "identity": ["169.254.170.23/32"] if provider == "eks" else [],
        "ports": ports,
        "namespaces": namespaces,
    }
    assert found["assignedUser"] is (provider == "openshift")
    assert found.get("readersGroup") == (None if provider == "openshift" else 1000)


def test_a_later_job_may_stand_where_the_disk_is_read(tmp_path: Path) -> None:
    asked = [{"key": "nvidia.com/gpu", "operator": "Exists"}, {"key": "team", "operator": "Equal", "value": "ml"}]
    assert values(catalogue("disk", **GPU), tmp_path)["models"]["tiny"]["tolerations"] == asked
    assert "tolerations" not in values(catalogue("share", **GPU), tmp_path)["models"]["tiny"]


@pytest.mark.parametrize(
    ("endpoint", "port", "namespace"),
    [
        ("https://minio.example.com", 443, None),
        ("http://minio.example.com", 80, None),
        ("http://10.0.0.7:9000", 9000, None),
        ("http://minio.minio.svc:9000", 9000, "minio"),
        ("https://s3.storage.svc.cluster.local", 443, "storage"),
        ("https://a.b.c.svc", 443, None),
    ],
)
def test_where_a_server_is(endpoint: str, port: int, namespace: str | None) -> None:
    server = S3Server(endpoint, "us-east-1", "minio")
    assert (s3.port(server), s3.namespace(server)) == (port, namespace)


def test_kinds_are_allowed_where_they_are_made(tmp_path: Path) -> None:
    """The AppProject lets through what the chart makes, and no StorageClass where it makes none."""
    allowed = {}
    for retain in (False, True):
        data = catalogue("disk", upgrade={"strategy": "none"})
        data["caches"][0] |= {"retain": True, "provisioner": "csi.example.com"} if retain else {}
        (tmp_path / "models.yaml").write_bytes(yamlio.dump(data))
        planned = compile.plan_catalogue(tmp_path / "models.yaml", assets.find())
        assert planned.plan is not None
        files = compile.files(planned.plan, assets.find()).files
        spec = yaml.safe_load(files["bootstrap/applications/project.yaml"])["spec"]
        assert {"group": "", "kind": "PersistentVolumeClaim"} in spec["namespaceResourceWhitelist"]
        allowed[retain] = {"group": "storage.k8s.io", "kind": "StorageClass"} in spec["clusterResourceWhitelist"]
    assert allowed == {False: False, True: True}
