"""`serve` and `ask` from the command line, where there is nothing to serve or to ask: reason, way out, exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generator.cli import main
from generator.verbs import ask as verb
from tests.unit import developing
from tests.unit.developing import repository

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit status, stdout, stderr."""
    catalogue = repository(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # whatever token is in the user's
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    def act(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([*words, "--file", str(catalogue)])
        out, errors = capsys.readouterr()
        return int(caught.value.code or 0), out, errors

    return act


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["serve", "chatt"], "the catalogue has no service `chatt`", "did you mean `chat`?"),
        (["serve", "chat", "--cluster-entry", "two"], "is not on cluster `two`", "known here: one"),
        (["serve", "chat", "--as", "ada"], "--as is for a cluster", "--cluster CONTEXT"),
        (["serve", "chat", "--remove"], "--remove is for a cluster", "--cluster CONTEXT"),
        (["serve", "chat", "--cluster", "x", "--demo-model", "tiny"], "cannot see the folders", "leave --model-folder"),
        (["serve", "chat", "--cluster", "x", "--as", "Ada L"], "`Ada L` is no name", "--as ada-l"),
        (["serve", "chat", "--cluster", "x", "--kubectl", "/nowhere/kubectl"], "there is no program", "--kubectl PATH"),
        (["serve", "chat", "--address", "127.0.0.1:1"], "no answer from http://127.0.0.1:1", "port 8265"),
        (["serve", "chat", "--model-folder", "other=."], "has no model `other`", "known here: tiny, words"),
        (["ask", "chatt", "Where?"], "the catalogue has no service `chatt`", "did you mean `chat`?"),
        (["ask", "chat", "Where?"], "service `chat` has 2 applications", "--application tiny (of tiny, words)"),
        (
            ["ask", "chat", "Where?", "--application", "tiny", "--url", "http://127.0.0.1:1"],
            "nothing answers at http://127.0.0.1:1",
            "`modelyard serve chat` serves it here",
        ),
        (
            ["ask", "assistant", "Where?", "--cluster", "x", "--kubectl", "/nowhere/kubectl"],
            "there is no program `/nowhere/kubectl`",
            "install kubectl",
        ),
    ],
)
def test_faults(run: Run, words: list[str], message: str, hint: str) -> None:
    code, out, errors = run(*words)
    assert (code, out) == (1, "")
    assert message in errors and hint in errors
    assert "Traceback" not in errors


def test_a_service_that_needs_a_gpu(run: Run) -> None:
    if any(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("this machine has a GPU")
    code, _, errors = run("serve", "assistant")
    assert code == 1
    assert "service `assistant` needs a GPU, and this machine has none" in errors
    assert "--cluster CONTEXT serves it on a cluster that has what it takes" in errors


def test_faults_in_json(run: Run) -> None:
    code, out, _ = run("ask", "chatt", "Where?", "--json")
    (fault,) = json.loads(out)["diagnostics"]
    assert (code, fault["hint"]) == (1, "did you mean `chat`?")


def test_an_answer_that_does_not_stream(run: Run) -> None:
    """And that a terminal would obey."""
    reply: dict[str, Any] = {"text": "Where\u001b[2J?", "usage": {"prompt_tokens": 2, "completion_tokens": 3}}
    with developing.server() as server:
        server.replies |= {"GET /-/routes": (200, b'{"/ada": "ada-words"}')}
        server.replies["POST /ada/"] = (200, json.dumps({"translations": [reply], "usage": reply["usage"]}).encode())
        words = ["ask", "chat", "Wo?", "--application", "words", "--as", "ada", "--url", server.url]
        code, out, _ = run(*words)
        assert (code, out.splitlines()[0]) == (0, "Where\\x1b[2J?")
        assert out.splitlines()[2].split() == ["what", "measured"]
        assert "3 tokens" in out and "tokens/s" in out
        found = json.loads(run(*words, "--json")[1])
    assert (found["application"], found["text"], found["tokens"]) == (
        "ada-words",
        reply["text"],
        {"prompt": 2, "completion": 3},
    )


def test_an_answer_that_streams(run: Run) -> None:
    events = [
        {"choices": [{"delta": {"content": "It "}}]},
        {"choices": [{"delta": {"content": "is\u001b[1m."}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 4}},
    ]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    with developing.server() as server:
        server.replies["GET /chat/v1/models"] = (200, b'{"data": [{"id": "tiny"}]}')
        server.replies["POST /chat/v1/chat/completions"] = (200, stream.encode())
        code, out, _ = run("ask", "chat", "Where?", "--application", "tiny", "--url", server.url)
        body = json.loads(server.asked[-1][1])
    assert (code, out.splitlines()[0]) == (0, "It is\\x1b[1m.")
    assert [line.split("  ")[0] for line in out.splitlines()[2:]] == ["what", "first token", "answer", "speed"]
    assert body["stream"] is True and body["messages"] == [{"role": "user", "content": "Where?"}]


@pytest.mark.parametrize(
    ("text", "shown"), [("one\ntwo", "one\ntwo"), ("\x1b[2J", "\\x1b[2J"), ("é ü", "é ü"), ("\n", "\n")]
)
def test_safe(text: str, shown: str) -> None:
    assert verb.safe(text) == shown
