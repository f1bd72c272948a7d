"""What a catalogue, its rendered tree and earlier revisions refer to; and that nothing is guessed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from generator import assets, compile, naming
from generator.errors import UserError
from generator.gc.references import gather
from tests.unit.test_gitfiles import git

ROOT = Path(__file__).parents[2]
TINY, MISTRAL = "models/tinyllama/fe8a4ea1ffed", "models/mistral-7b/63a8b0818953"
OTHER = "models/other/0123456789ab"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's catalogue and lock, in the working directory."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("models.yaml", "models.lock.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


CATALOGUE = Path("models.yaml")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def without_mistral(path: Path) -> None:
    text = path.read_text()
    start, end = text.index("  - name: mistral-7b"), text.index("services:")
    path.write_text(text[:start] + "\n" + text[end:].split("  - name: mistral")[0])


def test_the_example_and_its_rendered_tree_agree() -> None:
    """Writer and reader: the Jobs' targets and the services' paths are the catalogue's keys."""
    found = gather([ROOT / "models.yaml"], [], [])
    assert set(found) == {str(ROOT / "models.yaml"), str(ROOT / "rendered")}
    assert set(found.values()) == {frozenset({TINY, MISTRAL})}


@pytest.mark.parametrize("case", sorted(p.parent.name for p in (ROOT / "tests/cases").glob("*/models.yaml")))
def test_every_case_agrees_with_the_compiler(case: str) -> None:
    catalogue = ROOT / "tests/cases" / case / "models.yaml"
    planned = compile.plan_catalogue(catalogue, assets.find())
    assert planned.plan is not None
    keys = frozenset(model.key for model in planned.plan.models)
    assert gather([catalogue], [catalogue.with_name("expected")], []) == {
        str(catalogue): keys,
        str(catalogue.with_name("expected")): keys,
    }


def test_a_tree_is_read_wherever_it_names_a_model(folder: Path) -> None:
    write(Path("tree/clusters/a/prestage.yaml"), f"key: {OTHER}\n")
    write(Path("tree/clusters/a/services/b.yml"), "path: /mnt/models/models/two/0123456789ab\n")
    write(Path("tree/.hidden/c.json"), '{"url": "s3://bucket/models/three/0123456789ab/config.json"}')
    write(Path("tree/charts/prestage/ci/example-values.yaml"), "key: models/example/0123456789ab\n")
    found = gather([CATALOGUE], [Path("tree")], [])
    assert found["tree"] == {OTHER, "models/two/0123456789ab", "models/three/0123456789ab"}
    assert found["models.yaml"] == {TINY, MISTRAL}


def test_a_stale_lock_keeps_both_copies(folder: Path) -> None:
    """What is staged may be either; `render` says that the lock is stale."""
    edit(CATALOGUE, "huggingface: TinyLlama/TinyLlama-1.1B-Chat-v1.0", f"huggingface: a/b\n      revision: {'e' * 40}")
    assert gather([CATALOGUE], [], [])["models.yaml"] == {TINY, naming.model_key("tinyllama", "e" * 40), MISTRAL}


def test_a_revision_keeps_what_it_named_whatever_attributes_say(folder: Path) -> None:
    write(Path("rendered/clusters/a/prestage.yaml"), f"key: {OTHER}\n")
    write(Path(".gitattributes"), "* -diff export-ignore linguist-generated\nrendered/** binary\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "two models")
    git(folder, "tag", "v1")
    git(folder, "rm", "-rq", "rendered")
    without_mistral(CATALOGUE)
    assert gather([CATALOGUE], [], []) == {"models.yaml": {TINY}}
    assert gather([CATALOGUE], [], ["v1"]) == {
        "models.yaml": {TINY},
        "models.yaml at v1": {TINY, MISTRAL},
        "rendered at v1": {OTHER},
    }


def test_a_tree_younger_than_a_revision_is_no_fault(folder: Path) -> None:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "no tree yet")
    write(Path("rendered/a.yaml"), OTHER)
    found = gather([CATALOGUE], [Path("rendered")], ["HEAD"])
    assert set(found) == {"models.yaml", "rendered", "models.yaml at HEAD"}


def refused(*revisions: str, trees: tuple[Path, ...] = (), allow_empty: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        gather([CATALOGUE], trees, revisions, allow_empty=allow_empty)
    first = caught.value.diagnostics[0]
    return f"{first.file}: {first.message}"


def test_what_cannot_be_read_is_never_taken_for_nothing(folder: Path) -> None:
    for allow_empty in (False, True):
        edit(CATALOGUE, "kind: ModelCatalog", "kind: Other")
        assert "models.yaml: " in refused(allow_empty=allow_empty)
        edit(CATALOGUE, "kind: Other", "kind: ModelCatalog")
        edit(Path("models.lock.yaml"), "kind: ModelLock", "kind: Other")
        assert refused(allow_empty=allow_empty).startswith("models.lock.yaml: ")
        edit(Path("models.lock.yaml"), "kind: Other", "kind: ModelLock")
        assert refused(trees=(Path("none"),), allow_empty=allow_empty) == "none: there is no such folder"
    Path("models.lock.yaml").unlink()
    assert "is not locked: nobody can tell which copy" in refused(allow_empty=True)
    CATALOGUE.unlink()
    assert refused(allow_empty=True) == "models.yaml: there is no such catalogue"


def test_a_revision_without_the_catalogue_is_refused(folder: Path) -> None:
    git(folder, "init", "-q")
    git(folder, "commit", "-qm", "nothing", "--allow-empty")
    assert refused("HEAD", allow_empty=True) == "models.yaml at HEAD: there is no such catalogue"


def test_a_place_that_names_nothing_is_the_wrong_one(folder: Path) -> None:
    write(Path("rendered/README.md"), "nothing here\n")
    assert refused() == "rendered: refers to no model"
    assert gather([CATALOGUE], [], [], allow_empty=True)["rendered"] == frozenset()
    shutil.rmtree("rendered")
    text = CATALOGUE.read_text()
    CATALOGUE.write_text(text[: text.index("models:\n")] + "models: []\nservices: []\n")
    assert refused() == "models.yaml: refers to no model"
    assert gather([CATALOGUE], [], [], allow_empty=True) == {"models.yaml": frozenset()}
