"""Tables of facts that come from outside: accelerators, providers, add-ons, default images and their versions.

A new accelerator, provider or add-on is a row here. Every row names its source.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

GIB = 1024**3

RAY_GPU = "GPU"
"""Ray's own name of NVIDIA devices: actors ask for them by `num_gpus`, ray.serve.llm plans with them by itself."""


@dataclass(frozen=True, slots=True)
class Node:
    """The largest EC2 instance of an accelerator's families with so many devices."""

    devices: int
    cpus: int
    memory: int  # GiB


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A device that a replica asks for, and all that is different where it is one of these.

    `memory` is in bytes per device as the vendor states it, `resource` the Kubernetes extended resource, `ray` what
    KubeRay tells Ray of it, `toleration` the key of the taint that such nodes usually carry (operator Exists).
    `counts`: how many of them one replica may have. `apps`: rows of generator.apps that run on it, none for all;
    `image`: the role of the image that all of them need, none for that of the application.
    `compiled`: a model has to be compiled for it, and has a file with one of these suffixes then; where the engine
    finds it, it reads from the variable `artefacts`. Shapes are compiled in: the KV cache is taken whole.
    `families`, `architecture` and `nodes` are those of the EC2 instances with it, smallest first; `bound`: the resource
    by which Karpenter bounds a pool of them, and how many devices one of it holds.
    """

    name: str
    memory: int
    resource: str
    ray: str
    toleration: str
    counts: Sequence[int]
    families: tuple[str, ...]
    nodes: tuple[Node, ...]
    bound: tuple[str, int]
    architecture: str = "amd64"
    apps: frozenset[str] | None = None
    image: str | None = None
    compiled: tuple[str, ...] = ()
    artefacts: str | None = None


def suits(accelerator: Accelerator | None, compiled_for: Collection[str]) -> bool:
    """Whether a model with such variants runs on the accelerator, or, without one, on CPUs."""
    if accelerator is not None and accelerator.compiled:
        return accelerator.name in compiled_for
    return not compiled_for


def _nvidia(name: str, gibibytes: int, families: tuple[str, ...], nodes: tuple[Node, ...]) -> Accelerator:
    return Accelerator(
        name=f"nvidia-{name}",
        memory=gibibytes * GIB,
        resource="nvidia.com/gpu",
        ray=RAY_GPU,
        toleration="nvidia.com/gpu",
        counts=range(1, 17),
        families=families,
        nodes=nodes,
        bound=("nvidia.com/gpu", 1),
    )


def _neuron(
    name: str,
    gibibytes: int,
    counts: Sequence[int],
    families: tuple[str, ...],
    nodes: tuple[Node, ...],
    cores_per_chip: int,
) -> Accelerator:
    """A device is a NeuronCore: KubeRay v1.7.0 maps `aws.amazon.com/neuroncore` to Ray and no other resource of AWS.

    Pools are bounded by chips: of Trainium2, Karpenter counts the physical cores (128 of trn2.48xlarge, its reference
    of instance types) and the device plugin the logical ones (64).
    """
    return Accelerator(
        name=f"aws-{name}",
        memory=gibibytes * GIB,
        resource="aws.amazon.com/neuroncore",
        ray="neuron_cores",
        toleration="aws.amazon.com/neuron",
        counts=counts,
        families=families,
        nodes=nodes,
        bound=("aws.amazon.com/neuron", cores_per_chip),
        apps=frozenset({"vllm"}),
        image="neuron",
        # optimum-neuron and NxD Inference save model.pt; older optimum-neuron compiled/*.neff.
        compiled=(".pt", ".neff"),
        artefacts="NEURON_COMPILED_ARTIFACTS",
    )


# Memory: NVIDIA's data sheet of each product; AWS Neuron's pages on its chips: 32 GiB for the two cores of Inferentia2
# and Trainium, 96 GiB for the eight of Trainium2, which are four logical ones (LNC 2, the default).
# Instances: Amazon EC2, accelerated computing instances. Counts of NeuronCores: the rings of Inf2 take any, the tori of
# Trn1 and Trn2 part of a chip, one, and 4, 8 or 16 (Neuron scheduler extension; runtime of Trn1: 1, 2, 8, 16, 32).
ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType(
    {
        row.name: row
        for row in (
            _nvidia("t4", 16, ("g4dn",), (Node(1, 64, 256), Node(4, 48, 192))),
            _nvidia("a10g", 24, ("g5",), (Node(1, 64, 256), Node(4, 96, 384), Node(8, 192, 768))),
            _nvidia("l4", 24, ("g6", "gr6"), (Node(1, 64, 256), Node(4, 96, 384), Node(8, 192, 768))),
            _nvidia("a100-40gb", 40, ("p4d",), (Node(8, 96, 1152),)),
            _nvidia("l40s", 48, ("g6e",), (Node(1, 64, 512), Node(4, 96, 768), Node(8, 192, 1536))),
            _nvidia("a100-80gb", 80, ("p4de",), (Node(8, 96, 1152),)),
            _nvidia("h100-80gb", 80, ("p5",), (Node(1, 16, 256), Node(8, 192, 2048))),
            _nvidia("h200-141gb", 141, ("p5e", "p5en"), (Node(8, 192, 2048),)),
            _neuron(
                "inferentia2", 16, range(1, 25), ("inf2",), (Node(2, 32, 128), Node(12, 96, 384), Node(24, 192, 768)), 2
            ),
            _neuron("trainium1", 16, (1, 2, 8, 16, 32), ("trn1", "trn1n"), (Node(2, 8, 32), Node(32, 128, 512)), 2),
            _neuron("trainium2", 24, (1, 2, 4, 16, 32, 64), ("trn2",), (Node(4, 12, 128), Node(64, 192, 2048)), 4),
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
    annotations: tuple[str, ...] = ()  # of the cluster, that `values` ask for as `.values.<name>`
    beside: tuple[str, ...] = ()  # further namespaces that it has objects in


_RBAC = (("rbac.authorization.k8s.io", "ClusterRole"), ("rbac.authorization.k8s.io", "ClusterRoleBinding"))
_CRD = (("apiextensions.k8s.io", "CustomResourceDefinition"),)

_REGION = MappingProxyType({"aws": {"region": "{{ .values.aws_region }}"}, "installScope": "cluster"})


def _ack(service: str, version: str) -> Chart:
    """A controller of AWS Controllers for Kubernetes; its own rights are the platform's to give."""
    name = f"ack-{service}-controller"
    return Chart(
        repository="public.ecr.aws/aws-controllers-k8s",
        chart=f"{service}-chart",
        version=version,
        namespace="ack-system",
        release=name,
        values=_REGION,
        kinds=_RBAC + _CRD,
        annotations=("aws_region",),
    )


# Argo Workflows: argo-helm, chart 1.0.18; ACK: iam-controller v1.8.1, eks-controller v1.20.0;
# KubeRay v1.7.0 helm-chart/kuberay-operator; kro v0.9.3 helm; mountpoint-s3-csi-driver v2.7.0 charts.
ADDONS: Mapping[str, Chart] = MappingProxyType(
    {
        "ack-eks-controller": _ack("eks", "1.20.0"),
        "ack-iam-controller": _ack("iam", "1.8.1"),
        "argo-workflows": Chart(
            repository="https://argoproj.github.io/argo-helm",
            chart="argo-workflows",
            version="1.0.18",
            namespace="argo",
            release="argo-workflows",
            # Step pods run in a restricted namespace, so the executor beside them must not be root.
            values=MappingProxyType(
                {
                    "server": {"enabled": False},
                    # Its Role for steps, in the namespace `default` too: Workflows of ours come with one of their own.
                    "workflow": {"rbac": {"create": False}},
                    "executor": {
                        "securityContext": {
                            "runAsNonRoot": True,
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "image": {"tag": "v4.0.6-nonroot"},
                    },
                }
            ),
            kinds=(*_RBAC, *_CRD, ("scheduling.k8s.io", "PriorityClass")),
        ),
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
            beside=("mount-s3",),  # where it runs Mountpoint, with a Role of its controller
        ),
    }
)


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A class that clusters come with, by what a copy of it needs."""

    provisioner: str
    parameters: Mapping[str, str]


# OpenShift on AWS (ROSA): gp3-csi. EKS has none of its own; the EBS CSI driver's examples call theirs gp3.
# AKS: "Storage classes for dynamic PersistentVolumes" (managed-csi, managed-csi-premium, azurefile-csi).
STORAGE_CLASSES: Mapping[str, StorageClass] = MappingProxyType(
    {
        "gp3": StorageClass("ebs.csi.aws.com", MappingProxyType({"type": "gp3", "encrypted": "true"})),
        "gp3-csi": StorageClass("ebs.csi.aws.com", MappingProxyType({"type": "gp3", "encrypted": "true"})),
        "managed-csi": StorageClass("disk.csi.azure.com", MappingProxyType({"skuName": "StandardSSD_LRS"})),
        "managed-csi-premium": StorageClass("disk.csi.azure.com", MappingProxyType({"skuName": "Premium_LRS"})),
        "azurefile-csi": StorageClass("file.csi.azure.com", MappingProxyType({"skuName": "Standard_LRS"})),
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
RAY_IMAGE_ROLES = (*DEFAULT_RAY_IMAGES, "neuron")
"""Fields of `platform.images` that hold Ray. `neuron` has no default: nobody publishes one with Ray and vLLM."""
MINIMUM_RAY = (2, 54)  # CVE-2026-27482 is fixed there

# GPU memory that an engine may plan with; the rest is CUDA context and fragmentation (vLLM's own default).
USABLE_ACCELERATOR_MEMORY = 0.9

# A replica's host memory beyond the weights: interpreter, torch, tokenizer and the Serve replica itself.
REPLICA_OVERHEAD = 2 * GIB
# Host memory of a replica whose weights are not known from the lock.
DEFAULT_REPLICA_MEMORY = "16Gi"
