"""`modelyard prestage` does what the catalogue says of a model: where it goes, and whether it is tested."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from generator.errors import UserError
from generator.plan import Baked, Bucket, Cache, Claims, Region
from generator.verbs import prestage
from tests.standins.hub import HubStandIn
from tests.unit import loadtesting, plans
from tests.unit.prestaging import REPO
from tests.unit.test_prestage_command import events

ROOT = Path(__file__).parents[2]
CATALOGUE = """\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: acme
  repository: {{url: "https://git.example.com/acme/gitops.git", revision: main, path: rendered}}
  namespace: models
  images: {{prestage: "registry.example.com/acme/prestage:1.0.0"}}
clusters:
  - {{name: one, provider: eks, selector: {{stage: test}}}}
caches:
  - {{name: s3, type: s3}}
models:
  - {{name: tiny, source: {{huggingface: {repo}, revision: {commit}}}, cache: s3, loadTest: true}}
services:
  - name: chat
    clusters: [one]
    applications:
      - {{model: tiny, app: text-generation, memory: 8Gi}}
"""


@pytest.mark.parametrize(
    ("config", "code", "last"), [(None, 0, ["published", "done"]), (b"{}", 65, ["fault", "failed"])]
)
def test_a_model_with_a_load_test_is_tested(tmp_path: Path, config: bytes | None, code: int, last: list[str]) -> None:
    with HubStandIn() as hub:
        commit = hub.add(REPO, {**loadtesting.model(), **({"config.json": config} if config else {})})
        (tmp_path / "models.yaml").write_text(CATALOGUE.format(repo=REPO, commit=commit))
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "AWS_", "MODELYARD_"))}
        done = subprocess.run(
            [sys.executable, "-m", "generator.cli", "prestage", "tiny", "--target", "copy", "--output", "json"],
            cwd=tmp_path,
            env={**mine, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == code, done.stderr
    said = [line["event"] for line in events(done.stdout)]
    assert [event for event in said if event in last][-2:] == last
    manifest = tmp_path / f"copy/models/tiny/{commit[:12]}/.modelyard/manifest.json"
    assert manifest.is_file() is (code == 0)


def test_of_several_regions_the_first_is_filled() -> None:
    model = plans.model("tiny", REPO, "c" * 40)
    regions = (Region("eu-west-1", "home"), Region("us-east-1", "away"))
    asked = replace(model, cache=Bucket("s3", "s3", None, "driver", regions, None))
    assert prestage._own_target(plans.staged(asked)) == f"s3://home/{model.key}"
    asked = replace(model, cache=Bucket("s3", "s3", None, "driver", (), None))
    assert prestage._own_target(plans.staged(asked)) is None


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        (Claims("claims", "pvc", "gp3", None, "ReadWriteOnce", None), "claim"),
        (Baked("baked", "image", "cr.example.com/models"), "images"),
        (Bucket("s3", "s3", None, "driver", (), None), "named after the cluster"),
    ],
)
def test_a_model_without_a_place_here_is_told_one(cache: Cache, said: str) -> None:
    model = plans.model("tiny", REPO, "c" * 40)
    asked = replace(model, cache=cache)
    assert prestage._own_target(plans.staged(asked)) is None
    with pytest.raises(UserError, match=said) as refused:
        prestage._refuse(plans.staged(asked), Path("models.yaml"))
    assert "--target" in refused.value.diagnostics[0].hint
