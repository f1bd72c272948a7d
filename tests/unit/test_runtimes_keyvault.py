"""Secrets of Azure Key Vault: the values, what the chart makes of them under real helm, and the schema of its kind."""

from __future__ import annotations

import copy
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import naming, yamlio
from generator.kinds import load_schemas, validate
from generator.plan import Cluster, KeyVault, VaultSecret
from generator.runtimes.keyvault import key_vault
from tests.unit import plans

ROOT = Path(__file__).parents[2]
CHART = ROOT / "chart-templates/ray-service"
SCHEMAS = load_schemas(ROOT / "schemas/kinds")
TENANT, CLIENT = "6fd1b7c2-6f5e-4d3c-9a4e-2b7f0c1d8e9a", "0a9d2c44-1f0b-4b7e-8a63-5d1c2e3f4a5b"
SECRETS = (
    VaultSecret("redis", "username", "redis-user"),
    VaultSecret("redis", "password", "on"),  # YAML 1.1 takes it for true
    VaultSecret("chat-tls", "tls.crt", "chat-certificate"),
    VaultSecret("chat-tls", "tls.key", "chat-certificate"),
)
VAULT = KeyVault("kv-models", TENANT, CLIENT, SECRETS)
VALUES = {
    "name": "kv-models",
    "tenant": TENANT,
    "client": CLIENT,
    "objects": [
        {"objectName": "chat-certificate", "objectType": "secret"},
        {"objectName": "on", "objectType": "secret"},
        {"objectName": "redis-user", "objectType": "secret"},
    ],
    "secretObjects": [
        {
            "secretName": "chat-tls",
            "type": "kubernetes.io/tls",
            "data": [
                {"objectName": "chat-certificate", "key": "tls.crt"},
                {"objectName": "chat-certificate", "key": "tls.key"},
            ],
        },
        {
            "secretName": "redis",
            "type": "Opaque",
            "data": [{"objectName": "on", "key": "password"}, {"objectName": "redis-user", "key": "username"}],
        },
    ],
}


def cluster(vault: KeyVault | None) -> Cluster:
    return replace(plans.CLUSTER, provider="aks", services_by="helm", key_vault=vault)


def test_values() -> None:
    assert key_vault(cluster(VAULT), plans.CHAT) == VALUES
    assert key_vault(cluster(None), plans.CHAT) == {}
    assert key_vault(cluster(VAULT), replace(plans.CHAT, runtime="kserve")) == {}


def rendered(helm: Path, folder: Path, vault: dict[str, Any] | None) -> subprocess.CompletedProcess[str]:
    """The chart of its own example, whose first service gets the vault."""
    data: dict[str, Any] = yaml.safe_load((CHART / "ci/two-services-values.yaml").read_text())
    if vault is not None:
        data["services"]["chat"]["keyVault"] = vault
    (folder / "values.yaml").write_bytes(yamlio.dump(data))
    command = [str(helm), "template", "x", str(CHART), "-n", "models", "-f", str(folder / "values.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def objects(helm: Path, folder: Path, vault: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    done = rendered(helm, folder, vault)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def one(found: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (document,) = [d for d in found if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return document


def test_the_class_is_one_that_the_driver_reads(helm: Path, tmp_path: Path) -> None:
    made = one(objects(helm, tmp_path, VALUES), "SecretProviderClass", "chat-key-vault")
    assert list(validate(made, SCHEMAS)) == []
    parameters = made["spec"]["parameters"]
    assert all(isinstance(value, str) for value in parameters.values()), "a map of strings (CRD)"
    assert parameters | {"objects": ""} == {
        "keyvaultName": "kv-models",
        "tenantId": TENANT,
        "clientID": CLIENT,
        "usePodIdentity": "false",
        "useVMManagedIdentity": "false",
        "objects": "",
    }
    # The provider takes YAML in YAML; go-yaml reads YAML 1.1, as PyYAML does.
    array = yaml.safe_load(parameters["objects"])["array"]
    assert [yaml.safe_load(text) for text in array] == VALUES["objects"]
    assert made["spec"]["secretObjects"] == VALUES["secretObjects"]


def test_the_head_takes_the_identity_and_mounts_the_volume(helm: Path, tmp_path: Path) -> None:
    found = objects(helm, tmp_path, VALUES)
    account = one(found, "ServiceAccount", naming.service_account("chat"))
    assert account["metadata"]["annotations"]["azure.workload.identity/client-id"] == CLIENT
    service = one(found, "RayService", "chat")
    assert list(validate(service, SCHEMAS)) == []
    head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
    assert head["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert head["spec"]["serviceAccountName"] == account["metadata"]["name"]
    (volume,) = [volume for volume in head["spec"]["volumes"] if "csi" in volume]
    assert volume["csi"] == {
        "driver": "secrets-store.csi.k8s.io",
        "readOnly": True,
        "volumeAttributes": {"secretProviderClass": "chat-key-vault"},
    }
    mounts = head["spec"]["containers"][0]["volumeMounts"]
    assert [mount["readOnly"] for mount in mounts if mount["name"] == volume["name"]] == [True]
    for group in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
        assert "key-vault" not in str(group) and "azure" not in str(group)


def test_only_services_with_a_vault_change(helm: Path, tmp_path: Path) -> None:
    before, after = objects(helm, tmp_path), objects(helm, tmp_path, VALUES)
    assert "azure" not in str(before) and "SecretProviderClass" not in {d["kind"] for d in before}
    assert one(before, "RayService", "gpu") == one(after, "RayService", "gpu")


@pytest.mark.parametrize(
    "wrong",
    [
        {"client": "kv-models"},
        {"name": "1"},
        {"objects": []},
        {"objects": [{"objectName": "a\nb", "objectType": "secret"}]},
        {"objects": [{"objectName": "a", "objectType": "key"}]},
        {"secretObjects": [{"secretName": "redis", "type": "Opaque", "data": [], "labels": {}}]},
        {"cloud": "AzurePublicCloud"},
    ],
)
def test_what_the_chart_refuses(helm: Path, tmp_path: Path, wrong: dict[str, Any]) -> None:
    done = rendered(helm, tmp_path, copy.deepcopy(VALUES) | wrong)
    assert done.returncode != 0 and "keyVault" in done.stderr


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("provider",), "vault"),
        (("parameters", "usePodIdentity"), "true"),
        (("parameters", "clientID"), ""),
        (("parameters", "objects"), "- a"),
        (("parameters", "userAssignedIdentityID"), TENANT),
        (("secretObjects",), []),
        (("secretObjects", 0, "type"), "secret"),
    ],
)
def test_what_the_schema_refuses(helm: Path, tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    made = one(objects(helm, tmp_path, VALUES), "SecretProviderClass", "chat-key-vault")
    node = made["spec"]
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    assert list(validate(made, SCHEMAS))
