"""Schemas of the kinds that we emit: what they take, what they refuse, and where they say it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.errors import dotted
from generator.kinds import is_canonical_quantity, kind_of, load_schemas, read_schemas, validate
from tests.unit.kind_samples import GOOD, GRAPH, IMAGE, SERVE, obj

FOLDER = Path(__file__).parents[2] / "schemas" / "kinds"
SCHEMAS = load_schemas(FOLDER)
# Two APIs have a kind Role: the plain name is Kubernetes' own.
BY_KIND = {sample["kind"]: sample for sample in reversed(GOOD)}
BY_KIND |= {f"{sample['apiVersion'].split('.')[0]} {sample['kind']}": sample for sample in GOOD}
GONE = object()

HEAD = "spec.rayClusterConfig.headGroupSpec.template.spec.containers.0"
JOB = "spec.template.spec"
STAGE = "spec.templates.1"


def findings(obj: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
    return [(dotted(path), message) for path, message in validate(obj, SCHEMAS, **options)]


def changed(sample: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A copy of the sample with another value at `place`, keys and indices with dots between; GONE deletes."""
    *way, last = (int(part) if part.isdigit() else part for part in place.split("."))
    found: dict[str, Any] = json.loads(json.dumps(sample))
    node: Any = found
    for part in way:
        node = node[part]
    if value is GONE:
        del node[last]
    else:
        node[last] = value
    return found


def with_serve(place: str, value: Any) -> dict[str, Any]:
    text = json.dumps(changed(SERVE, place, value))
    return changed(BY_KIND["RayService"], "spec.serveConfigV2", text)


def test_every_schema_has_a_sample() -> None:
    files = [schema for name, schema in read_schemas(FOLDER).items() if name != "serve-config.json"]
    assert {kind_of(schema) for schema in files} == {(sample["apiVersion"], sample["kind"]) for sample in GOOD}


@pytest.mark.parametrize("sample", GOOD, ids=lambda sample: sample["kind"])
def test_good(sample: dict[str, Any]) -> None:
    assert findings(sample) == []


# Maps whose keys are the user's own, and what another schema judges.
OPEN = {
    "annotations",
    "labels",
    "matchLabels",
    "nodeSelector",
    "data",
    "binaryData",
    "limits",
    "requests",
    "volumeAttributes",
}
OPEN |= {"values", "rayStartParams", "valuesObject", "elements", "input", "schema", "properties"}


def is_open(key: str | int, value: Any) -> bool:
    if key in OPEN or not isinstance(value, dict):
        return key in OPEN
    inside_graph = key == "template" and "apiVersion" in value
    service_selector = key == "selector" and "matchLabels" not in value
    return key in ("parameters", "tags") or inside_graph or service_selector


def objects_in(node: Any, place: str = "") -> Iterator[str]:
    """Places of all objects in a sample that have a closed list of keys."""
    if isinstance(node, dict):
        yield place
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if not is_open(key, value):
            yield from objects_in(value, f"{place}.{key}".strip("."))


@pytest.mark.parametrize("sample", GOOD, ids=lambda sample: sample["kind"])
def test_unknown_keys_and_wrong_types_are_refused_everywhere(sample: dict[str, Any]) -> None:
    for place in objects_in(sample):
        assert findings(changed(sample, f"{place}.tpyo".strip("."), "x")), place
        if place:
            assert findings(changed(sample, place, ["x"])), place


@pytest.mark.parametrize("sample", GOOD, ids=lambda sample: sample["kind"])
@pytest.mark.parametrize("key", ["metadata", "metadata.name"])
def test_names_are_required(sample: dict[str, Any], key: str) -> None:
    assert findings(changed(sample, key, GONE))


@pytest.mark.parametrize(
    ("kind", "place", "value", "message"),
    [
        # images
        ("RayService", f"{HEAD}.image", "x:latest", "pinned"),
        ("RayService", f"{HEAD}.image", "rayproject/ray", "pinned"),
        ("Job", f"{JOB}.containers.0.image", "registry.example.com:5000/a/b", "pinned"),
        ("Job", f"{JOB}.initContainers.0.image", "a/b:main", "pinned"),
        ("Job", f"{JOB}.volumes.6.image.reference", "a/b:latest", "pinned"),
        # names
        ("RayService", "metadata.name", "a" * 48, "too long"),
        ("RayService", "metadata.name", "1chat", "does not"),
        ("RayCluster", "metadata.name", "a" * 54, "too long"),
        ("Job", "metadata.name", "a" * 64, "too long"),
        ("CronJob", "metadata.name", "a" * 53, "too long"),
        ("Service", "metadata.name", "1st", "DNS-1035"),
        ("ConfigMap", "metadata.name", "Upper", "DNS-1123"),
        ("ConfigMap", "metadata.name", "trailing\n", "DNS-1123"),
        ("ConfigMap", "metadata.namespace", "a.b", "DNS-1123"),
        ("ConfigMap", "metadata.labels.app", "ends-", "does not"),
        ("ConfigMap", "metadata.labels.app", True, "type"),
        ("Namespace", "metadata.namespace", "x", "namespace"),
        ("PersistentVolume", "metadata.ownerReferences", [], "ownerReferences"),
        ("ConfigMap", "metadata.annotations", {"argocd.argoproj.io/sync-wave": "first"}, "does not"),
        # quantities
        ("Job", f"{JOB}.containers.0.resources.limits.cpu", 1, "type"),
        ("Job", f"{JOB}.containers.0.resources.limits.cpu", "1000m", "canonical"),
        ("Job", f"{JOB}.containers.0.resources.limits.cpu", "0.5", "canonical"),
        ("Job", f"{JOB}.containers.0.resources.limits.memory", "3072Mi", "canonical"),
        ("Job", f"{JOB}.containers.0.resources.limits.gpu", "1", "gpu"),
        ("PersistentVolumeClaim", "spec.resources.requests.storage", "100GB", "canonical"),
        # pods
        ("Job", f"{JOB}.securityContext.runAsUser", 0, "root"),
        ("Job", f"{JOB}.containers.0.securityContext.privileged", True, "False was expected"),
        ("Job", f"{JOB}.containers.0.securityContext.capabilities.drop", ["NET_RAW"], "ALL"),
        ("Job", f"{JOB}.hostNetwork", True, "hostNetwork"),
        ("Job", f"{JOB}.volumes.0", {"name": "disk", "hostPath": {"path": "/"}}, "hostPath"),
        ("Job", f"{JOB}.volumes.0", {"name": "none"}, "enough"),
        ("Job", f"{JOB}.volumes.1.configMap", {"name": "two"}, "too many"),
        ("Job", f"{JOB}.containers", [], "non-empty"),
        ("Job", f"{JOB}.containers.0.env.0.valueFrom", {"fieldRef": {"fieldPath": "metadata.uid"}}, "too many"),
        ("Job", f"{JOB}.containers.0.env.0.value", 1, "type"),
        ("Job", f"{JOB}.containers.0.ports.0.name", "a-name-that-is-too-long", "too long"),
        ("Job", f"{JOB}.restartPolicy", "Always", "is not one of"),
        # Ray clusters
        (
            "RayService",
            "spec.rayClusterConfig.gcsFaultToleranceOptions.redisPassword",
            {"value": "in the clear"},
            "valueFrom",
        ),
        ("RayService", "spec.upgradeStrategy.clusterUpgradeOptions.stepSizePercent", 0, "minimum"),
        ("RayService", "spec.upgradeStrategy.type", "Rolling", "is not one of"),
        ("RayService", "spec.rayClusterConfig.autoscalerOptions.upscalingMode", "conservative", "is not one of"),
        # Jobs
        ("Job", "spec.ttlSecondsAfterFinished", 60, "ttlSecondsAfterFinished"),
        ("Job", "spec.backoffLimit", 6.0, "type"),
        ("Job", "spec.backoffLimit", 2**31, "maximum"),
        ("Job", "spec.podFailurePolicy.rules.0.onPodConditions", [{"type": "Ready"}], "too many"),
        ("CronJob", "spec.schedule", "every day", "cron"),
        ("CronJob", "spec.schedule", "@daily", "cron"),
        ("CronJob", "spec.schedule", "0 3 * * */0", "cron"),
        ("CronJob", "spec.schedule", "0  3 * * *", "cron"),
        ("CronJob", "spec.schedule", "0 3 * *", "cron"),
        ("CronJob", "spec.timeZone", "CET ", "time zone"),
        ("CronJob", "spec.jobTemplate.spec.template.spec.hostPID", True, "hostPID"),
        # Workflows
        ("Workflow", "metadata.name", "a" * 64, "too long"),
        ("CronWorkflow", "metadata.name", "a" * 53, "too long"),
        ("CronWorkflow", "spec.schedule", "0 3 * * *", "schedule"),
        ("CronWorkflow", "spec.schedules", [], "non-empty"),
        ("CronWorkflow", "spec.schedules.0", "@every 1h", "cron"),
        ("CronWorkflow", "spec.workflowSpec.securityContext", GONE, "securityContext"),
        ("Workflow", "spec.ttlStrategy", {}, "ttlStrategy"),
        ("Workflow", "spec.hostNetwork", True, "hostNetwork"),
        ("Workflow", "spec.serviceAccountName", GONE, "serviceAccountName"),
        ("Workflow", "spec.activeDeadlineSeconds", GONE, "activeDeadlineSeconds"),
        ("Workflow", "spec.automountServiceAccountToken", False, "not valid under any"),
        ("Workflow", "spec.securityContext", GONE, "securityContext"),
        ("Workflow", "spec.securityContext.runAsNonRoot", GONE, "runAsNonRoot"),
        ("Workflow", "spec.synchronization.mutexes.0", {"mutex": "x"}, "mutex"),
        ("Workflow", "spec.synchronization.mutex", {"name": "x"}, "mutex"),
        ("Workflow", "spec.podGC.deleteDelayDuration", "1d", "one unit of Go"),
        ("Workflow", f"{STAGE}.container.command", GONE, "command"),
        ("Workflow", f"{STAGE}.container.command", [], "non-empty"),
        ("Workflow", f"{STAGE}.container.name", "stage", "main"),
        ("Workflow", f"{STAGE}.container.image", "a/b:latest", "pinned"),
        ("Workflow", f"{STAGE}.container.resources.limits", GONE, "limits"),
        ("Workflow", f"{STAGE}.container.securityContext", GONE, "securityContext"),
        ("Workflow", f"{STAGE}.container.securityContext.readOnlyRootFilesystem", False, "True was expected"),
        ("Workflow", f"{STAGE}.container.securityContext.capabilities", GONE, "capabilities"),
        ("Workflow", f"{STAGE}.container", GONE, "exactly one is wanted of steps and container"),
        ("Workflow", f"{STAGE}.steps", [[{"name": "a", "template": "b"}]], "exactly one is wanted"),
        ("Workflow", f"{STAGE}.script", {"source": "x"}, "script"),
        ("Workflow", f"{STAGE}.retryStrategy.limit", GONE, "limit"),
        ("Workflow", f"{STAGE}.retryStrategy.limit", "many", "not valid under any"),
        ("Workflow", f"{STAGE}.retryStrategy.backoff.maxDuration", "10 m", "one unit of Go"),
        ("Workflow", f"{STAGE}.outputs.parameters.0.valueFrom", {"path": "/a", "parameter": "b"}, "too many"),
        ("Workflow", "spec.templates.0.steps", [{"name": "a", "template": "b"}], "type"),
        ("Workflow", "spec.templates.0.steps.0.0.continueOn", {"failed": True}, "continueOn"),
        # ACK
        ("Policy", "spec.name", "a" * 129, "too long"),
        ("Policy", "spec.policyDocument", "{\n}", "one line"),
        ("Policy", "spec.tags", {"a": "b"}, "type"),
        ("iam Role", "spec.name", "a" * 65, "too long"),
        ("iam Role", "spec.name", "a/b", "unique in the account"),
        ("iam Role", "spec.policies", ["arn:aws:iam::aws:policy/AdministratorAccess"], "policies"),
        ("iam Role", "spec.policyRefs.0.from.namespace", "x", "namespace"),
        ("PodIdentityAssociation", "spec.tags", [{"key": "a", "value": "b"}], "type"),
        ("PodIdentityAssociation", "spec.roleARN", "arn:aws:iam::123456789012:role/x", "exactly one is wanted"),
        ("PodIdentityAssociation", "spec.roleRef", GONE, "exactly one is wanted"),
        # metrics of what is pushed
        ("ServiceMonitor", "spec.endpoints.0.interval", "1m30s", "one number and one unit"),
        ("ServiceMonitor", "spec.endpoints.0.targetPort", 9091, "targetPort"),
        ("ServiceMonitor", "spec.namespaceSelector.matchNames", [], "non-empty"),
        # storage and network
        ("PersistentVolume", "spec.persistentVolumeReclaimPolicy", "Delete", "cannot delete"),
        ("PersistentVolume", "spec.csi.volumeHandle", GONE, "volumeHandle"),
        ("PersistentVolumeClaim", "spec.accessModes", ["ReadOnly"], "is not one of"),
        ("Service", "spec.ports.0.port", 0, "minimum"),
        ("Service", "spec.ports.0.targetPort", "Not A Port", "not valid"),
        ("NetworkPolicy", "spec.ingress.0.from", [], "non-empty"),
        ("PodDisruptionBudget", "spec.maxUnavailable", 1, "minAvailable and maxUnavailable may not"),
        ("PodDisruptionBudget", "spec.minAvailable", "half", "not valid"),
        ("Ingress", "spec.rules.0.http.paths.0.pathType", "prefix", "is not one of"),
        ("PodMonitor", "spec.podMetricsEndpoints.0.interval", "15 s", "one number and one unit"),
        ("PrometheusRule", "spec.groups.0.rules.0.for", "1h30", "one number and one unit"),
        ("PrometheusRule", "spec.groups.0.rules.0.labels.severity", "page", "is not one of"),
        ("PrometheusRule", "spec.groups.0.rules.0.annotations", {"summary": "x"}, "description"),
        ("PrometheusRule", "spec.groups.0.rules", [], "non-empty"),
        ("ConfigMap", "binaryData", {"a.zip": "no base64!"}, "base64"),
        ("Role", "rules.0.verbs", ["*"], "is not one of"),
        ("ClusterRole", "rules.0.resources", ["*"], "does not match"),
        # Ray
        ("RayService", "spec.serviceUnhealthySecondThreshold", 300, "serviceUnhealthySecondThreshold"),
        ("RayService", "spec.rayClusterConfig.upgradeStrategy", {"type": "None"}, "upgradeStrategy"),
        ("RayService", "spec.rayClusterConfig.rayVersion", 2.5, "type"),
        ("RayService", "spec.rayClusterConfig.headGroupSpec.rayStartParams", GONE, "rayStartParams"),
        ("RayService", "spec.rayClusterConfig.headGroupSpec.rayStartParams", {"num-cpus": 0}, "type"),
        ("RayService", "spec.serveConfigV2", "applications: [", "expected"),
        ("RayService", "spec.serveConfigV2", "a: 1\na: 2\napplications: []\n", "twice"),
        # Argo CD
        ("Application", "spec.project", "default", "fixed"),
        (
            "Application",
            "spec.source",
            {"repoURL": "x", "targetRevision": "y"},
            "exactly one is wanted of source and sources",
        ),
        ("Application", "spec.sources.0.targetRevision", GONE, "targetRevision"),
        ("Application", "spec.sources.0.helm.values", "a: 1", "values"),
        ("Application", "spec.destination.server", "https://x", "too many"),
        ("Application", "spec.syncPolicy.syncOptions", ["CreateNamespace"], "does not match"),
        ("ApplicationSet", "spec.goTemplateOptions", [], "annotation"),
        ("ApplicationSet", "spec.templatePatch", "{}", "templatePatch"),
        ("ApplicationSet", "spec.template.spec.project", "{{ .project }}", "fixed"),
        ("ApplicationSet", "spec.template.metadata.name", "Chat {{ .name }}", "parts"),
        ("ApplicationSet", "spec.generators.0.list", {"elements": []}, "too many"),
        ("ApplicationSet", "spec.generators.1.matrix.generators", [], "non-empty|too short"),
        ("AppProject", "spec.sourceRepos", ["*"], "should not be valid"),
        # kro
        ("ResourceGraphDefinition", "spec.schema.kind", "RayService", "never a kind of Ray"),
        ("ResourceGraphDefinition", "spec.schema.status.state", "${x}", "state may not be here"),
        ("ResourceGraphDefinition", "spec.resources.0.id", "namespace", "should not be valid"),
        ("ResourceGraphDefinition", "spec.resources.1.readyWhen", ["service.ready"], "does not match"),
        (
            "ResourceGraphDefinition",
            "spec.resources.1.externalRef",
            GRAPH["resources"][0]["externalRef"],
            "exactly one",
        ),
        ("ResourceGraphDefinition", "metadata.namespace", "ray-system", "namespace"),
        # Backstage
        ("Template", "spec.steps.0.id", "fetch-it", "no dash"),
        ("Template", "spec.owner", "guest", "whole reference"),
        ("Component", "metadata.tags", ["Ray"], "does not match"),
    ],
)
def test_refused(kind: str, place: str, value: Any, message: str) -> None:
    said = [text for _, text in findings(changed(BY_KIND[kind], place, value))]
    assert any(part in text for text in said for part in message.split("|")), said


def test_the_place_and_the_reason_are_told() -> None:
    bad = changed(BY_KIND["Job"], f"{JOB}.containers.0.image", "x:latest")
    reason = "an image pinned by a digest, or by a tag that does not move by its nature"
    assert findings(bad) == [("spec.template.spec.containers[0].image", f"'x:latest' does not fit: {reason}")]


@pytest.mark.parametrize("image", ["a:1", "a/b/c:v1.2_3", "host.example:5000/a-b/c__d:1", IMAGE, "a@" + IMAGE[-71:]])
def test_pinned_images_are_taken(image: str) -> None:
    assert findings(changed(BY_KIND["Job"], f"{JOB}.containers.0.image", image)) == []


APP = "applications.0"
DEPLOYMENT = f"{APP}.deployments.0"


@pytest.mark.parametrize(
    ("place", "value", "finding"),
    [
        (f"{DEPLOYMENT}.max_concurrent_queries", 8, "max_concurrent_queries"),
        (f"{DEPLOYMENT}.autoscaling_config.target_num_ongoing_requests_per_replica", 2, "target_num_ongoing_requests"),
        (f"{DEPLOYMENT}.num_replicas", 2, "num_replicas and autoscaling_config may not"),
        (f"{DEPLOYMENT}.max_ongoing_requests", "8", "type"),
        (f"{DEPLOYMENT}.ray_actor_options.num_gpu", 1, "num_gpu"),
        (f"{APP}.runtime_env.pip", ["torch"], "pip"),
        (f"{APP}.runtime_env.env_vars.HF_HUB_OFFLINE", 1, "type"),
        (f"{APP}.runtime_env.working_dir", "./code", "a zip"),
        (f"{APP}.runtime_env.working_dir", "s3://bucket/code.tar.gz", "a zip"),
        (f"{APP}.route_prefix", "/generate/", "not valid under any"),
        (f"{APP}.route_prefix", "generate", "not valid under any"),
        (f"{APP}.import_path", "app", "does not match"),
        (f"{APP}.port", 8000, "port"),
        ("applications", [], "non-empty"),
        ("http_options.port", 80000, "maximum"),
        ("target_capacity", 50, "target_capacity"),
    ],
)
def test_serve_config_is_judged_inside_its_text(place: str, value: Any, finding: str) -> None:
    found = findings(with_serve(place, value))
    assert all(path.startswith("spec.serveConfigV2") for path, _ in found)
    assert any(finding in message for _, message in found), found


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (f"{APP}.route_prefix", None),
        (f"{APP}.route_prefix", "/"),
        (f"{APP}.args", {"anything": [{"goes": None}]}),
        (f"{APP}.runtime_env.working_dir", "local:///opt/code"),
    ],
)
def test_serve_config_taken(place: str, value: Any) -> None:
    assert findings(with_serve(place, value)) == []


SERVICE = "spec.resources.1.template"
BUDGET = "spec.resources.2.template"


@pytest.mark.parametrize(
    ("place", "value", "found"),
    [
        (f"{SERVICE}.spec.porst", [], "spec.resources[1].template.spec"),
        (f"{SERVICE}.spec.ports.0.port", "http", "spec.resources[1].template.spec.ports[0].port"),
        (f"{SERVICE}.spec.ports.0.targetPort", "A B", "spec.resources[1].template.spec.ports[0].targetPort"),
        (f"{SERVICE}.kind", "Servise", "spec.resources[1].template.kind"),
        (f"{SERVICE}.metadata.uid", "x", "spec.resources[1].template.metadata"),
        (f"{BUDGET}.spec.selector", [], "spec.resources[2].template.spec.selector"),
    ],
)
def test_templates_of_a_graph_are_judged_by_their_kind(place: str, value: Any, found: str) -> None:
    graph = changed(BY_KIND["ResourceGraphDefinition"], place, value)
    assert [path for path, _ in findings(graph)] == [found]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("spec.ports", "${schema.spec.ports}"),
        ("spec.ports.0.targetPort", "${schema.spec.port}"),
        ("spec.type", "${schema.spec.type}"),
        ("spec.publishNotReadyAddresses", "${schema.spec.early}"),
        ("metadata.labels.cluster", "${schema.spec.cluster}-x"),
        ("metadata.annotations", "${schema.spec.annotations}"),
    ],
)
def test_expressions_may_stand_for_any_value(place: str, value: str) -> None:
    assert findings(changed(BY_KIND["ResourceGraphDefinition"], f"{SERVICE}.{place}", value)) == []
    plain = changed(BY_KIND["Service"], place, value)
    assert findings(plain) and findings(plain, templated=True) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("metadata.name", "stage-${schema.spec.model}-${schema.spec.digest}"),
        ("spec.activeDeadlineSeconds", "${schema.spec.deadlineSeconds}"),
        ("spec.synchronization.mutexes.0.name", "${schema.spec.key}"),
        (f"{STAGE}.container.image", "${schema.spec.image}"),
        (f"{STAGE}.retryStrategy.limit", "${schema.spec.retries}"),
        (f"{STAGE}.container.args", "${schema.spec.args}"),
    ],
)
def test_a_workflow_in_a_graph_may_hold_expressions(place: str, value: str) -> None:
    bad = changed(BY_KIND["Workflow"], place, value)
    assert findings(bad, templated=True) == []


def test_kinds_without_a_schema() -> None:
    mine = obj("modelyard.dev/v1alpha1", "ModelService", "chat", spec={})
    assert findings(mine) == [("kind", "there is no schema for ModelService of modelyard.dev/v1alpha1")]
    assert findings(mine, made=frozenset({("modelyard.dev/v1alpha1", "ModelService")})) == []
    assert findings({}) == [("kind", "there is no schema for  of ")]


@pytest.mark.parametrize("spec", [None, [], "x", {"resources": "x"}, {"resources": [1, {"template": 2}]}])
def test_nonsense_is_a_finding_and_no_crash(spec: Any) -> None:
    for kind in ("ResourceGraphDefinition", "RayService", "Job"):
        assert findings(changed(BY_KIND[kind], "spec", spec))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", True),
        ("1", True),
        ("500m", True),
        ("1500m", True),
        ("1000m", False),
        ("2000", False),  # the API server writes 2k
        ("512Mi", True),
        ("1024Ki", False),
        ("3072Mi", False),
        ("3Gi", True),
        ("1024Ei", True),  # there is no larger unit
        ("1.5Gi", True),  # the pattern refuses it
    ],
)
def test_canonical_quantities(text: str, canonical: bool) -> None:
    assert is_canonical_quantity(text) is canonical
