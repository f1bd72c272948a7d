"""AKS: the variables are those of the catalogue, and the module is closed where nobody opens it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator import naming
from generator.assets import find
from generator.catalog import ACCELERATORS, ADDONS
from generator.emit import terraform
from generator.emit.terraform import aks
from generator.plan import Baked, Cluster, KeyVault, Service, VaultSecret, Workers
from generator.providers import azure
from tests.unit import hcl, plans

MODULE = "aks/aks-platform"
UUID = "6fd1b7c2-6f5e-4d3c-9a4e-2b7f0c1d8e9a"
CLIENT = "0a9d2c44-1f0b-4b7e-8a63-5d1c2e3f4a5b"
VAULT = KeyVault("kv-models", UUID, CLIENT, (VaultSecret("redis", "password", "redis-password"),))
IMAGES = Baked(name="baked", kind="image", repository="crexample.azurecr.io/models")
CPU_GROUP = Workers("cpu", None, plans.CPU_IMAGE, 1, 3, 1, {"cpu": "2", "memory": "8Gi"}, {}, ())
# What an operator answers.
FACTS = {
    "subscription_id": UUID,
    "tenant_id": UUID,
    "location": "westeurope",
    "admin_group_object_ids": [UUID],
    "api_server_authorized_ranges": ["203.0.113.0/24"],
}


def cluster(name: str = "aks-prod", **changes: Any) -> Cluster:
    plain = replace(plans.CLUSTER, name=name, provider="aks", services_by="helm", addons=("kuberay-operator",))
    return replace(plain, **changes)


def service(name: str = "chat", clusters: tuple[str, ...] = ("aks-prod",), **changes: Any) -> Service:
    plain = replace(plans.CHAT, name=name, clusters=clusters, groups=(CPU_GROUP,), cache=IMAGES)
    return replace(plain, **changes)


def gpu(accelerator: str, devices: int = 1, most: int = 3, cpu: str = "2", memory: str = "16Gi") -> Workers:
    limits = {"cpu": cpu, "memory": memory, "nvidia.com/gpu": str(devices)}
    return Workers("gpu", accelerator, plans.VLLM_IMAGE, 1, most, 1, limits, {}, ())


def tree(*clusters: Cluster, services: tuple[Service, ...] = (), **changes: Any) -> dict[str, bytes]:
    known = {"clusters": clusters or (cluster(),), "services": services or (service(),), "models": ()}
    return dict(terraform.emit(plans.example_plan(**{**known, **changes}), find()))


def variables(*clusters: Cluster, name: str = "aks-prod", **changes: Any) -> dict[str, Any]:
    return dict(json.loads(tree(*clusters, **changes)[f"terraform/{name}.tfvars.json"]))


def test_the_module_stands_beside_that_of_eks() -> None:
    alone = tree()
    assert {path.split("/")[1] for path in alone} == {"aks-platform", "aks-prod.tfvars.json"}
    for path, content in alone.items():
        if "aks-platform" in path:
            assert content == (hcl.SOURCES / path.replace("terraform/", "aks/")).read_bytes()
    both = dict(terraform.emit(plans.example_plan(clusters=(plans.CLUSTER, cluster())), find()))
    eks = dict(terraform.emit(plans.example_plan(), find()))
    assert eks.items() < both.items() and alone.keys() < both.keys()
    assert "terraform/README.md" in eks and "terraform/aks-platform/README.md" in both


def test_variables_of_a_cluster() -> None:
    seen = variables()
    operator = seen.pop("kuberay_operator")
    assert operator["version"] == ADDONS["kuberay-operator"].version and operator["values"]
    assert seen == {
        "cluster": "aks-prod",
        "prefix": "peeks",
        "namespace": "ray-system",
        "sku_tier": "Standard",
        "host_encryption_enabled": True,
        "os_disk_size_gb": 128,
        "drain_timeout_minutes": 32,
        "system_pool": {"vm_size": "Standard_D4s_v5", "min_count": 2, "max_count": 3, "zones": []},
        "node_pools": {"cpu": {"vm_size": "Standard_D4s_v5", "min_count": 1, "max_count": 8, "zones": []}},
        "registries": ["crexample"],
        "existing_registries": {},
        "registry_sku": "Standard",
        "install_kuberay_operator": False,
    }


@pytest.mark.parametrize(
    "changes", [{}, {"key_vault": VAULT}, {"profile": "production"}, {"gitops": "kubectl", "profile": "development"}]
)
def test_variables_are_declared_and_open_ones_have_no_default(changes: dict[str, Any]) -> None:
    declared = hcl.declared(MODULE)
    given = variables(cluster(**changes))
    assert given.keys() <= declared.keys()
    required = {label for label, body in declared.items() if "default" not in body}
    assert required - given.keys() == FACTS.keys() - given.keys(), "Terraform asks for the rest"


@pytest.mark.parametrize(
    ("profile", "tier", "registry", "system", "fewest", "zones"),
    [
        (None, "Standard", "Standard", (2, 3), 1, []),
        ("development", "Free", "Basic", (1, 2), 1, []),
        ("production", "Standard", "Premium", (3, 5), 3, ["1", "2", "3"]),
    ],
)
def test_profiles(
    profile: str | None, tier: str, registry: str, system: tuple[int, int], fewest: int, zones: list[str]
) -> None:
    seen = variables(cluster(profile=profile))
    assert (seen["sku_tier"], seen["registry_sku"]) == (tier, registry)
    assert (seen["system_pool"]["min_count"], seen["system_pool"]["max_count"]) == system
    assert seen["system_pool"]["zones"] == seen["node_pools"]["cpu"]["zones"] == zones
    assert seen["node_pools"]["cpu"]["min_count"] == fewest


def test_the_pool_without_accelerator_holds_the_largest_pod_and_all_of_them_twice() -> None:
    large = replace(CPU_GROUP, max=4, limits={"cpu": "6", "memory": "40Gi"})
    pool = variables(services=(service(), service("large", groups=(large,))))["node_pools"]["cpu"]
    assert pool["vm_size"] == "Standard_E8s_v5"
    # A node holds seven heads, three of the small workers, or one of the large ones: 1 + 1 + 1 + 4 nodes.
    assert pool["max_count"] == 2 * (1 + 1 + 1 + 4)


def test_gpu_pools_are_there_for_the_services_that_use_them() -> None:
    services = (
        service("one", groups=(CPU_GROUP, gpu("nvidia-t4", most=2))),
        service("two", groups=(gpu("nvidia-a100-80gb", devices=2, most=1),)),
        service("three", groups=(gpu("nvidia-t4", cpu="12", memory="80Gi", most=1),)),
    )
    pools = variables(services=services)["node_pools"]
    assert {name: (pool["vm_size"], pool["max_count"]) for name, pool in pools.items() if name != "cpu"} == {
        "nc4ast4": ("Standard_NC4as_T4_v3", 4),
        "nc16ast4": ("Standard_NC16as_T4_v3", 2),
        "nc48adsa100": ("Standard_NC48ads_A100_v4", 2),
    }
    for name, pool in pools.items():
        taints = ["nvidia.com/gpu=present:NoSchedule"] if name != "cpu" else None
        assert pool.get("taints") == taints
        assert (pool["min_count"] == 0) == (name != "cpu")
    assert pools["nc48adsa100"]["labels"][naming.ACCELERATOR_LABEL] == "nvidia-a100-80gb"
    assert pools.keys() & {"gpu"} == set() and list(pools) == sorted(pools)


def test_names_of_pools_are_those_that_azure_takes_and_differ() -> None:
    sizes = [size for row in azure.GPU_SIZES.values() for size in row]
    assert len({size.pool for size in sizes}) == len(sizes)
    assert all(size.pool.isalnum() and size.pool[0].isalpha() and len(size.pool) <= 12 for size in sizes)
    assert len({size.pool[:9] for size in sizes}) == len(sizes), "names for the time of a rotation differ, too"


@pytest.mark.parametrize("name", sorted(ACCELERATORS))
def test_accelerators_of_azure(name: str) -> None:
    none = {"nvidia-a10g", "nvidia-l4", "nvidia-l40s", "aws-inferentia2", "aws-trainium1", "aws-trainium2"}
    assert azure.unavailable(name) == (name in none)
    sizes = azure.GPU_SIZES.get(name, ())
    assert [size.devices for size in sizes] == sorted(size.devices for size in sizes)


@pytest.mark.parametrize(
    ("limits", "accelerator", "name"),
    [
        ({"cpu": "2", "memory": "12Gi"}, None, "Standard_D4s_v5"),
        ({"cpu": "3500m", "memory": "4Gi"}, None, "Standard_D8s_v5"),
        ({"cpu": "4", "memory": "48Gi"}, None, "Standard_E8s_v5"),
        ({"cpu": "80", "memory": "8Gi"}, None, None),
        ({"cpu": "2", "memory": "200Gi", "nvidia.com/gpu": "1"}, "nvidia-h100-80gb", "Standard_NC40ads_H100_v5"),
        ({"cpu": "2", "memory": "24Gi", "nvidia.com/gpu": "4"}, "nvidia-h100-80gb", "Standard_ND96isr_H100_v5"),
        ({"cpu": "2", "memory": "24Gi", "nvidia.com/gpu": "16"}, "nvidia-h100-80gb", None),
        ({"cpu": "2", "memory": "24Gi", "nvidia.com/gpu": "1"}, "nvidia-l4", None),
    ],
)
def test_smallest(limits: dict[str, str], accelerator: str | None, name: str | None) -> None:
    size = azure.smallest(limits, accelerator)
    assert (size.name if size else None) == name


@pytest.mark.parametrize(("size", "expected"), [(2_202_000_000, 128), (30 * 10**9, 184), (None, 128), (10**12, 2048)])
def test_the_disk_holds_the_image_of_an_update(size: int | None, expected: int) -> None:
    application = replace(plans.CHAT.applications[0], models=(replace(plans.TINYLLAMA, size=size),))
    assert aks.disk([service(applications=(application,))]) == expected
    assert aks.disk([replace(service(applications=(application,)), cache=plans.S3)]) == 128


def test_a_registry_that_two_clusters_use_is_made_with_the_first() -> None:
    clusters = (cluster(), cluster("aks-test", values={"resource_prefix": "p2"}))
    services = (service(clusters=("aks-prod", "aks-test")), service("own", image="crown.azurecr.io/ray:1"))
    first = variables(*clusters, services=services)
    second = variables(*clusters, services=services, name="aks-test")
    assert (first["registries"], first["existing_registries"]) == (["crexample", "crown"], {})
    assert (second["registries"], second["existing_registries"]) == ([], {"crexample": "peeks-aks-prod"})


def test_images_from_elsewhere_make_no_registry() -> None:
    bare = replace(service(), cache=plans.S3)
    assert variables(services=(bare,))["registries"] == []


def test_key_vault() -> None:
    seen = variables(cluster(key_vault=VAULT), services=(service("b"), service("a")))
    assert (seen["key_vault_name"], seen["tenant_id"], seen["key_vault_client_id"]) == ("kv-models", UUID, CLIENT)
    assert seen["service_accounts"] == ["a-ray", "b-ray"]
    assert "key_vault_resource_group" not in seen
    other = variables(cluster(key_vault=VAULT), cluster("aks-test", key_vault=VAULT), name="aks-test")
    assert other["key_vault_resource_group"] == "peeks-aks-prod"


@pytest.mark.parametrize(
    ("changes", "installed"),
    [
        ({}, False),
        ({"addons": ()}, True),
        ({"gitops": "kubectl"}, True),
    ],
)
def test_the_operator_has_one_owner(changes: dict[str, Any], installed: bool) -> None:
    assert variables(cluster(**changes))["install_kuberay_operator"] is installed
    without = variables(cluster(**changes), services=(service(runtime="kserve"),))
    assert without["install_kuberay_operator"] is False


def test_a_cluster_without_services_is_a_cluster() -> None:
    seen = variables(services=(service(clusters=("elsewhere",)),))
    assert list(seen["node_pools"]) == ["cpu"] and seen["registries"] == []


def test_the_guide_has_every_size() -> None:
    guide = (Path(__file__).parents[2] / "docs/aks.md").read_text()
    rows = {line.split("`")[1]: line for line in guide.splitlines() if line.startswith("| `nvidia-")}
    for accelerator, sizes in azure.GPU_SIZES.items():
        for size in sizes:
            assert size.name.split("_")[1] in rows[accelerator], size
    for profile, sizing in aks.SIZES.items():
        (row,) = [
            line for line in guide.splitlines() if line.startswith(f"| {f'`{profile}`' if profile else 'none'} |")
        ]
        words = [sizing.sku_tier, sizing.registry_sku, sizing.system, *sizing.zones]
        assert all(word in row for word in words), row


# The module itself.


def resource(kind: str, name: str = "this") -> dict[str, Any]:
    return hcl.one(MODULE, "resource", kind, name)


def test_the_cluster_is_closed() -> None:
    found = resource("azurerm_kubernetes_cluster")
    for switch in ("local_account_disabled", "role_based_access_control_enabled", "oidc_issuer_enabled"):
        assert found[switch] is True, switch
    assert found["workload_identity_enabled"] is True
    (entra,) = found["azure_active_directory_role_based_access_control"]
    assert entra["azure_rbac_enabled"] is True
    (network,) = found["network_profile"]
    assert (network["network_plugin"], network["network_plugin_mode"]) == ("azure", "overlay")
    (pool,) = found["default_node_pool"]
    assert pool["only_critical_addons_enabled"] is True and pool["node_public_ip_enabled"] is False
    # Version 5 of the provider refuses a cluster without it.
    (provisioning,) = found["node_provisioning_profile"]
    assert provisioning["mode"] == "Manual"


def test_nodes_may_pull_and_only_ci_may_push() -> None:
    assert resource("azurerm_container_registry")["admin_enabled"] is False
    pull, push = resource("azurerm_role_assignment", "pull"), resource("azurerm_role_assignment", "push")
    assert pull["role_definition_name"] == "AcrPull" and "kubelet_identity[0].object_id" in pull["principal_id"]
    assert pull["skip_service_principal_aad_check"] is True
    assert push["role_definition_name"] == "AcrPush" and "kubelet" not in str(push)
    assert hcl.declared(MODULE)["ci_principal_ids"]["default"] == []


def test_the_vault_is_closed_and_keeps_what_is_deleted() -> None:
    vault = resource("azurerm_key_vault")
    assert vault["rbac_authorization_enabled"] is True and vault["purge_protection_enabled"] is True
    (rules,) = vault["network_acls"]
    assert rules["virtual_network_subnet_ids"] == ["${local.subnet_id}"]
    assert hcl.declared(MODULE)["key_vault_default_action"]["default"] == "Deny"
    assert resource("azurerm_role_assignment", "secrets_user")["role_definition_name"] == "Key Vault Secrets User"
    credential = resource("azurerm_federated_identity_credential", "services")
    assert credential["subject"] == "system:serviceaccount:${var.namespace}:${each.key}"
    assert credential["audience"] == ["api://AzureADTokenExchange"]


def test_providers_of_the_current_syntax() -> None:
    (providers,) = hcl.one(MODULE, "terraform")["required_providers"]
    assert (providers["azurerm"]["version"], providers["helm"]["version"]) == ("~> 5.2", "~> 3.1")
    kubernetes = hcl.one(MODULE, "provider", "helm")["kubernetes"]
    assert isinstance(kubernetes, dict) and kubernetes["exec"]["command"] == "kubelogin", "an attribute, no block"
    assert "client_key" not in hcl.text(MODULE), "the cluster has no local accounts"
    assert resource("helm_release", "kuberay_operator")["values"] == ["${jsonencode(var.kuberay_operator.values)}"]


def test_terraform_takes_the_variables_and_derives_the_name_that_other_clusters_use(tmp_path: Path) -> None:
    groups = (CPU_GROUP, gpu("nvidia-t4"))
    given = variables(cluster(key_vault=VAULT, profile="production"), services=(service(groups=groups),))
    seen = hcl.reckoned(MODULE, tmp_path, ("name", "gpu_pools"), **{**FACTS, **given})
    plan = plans.example_plan(clusters=(cluster(),))
    assert seen == {"name": aks.resource_group(plan, cluster()), "gpu_pools": ["nc4ast4"]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"api_server_authorized_ranges": []}, "public API server needs authorized ranges"),
        ({"private_cluster": True}, "public API server needs authorized ranges"),
        ({"location": "West Europe"}, "westeurope"),
        ({"admin_group_object_ids": []}, "nobody could administer"),
        ({"node_pools": {}}, "without taints"),
        ({"service_accounts": [f"s{i}-ray" for i in range(21)]}, "20 ServiceAccounts"),
    ],
)
def test_what_terraform_refuses(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        hcl.reckoned(MODULE, tmp_path, ("name",), **{**FACTS, **variables(), **wrong})
