"""What is served of a working tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.develop import version
from generator.errors import UserError
from tests.conftest import ROOT
from tests.unit.developing import CATALOGUE, repository


def test_the_service_as_it_would_be_rendered(tmp_path: Path) -> None:
    found = version.read(repository(tmp_path), "chat")
    assert [a["name"] for a in found.applications] == ["tiny", "words"]
    assert (found.namespace, sorted(found.models), sorted(found.plans)) == (
        "models",
        ["tiny", "words"],
        ["tiny", "words"],
    )
    assert {path.partition("/")[0] for path in found.files} == {"common", "text_generation", "translation"}
    assert found.files["common/http.py"] == (ROOT / "serving" / "common" / "http.py").read_bytes()


def test_the_repository_goes_before_the_installation(tmp_path: Path) -> None:
    catalogue = repository(tmp_path)
    own = tmp_path / "serving" / "common"
    own.mkdir(parents=True)
    (own / "mine.py").write_text("WORD = 1\n")
    before = version.read(catalogue, "chat")
    assert [path for path in before.files if path.startswith("common/")] == ["common/mine.py"]
    assert "translation/app.py" in before.files
    assert own in version.folders(catalogue)
    (own / "mine.py").write_text("WORD = 2\n")
    assert version.read(catalogue, "chat").content != before.content


def test_a_title_changes_nothing(tmp_path: Path) -> None:
    catalogue = repository(tmp_path)
    before = version.read(catalogue, "chat")
    catalogue.write_text(CATALOGUE.replace("- name: chat", "- name: chat\n    title: Talks"))
    assert version.read(catalogue, "chat").content == before.content
    catalogue.write_text(CATALOGUE.replace("/chat", "/talk"))
    assert version.read(catalogue, "chat").content != before.content


def test_replicas_that_end_soon(tmp_path: Path) -> None:
    """And nothing else is another; vLLM's are left alone."""
    for service in ("chat", "assistant"):
        found = version.read(repository(tmp_path), service)
        for plain, hasty in zip(found.applications, version.hasty(found.applications), strict=True):
            for deployment in hasty.get("deployments", ()):
                assert deployment["graceful_shutdown_timeout_s"] <= version.SOON
                assert deployment.pop("graceful_shutdown_wait_loop_s") < 1
                deployment["graceful_shutdown_timeout_s"] = plain["deployments"][0]["graceful_shutdown_timeout_s"]
            assert hasty == plain


@pytest.mark.parametrize(
    ("service", "entry", "message", "hint"),
    [
        ("chatt", None, "the catalogue has no service `chatt`", "did you mean `chat`?"),
        ("other", None, "the catalogue has no service `other`", "known here: assistant, chat"),
        ("chat", "two", "service `chat` is not on cluster `two` of the catalogue", "known here: one"),
    ],
)
def test_what_is_not_there(tmp_path: Path, service: str, entry: str | None, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        version.read(repository(tmp_path), service, entry)
    (fault,) = caught.value.diagnostics
    assert (fault.message, fault.hint) == (message, hint)


@pytest.mark.parametrize(
    ("source", "line", "column", "message"),
    [
        (b"def f(:\n", 1, 7, "is no Python: invalid syntax"),
        (b"x = 1\nreturn x\n", 2, 1, "is no Python: 'return' outside function"),
        (b"x = 1\n  y = 2\n", 2, 2, "is no Python: unexpected indent"),
        (b"x = '\xff'\n", 1, 0, "is no Python: (unicode error) 'utf-8' codec can't decode byte 0xff"),
    ],
    ids=["syntax", "return", "indent", "bytes"],
)
def test_what_is_no_python(source: bytes, line: int, column: int, message: str) -> None:
    files = {"a/good.py": b"x = '\\d'\n", "a/bad.py": source}
    (fault,) = version.syntax_faults(files, lambda path: Path("/tree") / path)
    assert (fault.file, fault.line) == ("/tree/a/bad.py", line)
    assert fault.column == column or column == 0
    assert fault.message.startswith(message)


def test_null_bytes_are_no_python() -> None:
    (fault,) = version.syntax_faults({"a/b.py": b"x\0"}, Path)
    assert fault.message.startswith("is no Python: source code ")
