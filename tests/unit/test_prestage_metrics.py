"""Metrics of a run, read back by Prometheus' own parser: from the file, and from what a push gateway receives."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from generator.prestage import metrics
from generator.prestage.outcome import AnnouncementError, Outcome
from tests.standins.receiver import Answer, Receiver

DONE = Outcome(
    model="tinyllama",
    commit="fe8a4ea1ffedaf415f4da2f062534de366a451e6",
    target="s3://bucket/models/tinyllama/fe8a4ea1ffed",
    exit=0,
    seconds=12.5,
    bytes_total=2_200_000_000,
    bytes_copied=2_199_000_000,
    retries=3,
    files=9,
    already=False,
    reason="",
)
LABELS = {"model": "tinyllama", "commit12": "fe8a4ea1ffed"}


def values(text: str) -> dict[str, float]:
    """Value by name; every sample is a gauge with help and has exactly our labels."""
    families = list(text_string_to_metric_families(text))
    assert all(family.type == "gauge" and family.documentation and len(family.samples) == 1 for family in families)
    assert all(family.samples[0].labels == LABELS for family in families)
    return {family.samples[0].name: family.samples[0].value for family in families}


def test_the_file_holds_the_last_run(tmp_path: Path) -> None:
    before = time.time()
    metrics.write_textfile(DONE, tmp_path / "run.prom")
    found = values((tmp_path / "run.prom").read_text())
    assert before <= found.pop("modelyard_prestage_last_completion_timestamp_seconds") <= time.time()
    assert found == {
        "modelyard_prestage_duration_seconds": 12.5,
        "modelyard_prestage_size_bytes": 2_200_000_000,
        "modelyard_prestage_copied_bytes": 2_199_000_000,
        "modelyard_prestage_files": 9,
        "modelyard_prestage_retries": 3,
        "modelyard_prestage_cache_hit": 0,
        "modelyard_prestage_exit_code": 0,
    }


@pytest.mark.parametrize(
    ("outcome", "name", "value"),
    [
        (replace(DONE, already=True, bytes_copied=0), "cache_hit", 1),
        (replace(DONE, already=True, bytes_copied=0), "copied_bytes", 0),
        (replace(DONE, exit=65, reason="sha256 differs"), "exit_code", 65),
        (replace(DONE, exit=143), "cache_hit", 0),
    ],
)
def test_every_outcome_shows(outcome: Outcome, name: str, value: float, tmp_path: Path) -> None:
    metrics.write_textfile(outcome, tmp_path / "run.prom")
    assert values((tmp_path / "run.prom").read_text())[metrics.PREFIX + name] == value


def test_the_file_is_replaced_at_once_and_others_may_read_it(tmp_path: Path) -> None:
    """node_exporter, another user, may read at any moment: it sees the old file or the new one."""
    path = tmp_path / "run.prom"
    path.write_text("old")
    with path.open() as old:
        metrics.write_textfile(DONE, path)
        assert old.read() == "old"
    assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing_and_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.prom").mkdir()
    with pytest.raises(AnnouncementError, match=r"cannot write metrics to .*run\.prom: Is a directory"):
        metrics.write_textfile(DONE, tmp_path / "run.prom")
    assert [path.name for path in tmp_path.iterdir()] == ["run.prom"]
    with pytest.raises(AnnouncementError, match="No such file"):
        metrics.write_textfile(DONE, tmp_path / "absent" / "run.prom")


@pytest.mark.parametrize("form", ["http://{}", "{}", "http://{}/", "http://{}/behind/a/path"])
def test_the_gateway_gets_the_models_group(form: str) -> None:
    with Receiver() as gateway:
        metrics.push(DONE, form.format(gateway.host), 5)
        (request,) = gateway.received
    # PUT replaces the group; POST would leave metrics of an older commit beside the new ones.
    assert request.method == "PUT"
    prefix = "/behind/a/path" if "behind" in form else ""
    assert request.path == f"{prefix}/metrics/job/modelyard_prestage/model/tinyllama"
    assert request.headers["content-type"].startswith("text/plain; version=")
    assert values(request.body.decode())["modelyard_prestage_duration_seconds"] == 12.5


def test_what_the_gateway_refuses_is_one_sentence() -> None:
    with Receiver(Answer(status=400, body=b"pushed metrics are invalid")) as gateway:
        with pytest.raises(AnnouncementError) as caught:
            metrics.push(DONE, gateway.url, 5)
        assert str(caught.value) == f"the push gateway {gateway.host} answers 400"


def test_a_redirect_is_not_followed() -> None:
    with Receiver() as other, Receiver(Answer(status=302, headers={"Location": f"{other.url}/x"})) as gateway:
        with pytest.raises(AnnouncementError, match="answers 302"):
            metrics.push(DONE, gateway.url, 5)
        assert other.received == []


def test_a_gateway_that_is_silent_or_not_there() -> None:
    with Receiver(Answer(silent=True)) as gateway:
        with pytest.raises(AnnouncementError, match="was not reached: timed out"):
            metrics.push(DONE, gateway.url, 0.2)
        host = gateway.host
    with pytest.raises(AnnouncementError, match=rf"the push gateway {host} was not reached: .*refused"):
        metrics.push(DONE, f"http://{host}", 5)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "http://", "http://user:geheim@gateway", "http://[::1", "http://gateway:x", ""]
)
def test_a_wrong_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(AnnouncementError, match="is not http") as caught:
        metrics.push(DONE, address, 5)
    assert "geheim" not in str(caught.value)


def test_the_library_is_imported_only_when_it_is_asked_for() -> None:
    code = "import sys, generator.prestage.metrics; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(AnnouncementError, match=r"need the package .*: pip install 'modelyard\[prestage\]'"):
        metrics.write_textfile(DONE, tmp_path / "run.prom")
