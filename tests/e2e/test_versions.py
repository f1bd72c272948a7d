"""`modelyard versions` and `rollback` as users meet them: real repositories, a Hub that moves, a real S3 server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from generator import lock
from tests.e2e.test_cli import ROOT, contents, edit, run
from tests.standins.hub import HubStandIn
from tests.standins.seaweedfs import SeaweedFS
from tests.standins.weights import tiny_model

TINY = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")


@pytest.fixture(autouse=True)
def _no_other_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


class Platform:
    """The example in a repository, locked and rendered from the Hub stand-in."""

    def __init__(self, folder: Path, hub: HubStandIn) -> None:
        self.folder, self.hub = folder, hub
        self.lock = folder / lock.FILE

    def git(self, *words: str) -> str:
        done = subprocess.run([*GIT, *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run(self.folder, *words, HF_ENDPOINT=self.hub.url)

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def data(self, *words: str) -> dict[str, Any]:
        last: dict[str, Any] = json.loads(self.ok(*words, "--output", "json").splitlines()[-1])
        return last

    def fault(self, *words: str) -> str:
        before = contents(self.folder)
        done = self.run(*words)
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert {path: text for path, text in contents(self.folder).items() if not path.startswith(".git/")} == {
            path: text for path, text in before.items() if not path.startswith(".git/")
        }
        return done.stderr

    def move(self, text: str) -> str:
        """Another commit of TinyLlama on the Hub."""
        return self.hub.add(TINY, {**tiny_model(), "chat_template.jinja": text.encode()})

    def upgrade(self) -> None:
        self.ok("lock", "--upgrade", "--no-images")
        self.ok("render")

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", message)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every test starts from: the first revision is tagged `one`, the second is in HEAD."""
    with HubStandIn() as hub:
        made = Platform(tmp_path_factory.mktemp("template"), filled(hub))
        shutil.copy(ROOT / "models.yaml", made.folder / "models.yaml")
        edit(made.folder / "models.yaml", "contextLength: 8192", "contextLength: 2048")
        made.git("init", "-q", "-b", "main")
        made.ok("lock", "--no-images")
        made.ok("render")
        made.commit("start")
        made.git("tag", "one")
        made.move("second")
        made.upgrade()
        made.commit("second")
        return made.folder


def filled(hub: HubStandIn) -> HubStandIn:
    for repo in (TINY, "mistralai/Mistral-7B-Instruct-v0.2"):
        hub.add(repo, tiny_model())
    return hub


@pytest.fixture
def upgraded(template: Path, tmp_path: Path) -> Iterator[Platform]:
    with HubStandIn() as hub:
        made = Platform(tmp_path / "platform", filled(hub))
        shutil.copytree(template, made.folder, symlinks=True)
        made.move("second")
        yield made


@pytest.fixture
def platform(template: Path, tmp_path: Path) -> Iterator[Platform]:
    """Before the second revision was on the Hub."""
    with HubStandIn() as hub:
        made = Platform(tmp_path / "platform", filled(hub))
        shutil.copytree(template, made.folder, symlinks=True)
        made.git("reset", "-q", "--hard", "one")
        yield made


def first_and_second(platform: Platform) -> tuple[str, str]:
    return tuple(  # type: ignore[return-value]
        lock.read(platform.git("show", f"{at}:{lock.FILE}")).models["tinyllama"].commit for at in ("one", "HEAD")
    )


def test_upgrade_says_what_moved(platform: Platform) -> None:
    old = lock.load(platform.lock).models["tinyllama"]
    new = platform.move("four")
    said = platform.ok("lock", "--upgrade", "--no-images", "--summary", "moved.md")
    assert f"tinyllama: {old.commit[:12]} -> {new[:12]}: " in said and "(+4 B), 1 added\n" in said
    text = (platform.folder / "moved.md").read_text()
    assert text.startswith("Newer revision of tinyllama\n\n| model |") and f"`{new[:12]}`" in text
    assert new not in text, "no link to a Hub of one's own"
    data = platform.data("lock", "--upgrade", "--no-images", "tinyllama")
    assert data["moved"] == [] and data["answered"] == 1
    platform.move("five")
    (moved,) = platform.data("lock", "--upgrade", "--no-images", "tinyllama")["moved"]
    assert (moved["model"], moved["from"], moved["size_after"] - moved["size_before"]) == ("tinyllama", new, 0)


def test_versions_of_the_history(upgraded: Platform) -> None:
    first, second = first_and_second(upgraded)
    said = upgraded.ok("versions").splitlines()
    assert said[0].split() == ["model", "revision", "locked", "(UTC)", "by", "size", "files"]
    rows = [line.split() for line in said[1:-1]]
    by = upgraded.git("rev-parse", "--short=7", "HEAD").strip(), upgraded.git("rev-parse", "--short=7", "one").strip()
    assert [(row[0], row[1], row[4], row[-1]) for row in rows[1:]] == [
        ("tinyllama", second[:12], by[0], "served"),
        ("tinyllama", first[:12], by[1], "3"),
    ]
    assert said[-1] == "models.lock.yaml: 3 revisions of 2 models, 2 commits of Git"
    data = upgraded.data("versions", "tinyllama")
    assert list(data["models"]) == ["tinyllama"]
    newest, oldest = data["models"]["tinyllama"]
    assert (newest["commit"], newest["served"], oldest["served"]) == (second, True, False)
    assert oldest["git"] == {
        "commit": upgraded.git("rev-parse", "one").strip(),
        "date": upgraded.git("log", "-1", "--format=%cI", "one").strip().replace("Z", "+00:00"),
        "landed": True,
    }


def test_back_and_forward_byte_for_byte(upgraded: Platform) -> None:
    first, second = first_and_second(upgraded)
    said = upgraded.ok("rollback", "tinyllama")
    assert f"tinyllama goes from {second[:12]} to {first[:12]} (" in said and "no commit" not in said
    assert "modelyard lock --upgrade tinyllama" in said and f"models/tinyllama/{first[:12]}" in said
    assert upgraded.run("check").returncode == 1
    upgraded.ok("render")
    assert upgraded.git("diff", "--stat", "one") == "", "lock and tree are what they were"
    upgraded.commit("back")

    asked = len(upgraded.hub.asked)
    upgraded.ok("lock", "--no-images")
    assert upgraded.git("status", "--porcelain") == "" and len(upgraded.hub.asked) == asked
    assert "tinyllama is at" in upgraded.ok("rollback", "tinyllama", first[:4])
    assert "nothing older" in upgraded.fault("rollback", "tinyllama")

    upgraded.ok("lock", "--upgrade", "--no-images", "tinyllama")
    upgraded.ok("render")
    assert upgraded.git("diff", "--stat", "HEAD~1") == ""


def test_another_model_stays_where_it_is(upgraded: Platform) -> None:
    """Since then the other model moved too, and an entry was edited in its layout."""
    first, _ = first_and_second(upgraded)
    upgraded.hub.add("mistralai/Mistral-7B-Instruct-v0.2", {**tiny_model(), "x.json": b"{}"})
    upgraded.upgrade()
    upgraded.commit("mistral")
    before = upgraded.lock.read_text()
    data = upgraded.data("rollback", "tinyllama")
    assert (data["event"], data["to"], data["kept"]) == ("rolled back", first, None)
    changed = upgraded.git("diff", "--unified=0", "--", lock.FILE).splitlines()
    start = before[: before.index("  tinyllama:\n")].count("\n") + 1
    hunks = [line for line in changed if line.startswith("@@")]
    assert hunks and all(int(line.split()[1].lstrip("-").partition(",")[0]) > start for line in hunks)


def test_dry_run_changes_nothing(upgraded: Platform) -> None:
    first, second = first_and_second(upgraded)
    before = contents(upgraded.folder)
    said = upgraded.ok("rollback", "tinyllama", "--dry-run")
    assert f"would go from {second[:12]} to {first[:12]}" in said and "next:" not in said
    data = upgraded.data("rollback", "tinyllama", "--dry-run")
    assert (data["event"], data["to"]) == ("would roll back", first)
    assert contents(upgraded.folder) == before


def test_what_is_not_committed_is_kept(upgraded: Platform) -> None:
    """Mistake 1: a rollback right after `lock --upgrade`, before any commit."""
    _, second = first_and_second(upgraded)
    third = upgraded.move("third")
    upgraded.ok("lock", "--upgrade", "--no-images")
    before = upgraded.lock.read_bytes()
    rows = upgraded.data("versions", "tinyllama")["models"]["tinyllama"]
    assert (rows[0]["commit"], rows[0]["git"], rows[0]["served"]) == (third, None, True)
    assert "served, not committed" in upgraded.ok("versions")
    said = upgraded.ok("rollback", "tinyllama")
    assert f"from {third[:12]} to {second[:12]}" in said
    blob = said.partition("git cat-file blob ")[2].split()[0]
    assert upgraded.git("cat-file", "blob", blob).encode() == before
    assert upgraded.git("status", "--porcelain") == ""


def test_a_pin_stands_in_the_way(upgraded: Platform) -> None:
    """Mistake 2: the revision is written in models.yaml, which a rollback of the lock cannot change."""
    first, second = first_and_second(upgraded)
    edit(upgraded.folder / "models.yaml", f"huggingface: {TINY}", f"huggingface: {TINY}\n      revision: {second}")
    upgraded.upgrade()
    upgraded.commit("pinned")
    line = (upgraded.folder / "models.yaml").read_text().splitlines().index(f"      revision: {second}") + 1
    said = upgraded.fault("rollback", "tinyllama")
    assert f"models.yaml:{line}:17: models[0].source.revision: pins {second}" in said
    assert f"write `revision: {first}` here and run `modelyard lock tinyllama`" in said
    edit(upgraded.folder / "models.yaml", second, first)
    upgraded.ok("lock", "--no-images", "tinyllama")
    assert lock.load(upgraded.lock).models["tinyllama"].commit == first


def test_a_shallow_clone_does_not_reach_back(upgraded: Platform, tmp_path: Path) -> None:
    """Mistake 3: in the clone of a CI job there is no history."""
    upgraded.git("clone", "-q", "--depth=1", f"file://{upgraded.folder}", str(tmp_path / "clone"))
    clone = Platform(tmp_path / "clone", upgraded.hub)
    said = clone.fault("rollback", "tinyllama")
    assert "nothing older of tinyllama" in said and "this clone is shallow" in said and "--unshallow" in said
    assert clone.data("versions")["shallow"] is True
    clone.git("fetch", "-q", "--unshallow")
    clone.ok("rollback", "tinyllama")
    assert clone.lock.read_text() == upgraded.git("show", f"one:{lock.FILE}")


def test_the_source_has_changed_since(upgraded: Platform) -> None:
    edit(upgraded.folder / "models.yaml", TINY, "mistralai/Mistral-7B-Instruct-v0.2")
    upgraded.upgrade()
    upgraded.commit("another source")
    said = upgraded.fault("rollback", "tinyllama")
    assert "models[0].source.huggingface" in said and f"write `huggingface: {TINY}` again" in said


def test_a_dirty_tree_and_a_lock_in_another_layout(upgraded: Platform) -> None:
    (upgraded.folder / "notes.txt").write_text("mine")
    edit(upgraded.folder / "models.yaml", "max: 3", "max: 4")
    edit(upgraded.lock, "models:\n", "models: # all of them\n")
    said = upgraded.fault("rollback", "tinyllama")
    assert "is not laid out as `modelyard lock` writes it" in said
    upgraded.ok("lock", "--no-images")
    upgraded.ok("rollback", "tinyllama")
    assert sorted(upgraded.git("status", "--porcelain").split()) == [
        "??",
        "M",
        "M",
        "models.lock.yaml",
        "models.yaml",
        "notes.txt",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rollback", "tinylama"], "did you mean `tinyllama`?"),
        (["rollback", "tinyllama", "abc"], "write 4 to 40 digits"),
        (["rollback", "tinyllama", "main"], "`main` is no revision"),
        (["rollback", "tinyllama", "00000"], "there are: "),
        (["rollback", "-f", "none.yaml", "tinyllama"], "there is no such catalogue"),
        (["versions", "tinylama"], "did you mean `tinyllama`?"),
        (["versions", "--bucket", "/mnt/models"], "names no bucket"),
        (["versions", "--volume", "."], "has no folder models"),
        (["versions", "--volume", ".", "--bucket", "s3://models"], "exclude each other"),
    ],
)
def test_faults(upgraded: Platform, words: list[str], said: str) -> None:
    assert said in upgraded.fault(*words)


def test_outside_of_git(platform: Platform) -> None:
    shutil.rmtree(platform.folder / ".git")
    for words in (["versions"], ["rollback", "tinyllama"]):
        said = platform.fault(*words)
        assert "not a git repository" in said and "run it inside the Git repository" in said


def test_a_model_that_is_served_for_the_first_time_again(upgraded: Platform) -> None:
    """It was taken out of the catalogue and is back: `rollback` takes what Git had, without asking the Hub."""
    text, before = (upgraded.folder / "models.yaml").read_text(), upgraded.lock.read_bytes()
    start, end = text.index("  - name: tinyllama"), text.index("  - name: mistral-7b")
    chat = text.index("  - name: chat"), text.index("  - name: mistral\n")
    (upgraded.folder / "models.yaml").write_text(text[:start] + text[end : chat[0]] + text[chat[1] :])
    upgraded.ok("lock", "--no-images")
    upgraded.ok("render")
    upgraded.commit("without")
    assert b"tinyllama" not in upgraded.lock.read_bytes()
    (upgraded.folder / "models.yaml").write_text(text)
    upgraded.ok("rollback", "tinyllama")
    assert upgraded.lock.read_bytes() == before


# staged copies ----------------------------------------------------------------------------------------------------


def stage(client: Any, bucket: str, *keys: str) -> None:
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=b"12345")


def test_versions_of_a_bucket(upgraded: Platform, seaweedfs: SeaweedFS) -> None:
    first, second = (commit[:12] for commit in first_and_second(upgraded))
    client, bucket = boto3.client("s3", **seaweedfs.arguments), "versions-tests"
    client.create_bucket(Bucket=bucket)
    for revision in (first, second, "0123456789ab"):
        top = f"team/models/tinyllama/{revision}"
        stage(client, bucket, f"{top}/config.json", f"{top}/model.safetensors", f"{top}/.modelyard/manifest.json")
    stage(client, bucket, "team/models/gone/abcdefabcdef/config.json", "models/tinyllama/ffffffffffff/x")
    words = ["versions", "--bucket", f"s3://{bucket}/team", "--output", "json"]
    done = run(upgraded.folder, *words, **seaweedfs.environment())
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    mistral = lock.load(upgraded.lock).models["mistral-7b"].commit[:12]
    assert data["absent"] == [f"models/mistral-7b/{mistral}"]
    found = {(row["model"], row["revision"]): row for row in data["copies"]}
    states = {
        key: (row["state"], row["served"], row["places"], row["files"], row["size"]) for key, row in found.items()
    }
    assert states == {
        ("gone", "abcdefabcdef"): ("incomplete", False, [], 1, 5),
        ("tinyllama", first): ("complete", False, ["Git history"], 2, 10),
        ("tinyllama", second): ("complete", True, ["models.yaml", "rendered", "Git history"], 2, 10),
        ("tinyllama", "0123456789ab"): ("complete", False, [], 2, 10),
    }
    said = run(upgraded.folder, *words[:-2], "tinyllama", **seaweedfs.environment()).stdout
    assert "gone" not in said and f"s3://{bucket}/team: 3 revisions, 1 of them (10 B) in nothing of Git" in said
    upgraded.ok("rollback", "tinyllama")
    rows = json.loads(run(upgraded.folder, *words, **seaweedfs.environment()).stdout)["copies"]
    assert {row["revision"]: (row["served"], row["places"]) for row in rows if row["model"] == "tinyllama"} == {
        first: (True, ["models.yaml", "Git history"]),
        second: (False, ["rendered", "Git history"]),
        "0123456789ab": (False, []),
    }


def test_a_bucket_that_refuses(upgraded: Platform, seaweedfs: SeaweedFS) -> None:
    done = run(upgraded.folder, "versions", "--bucket", "s3://not-there", **seaweedfs.environment())
    assert done.returncode == 1 and "NoSuchBucket" in done.stderr and "check --bucket" in done.stderr


def test_versions_of_a_volume(upgraded: Platform, tmp_path: Path) -> None:
    first, second = (commit[:12] for commit in first_and_second(upgraded))
    folder = tmp_path / "volume"
    upgraded.ok("prestage", "tinyllama", "--target", str(folder))
    (row,) = upgraded.data("versions", "--volume", str(folder))["copies"]
    assert (row["revision"], row["state"], row["served"], row["files"]) == (second, "complete", True, 4)
    assert row["size"] == lock.load(upgraded.lock).models["tinyllama"].size
    upgraded.ok("rollback", "tinyllama")
    said = upgraded.ok("versions", "--volume", str(folder))
    assert f"models/tinyllama/{first} is served and is not here" in said


def test_a_bucket_without_git(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "volume/models").mkdir(parents=True)
    shutil.rmtree(platform.folder / ".git")
    done = platform.run("versions", "--volume", str(tmp_path / "volume"))
    assert done.returncode == 0 and "warning" in done.stderr and "no history to compare with" in done.stderr
