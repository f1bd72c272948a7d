"""NodePools: one for each accelerator in use, for its own pods only, bounded, and quiet."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, get_args

import pytest
import yaml

from generator import assets, naming
from generator.catalog import ACCELERATORS
from generator.emit import nodepools
from generator.kinds import load_schemas, validate
from generator.plan import Plan, Service
from generator.runtimes.ray import pool as wanted_labels
from generator.spec.cluster import Cluster as Asked
from tests.unit.plans import CHAT, CLUSTER, MISTRAL_SERVICE, example_plan
from tests.unit.plans import workers as group

SCHEMAS = load_schemas(assets.find().root / "schemas" / "kinds")
POOLED = replace(CLUSTER, node_pools="auto-mode")
NEURON = replace(
    MISTRAL_SERVICE,
    name="compiled",
    groups=(group({"cpu": "2", "memory": "24Gi", "aws.amazon.com/neuroncore": "2"}, "aws-inferentia2", 2),),
)


def planned(*services: Service, cluster: Any = POOLED) -> Plan:
    return example_plan(clusters=(cluster,), services=services or (CHAT, MISTRAL_SERVICE))


def pools(plan: Plan) -> dict[str, dict[str, Any]]:
    """Objects of the only file, by name."""
    ((path, content),) = nodepools.emit(plan, assets.find())
    assert path == f"nodepools/{plan.clusters[0].name}.yaml"
    found = list(yaml.safe_load_all(content))
    for pool in found:
        assert list(validate(pool, SCHEMAS)) == []
    return {pool["metadata"]["name"]: pool for pool in found}


def workers(service: Service, most: int, count: int, resource: str = "nvidia.com/gpu", **limits: str) -> Service:
    asked = {"cpu": "2", "memory": "24Gi", **limits, resource: str(count)}
    return replace(service, groups=(group(asked, service.accelerator, most),))


def on(accelerator: str, service: Service = MISTRAL_SERVICE) -> Service:
    """The service with another accelerator."""
    return replace(service, groups=tuple(replace(one, accelerator=accelerator) for one in service.groups))


@pytest.mark.parametrize("cluster", [CLUSTER, POOLED])
def test_nothing_where_nothing_is_asked_for(cluster: Any) -> None:
    plan = planned(CHAT, cluster=cluster)
    assert list(nodepools.emit(plan, assets.find())) == []
    assert nodepools.clusters_with_pools(plan) == ()


def test_a_pool_for_each_accelerator_in_use() -> None:
    plan = planned(CHAT, MISTRAL_SERVICE, NEURON, replace(MISTRAL_SERVICE, name="more"))
    assert nodepools.clusters_with_pools(plan) == (POOLED,)
    assert list(pools(plan)) == ["modelyard-aws-inferentia2", "modelyard-nvidia-a10g"]


def test_each_cluster_has_a_file_of_its_own() -> None:
    clusters = tuple(replace(POOLED, name=name) for name in ("one", "two", "three"))
    services = (replace(MISTRAL_SERVICE, clusters=("one", "two")), replace(CHAT, clusters=("three",)))
    plan = example_plan(clusters=clusters, services=services)
    assert [path for path, _ in nodepools.emit(plan, assets.find())] == ["nodepools/one.yaml", "nodepools/two.yaml"]
    assert [c.name for c in nodepools.clusters_with_pools(plan)] == ["one", "two"]


@pytest.mark.parametrize("entry", ["one", "{{ .values.entry }}"])
def test_a_cluster_takes_its_own_file(entry: str) -> None:
    assert nodepools.include(entry) == f"{entry}.yaml"


@pytest.mark.parametrize(
    ("way", "reference", "label"),
    [
        (
            "auto-mode",
            {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"},
            "eks.amazonaws.com/instance-family",
        ),
        (
            "karpenter",
            {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
            "karpenter.k8s.aws/instance-family",
        ),
    ],
)
def test_who_makes_the_nodes(way: str, reference: dict[str, str], label: str) -> None:
    (pool,) = pools(planned(MISTRAL_SERVICE, cluster=replace(CLUSTER, node_pools=way))).values()
    template = pool["spec"]["template"]["spec"]
    assert template["nodeClassRef"] == reference
    assert template["requirements"][0] == {"key": label, "operator": "In", "values": ["g5"]}


def test_the_language_knows_who_makes_nodes() -> None:
    (ways, _) = get_args(Asked.model_fields["node_pools"].annotation)
    assert set(get_args(ways)) == set(nodepools.MAKERS)


@pytest.mark.parametrize("name", sorted(ACCELERATORS))
def test_pods_find_their_nodes(name: str) -> None:
    """What a worker asks for, tolerates and selects is what the nodes of its pool have, and no other pool's."""
    row = ACCELERATORS[name]
    service = workers(on(name), 1, 1, row.resource)
    (made,) = pools(planned(service)).values()
    template = made["spec"]["template"]
    wanted_by_pods = wanted_labels(POOLED, service.groups[0])
    assert template["metadata"]["labels"] == wanted_by_pods == {naming.ACCELERATOR_LABEL: name}
    assert template["spec"]["taints"] == [{"key": row.toleration, "effect": "NoSchedule"}]
    wanted = {item["key"]: item["values"] for item in template["spec"]["requirements"]}
    assert wanted["eks.amazonaws.com/instance-family"] == list(row.families)
    assert wanted["kubernetes.io/arch"] == ["amd64"]
    assert "spot" not in wanted["karpenter.sh/capacity-type"]


@pytest.mark.parametrize(("cluster", "service"), [(CLUSTER, MISTRAL_SERVICE), (POOLED, CHAT)])
def test_pods_select_no_label_that_nobody_sets(cluster: Any, service: Service) -> None:
    assert wanted_labels(cluster, service.groups[0]) == {}


@pytest.mark.parametrize(
    ("services", "limits"),
    [
        # three workers of one GPU each, and three more while an update runs
        ([workers(MISTRAL_SERVICE, 3, 1)], {"nvidia.com/gpu": "6"}),
        # two GPUs come on a node with four
        ([workers(MISTRAL_SERVICE, 3, 2)], {"nvidia.com/gpu": "24"}),
        # a worker that wants the memory of a larger node
        ([workers(MISTRAL_SERVICE, 1, 1, memory="300Gi")], {"nvidia.com/gpu": "8"}),
        ([workers(MISTRAL_SERVICE, 3, 1), workers(replace(MISTRAL_SERVICE, name="b"), 2, 8)], {"nvidia.com/gpu": "38"}),
        # two cores are one chip
        ([NEURON], {"aws.amazon.com/neuron": "4"}),
        ([workers(NEURON, 1, 8, "aws.amazon.com/neuroncore")], {"aws.amazon.com/neuron": "12"}),
        (
            [workers(on("aws-trainium2"), 1, 4, "aws.amazon.com/neuroncore")],
            {"aws.amazon.com/neuron": "2"},
        ),
    ],
)
def test_the_bound_of_a_pool(services: list[Service], limits: dict[str, str]) -> None:
    (pool,) = pools(planned(*services)).values()
    assert pool["spec"]["limits"] == limits


def seconds(duration: str) -> int:
    found = re.fullmatch(r"([0-9]+)(s|m|h)", duration)
    assert found is not None
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


@pytest.mark.parametrize("way", sorted(nodepools.MAKERS))
def test_a_replica_is_not_moved_at_will(way: str) -> None:
    (pool,) = pools(planned(MISTRAL_SERVICE, cluster=replace(CLUSTER, node_pools=way))).values()
    disruption, template = pool["spec"]["disruption"], pool["spec"]["template"]["spec"]
    assert disruption["consolidationPolicy"] == "WhenEmpty"
    budgets = {reason: budget["nodes"] for budget in disruption["budgets"] for reason in budget["reasons"]}
    assert budgets == {"Empty": "100%", "Drifted": "1", "Underutilized": "1"}
    # The charts let a pod take 7,200 seconds at most, and Auto Mode ends a node after 21 days.
    assert seconds(template["terminationGracePeriod"]) >= 7200
    if way == "auto-mode":
        whole = seconds(template["expireAfter"]) + seconds(template["terminationGracePeriod"])
        assert whole <= 21 * 24 * 3600


@pytest.mark.parametrize(
    "broken",
    [
        {"limits": {}},
        {"limits": {"cpu": "100"}},
        {"disruption": {"consolidateAfter": "10m"}},
        {"replicas": 3},
    ],
)
def test_the_schema_refuses_what_is_not_bounded_or_settled(broken: dict[str, Any]) -> None:
    (pool,) = pools(planned(MISTRAL_SERVICE)).values()
    assert list(validate(pool | {"spec": pool["spec"] | broken}, SCHEMAS))


@pytest.mark.parametrize("part", ["taints", "requirements", "nodeClassRef"])
def test_the_schema_wants_every_part_of_a_node(part: str) -> None:
    (pool,) = pools(planned(MISTRAL_SERVICE)).values()
    del pool["spec"]["template"]["spec"][part]
    assert list(validate(pool, SCHEMAS))
