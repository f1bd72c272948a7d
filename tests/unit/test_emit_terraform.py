"""EKS: the modules are what a security review asks for, and the variables are those of the catalogue."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator import naming
from generator.assets import find
from generator.emit import terraform
from generator.emit.terraform.eks import STATED
from generator.plan import Region
from tests.unit import hcl, plans

SOURCE = hcl.SOURCES / "eks"
MODULES = ("model-bucket", "cluster-access")
SOURCES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.tf"))


def tree(**changes: Any) -> dict[str, bytes]:
    return dict(terraform.emit(plans.example_plan(**changes), find()))


def variables(name: str = "peeks-hub", **changes: Any) -> dict[str, Any]:
    return dict(json.loads(tree(**changes)[f"terraform/{name}.tfvars.json"]))


def module(name: str) -> dict[str, list[Any]]:
    return hcl.module(f"eks/{name}")


def blocks(name: str, kind: str, *labels: str) -> list[dict[str, Any]]:
    return hcl.blocks(f"eks/{name}", kind, *labels)


def one(name: str, kind: str, *labels: str) -> dict[str, Any]:
    return hcl.one(f"eks/{name}", kind, *labels)


def reckoned(name: str, folder: Path, **given: Any) -> dict[str, Any]:
    return hcl.reckoned(f"eks/{name}", folder, **given)


def actions(statements: list[dict[str, Any]]) -> set[str]:
    return {action for statement in statements for action in statement.get("actions", ())}


def conditions(statement: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    return {c["variable"]: (c["test"], c["values"]) for c in statement["condition"]}


def test_static_files_are_copied_byte_for_byte() -> None:
    files = tree()
    for path in [*SOURCES, "README.md"]:
        assert files[f"terraform/{path}"] == (SOURCE / path).read_bytes()
    assert {f"terraform/{path}" for path in SOURCES} == {path for path in files if path.endswith(".tf")}


def test_what_terraform_left_in_a_checkout_is_not_copied(tmp_path: Path) -> None:
    folder = tmp_path / "chart-templates/terraform/eks/model-bucket"
    (folder / ".terraform").mkdir(parents=True)
    for name in ("main.tf", "terraform.tfstate", ".terraform/modules.json"):
        (folder / name).write_text("x")
    files = dict(terraform.emit(plans.example_plan(), replace(find(), root=tmp_path)))
    assert [path for path in files if "model-bucket/" in path] == ["terraform/model-bucket/main.tf"]


@pytest.mark.parametrize("name", MODULES)
def test_versions_are_bounded_and_the_account_is_guarded(name: str) -> None:
    settings = one(name, "terraform")
    (providers,) = settings["required_providers"]
    assert settings["required_version"] == ">= 1.9, < 2.0"
    assert providers["aws"] == {"source": "hashicorp/aws", "version": ">= 6.0, < 7.0"}
    assert one(name, "provider", "aws")["allowed_account_ids"] == ["${var.aws_account_id}"]


def test_bucket_is_closed_to_the_public() -> None:
    block = one("model-bucket", "resource", "aws_s3_bucket_public_access_block", "models")
    switches = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    assert [block[switch] for switch in switches] == [True] * 4
    (rule,) = one("model-bucket", "resource", "aws_s3_bucket_ownership_controls", "models")["rule"]
    assert rule["object_ownership"] == "BucketOwnerEnforced"


def test_bucket_refuses_plain_http() -> None:
    (statement,) = one("model-bucket", "data", "aws_iam_policy_document", "tls_only")["statement"]
    assert (statement["effect"], statement["actions"]) == ("Deny", ["s3:*"])
    assert statement["resources"] == ["${each.value.arn}", "${each.value.arn}/*"]
    assert statement["principals"][0]["identifiers"] == ["*"]
    assert conditions(statement) == {"aws:SecureTransport": ("Bool", ["false"])}
    assert "tls_only" in one("model-bucket", "resource", "aws_s3_bucket_policy", "models")["policy"]


def test_bucket_is_encrypted_and_versioned() -> None:
    kind = "aws_s3_bucket_server_side_encryption_configuration"
    (rule,) = one("model-bucket", "resource", kind, "models")["rule"]
    (default,) = rule["apply_server_side_encryption_by_default"]
    assert rule["bucket_key_enabled"] is True
    assert '"AES256"' in default["sse_algorithm"] and '"aws:kms"' in default["sse_algorithm"]
    assert default["kms_master_key_id"] == "${local.kms_keys[each.key]}"
    versioning = one("model-bucket", "resource", "aws_s3_bucket_versioning", "models")
    assert versioning["versioning_configuration"][0]["status"] == "Enabled"


def test_bucket_cannot_be_destroyed() -> None:
    bucket = one("model-bucket", "resource", "aws_s3_bucket", "models")
    assert bucket["force_destroy"] is False
    assert bucket["lifecycle"][0]["prevent_destroy"] is True


def test_lifecycle_cleans_up_and_never_archives() -> None:
    rules = one("model-bucket", "resource", "aws_s3_bucket_lifecycle_configuration", "models")["rule"]
    assert all(rule["status"] == "Enabled" and "filter" in rule for rule in rules)
    assert [r["abort_incomplete_multipart_upload"][0]["days_after_initiation"] for r in rules[:1]] == [7]
    assert "noncurrent_days" in rules[1]["noncurrent_version_expiration"][0]
    assert not {key for rule in rules for key in rule if "transition" in key or key == "expiration"}
    assert not blocks("model-bucket", "resource", "aws_s3_bucket_intelligent_tiering_configuration")


def test_only_its_service_account_takes_a_role() -> None:
    (statement,) = one("cluster-access", "data", "aws_iam_policy_document", "trust")["statement"]
    assert statement["actions"] == ["sts:AssumeRole", "sts:TagSession"]
    (principal,) = statement["principals"]
    assert (principal["type"], principal["identifiers"]) == ("Service", ["pods.eks.amazonaws.com"])
    assert conditions(statement) == {
        "aws:SourceAccount": ("StringEquals", ["${var.aws_account_id}"]),
        "aws:SourceArn": ("ArnEquals", ["${local.cluster_arn}"]),
        "aws:RequestTag/kubernetes-namespace": ("StringEquals", ["${each.value.namespace}"]),
        "aws:RequestTag/kubernetes-service-account": ("StringEquals", "${each.value.service_accounts}"),
    }


def test_readers_read_under_their_prefixes_only() -> None:
    document = one("cluster-access", "data", "aws_iam_policy_document", "read")
    listing, reading = document["statement"]
    assert actions(document["statement"]) == {"s3:ListBucket", "s3:GetObject"}
    test, prefixes = conditions(listing)["s3:prefix"]
    assert test == "StringLike"
    assert "/*" in prefixes and "reads[each.key]" in prefixes
    assert "reads[each.key]" in reading["resources"]


def test_writer_writes_models_only_and_deletes_nothing_but_its_own_notes() -> None:
    document = one("cluster-access", "data", "aws_iam_policy_document", "write")
    writing, dropping, uploads = document["statement"]
    assert actions([writing]) == {"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"}
    assert "/models/*" in writing["resources"]
    assert actions([dropping]) == {"s3:DeleteObject"}
    assert "local.notes" in dropping["resources"] and "/models/*/${pair[1]}" in dropping["resources"]
    notes = next(block["notes"] for block in module("cluster-access")["locals"] if "notes" in block)
    assert tuple(notes) == naming.NOTES
    assert actions([uploads]) == {"s3:ListBucketMultipartUploads"}


def test_keys_are_used_through_s3_only() -> None:
    for name, action in (("read", "kms:Decrypt"), ("write", "kms:GenerateDataKey")):
        dynamic = one("cluster-access", "data", "aws_iam_policy_document", name)["dynamic"][-1]
        (content,) = dynamic["statement"]["content"]
        assert content["actions"] == [action]
        assert content["resources"] in ("${statement.value}", ["${statement.value}"])
        assert set(conditions(content)) == {"kms:ViaService"}


def test_every_part_of_a_bucket_is_in_its_region() -> None:
    resources = [block for block in module("model-bucket")["resource"] if block]
    assert len(resources) == 8
    for block in resources:
        ((kind, body),) = block.items()
        (settings,) = body.values()
        wanted = "${each.value.region}" if settings["for_each"] == "${aws_s3_bucket.models}" else None
        assert settings["region"] == (wanted or "${local.regions[each.key]}"), kind
    assert "lookup(var.bucket_regions, name, var.aws_region)" in str(one("model-bucket", "locals")["regions"])


def test_the_log_of_a_bucket_goes_where_its_region_says() -> None:
    logging = one("model-bucket", "resource", "aws_s3_bucket_logging", "models")
    assert logging["target_bucket"] == "${each.value}" and "local.log_buckets" in logging["for_each"]


def test_only_the_writer_reaches_the_home_bucket_of_another_region_and_only_to_read() -> None:
    for statement in one("cluster-access", "data", "aws_iam_policy_document", "read")["statement"]:
        assert "local.readable[each.key]" in str(statement["resources"])
    for statement in one("cluster-access", "data", "aws_iam_policy_document", "write")["statement"]:
        assert "local.bucket_arns" in str(statement["resources"]) and "home" not in str(statement["resources"])


ACCOUNT = {"aws_account_id": "123456789012", "prefix": "p"}
BUCKETS = {"bucket_regions": {"models-eu": "eu-west-1", "models-us": "us-east-1"}, "derive_bucket_name": False}
EU, US = "arn:aws:kms:eu-west-1:123456789012:key/eu", "arn:aws:kms:us-east-1:123456789012:key/us"
CLUSTER = {
    **ACCOUNT,
    **BUCKETS,
    "aws_cluster_name": "c",
    "cluster": "c",
    "namespace": "ray-system",
    "prestage_service_account": "modelyard-prestage",
    "home_buckets": ["models-eu"],
    "service_accounts": ["chat-ray"],
}


def test_buckets_keys_and_logs_by_region(tmp_path: Path) -> None:
    seen = reckoned(
        "model-bucket",
        tmp_path,
        **{**ACCOUNT, **BUCKETS, "derive_bucket_name": True},
        aws_region="eu-west-1",
        kms_key_arn=EU,
        kms_key_arns={"us-east-1": US},
        log_bucket="logs-eu",
    )
    own = "p-ray-models-123456789012"
    assert seen["regions"] == {"models-eu": "eu-west-1", "models-us": "us-east-1", own: "eu-west-1"}
    assert seen["kms_keys"] == {"models-eu": EU, "models-us": US, own: EU}
    assert seen["log_buckets"] == {"models-eu": "logs-eu", "models-us": None, own: "logs-eu"}


@pytest.mark.parametrize(
    ("region", "own", "reads", "keys"),
    [
        ("eu-west-1", ["models-eu"], ["models-eu"], [EU]),
        ("us-east-1", ["models-us"], ["models-us", "models-eu"], [US, EU]),
    ],
)
def test_a_cluster_uses_the_bucket_of_its_region(
    region: str, own: list[str], reads: list[str], keys: list[str], tmp_path: Path
) -> None:
    seen = reckoned(
        "cluster-access", tmp_path, **CLUSTER, aws_region=region, kms_key_arns={"eu-west-1": EU, "us-east-1": US}
    )
    arns = [f"arn:aws:s3:::{name}" for name in own]
    assert (seen["bucket_arns"], seen["readable"]["reader"], seen["readable"]["csi"]) == (arns, arns, arns)
    assert seen["readable"]["writer"] == [f"arn:aws:s3:::{name}" for name in reads]
    assert (seen["kms_keys"]["writer"], seen["kms_keys"]["reader"]) == (keys, keys[:1])
    assert seen["regions"]["writer"] == [key.split(":")[3] for key in keys]


@pytest.mark.parametrize(("jobs", "roles"), [(True, {"csi", "reader", "writer"}), (False, {"csi", "reader"})])
def test_roles(jobs: bool, roles: set[str], tmp_path: Path) -> None:
    seen = reckoned("cluster-access", tmp_path, **CLUSTER, aws_region="eu-west-1", prestage_role=jobs)
    assert seen["identities"].keys() == roles
    assert {taken["role"] for taken in seen["associations"].values()} == roles


def test_a_cluster_in_a_region_without_a_bucket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No cache has a bucket in the region"):
        reckoned("cluster-access", tmp_path, **CLUSTER, aws_region="ap-south-1")


def test_a_cluster_without_jobs_has_no_writer() -> None:
    found = one("cluster-access", "locals")
    assert "var.prestage_role ?" in str(found["identities"])
    write = one("cluster-access", "data", "aws_iam_policy_document", "write")
    assert "keys(local.identities)" in write["for_each"] and 'role == "writer"' in write["for_each"]
    assert 'data.aws_iam_policy_document.read["writer"]' not in (SOURCE / "cluster-access/main.tf").read_text()


def test_no_policy_has_a_wildcard_action_or_a_managed_policy() -> None:
    text = (SOURCE / "cluster-access/main.tf").read_text()
    assert not re.search(r'"(s3|kms|sts|iam):[A-Za-z]*\*', text)
    assert re.sub(r"#.*", "", text).count("Delete") == 1  # of the note
    assert "arn:aws:" not in text
    assert "policy_attachment" not in text and "managed_policy" not in text


def test_role_names_fit() -> None:
    role = one("cluster-access", "resource", "aws_iam_role", "this")
    assert role["name"] == "${local.role_prefix}-${each.key}"
    longest = "x" * 32 + "-" + "c" * naming.CLUSTER_NAME.characters + "-model-writer"
    assert len(longest) <= 64
    assert '"${var.prefix}-${var.cluster}-model' in (SOURCE / "cluster-access/main.tf").read_text()


def test_state_of_one_cluster_is_not_applied_to_another() -> None:
    (lifecycle,) = one("cluster-access", "resource", "aws_iam_role", "this")["lifecycle"]
    assert "terraform.workspace" in lifecycle["precondition"][0]["condition"]


def test_addons_wait_for_the_identity_of_their_pods() -> None:
    driver = one("cluster-access", "resource", "aws_eks_addon", "s3_csi_driver")
    assert "${aws_eks_pod_identity_association.this}" in driver["depends_on"]
    assert blocks("cluster-access", "variable", "install_s3_csi_driver")[0]["default"] is False
    assert blocks("cluster-access", "variable", "install_pod_identity_agent")[0]["default"] is False


def test_variables_of_the_example() -> None:
    assert variables() == {
        "bucket_names": [],
        "cluster": "peeks-hub",
        "derive_bucket_name": True,
        "driver_credentials": True,
        "namespace": "ray-system",
        "prefix": "peeks",
        "prestage_role": True,
        "prestage_service_account": "modelyard-prestage",
        "read_code": False,
        "service_accounts": [],
    }
    assert variables("model-bucket") == {"bucket_names": [], "derive_bucket_name": True, "prefix": "peeks"}


VALUES = {
    "aws_account_id": "123456789012",
    "aws_region": "us-west-2",
    "aws_cluster_name": "peeks-hub-eks",
    "resource_prefix": "p2",
}


def test_stated_values_become_variables() -> None:
    clusters = (replace(plans.CLUSTER, values=VALUES),)
    seen = variables(clusters=clusters)
    assert {key: seen[key] for key in STATED} == {key: VALUES[key] for key in STATED}
    assert seen["prefix"] == "p2"
    assert variables("model-bucket", clusters=clusters) == {
        "aws_account_id": "123456789012",
        "aws_region": "us-west-2",
        "bucket_names": [],
        "derive_bucket_name": True,
        "prefix": "p2",
    }


def test_a_cluster_chosen_by_name_is_known_by_it() -> None:
    clusters = (replace(plans.CLUSTER, destination="peeks-hub"),)
    assert variables(clusters=clusters)["aws_cluster_name"] == "peeks-hub"
    assert "aws_cluster_name" not in variables()


def test_clusters_that_differ_leave_the_bucket_variables_open() -> None:
    other = replace(plans.CLUSTER, name="east", values={**VALUES, "aws_region": "us-east-1"})
    clusters = (replace(plans.CLUSTER, values=VALUES), other)
    everywhere = tuple(replace(m, clusters=("east", "peeks-hub")) for m in (plans.MISTRAL, plans.TINYLLAMA))
    shared = variables("model-bucket", clusters=clusters, models=everywhere)
    assert shared["aws_account_id"] == "123456789012" and "aws_region" not in shared
    assert variables("east", clusters=clusters, models=everywhere)["aws_region"] == "us-east-1"


@pytest.mark.parametrize(
    ("credentials", "code_by", "accounts", "driver", "code"),
    [
        ("driver", "config-map", [], True, False),
        ("driver", "s3", ["chat-ray", "mistral-ray"], True, True),
        ("pod", "config-map", ["chat-ray", "mistral-ray"], False, False),
        ("pod", "s3", ["chat-ray", "mistral-ray"], False, True),
    ],
)
def test_who_reads(credentials: str, code_by: str, accounts: list[str], driver: bool, code: bool) -> None:
    cache = replace(plans.S3, credentials=credentials)
    models = tuple(replace(m, cache=cache) for m in (plans.MISTRAL, plans.TINYLLAMA))
    services = tuple(replace(s, cache=cache, code_by=code_by) for s in (plans.CHAT, plans.MISTRAL_SERVICE))
    seen = variables(models=models, services=services)
    assert seen["service_accounts"] == accounts
    assert (seen["driver_credentials"], seen["read_code"]) == (driver, code)


def test_named_buckets() -> None:
    named = replace(plans.TINYLLAMA, cache=replace(plans.S3, name="own", bucket="example-models"))
    services = (replace(plans.CHAT, cache=named.cache),)
    seen = variables(models=(named,), services=services)
    assert (seen["bucket_names"], seen["derive_bucket_name"]) == (["example-models"], False)
    both = variables("model-bucket", models=(named, plans.MISTRAL))
    assert (both["bucket_names"], both["derive_bucket_name"]) == (["example-models"], True)


EUROPE, AMERICA = Region("eu-west-1", "models-eu"), Region("us-east-1", "models-us")
REGIONAL = replace(plans.S3, name="wide", regions=(EUROPE, AMERICA))
WIDE = {
    "derive_bucket_name": False,
    "bucket_names": [],
    "bucket_regions": {"models-eu": "eu-west-1", "models-us": "us-east-1"},
    "home_buckets": ["models-eu"],
}


def regional(**changes: Any) -> dict[str, Any]:
    """Changes of the example: every model and service in a cache with two regions."""
    models = tuple(replace(m, cache=REGIONAL) for m in (plans.MISTRAL, plans.TINYLLAMA))
    services = tuple(replace(s, cache=REGIONAL) for s in (plans.CHAT, plans.MISTRAL_SERVICE))
    return {"models": models, "services": services, **changes}


def test_buckets_of_regions() -> None:
    for name in ("peeks-hub", "model-bucket"):
        seen = variables(name, **regional())
        assert {key: seen[key] for key in WIDE} == WIDE
    assert variables("model-bucket", **regional())["aws_region"] == "eu-west-1", (
        "the provider's, when nobody states one"
    )
    assert "bucket_regions" not in variables()


def test_the_region_that_clusters_state_stays_the_default_one() -> None:
    clusters = (replace(plans.CLUSTER, values=VALUES),)
    assert variables("model-bucket", **regional(clusters=clusters))["aws_region"] == "us-west-2"


def test_a_cache_with_regions_beside_one_without() -> None:
    models = (replace(plans.MISTRAL, cache=REGIONAL), plans.TINYLLAMA)
    seen = variables("model-bucket", models=models)
    assert seen["derive_bucket_name"] is True and seen["bucket_regions"] == WIDE["bucket_regions"]
    assert "aws_region" not in seen, "the derived bucket has to be somewhere: Terraform asks"


@pytest.mark.parametrize(
    ("ways", "role"), [(("job", "job"), True), (("job", "workflow"), True), (("workflow",) * 2, False)]
)
def test_the_role_of_jobs_is_made_where_jobs_stage(ways: tuple[str, str], role: bool) -> None:
    prestages = tuple(
        replace(plans.staged(model), ways={"peeks-hub": way})
        for model, way in zip((plans.MISTRAL, plans.TINYLLAMA), ways, strict=True)
    )
    seen = variables(prestages=prestages)
    assert seen["prestage_role"] is role
    assert seen["derive_bucket_name"] is True and seen["driver_credentials"] is True, "others still read"


def test_variables_are_declared_and_open_ones_have_no_default() -> None:
    for name, path in (("model-bucket", "model-bucket"), ("cluster-access", "peeks-hub")):
        declared = {label: body for block in module(name)["variable"] for label, body in block.items()}
        given = variables(path)
        assert given.keys() <= declared.keys()
        required = {label for label, body in declared.items() if "default" not in body}
        assert required - given.keys() <= set(STATED)


def test_nothing_without_buckets_on_eks() -> None:
    assert tree(models=(), services=()) == {}
    assert tree(clusters=(replace(plans.CLUSTER, provider="other"),)) == {}
