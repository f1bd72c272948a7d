"""`services:`, how models are served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from generator.spec.application import Application
from generator.spec.base import (
    Cidr,
    LabelKey,
    LabelledName,
    LabelValue,
    Lines,
    Name,
    Node,
    ObjectName,
    Seq,
    Text,
    described,
)
from generator.spec.raycluster import AcceleratorName, Autoscaler, FaultTolerance, Upgrade, WorkerGroup

HostName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$", max_length=253)
]


class Ingress(Node):
    """An Ingress to the serve Service; never to the dashboard."""

    host: HostName = described("Host name.", "chat.example.com")
    class_name: Name = described("IngressClass that serves it.", "alb")
    tls_secret: Name | None = described("Secret with the certificate.", "chat-tls", default=None)
    annotations: dict[LabelKey, Lines] = described(
        "Annotations of the Ingress.", {"alb.ingress.kubernetes.io/scheme": "internal"}, default={}
    )


class LoadBalancer(Node):
    """A LoadBalancer for the serve Service; never for the dashboard."""

    scope: Literal["internal", "public"] = described(
        "`internal`: an address of the cluster's network; `public`: one of the internet.", "internal"
    )
    source_ranges: Seq[Cidr] = described(
        "Networks that may connect. A public one needs them; `0.0.0.0/0` says that everyone may.",
        ["203.0.113.0/24"],
        default=(),
        max_length=100,
    )
    annotations: dict[LabelKey, Lines] = described(
        "Annotations of the Service, beside those that the provider needs for `scope`.",
        {"service.beta.kubernetes.io/azure-dns-label-name": "models"},
        default={},
    )


class Service(Node):
    """One service: a Ray cluster with one or more applications, or a KServe InferenceService with one."""

    name: Name = described("Name of the service; at most 47 characters.", "chat")
    title: Text | None = described("How people call it.", "Chat for everyone", default=None)
    clusters: Seq[Name] = described("Clusters where it runs.", ["peeks-hub"], min_length=1)
    accelerator: AcceleratorName | None = described(
        "Device of each replica; CPU only when left out.", "nvidia-a10g", default=None
    )
    node_selector: dict[LabelKey, LabelValue] = described(
        "Labels of the nodes that workers may run on.", {"node.example.com/pool": "gpu"}, default={}
    )
    applications: Seq[Application] = described("What it serves.", min_length=1)
    runtime: Literal["ray", "kserve"] = described(
        "`ray`: a RayService of KubeRay; `kserve`: an InferenceService, for one application of one model from a `pvc`"
        " cache.",
        "ray",
        default="ray",
    )
    workers: Seq[WorkerGroup] = described(
        "Groups of worker pods, instead of `accelerator`; one group with it when left out.",
        [{"name": "cpu"}, {"name": "gpu", "accelerator": "nvidia-a10g", "min": 0}],
        default=(),
        max_length=16,
    )
    autoscaler: Autoscaler = described("Ray's autoscaler.", default=Autoscaler())
    upgrade: Upgrade | None = described(
        "What a change of the Ray cluster does; KubeRay's default, a new cluster, when left out.", default=None
    )
    fault_tolerance: FaultTolerance | None = described(
        "Outlives the loss of the head pod; when left out, that starts all replicas anew.", default=None
    )
    auth_secret: ObjectName | None = described(
        "Secret with the Ray cluster's token under `auth_token`; KubeRay makes one for each cluster when left out.",
        "chat-ray-token",
        default=None,
    )
    priority_class: ObjectName | None = described("PriorityClass of all pods.", "serving", default=None)
    queue: LabelledName | None = described("LocalQueue of Kueue that admits the Ray cluster.", "team-a", default=None)
    spread: Literal["zone", "host"] | None = described(
        "Over what the pods of a worker group are spread, as well as it goes; production clusters spread over hosts"
        " when left out.",
        "zone",
        default=None,
    )
    load_balancer: LoadBalancer | None = described(
        "Opens the service outside of the cluster, without HTTP rules.", default=None
    )
    ingress: Ingress | None = described("Opens the service outside of the cluster.", default=None)
