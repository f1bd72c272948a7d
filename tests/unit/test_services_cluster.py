"""All that the Ray cluster of a service may use, in the objects that the chart makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, compile, yamlio
from generator.kinds import load_schemas, validate
from generator.plan import Plan
from generator.providers import PROVIDERS
from generator.runtimes import RUNTIMES
from tests.unit.test_charts import made, one
from tests.unit.test_services_groups import CASE, COMMIT, CPU, GPU, ROOT, application, image, planned

HOSTILE = '{{ .Values }} "x": # ${schema.spec} \\'


def values(plan: Plan) -> dict[str, Any]:
    """What the chart gets of the only service on the only cluster."""
    (cluster,), (service,) = plan.clusters, plan.services
    found: dict[str, Any] = yaml.safe_load(yamlio.dump(RUNTIMES["ray"].values(plan, cluster, service)))
    return found


def objects(helm: Path, folder: Path, plan: Plan, region: str = "eu-west-1") -> list[dict[str, Any]]:
    """What helm makes of it, held against the schemas of its kinds."""
    (service,) = plan.services
    data = {"cluster": {"bucket": "of-the-cluster", "region": region}, "services": {service.name: values(plan)}}
    found = made(helm, "ray-service", data, folder)
    schemas = load_schemas(ROOT / "schemas/kinds")
    assert [(obj["kind"], fault) for obj in found for fault in validate(obj, schemas)] == []
    return found


def cluster_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    config: dict[str, Any] = one(found, "RayService", "")["spec"]["rayClusterConfig"]
    return config


def pods(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [group["template"]["spec"] for group in (config["headGroupSpec"], *config["workerGroupSpecs"])]


def egress_ports(found: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Ports by network."""
    rules = one(found, "NetworkPolicy", "chat-ray")["spec"]["egress"]
    blocks = [(peer["ipBlock"]["cidr"], rule["ports"]) for rule in rules for peer in rule["to"] if "ipBlock" in peer]
    return {cidr: [port["port"] for port in ports] for cidr, ports in blocks}


def test_the_shared_cluster(helm: Path, tmp_path: Path) -> None:
    """The case of the guide: a CPU group, a GPU group that sleeps, and what a shared cluster asks for."""
    plan = compile.plan_catalogue(CASE, assets.find()).plan
    assert plan is not None
    found = objects(helm, tmp_path, plan)
    service, config = one(found, "RayService", "assistant"), cluster_of(found)
    cpu, gpu = config["workerGroupSpecs"]
    assert [(g["groupName"], g["minReplicas"], g["maxReplicas"]) for g in (cpu, gpu)] == [("cpu", 2, 4), ("gpu", 0, 2)]
    assert [g["labels"] for g in (cpu, gpu)] == [{"modelyard.dev/group": name} for name in ("cpu", "gpu")]
    assert gpu["template"]["spec"]["nodeSelector"] == {"node.example.com/pool": "gpu"}
    assert gpu["template"]["spec"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        {"key": "dedicated", "operator": "Equal", "value": "models", "effect": "NoSchedule"},
    ]
    images = [pod["containers"][0]["image"].rpartition("/")[2] for pod in pods(config)]
    assert images == ["ray-llm:1.0.0", "ray-cpu:1.0.0", "ray-llm:1.0.0"]
    options = config["autoscalerOptions"]
    assert (options["idleTimeoutSeconds"], options["upscalingMode"]) == (300, "Conservative")
    assert service["spec"]["upgradeStrategy"] == {"type": "NewCluster"}
    assert service["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert service["metadata"]["annotations"]["kueue.x-k8s.io/elastic-job"] == "true"
    assert {pod["priorityClassName"] for pod in pods(config)} == {"serving"}
    for group in (cpu, gpu):
        (spread,) = group["template"]["spec"]["topologySpreadConstraints"]
        wanted = spread["labelSelector"]["matchLabels"].items()
        assert wanted <= group["template"]["metadata"]["labels"].items()
        assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "ScheduleAnyway")
    budgets = [o for o in found if o["kind"] == "PodDisruptionBudget"]
    assert [(b["metadata"]["name"], b["spec"]["minAvailable"]) for b in budgets] == [("assistant.cpu", 1)]


def test_one_group_needs_no_label(helm: Path, tmp_path: Path) -> None:
    (group,) = cluster_of(objects(helm, tmp_path, planned(tmp_path)))["workerGroupSpecs"]
    assert group["groupName"] == "workers" and "labels" not in group
    assert group["template"]["metadata"]["labels"]["modelyard.dev/group"] == "workers"


@pytest.mark.parametrize(
    ("pods", "replicas", "budgets"),
    [
        ((0, 0), (1, 0), {}),
        ((3, 0), (1, 0), {}),  # two of the three hold nothing and are never Ready
        ((0, 0), (2, 3), {"chat.cpu": 1, "chat.gpu": 2}),
        ((4, 3), (2, 3), {"chat.cpu": 1, "chat.gpu": 2}),
    ],
    ids=str,
)
def test_budgets_can_be_kept(
    pods: tuple[int, int], replicas: tuple[int, int], budgets: dict[str, int], helm: Path, tmp_path: Path
) -> None:
    groups = [group | {"min": least, "max": 4} for group, least in zip((CPU, GPU), pods, strict=True)]
    both = [
        application(name, workers=name, replicas={"min": least, "max": 4})
        for name, least in zip(("cpu", "gpu"), replicas, strict=True)
    ]
    found = objects(helm, tmp_path, planned(tmp_path, workers=groups, applications=both))
    wanted = {o["metadata"]["name"]: o["spec"] for o in found if o["kind"] == "PodDisruptionBudget"}
    assert {name: budget["minAvailable"] for name, budget in wanted.items()} == budgets
    assert all(budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow" for budget in wanted.values())


def test_replicas_that_share_a_pod_count_once(tmp_path: Path) -> None:
    many = [
        application("large", memory="16Gi"),
        application("small", memory="4Gi", cpu="500m", replicas={"min": 4, "max": 4}),
    ]
    (group,) = planned(tmp_path, applications=many).services[0].groups
    assert (group.busy, group.min) == (2, 5)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_each_provider_gets_its_own(name: str, helm: Path, tmp_path: Path) -> None:
    provider = PROVIDERS[name]
    server = {"endpoint": "https://s3.example.com", "region": "us-east-1", "credentialsSecret": "s3"}
    cache = {} if name == "eks" else server
    scaled = [application("a", replicas={"max": 2})]
    found = objects(helm, tmp_path, planned(tmp_path, name, cache, applications=scaled))
    ports = egress_ports(found)
    assert ports.pop("0.0.0.0/0") == sorted({443, provider.api_port})
    assert ports == {key: [80] for key in provider.identity}
    for pod in pods(cluster_of(found)):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True and security["seccompProfile"] == {"type": "RuntimeDefault"}
        users = {security.get(key) for key in ("runAsUser", "runAsGroup", "fsGroup")}
        assert users == {provider.uid}
    policy = one(found, "NetworkPolicy", "chat-ray")["spec"]
    (dns,) = [r for r in policy["egress"] if "namespaceSelector" in r["to"][0]]
    names = dns["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert ((names, {port["port"] for port in dns["ports"]})) == (provider.dns[0], {provider.dns[1]})


def test_a_bucket_of_another_server(helm: Path, tmp_path: Path) -> None:
    """No region of the cluster is asked for."""
    server = {"endpoint": "http://minio.minio.svc:9000", "region": "us-east-1", "credentialsSecret": "minio"}
    found = objects(helm, tmp_path, planned(tmp_path, "kubernetes", server), region="")
    volume = one(found, "PersistentVolume", "models-chat")["spec"]
    assert volume["mountOptions"][:4] == [
        "region us-east-1",
        "endpoint-url http://minio.minio.svc:9000",
        "force-path-style",
        "prefix models/",
    ]
    assert volume["csi"]["volumeAttributes"]["bucketName"] == "models-of-x"


@pytest.mark.parametrize(
    "cache",
    [
        {"type": "pvc", "bucket": None, "storageClass": "shares", "accessMode": "ReadWriteMany", "size": "10Gi"},
        {"type": "image", "bucket": None, "repository": "registry.example.com/models"},
    ],
    ids=lambda cache: str(cache["type"]),
)
def test_models_that_are_in_no_bucket(cache: dict[str, Any], helm: Path, tmp_path: Path) -> None:
    found = objects(helm, tmp_path, planned(tmp_path, "aks", cache), region="")
    assert {o["kind"] for o in found} & {"PersistentVolume", "PersistentVolumeClaim"} == set()
    head, *workers = pods(cluster_of(found))
    # One node mounts a disk at a time, and no replica runs on the head.
    assert {v["name"] for v in head["volumes"]} == {"code", "tmp"}
    for pod in workers:
        claims = [v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
        mounts = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] not in ("code", "tmp")]
        if cache["type"] == "image":
            assert claims == mounts == []
        else:
            assert claims == [{"claimName": f"model-tiny-{COMMIT[:12]}", "readOnly": True}]
            (mount,) = mounts
            assert (mount["mountPath"], mount["subPath"], mount["readOnly"]) == (
                f"/mnt/models/models/tiny/{COMMIT[:12]}",
                f"models/tiny/{COMMIT[:12]}",
                True,
            )


@pytest.mark.parametrize("scope", ["internal", "public"])
@pytest.mark.parametrize("name", ["aks", "eks"])
def test_a_load_balancer(name: str, scope: str, helm: Path, tmp_path: Path) -> None:
    asked = {"scope": scope, "sourceRanges": ["203.0.113.0/24"], "annotations": {"example.com/note": HOSTILE}}
    found = objects(helm, tmp_path, planned(tmp_path, name, SERVER if name == "aks" else {}, loadBalancer=asked))
    service = one(found, "RayService", "chat")["spec"]["serveService"]
    usual = getattr(PROVIDERS[name], scope)
    assert service["metadata"]["annotations"] == {**usual, "example.com/note": HOSTILE}
    assert service["spec"] == {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "loadBalancerSourceRanges": ["203.0.113.0/24"],
        "ports": [{"name": "serve", "port": 8000, "targetPort": "serve", "protocol": "TCP"}],
    }


SERVER = {"endpoint": "https://s3.example.com", "region": "us-east-1", "credentialsSecret": "s3"}


def test_a_head_that_may_be_lost(helm: Path, tmp_path: Path) -> None:
    asked = {"redis": "redis.redis.svc:6380", "username": HOSTILE, "passwordSecret": "redis", "passwordKey": "pass"}
    found = objects(helm, tmp_path, planned(tmp_path, faultTolerance=asked))
    assert cluster_of(found)["gcsFaultToleranceOptions"] == {
        "redisAddress": "redis.redis.svc:6380",
        "redisUsername": {"value": HOSTILE},
        "redisPassword": {"valueFrom": {"secretKeyRef": {"name": "redis", "key": "pass"}}},
    }
    assert egress_ports(found)["0.0.0.0/0"] == [443, 6380]


def namespaces(rules: list[dict[str, Any]], key: str) -> dict[str, list[int] | None]:
    """Namespaces that rules of a NetworkPolicy name, and their ports; None: all."""
    found: dict[str, list[int] | None] = {}
    for rule in rules:
        for peer in rule.get(key, ()):
            for name in peer.get("namespaceSelector", {}).get("matchLabels", {}).values():
                found[name] = sorted({port["port"] for port in rule["ports"]}) if "ports" in rule else None
    return found


@pytest.mark.parametrize(
    ("redis", "inside"),
    [
        ("redis.cache.svc:6379", {"cache": None}),
        ("rediss://redis.cache.svc.cluster.local:6380", {"cache": None}),
        ("redis.example.com:6379", {}),
        ("redis:6379", {"models": None}),
    ],
)
def test_an_address_block_holds_no_pod_everywhere(
    redis: str, inside: dict[str, None], helm: Path, tmp_path: Path
) -> None:
    """Azure CNI with Cilium, for one: Redis of the cluster itself needs its namespace in the policy."""
    server = {"endpoint": "https://s3.example.com", "region": "us-east-1", "credentialsSecret": "s3"}
    found = objects(helm, tmp_path, planned(tmp_path, "aks", server, faultTolerance={"redis": redis}))
    egress = one(found, "NetworkPolicy", "chat-ray")["spec"]["egress"]
    assert namespaces(egress, "to") == {"kube-system": [53], **inside}


@pytest.mark.parametrize(
    ("address", "ports", "inside"),
    [
        ("https://artifacts.example.com/serve", [443], {}),
        ("https://artifacts.example.com:8443/serve", [443, 8443], {}),
        ("https://artifacts.tools.svc:8443", [443, 8443], {"tools": None}),
    ],
)
def test_the_code_can_be_fetched(
    address: str, ports: list[int], inside: dict[str, None], helm: Path, tmp_path: Path
) -> None:
    delivery = {"delivery": "url", "baseUrl": address}
    found = objects(helm, tmp_path, planned(tmp_path, code=delivery))
    egress = one(found, "NetworkPolicy", "chat-ray")["spec"]["egress"]
    assert egress_ports(found)["0.0.0.0/0"] == ports
    assert namespaces(egress, "to") == {"kube-system": [53], **inside}


@pytest.mark.parametrize("asked", [{}, {"addons": [], "operatorNamespace": "ray-operator"}], ids=str)
def test_the_operator_is_let_in(asked: dict[str, Any], helm: Path, tmp_path: Path) -> None:
    clusters = [{"name": "hub", "provider": "eks", "servicesBy": "helm", **asked}]
    found = objects(helm, tmp_path, planned(tmp_path, clusters=clusters))
    ingress = one(found, "NetworkPolicy", "chat-ray")["spec"]["ingress"]
    assert namespaces(ingress, "from") == {asked.get("operatorNamespace", "kuberay-system"): [8000, 8265]}


@pytest.mark.parametrize(
    ("asked", "made_of_it", "autoscaling"),
    [
        (None, None, False),
        ({"strategy": "new-cluster"}, {"type": "NewCluster"}, False),
        ({"strategy": "none"}, {"type": "None"}, False),
        (
            {"strategy": "incremental", "gatewayClass": "istio", "stepPercent": 5, "surgePercent": 40},
            {
                "type": "NewClusterWithIncrementalUpgrade",
                "clusterUpgradeOptions": {
                    "gatewayClassName": "istio",
                    "stepSizePercent": 5,
                    "intervalSeconds": 60,
                    "maxSurgePercent": 40,
                },
            },
            True,
        ),
    ],
)
def test_upgrades(
    asked: dict[str, Any] | None, made_of_it: dict[str, Any] | None, autoscaling: bool, helm: Path, tmp_path: Path
) -> None:
    """Step by step needs the autoscaler (KubeRay v1.7.0, ValidateRayServiceSpec)."""
    found = objects(helm, tmp_path, planned(tmp_path, upgrade=asked) if asked else planned(tmp_path))
    assert one(found, "RayService", "chat")["spec"].get("upgradeStrategy") == made_of_it
    assert cluster_of(found)["enableInTreeAutoscaling"] is autoscaling


def test_what_is_not_asked_for_is_not_there(helm: Path, tmp_path: Path) -> None:
    found = objects(helm, tmp_path, planned(tmp_path))
    service, config = one(found, "RayService", "chat"), cluster_of(found)
    assert set(service["spec"]) == {"serveConfigV2", "rayClusterConfig"}
    assert "gcsFaultToleranceOptions" not in config and config["authOptions"] == {"mode": "token"}
    assert not any("kueue" in key for key in (*service["metadata"]["labels"], *service["metadata"]["annotations"]))
    for pod in pods(config):
        assert "priorityClassName" not in pod and not pod.get("topologySpreadConstraints")


def test_a_token_of_your_own(helm: Path, tmp_path: Path) -> None:
    found = objects(helm, tmp_path, planned(tmp_path, authSecret="chat-token"))
    assert cluster_of(found)["authOptions"] == {"mode": "token", "secretName": "chat-token"}


def test_a_queue_without_autoscaler_says_nothing_of_elastic_jobs(helm: Path, tmp_path: Path) -> None:
    service = one(objects(helm, tmp_path, planned(tmp_path, queue="team-a")), "RayService", "chat")
    assert service["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert "kueue.x-k8s.io/elastic-job" not in service["metadata"]["annotations"]


def test_hosts_are_spread_over(helm: Path, tmp_path: Path) -> None:
    (group,) = cluster_of(objects(helm, tmp_path, planned(tmp_path, spread="host")))["workerGroupSpecs"]
    (spread,) = group["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["maxSkew"], spread["topologyKey"]) == (1, "kubernetes.io/hostname")


def test_every_group_runs_its_image(helm: Path, tmp_path: Path) -> None:
    both = [application("a"), application("b", app="vllm")]
    config = cluster_of(objects(helm, tmp_path, planned(tmp_path, workers=[CPU, GPU], applications=both)))
    images = [pod["containers"][0]["image"] for pod in pods(config)]
    assert images == [image(role)["image"] for role in ("vllm", "cpu", "vllm")]
