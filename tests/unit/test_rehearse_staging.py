"""The Job's program with the Job's arguments, into a folder: no S3 server is needed for that."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator.errors import UserError
from generator.rehearse import staging, standins
from generator.rehearse.pods import Bucket, Claim, Container, Files, Mount, Scratch
from generator.rehearse.staging import Store
from generator.rehearse.standins import StandIn
from generator.rehearse.work import IMAGE, Job, builds
from tests.standins.hub import HubStandIn
from tests.standins.weights import tiny_model

COMMIT = "c" * 40
MOUNT = "/mnt/models/models"


def job(*options: str, files: dict[str, Any] | None = None, ignore: list[str] | None = None) -> Job:
    source = {"huggingface": "org/tiny", "commit": COMMIT}
    plan = {"version": 1, "model": "tiny", "source": source, "allow": [], "ignore": ignore or [], "files": files}
    words = [
        "python",
        "-m",
        "generator.prestage",
        "/etc/plan/plan.json",
        "--target",
        "s3://bucket/models/tiny/c",
        *options,
    ]
    mounts = (Mount("/etc/plan", Files({"plan.json": json.dumps(plan).encode()})), Mount("/tmp", Scratch()))
    container = Container(
        tuple(words), {"AWS_REGION": "eu-west-1", "HOME": "/tmp"}, {"HF_TOKEN": ("hub", "token")}, mounts
    )
    return Job("stage-tiny", (container,), "bucket", "models/tiny/c", f"{MOUNT}/tiny/c", "/etc/plan/plan.json")


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as server:
        yield server


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    folder = tmp_path / "own"
    folder.mkdir()
    for name, content in tiny_model().items():
        (folder / name).write_bytes(content)
    return standins.of_folder(folder, "a model of mine")


def staged(
    what: Job, stand_in: StandIn | None, hub: HubStandIn, place: Path
) -> tuple[staging.Staged, dict[str, bytes]]:
    shown = staging.folders([Mount(MOUNT, Bucket("bucket", "models/"))], place / "pod", place / staging.CLAIMS)
    done = staging.stage(what, stand_in, hub, Store(None), shown, place / "job", print)
    folder = Path(shown[MOUNT]) / "tiny" / "c"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return done, files


TAKEN = {name: tiny_model()[name] for name in ("config.json", "model.safetensors", "tokenizer.json")}


@pytest.mark.parametrize("files", [None, {"pytorch_model.bin": [7, "sha256:" + "0" * 64]}], ids=["chosen", "listed"])
def test_a_stand_in_takes_the_place_of_the_model(
    files: dict[str, Any] | None, stand_in: StandIn, hub: HubStandIn, tmp_path: Path
) -> None:
    done, found = staged(job(files=files), stand_in, hub, tmp_path)
    manifest = json.loads(found.pop(".modelyard/manifest.json"))
    assert {name: found[name] for name in TAKEN} == TAKEN
    assert sorted(entry["path"] for entry in manifest["files"]) == sorted(TAKEN)
    assert (manifest["commit"], manifest["source"]) == (COMMIT, "org/tiny")
    assert (done.model, done.source, done.stand_in) == ("tiny", "org/tiny@cccccccccccc", "a model of mine")
    assert (done.files, done.bytes, done.shown) == (3, sum(map(len, TAKEN.values())), 0.0)


def test_what_the_job_leaves_out_is_left_out_of_a_stand_in(stand_in: StandIn, hub: HubStandIn, tmp_path: Path) -> None:
    what = job(files={"config.json": [1, "git:" + "0" * 40]}, ignore=["tokenizer*"])
    _, found = staged(what, stand_in, hub, tmp_path)
    assert "tokenizer.json" not in found


def test_the_real_hub_with_the_shells_token(hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "hf_madeUpForThisTest")
    hub.tokens.add("hf_madeUpForThisTest")
    hub.add("org/tiny", tiny_model(), gated="auto", commit=COMMIT)
    done, found = staged(job(), None, hub, tmp_path)
    assert done.stand_in == "" and found["config.json"] == TAKEN["config.json"]
    assert {asked.token for asked in hub.asked if asked.server == "hub"} == {"hf_madeUpForThisTest"}


def test_a_stand_in_hears_no_token(
    stand_in: StandIn, hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_madeUpForThisTest")
    staged(job(), stand_in, hub, tmp_path)
    assert {asked.token for asked in hub.asked} == {None}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["run", "p.json", "--notify-sns", "arn:x", "--endpoint-url", "http://minio", "--workers", "2"],
            ["run", "p.json", "--workers", "2"],
        ),
        (["program", "--push-gateway", "http://gateway"], ["program"]),
        (["python", "-m", "python"], [sys.executable, "-m", "python"]),
    ],
)
def test_nobody_else_is_told(words: list[str], expected: list[str]) -> None:
    assert list(staging.own_words(words, {})) == expected


def test_our_interpreter_stays_where_it_is() -> None:
    """A checkout may lie below a path that a mount has in the pod."""
    above = str(Path(sys.executable).parent)
    words = ["python", "-m", "program", f"{above}/work"]
    assert list(staging.own_words(words, {above: "/shown"})) == [sys.executable, "-m", "program", "/shown/work"]


def test_the_programs_own_reason(hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.add("org/tiny", tiny_model(), gated="auto", commit=COMMIT)
    with pytest.raises(UserError, match="staging failed: org/tiny is gated") as error:
        staged(job(), None, hub, tmp_path)
    assert "accept the licence" in error.value.diagnostics[0].hint


def test_a_program_that_says_nothing(hub: HubStandIn, stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"staging failed: .*--no-such-option"):
        staged(job("--no-such-option"), stand_in, hub, tmp_path)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://no-such-host.invalid", "nonsense"])
def test_a_hub_that_cannot_be_reached(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(UserError, match=f"the Hub {endpoint} cannot be reached") as error:
        staging.check_hub([job()])
    assert "--demo-model" in error.value.diagnostics[0].hint and "--model-folder" in error.value.diagnostics[0].hint
    staging.check_hub([])


def test_a_hub_that_answers_anything(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    staging.check_hub([job()])
    assert hub.paths() == ["HEAD /"]


def test_folders_for_mounts(tmp_path: Path) -> None:
    mounts = [Mount("/opt/code", Files({"a.zip": b"PK"})), Mount("/tmp", Scratch())]
    made = staging.folders(mounts, tmp_path / "pod", tmp_path / "claims")
    assert (Path(made["/opt/code"]) / "a.zip").read_bytes() == b"PK"
    assert list(Path(made["/tmp"]).iterdir()) == []


def test_a_claim_is_one_folder_for_who_writes_and_who_reads(stand_in: StandIn, hub: HubStandIn, tmp_path: Path) -> None:
    """The target is the Job's own argument: nothing is put in its place."""
    claim, key = Claim("model-tiny"), "models/tiny/c"
    (step,) = job().steps
    words = tuple(f"/mnt/target/{key}" if word.startswith("s3://") else word for word in step.words)
    step = replace(step, words=words, mounts=(*step.mounts, Mount("/mnt/target", claim)))
    what = replace(job(), steps=(step,), bucket="", key="", path=f"{MOUNT}/tiny/c")
    shown = staging.folders([Mount(what.path, claim, key)], tmp_path / "pod", tmp_path / staging.CLAIMS)
    done = staging.stage(what, stand_in, hub, Store(None), shown, tmp_path / "job", print)
    assert (done.files, done.shown) == (3, 0.0)
    assert Path(shown[what.path], "config.json").read_bytes() == TAKEN["config.json"]
    assert shown[what.path] == str(tmp_path / "claims/model-tiny/models/tiny/c")


def test_the_steps_of_a_job_follow_one_another(stand_in: StandIn, hub: HubStandIn, tmp_path: Path) -> None:
    """A load test says `tested`; the files are those of the step before."""
    words = ("python", "-c", 'print(\'{"event": "tested", "files": 0}\')', "--target", "s3://bucket/models/tiny/c")
    (step,) = job().steps
    done, _ = staged(replace(job(), steps=(step, replace(step, words=words))), stand_in, hub, tmp_path)
    assert done.files == 3


def test_an_image_is_filled_by_the_program_of_its_build(stand_in: StandIn, hub: HubStandIn, tmp_path: Path) -> None:
    (what,) = builds({"tiny.json": json.dumps(job().content).encode()})
    shown = staging.folders([Mount(MOUNT, IMAGE)], tmp_path / "pod", tmp_path / staging.CLAIMS)
    done = staging.stage(what, stand_in, hub, Store(None), shown, tmp_path / "job", print)
    assert (done.model, done.files) == ("tiny", 3)
    assert Path(shown[MOUNT], "tiny/cccccccccccc/config.json").read_bytes() == TAKEN["config.json"]
