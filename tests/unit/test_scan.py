"""The judgement of `.ci/scan.py`; the scanners themselves run in `make scan`."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT, load_script

HEAD = "Accepted\n\n| tool | check | object | reason |\n| --- | --- | --- | --- |\n"


@pytest.fixture(scope="module")
def scan() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / ".ci"))
        return load_script(ROOT / ".ci" / "scan.py")


def test_the_table_is_read(scan: ModuleType) -> None:
    rows = scan.accepted_findings(
        f"| a | b |\n|---|---|\n| 1 | 2 |\n\n{HEAD}"
        "| checkov | `CKV_1` | `Pod/*` | because |\n| trivy | KSV-1 | Job/x | so |\n\nText | not a row\n"
    )
    assert rows == [
        scan.Accepted("checkov", "CKV_1", "Pod/*", "because"),
        scan.Accepted("trivy", "KSV-1", "Job/x", "so"),
    ]


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("no table\n", "no table | tool | check | object | reason |"),
        (HEAD + "| checkov | CKV_1 | Pod/* |\n", "needs 4 filled cells"),
        (HEAD + "| checkov | CKV_1 | Pod/* | |\n", "needs 4 filled cells"),
    ],
)
def test_a_table_without_reasons_is_refused(scan: ModuleType, markdown: str, message: str) -> None:
    with pytest.raises(ValueError, match="table") as caught:
        scan.accepted_findings(markdown)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        ([("checkov", "CKV_1", "Pod/*")], []),
        ([("checkov", "CKV_1", "Pod/a"), ("checkov", "CKV_1", "Pod/b")], []),
        ([("checkov", "CKV_1", "Pod/a")], ["not in the table: checkov CKV_1 Pod/b: words"]),
        (
            [("trivy", "CKV_1", "*")],
            [
                "not in the table: checkov CKV_1 Pod/a: words",
                "not in the table: checkov CKV_1 Pod/b: words",
                "finds nothing any more: trivy CKV_1 *",
            ],
        ),
        ([("checkov", "CKV_1", "*"), ("checkov", "CKV_2", "*")], ["finds nothing any more: checkov CKV_2 *"]),
    ],
)
def test_the_verdict(scan: ModuleType, rows: list[tuple[str, str, str]], faults: list[str]) -> None:
    findings = [scan.Finding("checkov", "CKV_1", name, "words") for name in ("Pod/b", "Pod/a", "Pod/a")]
    assert scan.verdict(findings, [scan.Accepted(*row, "reason") for row in rows]) == faults


def test_pods_inside_a_ray_service_are_laid_bare(scan: ModuleType) -> None:
    def group(**extra: str) -> dict[str, Any]:
        return {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}, **extra}

    service = {
        "kind": "RayService",
        "metadata": {"name": "chat", "namespace": "ray", "labels": {"c": "d"}},
        "spec": {"rayClusterConfig": {"headGroupSpec": group(), "workerGroupSpecs": [group(groupName="gpu")]}},
    }
    head, worker = scan.pods(service, [service])
    assert [pod["metadata"] for pod in (head, worker)] == [
        {"name": "chat-head", "namespace": "ray", "labels": {"a": "b"}},
        {"name": "chat-gpu", "namespace": "ray", "labels": {"a": "b"}},
    ]
    assert worker | {"metadata": {}} == {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": []}}
    assert list(scan.pods({"kind": "Job", "metadata": {"name": "x"}}, [])) == []


SEEN = {
    "rendered": {"Job", "Pod", "RayService", "NetworkPolicy", "PersistentVolume", "ApplicationSet"},
    "kserve": {"Job", "Pod", "InferenceService", "ServingRuntime", "StorageClass", "PersistentVolumeClaim"},
}


@pytest.mark.parametrize("name", SEEN)
def test_everything_that_the_clusters_get_is_scanned(scan: ModuleType, helm: Path, name: str) -> None:
    """The scan sees pods of each service, the Jobs, and what the graph makes; nothing stays a template."""
    (tree,) = (tree for tree in scan.TREES if name in tree.parts)
    found = list(scan.objects(tree, helm))
    assert {o["kind"] for _, o in found} >= SEEN[name]
    pods = [o for _, o in found if o["kind"] == "Pod"]
    assert pods and all(pod["spec"]["containers"][0]["resources"]["limits"] for pod in pods)
    assert "${" not in str(pods)
    assert len({(c, o["kind"], o["metadata"]["name"]) for c, o in found}) == len(found)
