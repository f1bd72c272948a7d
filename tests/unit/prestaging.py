"""Runs of the prestage engine inside the test's process, and what they said."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from generator.prestage import run as flow
from generator.prestage.events import Events
from generator.prestage.faults import PrestageError
from generator.prestage.loadtest import publication
from generator.prestage.patience import Patience
from generator.prestage.plan import File, Plan
from generator.prestage.settings import Settings
from tests.standins.hub import HubStandIn

KIB, PART = 2**10, 2**20
COMMIT = "c" * 40
REPO = "org/tiny"
WEIGHTS = "model.safetensors"


def weights(values: bytes, length: int) -> bytes:
    """A safetensors file a little longer than `length`."""
    size = length + 5 * KIB
    tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"layer": tensor}).encode().ljust(KIB)
    return KIB.to_bytes(8, "little") + header + (values * (size // len(values) + 1))[:size]


BYTES, OTHER = weights(bytes(range(251)), 3 * PART), weights(b"other", 3 * PART)  # four parts, the last is short
FILES: Mapping[str, bytes] = {"config.json": b"{}", "sub/tokenizer.json": b'{"a": 1}', WEIGHTS: BYTES}


@contextmanager
def pointed(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """A Hub that the engine takes for its own; huggingface_hub reads HF_ENDPOINT only when it is imported."""
    with HubStandIn() as hub:
        point(monkeypatch, hub.url)
        yield hub


def point(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr("generator.prestage.sources.hub.HfApi", partial(HfApi, endpoint=url))


def git_id(content: bytes) -> str:
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def listed(files: Mapping[str, bytes]) -> tuple[File, ...]:
    """As the lock lists them: SHA-256 of weights, the id of the git blob of small files."""
    return tuple(
        File(path, len(body), f"sha256:{sha256(body).hexdigest()}" if path == WEIGHTS else f"git:{git_id(body)}")
        for path, body in sorted(files.items())
    )


def plan(files: Mapping[str, bytes] | None = FILES, *, commit: str = COMMIT, **facts: Any) -> Plan:
    """A plan for these files; for the Hub's choice where they are None."""
    return Plan("tiny", REPO, commit, files=None if files is None else listed(files), **facts)


def text(plan: Plan) -> str:
    """plan.json."""
    files = None if plan.files is None else {file.path: [file.size, file.digest] for file in plan.files}
    source = {"huggingface": plan.repo, "commit": plan.commit}
    rules = {"allow": list(plan.allow), "ignore": list(plan.ignore)}
    return json.dumps({"version": 1, "model": plan.model, "source": source, **rules, "files": files})


@dataclass(frozen=True)
class Ended:
    """How a run ended. `error` is None where it is done."""

    said: list[dict[str, Any]]
    tally: flow.Tally
    error: PrestageError | None
    settings: Settings

    def of(self, event: str, key: str = "path") -> list[Any]:
        """One fact of every event of this kind, sorted."""
        return sorted(line[key] for line in self.said if line["event"] == event)


def settings(*, as_json: bool = True, part: int = PART, tries: int = 8, **facts: Any) -> Settings:
    """Quick retries; what is said is kept."""
    events = Events(as_json=as_json, out=io.StringIO())
    return Settings(events, Patience(events, tries=tries, first_wait=0.001), part=part, **facts)


def said(chosen: Settings) -> list[dict[str, Any]]:
    out = chosen.events._out
    assert isinstance(out, io.StringIO)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def stage(plan: Plan, target: object, source: object = None, *, hold: bool = False, **facts: Any) -> Ended:
    """One run; `facts` are those of `settings`."""
    chosen, tally = settings(**facts), flow.Tally()
    error = None
    try:
        flow.stage(plan, str(source) if source else None, str(target), chosen, tally, hold=hold)
    except PrestageError as fault:
        error = fault
    return Ended(said(chosen), tally, error, chosen)


def done(plan: Plan, target: object, source: object = None, **facts: Any) -> Ended:
    """One run that has to succeed."""
    ended = stage(plan, target, source, **facts)
    assert ended.error is None, (ended.error.exit.name, ended.error.reason, ended.said)
    return ended


def judge(plan: Plan, target: object, **facts: Any) -> Ended:
    """One load test; `facts` are those of `settings`."""
    chosen, tally = settings(**facts), flow.Tally()
    error = None
    try:
        publication.test(plan, str(target), chosen, tally)
    except PrestageError as fault:
        error = fault
    return Ended(said(chosen), tally, error, chosen)


def folder(root: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """`root` with these files."""
    for path, body in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(body)
    return root


def staged(root: Path) -> dict[str, bytes]:
    """What readers of the target see; our own folder is left out."""
    files = (path for path in root.rglob("*") if path.is_file())
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
    return {path: body for path, body in found.items() if not path.startswith(".modelyard/")}


def manifest(root: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((root / ".modelyard/manifest.json").read_bytes())
    return data
