"""A slice of promise G5: every payload and every string of the language, through helm and Backstage's engines."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from generator.emit import backstage
from tests.promises import engines, fields, strings, trees
from tests.standins import scaffolder

SEED, CELLS = 1, 900


def test_every_string_of_the_language_has_a_field() -> None:
    assert {field.name for field in fields.fields()} == fields.declared()
    assert len(strings.PAYLOADS) == len(set(strings.PAYLOADS)) >= 60


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[strings.Rendered], list[str]]:
    """The accepted cells of the slice, and what is wrong with any."""
    chosen = strings.cells(SEED, CELLS)
    assert {cell.field.name for cell in chosen} == fields.declared()
    assert len({cell.payload for cell in chosen}) > 0.95 * len(strings.PAYLOADS)
    return strings.judged(chosen, tmp_path_factory.mktemp("cells"))


@pytest.fixture(scope="module")
def titles(tmp_path_factory: pytest.TempPathFactory) -> list[strings.Rendered]:
    """A service's title, which takes any visible text, with every payload."""
    field = next(field for field in fields.fields() if field.name == "services[].title")
    accepted, wrong = strings.judged(
        [strings.Cell(field, text) for text in strings.PAYLOADS], tmp_path_factory.mktemp("titles")
    )
    assert wrong == [] and 150 < len(accepted) < len(strings.PAYLOADS)
    return accepted


@pytest.mark.slow
def test_refused_with_a_line_or_data(outcome: tuple[list[strings.Rendered], list[str]]) -> None:
    accepted, wrong = outcome
    assert wrong == []
    assert 50 < len(accepted) < CELLS


@pytest.mark.slow
def test_helm_takes_them_as_data(
    helm: Path, outcome: tuple[list[strings.Rendered], list[str]], titles: list[strings.Rendered], tmp_path: Path
) -> None:
    assert list(engines.through_helm(helm, outcome[0] + titles, tmp_path)) == []


@pytest.mark.slow
def test_backstage_takes_them_as_data(
    outcome: tuple[list[strings.Rendered], list[str]], titles: list[strings.Rendered]
) -> None:
    assert list(engines.through_backstage(outcome[0] + titles)) == []


def test_a_careless_chart_is_found_out(helm: Path, titles: list[strings.Rendered], tmp_path: Path) -> None:
    shutil.copytree(engines.CHARTS, tmp_path / "charts")
    template = tmp_path / "charts/ray-service/templates/rayservice.yaml"
    text = template.read_text(encoding="utf-8")
    template.write_text(text.replace("$service.title | toJson", "$service.title | trim | toJson"), encoding="utf-8")
    found = list(engines.through_helm(helm, titles, tmp_path, tmp_path / "charts"))
    assert {what.split(": ")[0] for what in found} == {"ray-service"}
    assert {what.split(" = ")[1].split(": {")[0] for what in found} == {"  ", " a", "a "}


def test_a_careless_form_is_found_out(titles: list[strings.Rendered]) -> None:
    """Without `inert` the engines evaluate what stands in models.yaml."""
    (hostile,) = (title for title in titles if title.cell.payload == "{# x #}")
    path = "backstage/skeleton/models.yaml.njk"
    skeleton = hostile.files[path].decode()
    assert backstage.inert("{# x #}") in skeleton
    careless = skeleton.replace(backstage.inert("{# x #}"), "{# x #}").encode()
    found = list(engines.through_backstage([replace(hostile, files={**hostile.files, path: careless})]))
    assert len(found) == len(scaffolder.PACKAGES) and all("changes the catalogue" in what for what in found)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("README.md", b"Ask a service", b"<b>Ask</b> a service"),
        ("README.md", b"a\\|b", b"a|b"),
        ("clusters/one/services/chat.yaml", b"a|b", b"ab"),
        ("backstage/catalog-info.yaml", b"a|b", b"a | b"),
        ("kro/model-service.yaml", b"Serve configuration", b"a|b"),
        ("bootstrap/root.yaml", b"rendered", b"a|b"),
    ],
)
def test_a_changed_file_is_found_out(titles: list[strings.Rendered], path: str, old: bytes, new: bytes) -> None:
    (title,) = (title for title in titles if title.cell.payload == "a|b")
    assert list(strings.faults(title)) == []
    changed = title.files[path].replace(old, new, 1)
    assert changed != title.files[path]
    found = list(trees.differences(title.marked, {**title.files, path: changed}, fields.MARKER, "a|b"))
    assert found and all(what.startswith(f"{path}: ") for what in found)
