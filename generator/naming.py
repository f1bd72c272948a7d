"""Every object name, label, path and bucket key, with the limits of its kind. Nothing else derives a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

COMMIT_DIGITS = 12
DIGEST_DIGITS = 10

# Where pods see the bucket: the S3 prefix `models/` is mounted at MODELS_MOUNT.
MODELS_PREFIX = "models"
MODELS_MOUNT = "/mnt/models/models"
CODE_PREFIX = "code"
CODE_MOUNT = "/opt/modelyard/code"
# Where serving/Dockerfile has what our applications import.
IMAGE_PACKAGES = "/opt/modelyard/packages"
# Where KServe v0.20 mounts the model of a predictor (pkg/constants, DefaultModelLocalMountPath).
KSERVE_MODEL = "/mnt/models"
KSERVE_PORT = 8080
PLAN_MOUNT = "/etc/modelyard/prestage"
# What the prestage program deletes again beside a model; nothing else may go (generator/prestage/targets).
NOTES = (".modelyard/progress.json", ".modelyard/held.json")
# ConfigMap with the number of Workflows that stage at a time.
STAGING_LIMITS = "model-staging-limits"
MANIFEST = ".modelyard/manifest.json"

SERVICE_LABEL = "modelyard.dev/service"
SERVICE_SERIES = "modelyard_dev_service"  # the same as Prometheus writes it
RUNTIME_SERIES = "modelyard_dev_runtime"  # of pods without Ray
MODEL_LABEL = "modelyard.dev/model"
ACCELERATOR_LABEL = "modelyard.dev/accelerator"
GROUP_LABEL = "modelyard.dev/group"

KRO_GROUP = "kro.run"
KRO_VERSION = "v1alpha1"
KRO_KIND = "ModelService"
KRO_PLURAL = "modelservices"
KRO_MODEL_KIND = "HuggingFaceModel"
KRO_MODEL_PLURAL = "huggingfacemodels"

# GitOps Bridge annotations of the cluster Secret that we read; which a provider has, its row says.
BRIDGE_KEYS = ("aws_account_id", "aws_cluster_name", "aws_region", "resource_prefix")

PRESTAGE_SERVICE_ACCOUNT = "modelyard-prestage"
# Helm chart of the Mountpoint S3 CSI driver v2.7.0.
CSI_SERVICE_ACCOUNT = ("kube-system", "s3-csi-driver-sa")


@dataclass(frozen=True, slots=True)
class Limit:
    """The most characters that a name may have, and the derived name that sets the limit."""

    characters: int
    because: str

    def over(self, name: str) -> int:
        """By how many characters the name is too long; 0 or less where it fits."""
        return len(name) - self.characters

    def message(self, name: str) -> str:
        return f"name has {len(name)} characters, {self.characters} are left: {self.because}"


MODEL_NAME = Limit(63 - len("prestage-") - 1 - DIGEST_DIGITS, "the Job is named prestage-<model>-<10 hex>, 63 at most")
SERVICE_NAME = Limit(47, "KubeRay refuses a RayService name over 47")
RETAINED_CLASS = Limit(
    253 - len("-retain-") - DIGEST_DIGITS,
    "their class is named <storageClass>-retain-<10 hex>, 253 at most",
)
IMAGE_REPOSITORY = Limit(255, "an image's name with its registry has 255 at most")
CLUSTER_NAME = Limit(
    64 - 32 - len("--model-writer"), "the IAM role is named <prefix>-<cluster>-model-writer, 64 at most"
)


def short_commit(commit: str) -> str:
    return commit[:COMMIT_DIGITS]


def model_key(model: str, commit: str) -> str:
    """Bucket key prefix of one revision of a model, without slashes at the ends. Writer and reader share it."""
    return f"{MODELS_PREFIX}/{model}/{short_commit(commit)}"


def model_path(model: str, commit: str) -> str:
    """Folder that pods see."""
    return f"{MODELS_MOUNT}/{model}/{short_commit(commit)}"


def models_claim(service: str) -> str:
    """PersistentVolumeClaim of the bucket that a service reads."""
    return f"{service}-models"


def claim(model: str, commit: str) -> str:
    """PersistentVolumeClaim of one revision of a model."""
    return f"model-{model}-{short_commit(commit)}"


def claim_label(claim: str) -> str:
    """Label of the pods that mount a claim: one for each claim, as a pod may mount several."""
    return f"claim.modelyard.dev/{claim}"


def retained_class(source: str, content: bytes) -> str:
    """A StorageClass cannot be changed: its content is in its name."""
    return f"{source}-retain-{digest(content)}"


def digest(data: bytes) -> str:
    """Short content digest for names."""
    return sha256(data).hexdigest()[:DIGEST_DIGITS]


def bundle_file(app: str, sha: str) -> str:
    """File name of a working_dir zip; Ray caches by URL, so the content is in the name."""
    return f"{app}-{sha[:COMMIT_DIGITS]}.zip"


def code_config_map(app: str, sha: str) -> str:
    return f"code-{app}-{sha[:COMMIT_DIGITS]}"


def baked_image(repository: str, service: str, content: bytes) -> str:
    """Image of a service with its models inside; the digest of all that goes into it is its tag."""
    return f"{image_repository(repository, service)}:{sha256(content).hexdigest()[:COMMIT_DIGITS]}"


def image_repository(repository: str, service: str) -> str:
    """A registry's repository for each service."""
    return f"{repository}/{service}"


def volume_handle(namespace: str, service: str) -> str:
    """Unique per PersistentVolume: kubelet handles one volume per handle (S3 CSI driver v2.7.0 TROUBLESHOOTING)."""
    return f"s3-{namespace}-{service}-models"


def node_pool(accelerator: str) -> str:
    """Karpenter labels nodes with the name of their pool: 63 at most. Names of accelerators are ours, and short."""
    return f"modelyard-{accelerator}"


def service_account(service: str) -> str:
    """ServiceAccount of a service's pods; its NetworkPolicy has the same name."""
    return f"{service}-ray"


def service_url(service: str, namespace: str, route: str) -> str:
    """In-cluster address; KubeRay makes `<name>-serve-svc`."""
    return f"http://{service}-serve-svc.{namespace}.svc:8000{route if route != '/' else ''}"


def gateway_url(service: str, route: str) -> str:
    """Address behind the Gateway `<name>-gateway`, which KubeRay makes for incremental updates."""
    return f"http://ADDRESS-OF-{service}-gateway{route if route != '/' else ''}"


def namespace_of(host: str) -> str | None:
    """Namespace of a Service of the cluster itself, by its DNS name; None for a host elsewhere."""
    name = host.removesuffix(".cluster.local").split(".")
    return name[1] if len(name) == 3 and name[2] == "svc" else None


def host_and_path(url: str) -> tuple[str, str]:
    """Host and `owner/repo` of a Git address in its https, ssh or scp-like form."""
    if "://" in url:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    else:
        host, _, path = url.partition("@")[2].partition(":")
    return host, path.strip("/").removesuffix(".git")


def labels(component: str, instance: str) -> Mapping[str, str]:
    """The recommended labels (kubernetes.io "Recommended Labels")."""
    return {
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/part-of": "modelyard",
        "app.kubernetes.io/managed-by": "modelyard",
    }
