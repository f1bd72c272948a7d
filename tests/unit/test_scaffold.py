"""`modelyard init`: what is written, and that nothing that was there is touched."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from generator import __version__, assets, yamlio
from generator.commands import catalogue
from generator.errors import Severity, UserError
from generator.load import load
from generator.scaffold import CATALOGUE, PLATFORMS, TEMPLATES, init, origin, plan_init, with_origin
from generator.spec import S3Cache

ASSETS = assets.find()
FILES: Mapping[str, bytes] = dict(ASSETS.files(TEMPLATES))
PLACEHOLDER = "https://git.example.com/platform/gitops.git"


@pytest.fixture(autouse=True)
def _no_repository_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


def tree(folder: Path) -> Iterator[tuple[str, bytes | str]]:
    """Path to content, or to the target of a link; .git left out."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            yield name, str(path.readlink())
        elif path.is_file() and not name.startswith(".git/"):
            yield name, path.read_bytes()


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def url_of(catalogue: bytes) -> str:
    address = yamlio.load(catalogue.decode(), CATALOGUE).data["platform"]["repository"]["url"]
    assert isinstance(address, str)
    return address


def test_templates_are_the_promised_files() -> None:
    assert sorted(FILES) == [
        ".ci/modelyard-images.sh",
        ".ci/modelyard-propose.sh",
        ".gitattributes",
        ".github/workflows/modelyard-images.yml",
        ".github/workflows/modelyard-refresh.yml",
        ".github/workflows/modelyard.yml",
        ".gitlab-ci.yml",
        ".gitlab/modelyard.yml",
        ".pre-commit-config.yaml",
        "models.yaml",
    ]


def test_every_pin_of_modelyard_is_this_version() -> None:
    pins = {
        path: re.findall(rb"modelyard(?:\[prestage\])?==([0-9][^\]\s']*)", content) for path, content in FILES.items()
    }
    assert {path for path, found in pins.items() if found} == {
        ".github/workflows/modelyard-refresh.yml",
        ".github/workflows/modelyard.yml",
        ".gitlab/modelyard.yml",
        ".pre-commit-config.yaml",
    }
    assert {pin.decode() for found in pins.values() for pin in found} == {__version__}


@pytest.mark.parametrize(
    ("present", "kept"),
    [
        (set(), ()),
        ({"a"}, ("a",)),
        ({"a", "d/b"}, ("a", "d/b")),
        ({"other"}, ()),
    ],
)
def test_plan_init(present: set[str], kept: tuple[str, ...]) -> None:
    plan = plan_init(present.__contains__, [("d/b", b"2"), ("a", b"1")])
    assert plan.kept == kept
    assert plan.write == tuple(pair for pair in (("a", b"1"), ("d/b", b"2")) if pair[0] not in present)


def test_empty_folder_gets_every_file(tmp_path: Path) -> None:
    report = init(tmp_path / "new" / "repo", ASSETS)
    assert dict(tree(tmp_path / "new" / "repo")) == FILES
    assert report.written == tuple(sorted(FILES))
    assert (report.kept, report.notes) == ((), ())


def test_second_run_changes_nothing_and_asks_for_nothing(tmp_path: Path) -> None:
    init(tmp_path, ASSETS)
    before = {path: path.stat() for path in tmp_path.rglob("*")}
    report = init(tmp_path, ASSETS)
    assert {path: path.stat() for path in tmp_path.rglob("*")} == before
    assert (report.written, report.kept, report.notes) == ((), tuple(sorted(FILES)), ())


@pytest.mark.parametrize("taken", sorted(FILES))
def test_file_that_is_there_is_kept_byte_for_byte(tmp_path: Path, taken: str) -> None:
    path = tmp_path / taken
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine\r\n\xff")
    path.chmod(0o400)
    report = init(tmp_path, ASSETS)
    assert dict(tree(tmp_path)) == {**FILES, taken: b"mine\r\n\xff"}
    assert path.stat().st_mode & 0o777 == 0o400
    assert report.kept == (taken,)
    assert set(report.written) == FILES.keys() - {taken}


@pytest.mark.parametrize(
    ("taken", "content", "asks"),
    [
        (".pre-commit-config.yaml", "repos: []\n", "modelyard-render"),
        (".pre-commit-config.yaml", "repos: [{repo: local, hooks: [{id: modelyard-check}]}]\n", ""),
        (".gitlab-ci.yml", "build: {script: [make]}\n", ".gitlab/modelyard.yml"),
        (".gitlab-ci.yml", "include: [{local: .gitlab/modelyard.yml}]\n", ""),
        (".gitattributes", "*.py text\n", "rendered/"),
        (".gitattributes", "rendered/** -text\n", ""),
        ("models.yaml", "x\n", ""),
    ],
)
def test_kept_file_is_noted_while_it_lacks_modelyard(tmp_path: Path, taken: str, content: str, asks: str) -> None:
    (tmp_path / taken).write_text(content)
    notes = init(tmp_path, ASSETS).notes
    assert [note.file for note in notes] == ([str(tmp_path / taken)] if asks else [])
    assert all(asks in note.hint and note.severity is Severity.WARNING for note in notes)


def test_links_are_kept_and_not_followed(tmp_path: Path) -> None:
    repo, outside = tmp_path / "repo", tmp_path / "outside"
    repo.mkdir()
    (repo / "models.yaml").symlink_to(outside / "models.yaml")  # dangling
    report = init(repo, ASSETS)
    assert report.kept == ("models.yaml",)
    assert not outside.exists()


@pytest.mark.parametrize("kind", ["link", "file"])
def test_folder_that_is_no_folder_is_a_fault(tmp_path: Path, kind: str) -> None:
    repo, outside = tmp_path / "repo", tmp_path / "outside"
    repo.mkdir()
    outside.mkdir()
    if kind == "link":
        (repo / ".github").symlink_to(outside)
    else:
        (repo / ".github").write_text("mine")
    with pytest.raises(UserError) as caught:
        init(repo, ASSETS)
    (fault,) = caught.value.diagnostics
    assert fault.file == str(repo / ".github/workflows/modelyard-images.yml")
    assert "in the place of a folder" in fault.hint
    assert list(outside.iterdir()) == []


def test_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check comes before the write; whoever writes in between wins."""

    def somebody_writes_meanwhile(path: str | os.PathLike[str]) -> bool:
        (tmp_path / CATALOGUE).write_text("theirs")
        return False

    monkeypatch.setattr(os.path, "lexists", somebody_writes_meanwhile)
    report = init(tmp_path, ASSETS)
    assert (tmp_path / CATALOGUE).read_text() == "theirs"
    assert report.kept == (CATALOGUE,)
    assert CATALOGUE not in report.written


def test_first_catalogue_is_valid_and_pinned() -> None:
    loaded = load(yamlio.load(FILES[CATALOGUE].decode(), CATALOGUE))
    assert loaded.diagnostics == ()
    assert loaded.spec is not None
    assert [m.source.revision for m in loaded.spec.models] == ["fe8a4ea1ffedaf415f4da2f062534de366a451e6"]
    assert [s.name for s in loaded.spec.services] == ["chat"]


def test_examples_in_comments_are_valid_too() -> None:
    """What a reader gets who takes the comment signs away."""
    text = re.sub(r"(?m)^( *)# ( *(- )?\w+:( .*)?)$", r"\1\2", FILES[CATALOGUE].decode())
    document = yamlio.load(text.replace("app: text-generation", "app: vllm"), CATALOGUE)
    loaded = load(document)
    assert loaded.diagnostics == ()
    assert loaded.spec is not None
    assert loaded.spec.platform.backstage is not None
    assert loaded.spec.clusters[0].values["aws_region"] == "us-west-2"
    (cache,) = loaded.spec.caches
    assert isinstance(cache, S3Cache) and cache.bucket == "example-models"
    assert [m.name for m in loaded.spec.models] == ["mistral-7b", "tinyllama"]
    assert loaded.spec.services[0].accelerator == "nvidia-l4"


@pytest.mark.parametrize(
    "address",
    [
        "https://git.example.com/team/models.git",
        "ssh://git@git.example.com:2222/team/models.git",
        "git@git.example.com:team/models.git",
    ],
)
def test_origin_becomes_the_repository(tmp_path: Path, address: str) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", address)
    assert origin(tmp_path) == address
    init(tmp_path, ASSETS)
    written = (tmp_path / CATALOGUE).read_bytes()
    assert url_of(written) == address
    assert written == FILES[CATALOGUE].replace(PLACEHOLDER.encode(), address.encode())


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "/srv/git/models.git",
        "file:///srv/git/models.git",
        "https://user:secret@git.example.com/team/models.git",
        "http://git.example.com/team/models.git",
        "https://git.example.com/a b",
        'https://git.example.com/"\n  evil: true',
        "ext::sh -c touch% /tmp/x",
    ],
)
def test_other_addresses_leave_the_placeholder(address: str | None) -> None:
    assert with_origin(FILES[CATALOGUE], address) == FILES[CATALOGUE]
    assert url_of(FILES[CATALOGUE]) == PLACEHOLDER


def test_subfolder_of_a_repository_is_noted(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (note,) = init(tmp_path / "platform" / "models", ASSETS).notes
    assert "`platform/models` of a Git repository" in note.message
    assert init(tmp_path, ASSETS).notes == ()


def test_without_git_there_is_no_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin(tmp_path) is None


def test_the_command_knows_the_platforms() -> None:
    assert set(catalogue.PLATFORMS) == set(PLATFORMS)


@pytest.mark.parametrize("platform", sorted(PLATFORMS))
def test_each_platform_begins_with_its_own_catalogue(platform: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", "https://git.example.org/me/mine.git")
    init(tmp_path, ASSETS, platform)
    made = (tmp_path / CATALOGUE).read_bytes()
    assert url_of(made) == "https://git.example.org/me/mine.git"
    loaded = load(yamlio.load(made.decode(), CATALOGUE))
    assert loaded.spec is not None, loaded.diagnostics
    if platform != "eks":
        assert len(made.splitlines()) <= 40
        assert (ASSETS.root / "docs" / f"{platform}.md").is_file()
