"""What a rollback takes, and what it refuses: with the place in models.yaml and the way out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from generator import yamlio
from generator.errors import UserError
from generator.load import load
from generator.lock import ModelSource
from generator.versions import back
from generator.versions.gitlog import Change
from generator.versions.history import Revision
from tests.unit.lockrepo import entry, sha

CATALOGUE = (Path(__file__).parents[2] / "chart-templates/init/models.yaml").read_text()
PIN = "      revision: fe8a4ea1ffedaf415f4da2f062534de366a451e6\n"
REPO = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
SOURCE = ModelSource(REPO)


def wanted(source: str = "") -> back.Wanted:
    """The catalogue of `init` with these lines in the model's source."""
    assert PIN in CATALOGUE
    document = yamlio.load(CATALOGUE.replace(PIN, source), "models.yaml")
    spec = load(document).spec
    assert spec is not None
    return back.wanted(document, spec, "tinyllama")


def row(commit: str, source: ModelSource = SOURCE, *, served: bool = False, landed: bool = True) -> Revision:
    change = Change("9" * 40, datetime(2026, 2, 3, tzinfo=UTC), "lock", "0" * 40, "models.lock.yaml", landed)
    return Revision("tinyllama", commit, (entry(commit[0], source),), change, served)


ROWS = (
    row(sha("c")),
    row(sha("b"), served=True),
    row(sha("e"), landed=False),
    row("aa00" + "0" * 36),
    row("aa01" + "0" * 36),
)


@pytest.mark.parametrize(
    ("asked", "commit"),
    [
        (None, "aa00"),  # what only a merged branch had is no default
        ("cccc", "cccc"),
        ("eeee", "eeee"),
        ("aa01", "aa01"),
        ("AA01", "aa01"),
        (sha("b"), "bbbb"),
    ],
)
def test_choose(asked: str | None, commit: str) -> None:
    assert back.choose(ROWS, asked, "tinyllama", "x").commit.startswith(commit)


@pytest.mark.parametrize(
    ("asked", "message", "hint"),
    [
        (
            "aa0",
            "`aa0` is no revision: write 4 to 40 digits",
            "there are: cccccccccccc (2026-02-03), bbbbbbbbbbbb (served now",
        ),
        ("v1.0", "`v1.0` is no revision", "there are: cccc"),
        ("a" * 41, "is no revision", "there are: cccc"),
        ("0123", "no revision of tinyllama in the history of Git starts with `0123`", "there are: cccc"),
        ("", "`` is no revision", "there are: cccc"),
    ],
)
def test_unknown_revisions_list_what_there_is(asked: str, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        back.choose(ROWS, asked, "tinyllama", "models.lock.yaml")
    (fault,) = caught.value.diagnostics
    assert message in fault.message and fault.hint.startswith(hint) and fault.file == "models.lock.yaml"


def test_an_ambiguous_revision_lists_those_it_may_be() -> None:
    rows = (row("aa0000" + "0" * 34), row("aa0000" + "1" * 34), row(sha("b"), served=True))
    with pytest.raises(UserError) as caught:
        back.choose(rows, "aa0000", "tinyllama", "x")
    (fault,) = caught.value.diagnostics
    assert "2 revisions of tinyllama in the history of Git start with `aa0000`" in fault.message
    assert fault.hint == "there are: aa0000000000 (2026-02-03), aa0000111111 (2026-02-03)"


def test_a_long_list_is_cut() -> None:
    rows = tuple(row(f"{number:040x}") for number in range(25))
    with pytest.raises(UserError) as caught:
        back.choose(rows, "ffff", "tinyllama", "x")
    assert caught.value.diagnostics[0].hint.endswith("and 15 more: `modelyard versions`")


def test_nothing_older() -> None:
    with pytest.raises(UserError, match="nothing older of tinyllama"):
        back.choose((row(sha("b"), served=True), row(sha("e"), landed=False)), None, "tinyllama", "x")
    with pytest.raises(UserError) as caught:
        back.choose((), None, "tinyllama", "x")
    assert "modelyard lock" in caught.value.diagnostics[0].hint


def test_where_nothing_is_served_the_newest_comes_back() -> None:
    assert back.choose((row(sha("b")), row(sha("a"))), None, "tinyllama", "x").commit == sha("b")


def test_an_entry_for_the_same_source() -> None:
    found = row(sha("a"))
    assert back.entry_for(found, wanted()) == found.newest
    assert back.entry_for(found, wanted("      revision: main\n")) == found.newest


def test_an_older_entry_of_the_same_source_is_taken() -> None:
    found = row(sha("a"))
    other = entry("a", ModelSource(REPO, "v2"))
    both = Revision("tinyllama", sha("a"), (other, found.newest), found.since)
    assert back.entry_for(both, wanted()) == found.newest
    assert back.entry_for(both, wanted("      revision: v2\n")) == other


@pytest.mark.parametrize(
    ("then", "now", "place", "said", "hint"),
    [
        (
            ModelSource("other/name"),
            "",
            "models[0].source.huggingface",
            "huggingface was other/name",
            "`huggingface: other/name`",
        ),
        (SOURCE, "      revision: v2\n", "models[0].source.revision", "revision was main", "`revision: main`"),
        (ModelSource(REPO, "v1"), "", "models[0].source.revision", "revision was v1", "`revision: v1`"),
        (
            ModelSource(REPO, allow=("*.json", "*.safetensors")),
            "      allow: ['*.json']\n",
            "models[0].source.allow",
            "allow was [*.json, *.safetensors]",
            "`allow: [*.json, *.safetensors]`",
        ),
        (SOURCE, "      ignore: [original/*]\n", "models[0].source.ignore", "ignore was nothing", "take `ignore` out"),
    ],
)
def test_a_source_that_changed_is_refused_at_its_line(
    then: ModelSource, now: str, place: str, said: str, hint: str
) -> None:
    asked = wanted(now)
    with pytest.raises(UserError) as caught:
        back.entry_for(row(sha("a"), then), asked)
    (fault,) = caught.value.diagnostics
    lines = asked.document.text.splitlines()
    assert (fault.file, fault.path) == ("models.yaml", place)
    assert REPO in "".join(lines[fault.line - 2 : fault.line]), "the key, or the source that lacks it"
    assert said in fault.message and hint in fault.hint


def test_each_changed_part_is_a_fault_of_its_own() -> None:
    with pytest.raises(UserError) as caught:
        back.entry_for(row(sha("a"), ModelSource("other/name", "v1")), wanted())
    assert [fault.path.rpartition(".")[2] for fault in caught.value.diagnostics] == ["huggingface", "revision"]


def test_a_pin_in_the_catalogue_is_refused_with_what_to_write() -> None:
    with pytest.raises(UserError) as caught:
        back.entry_for(row(sha("a")), wanted(PIN))
    (fault,) = caught.value.diagnostics
    assert fault.message.startswith("pins fe8a4ea1ffed")
    assert fault.hint == f"write `revision: {sha('a')}` here and run `modelyard lock tinyllama`"
    assert CATALOGUE.splitlines()[fault.line - 1] == PIN.rstrip()


def test_no_such_model() -> None:
    document = yamlio.load(CATALOGUE, "models.yaml")
    spec = load(document).spec
    assert spec is not None
    with pytest.raises(UserError) as caught:
        back.wanted(document, spec, "tinylama")
    assert caught.value.diagnostics[0].hint == "did you mean `tinyllama`?"
