"""Tables of facts that come from outside: accelerators, providers, add-ons, default images and their versions.

A new accelerator, provider or add-on is a row here. Every row names its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A device that a replica asks for.

    `memory` is in bytes per device as the vendor states it, `resource` the Kubernetes extended resource,
    `toleration` the key of the taint that such nodes usually carry (operator Exists).
    """

    name: str
    memory: int
    resource: str
    toleration: str


def _nvidia(name: str, gibibytes: int) -> Accelerator:
    return Accelerator(f"nvidia-{name}", gibibytes * GIB, "nvidia.com/gpu", "nvidia.com/gpu")


# Memory sizes: NVIDIA data sheets of each product.
ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType(
    {
        row.name: row
        for row in (
            _nvidia("t4", 16),
            _nvidia("a10g", 24),
            _nvidia("l4", 24),
            _nvidia("a100-40gb", 40),
            _nvidia("l40s", 48),
            _nvidia("a100-80gb", 80),
            _nvidia("h100-80gb", 80),
            _nvidia("h200-141gb", 141),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Chart:
    """A third-party Helm chart, installed by an Application of its own, version pinned."""

    repository: str
    chart: str
    version: str
    namespace: str
    release: str
    values: Mapping[str, object] = field(default_factory=dict)
    kinds: tuple[tuple[str, str], ...] = ()  # cluster-scoped (group, kind) that it creates


_RBAC = (("rbac.authorization.k8s.io", "ClusterRole"), ("rbac.authorization.k8s.io", "ClusterRoleBinding"))
_CRD = (("apiextensions.k8s.io", "CustomResourceDefinition"),)

# KubeRay v1.7.0 helm-chart/kuberay-operator; kro v0.9.3 helm; mountpoint-s3-csi-driver v2.7.0 charts.
ADDONS: Mapping[str, Chart] = MappingProxyType(
    {
        "kuberay-operator": Chart(
            repository="https://ray-project.github.io/kuberay-helm/",
            chart="kuberay-operator",
            version="1.7.0",
            namespace="kuberay-system",
            release="kuberay-operator",
            values=MappingProxyType({"crNamespacedRbacEnable": False}),
            kinds=_RBAC + _CRD,
        ),
        "kro": Chart(
            repository="registry.k8s.io/kro/charts",
            chart="kro",
            version="0.9.3",
            namespace="kro-system",
            release="kro",
            # `unrestricted`, the default, makes every author of an RGD a cluster administrator.
            values=MappingProxyType({"rbac": {"mode": "aggregation"}}),
            kinds=_RBAC + _CRD,
        ),
        "mountpoint-s3-csi-driver": Chart(
            repository="https://awslabs.github.io/mountpoint-s3-csi-driver",
            chart="aws-mountpoint-s3-csi-driver",
            version="2.7.0",
            namespace="kube-system",
            release="aws-mountpoint-s3-csi-driver",
            kinds=(
                *_RBAC,
                *_CRD,
                ("storage.k8s.io", "CSIDriver"),
                ("", "Namespace"),
                ("scheduling.k8s.io", "PriorityClass"),
            ),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class RayImage:
    """A serving image and the Ray release inside it (KubeRay picks probes and autoscaler by `rayVersion`)."""

    image: str
    ray_version: str


# AWS Deep Learning Containers, Ray Serve changelog v1.1.0 (2026-05-12): Ray 2.55.1, Transformers 5.8.0;
# Ray LLM image page: Ray 2.58.0 with vLLM. `modelyard lock` turns each tag into a digest.
DEFAULT_RAY_IMAGES: Mapping[str, RayImage] = MappingProxyType(
    {
        "cpu": RayImage("public.ecr.aws/deep-learning-containers/ray:serve-ml-cpu-v1.1", "2.55.1"),
        "gpu": RayImage("public.ecr.aws/deep-learning-containers/ray:serve-ml-cuda-v1.1", "2.55.1"),
        "vllm": RayImage("public.ecr.aws/deep-learning-containers/ray:serve-llm-cuda", "2.58.0"),
    }
)
MINIMUM_RAY = (2, 54)  # CVE-2026-27482 is fixed there

# GPU memory that an engine may plan with; the rest is CUDA context and fragmentation (vLLM's own default).
USABLE_ACCELERATOR_MEMORY = 0.9

# A replica's host memory beyond the weights: interpreter, torch, tokenizer and the Serve replica itself.
REPLICA_OVERHEAD = 2 * GIB
# Host memory of a replica whose weights are not known from the lock.
DEFAULT_REPLICA_MEMORY = "16Gi"
