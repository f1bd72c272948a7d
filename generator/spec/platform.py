"""`platform:`, facts that hold for the whole repository."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from generator.spec.base import LabelKey, LabelValue, Name, Node, PinnedImage, SecretKey, described, with_port
from generator.spec.model import SecretName

_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
_SEGMENT = r"[A-Za-z0-9_~][A-Za-z0-9._~-]*"
_PATH = rf"{_SEGMENT}(/{_SEGMENT})*/?"

# No host starts with `-`, which git and ssh would take for an option; no path climbs with `..`.
Url = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(https://{_HOST}(:[0-9]+)?/|ssh://git@{_HOST}(:[0-9]+)?/|git@{_HOST}:){_PATH}$", max_length=512
    ),
]
HttpsUrl = Annotated[
    str,
    StringConstraints(pattern=rf"^https://{_HOST}(:[0-9]+)?(/({_PATH})?)?$", max_length=512),
    AfterValidator(with_port),
]
GitRevision = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]|[./][A-Za-z0-9_-])*$", max_length=200)
]
"""A branch or tag; without `..` and `//`, as git has it (git-check-ref-format)."""
RelativePath = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=200),
]
EntityRef = Annotated[
    str,
    StringConstraints(pattern=r"^(user|group):[a-z0-9-]+/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=130),
]
TopicArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,251}$", max_length=320)
]
"""A standard topic: FIFO topics, whose names end in .fifo, want a message group (Amazon SNS, Publish)."""
RayVersion = Annotated[str, StringConstraints(pattern=r"^[2-9]\.[0-9]+\.[0-9]+$")]


class Repository(Node):
    """The Git repository that Argo CD reads."""

    url: Url = described("Address that Argo CD clones.", "https://git.example.com/platform/gitops.git")
    revision: GitRevision = described("Branch or tag that Argo CD follows.", "main", default="main")
    path: RelativePath = described("Folder of the rendered tree inside the repository.", "rendered", default="rendered")


class ArgoCD(Node):
    """Where Argo CD runs and under which project our Applications stand."""

    namespace: Name = described("Namespace of Argo CD.", "argocd", default="argocd")
    project: Name = described("Name of the AppProject that is rendered.", "modelyard", default="modelyard")


class RayImage(Node):
    """An image that holds Ray and all packages of the application, and the Ray release inside."""

    image: PinnedImage = described(
        "Image by tag or digest; `modelyard lock` pins a tag to its digest.", "registry.example.com/ml/ray-serve:1.4.0"
    )
    ray_version: RayVersion = described("Ray release inside the image; 2.54.0 or newer.", "2.60.0")


class Images(Node):
    """Container images; what is left out comes from the catalogue of defaults."""

    prestage: PinnedImage = described(
        "Image of the prestage program.",
        "registry.example.com/ml/modelyard-prestage:0.1.0",
    )
    cpu: RayImage | None = described("Ray image for services without an accelerator.", default=None)
    gpu: RayImage | None = described("Ray image for text-generation on an accelerator.", default=None)
    vllm: RayImage | None = described("Ray image with vLLM (ray[llm]).", default=None)
    neuron: RayImage | None = described(
        "Ray image with vLLM and the AWS Neuron SDK, for services on Trainium and Inferentia; there is no default.",
        default=None,
    )


class Code(Node):
    """How pods get the zip of the serving code."""

    delivery: Literal["config-map", "s3", "url"] = described(
        "`config-map`: a file mounted from a ConfigMap, nothing else is needed; `s3`: from the model bucket under"
        " `code/`; `url`: from `baseUrl`.",
        "config-map",
        default="config-map",
    )
    base_url: HttpsUrl | None = described(
        "Address under which the files of `rendered/serve/` can be fetched; for `delivery: url`.",
        "https://artifacts.example.com/serve",
        default=None,
    )


class Backstage(Node):
    """The software template that offers the models to developers."""

    owner: EntityRef = described(
        "Backstage entity that owns the template.", "group:default/platform", default="group:default/platform"
    )
    scm: Literal["github", "gitlab"] | None = described(
        "Which pull-request action the template uses; derived from the host of `repository.url` when left out.",
        "github",
        default=None,
    )
    catalogue: RelativePath = described(
        "Path of models.yaml inside the repository.", "models.yaml", default="models.yaml"
    )


class Notifications(Node):
    """Who is told when a model was staged, or could not be."""

    sns_topic: TopicArn | None = described(
        "SNS topic; the Terraform of the cluster lets the Jobs publish to it.",
        "arn:aws:sns:eu-central-1:012345678901:models",
        default=None,
    )
    webhook_secret: SecretName | None = described(
        "Secret in the platform's namespace that holds the address of a webhook which Slack's format suits.",
        "models-webhook",
        default=None,
    )
    webhook_key: SecretKey = described("Key inside `webhookSecret`.", "url", default="url")


class PushGateway(Node):
    """A Prometheus Pushgateway, which keeps what the last run of a Job said."""

    namespace: Name = described("Namespace of its Service.", "monitoring")
    service: Name = described("Name of its Service.", "prometheus-pushgateway", default="prometheus-pushgateway")
    port: int = described("Port of its Service.", 9091, unit="TCP port", default=9091, ge=1, le=65535)


class Monitoring(Node):
    """What the Prometheus operator and Grafana of the clusters get: rules, a PodMonitor, dashboards."""

    labels: dict[LabelKey, LabelValue] = described(
        "Labels by which the operator selects PodMonitors and rules.",
        {"release": "kube-prometheus-stack"},
        default={"release": "kube-prometheus-stack"},
    )
    namespace: Name | None = described(
        "Namespace of Prometheus: no other may then read the metrics of the pods; every namespace may when left out.",
        "monitoring",
        default=None,
    )
    dashboards: bool = described(
        "Whether the dashboard is a ConfigMap too, labelled for the sidecar of Grafana's chart.", False, default=True
    )
    push_gateway: PushGateway | None = described(
        "Pushgateway that is told how staging went; without it, only what kube-state-metrics sees of Jobs is known.",
        {"namespace": "monitoring"},
        default=None,
    )


class Staging(Node):
    """Limits of staging by Workflows."""

    parallel: int = described(
        "Workflows that stage at a time on a cluster.", 3, unit="Workflows", default=3, ge=1, le=100
    )


class Platform(Node):
    """Facts that hold for the whole repository."""

    prefix: Name = described(
        "Prefix of cloud resources: `resource_prefix` of the GitOps Bridge.", "peeks", max_length=32
    )
    repository: Repository = described("The Git repository that Argo CD reads.")
    namespace: Name = described("Namespace of Jobs and services on every cluster.", "ray-system", default="ray-system")
    argocd: ArgoCD = described("Where Argo CD runs.", default=ArgoCD())
    images: Images = described("Container images.")
    code: Code = described("How pods get the serving code.", default=Code())
    notifications: Notifications = described("Who is told how staging ended.", default=Notifications())
    staging: Staging = described("Limits of staging by Workflows.", default=Staging())
    monitoring: Monitoring | None = described(
        "Alerts and metrics, for clusters with the Prometheus operator; when absent, only a dashboard to import.",
        default=None,
    )
    backstage: Backstage | None = described("The Backstage template; left out when absent.", default=None)
