"""The port-forward, with a program that forwards TCP for real and has kubectl's arguments (tests/standins)."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.develop import forwarding
from generator.develop.forwarding import Target, forwarded
from generator.errors import UserError
from generator.rehearse import processes
from tests.standins import forwarder
from tests.unit import developing
from tests.unit.developing import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with developing.server() as found:
        found.replies["GET /"] = (200, b"hello")
        yield found


@pytest.fixture
def standin(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    port = int(server.url.rpartition(":")[2])
    services = {"models/chat-head-svc": {"8265": port, "8000": port}}
    monkeypatch.setenv("FORWARDER", json.dumps({"shared": services, "other": {}}))
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {forwarder.__file__} "$@"\n')
    program.chmod(0o755)
    return str(program)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  loopback
        return bytes(answer.read())


def test_open_lost_and_closed(standin: str) -> None:
    (port,) = processes.free_ports(1)
    said: list[str] = []
    with forwarded(Target(standin, "shared", "models", "chat-head-svc", {8265: 0, 8000: port}), said.append) as forward:
        assert forward.address(8000) == f"http://127.0.0.1:{port}"
        for _ in range(3):
            assert get(forward.address(8265)) == b"hello"
        assert said == []
        assert forward._process is not None
        processes.end(forward._process)  # a pod that goes away ends kubectl, too
        assert get(forward.address(8000)) == b"hello"
        assert said == ["the way to chat-head-svc was lost; opening it again"]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize(
    ("context", "service", "message", "hint"),
    [
        ("sharde", "chat-head-svc", "kubectl has no context `sharde`", "did you mean `shared`?"),
        (
            "shared",
            "talk-head-svc",
            "namespace models of shared has no Service talk-head-svc",
            "is the service deployed there? another namespace: --namespace NAME",
        ),
    ],
)
def test_what_is_not_there(standin: str, context: str, service: str, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught, forwarded(Target(standin, context, "models", service, {8265: 0}), print):
        pass
    (fault,) = caught.value.diagnostics
    assert (fault.message, fault.hint) == (message, hint)


def test_a_program_that_says_nothing() -> None:
    """`false` ends at once, without a word."""
    program = shutil.which("false")
    assert program
    with (
        pytest.raises(UserError, match="kubectl does not forward"),
        forwarded(Target(program, "a", "b", "c", {1: 0}), print),
    ):
        pass


def test_no_kubectl() -> None:
    with pytest.raises(UserError) as caught, forwarded(Target("/nowhere/kubectl", "a", "b", "c", {1: 0}), print):
        pass
    assert caught.value.diagnostics[0].hint == "install kubectl, or give its path: --kubectl PATH"


def test_contexts_of_no_program() -> None:
    assert forwarding.contexts("/nowhere/kubectl") == []


KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: x}}]
contexts: [{name: shared, context: {cluster: c, user: u}}]
"""


@pytest.mark.parametrize(
    ("context", "message", "hint"),
    [
        ("sharde", "kubectl has no context `sharde`", "did you mean `shared`?"),
        ("shared", "The connection to the server 127.0.0.1:1 was refused", "get service chat-head-svc"),
    ],
)
def test_kubectl_itself(
    kubectl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: str, message: str, hint: str
) -> None:
    (tmp_path / "config").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    target = Target(str(kubectl), context, "models", "chat-head-svc", {8265: 0})
    with pytest.raises(UserError) as caught, forwarded(target, print):
        pass
    (fault,) = caught.value.diagnostics
    assert message in fault.message and hint in fault.hint
