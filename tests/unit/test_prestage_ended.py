"""One message for a whole Workflow: with the failing step's last words, read from what Argo hands over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from generator.prestage.ended import command, failures
from generator.prestage.ended.failures import Failure
from tests.standins.receiver import Answer, Receiver

GIVEN = {"model": "tiny", "commit": "fe8a4ea1ffed" + "0" * 28, "target": "s3://bucket/models/tiny/fe8a4ea1ffed"}


def node(step: str, message: str, at: int, **facts: Any) -> dict[str, Any]:
    """As Argo lists a failed node (v4.1, `failedNodeStatus`)."""
    return {
        "displayName": step,
        "message": message,
        "templateName": step.partition("(")[0],
        "phase": "Failed",
        "podName": f"stage-tiny-{step}",
        "finishedAt": f"2026-11-21T10:{at:02d}:00Z",
        **facts,
    }


WORDS = "Error (exit code 65): integrity: config.json: names neither a model_type nor architectures"
RETRIED = [
    node("stage-tiny", "child 'stage-tiny-123' failed", 9),
    node("load-test(1)", WORDS, 7),
    node("load-test(0)", "Error (exit code 75): transient: s3://b answers 503", 5),
    node("load-test", "No more retries left", 8),
]


def listed(nodes: Any) -> str:
    return json.dumps(nodes)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (listed([node("prestage", WORDS, 1)]), [("prestage", 65)]),
        (json.dumps(listed([node("prestage", WORDS, 1)])), [("prestage", 65)]),  # as Argo quotes it
        (
            listed([node("b", "Error (exit code 75)", 2), node("a", "OOMKilled (exit code 137)", 1)]),
            [("a", 137), ("b", 75)],
        ),
        (listed([node("prestage", "pod deleted", 1, finishedAt=None)]), [("prestage", None)]),
        (listed([node("stage", "child 'x' failed", 1)]), [("stage", None)]),
        (listed([node("stage", "", 1)]), []),
        (listed(["text", 5, None]), []),
        ("null", []),
        ('"null"', []),
        ("", []),
        ("{{workflow.failures}}", []),
        ("[" * 100_000, []),
        ("5", []),
        ("{}", []),
    ],
)
def test_what_argo_hands_over(text: str, found: list[tuple[str, int | None]]) -> None:
    assert [(failure.step, failure.exit) for failure in failures.read(text)] == found


def test_tries_and_groups_are_one_failure() -> None:
    assert failures.read(listed(RETRIED)) == (Failure("load-test", WORDS, 65),)


def test_many_failures_are_cut() -> None:
    found = failures.read(listed([node(f"step-{n}", "Error (exit code 75)", n) for n in range(9)]))
    assert failures.sentence(found).endswith("step-4: Error (exit code 75); and 4 more")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as receiver:
        monkeypatch.setenv("MODELYARD_WEBHOOK_URL", f"{receiver.url}/hook")
        yield receiver


def ended(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: str,
    nodes: object = None,
    **given: Any,
) -> tuple[int, list[dict[str, Any]]]:
    monkeypatch.setenv("MODELYARD_WORKFLOW_STATUS", status)
    monkeypatch.setenv("MODELYARD_WORKFLOW_FAILURES", listed(nodes))
    code = command.run(**GIVEN, output="json", **given)
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def text(told: Receiver) -> str:
    (request,) = told.received
    return str(json.loads(request.body)["text"])


def test_success(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: Receiver) -> None:
    code, said = ended(monkeypatch, capsys, "Succeeded")
    assert code == 0 and [line["event"] for line in said] == ["ended"] and said[0]["status"] == "Succeeded"
    assert text(told) == f":white_check_mark: tiny at fe8a4ea1ffed is ready at {GIVEN['target']}"


@pytest.mark.parametrize("status", ["Failed", "Error"])
def test_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: Receiver, status: str
) -> None:
    code, said = ended(monkeypatch, capsys, status, RETRIED)
    assert code == 0 and said[0]["reason"] == f"load-test: {WORDS}"
    assert text(told) == f":x: tiny at fe8a4ea1ffed failed: load-test: {WORDS}"


def test_a_failure_that_nobody_explains(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: Receiver
) -> None:
    ended(monkeypatch, capsys, "Error")
    assert text(told) == ":x: tiny at fe8a4ea1ffed failed: the Workflow ended as Error, and no step says why"


@pytest.mark.parametrize(("status", "count"), [("Succeeded", 0), ("Failed", 1)])
def test_failures_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: Receiver, status: str, count: int
) -> None:
    assert ended(monkeypatch, capsys, status, tell="failures")[0] == 0 and len(told.received) == count


def test_nobody_to_tell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("MODELYARD_WEBHOOK_URL", raising=False)
    assert ended(monkeypatch, capsys, "Failed", RETRIED)[0] == 0


def test_somebody_who_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: Receiver
) -> None:
    """The pod fails, so that the handler runs again."""
    told.answer = Answer(status=500)
    code, said = ended(monkeypatch, capsys, "Failed", RETRIED)
    assert code == 75 and said[-1]["reason"] == "the webhook was not told: it answers 500"
    assert told.url not in json.dumps(said)


def test_secrets_of_a_step_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: Receiver
) -> None:
    _, said = ended(monkeypatch, capsys, "Failed", [node("prestage", f"hf_madeUpForThisTest at {told.url}/hook", 1)])
    everything = json.dumps(said) + text(told)
    assert "hf_madeUp" not in everything and "/hook" not in everything
