"""Models resolved through the real huggingface_hub against a Hub on loopback."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha1, sha256
from typing import Any

import pytest

from generator import hub
from generator.errors import Severity, UserError
from generator.hubfaults import Unreachable
from generator.lock import KvShape, LockedFile, LockedModel, ModelSource
from generator.lockplan import Wanted
from tests.standins.hub import HubStandIn
from tests.standins.loopback import Asked, Reply
from tests.standins.weights import CONFIG, safetensors, sharded_model, tiny_model

TINY = ModelSource("org/tiny")


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    with HubStandIn() as server:
        yield server


def resolve(standin: HubStandIn, source: ModelSource = TINY, **options: Any) -> LockedModel:
    return hub.resolve(source, endpoint=standin.url, **options).model


def refusal(standin: HubStandIn, source: ModelSource = TINY, **options: Any) -> tuple[str, str]:
    """Message and hint of the one fault."""
    with pytest.raises(UserError) as caught:
        resolve(standin, source, **options)
    (fault,) = caught.value.diagnostics
    return fault.message.replace(standin.url, "HUB"), fault.hint.replace(standin.url, "HUB")


def git(content: bytes) -> str:
    return "git:" + sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def test_everything_the_hub_tells(standin: HubStandIn) -> None:
    files = tiny_model()
    commit = standin.add("org/tiny", files, card={"license": "apache-2.0"})
    weights = files["model.safetensors"]
    assert resolve(standin) == LockedModel(
        source=TINY,
        commit=commit,
        license="apache-2.0",
        gated=False,
        dtype="BF16",
        parameters=200,
        context_length=2048,
        kv=KvShape(layers=1, heads=2, head_dim=2),
        size=sum(len(files[path]) for path in ("config.json", "model.safetensors", "tokenizer.json")),
        weights=len(weights),
        files=(
            LockedFile("config.json", len(files["config.json"]), git(files["config.json"])),
            LockedFile("model.safetensors", len(weights), f"sha256:{sha256(weights).hexdigest()}"),
            LockedFile("tokenizer.json", 2, git(b"{}")),
        ),
    )


def test_the_requests_made(standin: HubStandIn) -> None:
    commit = standin.add("org/tiny", tiny_model())
    resolve(standin)
    assert standin.paths() == [
        "GET /api/models/org/tiny/revision/main",
        f"GET /org/tiny/resolve/{commit}/config.json",
        f"GET /org/tiny/resolve/{commit}/model.safetensors",
    ]
    assert [asked.headers["range"] for asked in standin.asked if asked.server == "cdn"] == ["bytes=0-99999"]
    assert all(asked.headers["user-agent"].startswith("modelyard/") for asked in standin.asked)


def test_parameters_that_the_hub_counted_save_requests(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model(), safetensors={"BF16": 192, "F32": 8})
    model = resolve(standin)
    assert (model.dtype, model.parameters) == ("BF16", 200)
    assert not any("model.safetensors" in path for path in standin.paths())


def test_a_count_of_another_commit_is_not_believed(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model(), safetensors={"BF16": 7_000_000_000})
    assert resolve(standin).parameters == 200


def test_shards(standin: HubStandIn) -> None:
    files = sharded_model()
    standin.add("org/tiny", files)
    model = resolve(standin)
    assert (model.dtype, model.parameters) == ("BF16", 200)
    assert model.weights == sum(len(content) for path, content in files.items() if path.endswith(".safetensors"))
    assert model.files is not None
    assert {file.path for file in model.files} == set(files)


def test_a_long_header_takes_a_second_request(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model() | {"model.safetensors": safetensors(padding=150_000)})
    assert resolve(standin).parameters == 200
    assert len(standin.paths("cdn")) == 2


def test_a_server_that_ignores_ranges_is_not_read_to_the_end(standin: HubStandIn) -> None:
    weights = safetensors() + bytes(50 * 2**20)
    standin.add("org/tiny", tiny_model() | {"model.safetensors": weights})
    standin.intercept = lambda asked: Reply(200, body=weights) if asked.server == "cdn" else None
    assert resolve(standin).parameters == 200


def test_a_branch_that_moves_meanwhile_mixes_no_commits(standin: HubStandIn) -> None:
    first = standin.add("org/tiny", tiny_model())

    def move(asked: Asked) -> None:
        if "/resolve/" in asked.path:
            config = json.dumps(CONFIG | {"max_position_embeddings": 9}).encode()
            standin.add("org/tiny", {"config.json": config, "model.safetensors": b"other"})

    standin.intercept = move
    model = resolve(standin)
    assert (model.commit, model.context_length, model.parameters) == (first, 2048, 200)
    assert standin.repositories["org/tiny"].refs["main"] != first


def test_a_pinned_commit_is_asked_for_whatever_the_branch_says(standin: HubStandIn) -> None:
    first = standin.add("org/tiny", tiny_model())
    standin.add("org/tiny", tiny_model() | {"config.json": b"{}"})
    model = resolve(standin, commit=first)
    assert (model.commit, model.source, model.context_length) == (first, TINY, 2048)
    assert resolve(standin, replace(TINY, revision=first)).commit == first


def test_another_commit_than_asked_is_refused(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model())
    standin.repositories["org/tiny"].refs["c" * 40] = standin.repositories["org/tiny"].refs["main"]
    assert "answers with" in refusal(standin, commit="c" * 40)[0]


def test_gated(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model(), gated="manual")
    message, hint = refusal(standin)
    assert message == "org/tiny is gated: reading it needs an accepted licence and a token"
    assert hint == (
        "accept the licence at HUB/org/tiny, then set HF_TOKEN to a token with read permission for this"
        " command, and source.tokenSecret for the prestage Jobs"
    )
    assert len(standin.asked) == 2, "a refusal is not asked for again"
    standin.tokens.add("hf_reader")
    assert resolve(standin, token="hf_reader").gated is True


def test_the_token_stays_with_the_hub(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model(), private=True)
    standin.tokens.add("hf_reader")
    resolve(standin, token="hf_reader")
    assert {(asked.server, asked.token) for asked in standin.asked} == {("hub", "hf_reader"), ("cdn", None)}


def test_the_environment_gives_endpoint_and_token(standin: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    standin.add("org/tiny", tiny_model(), private=True)
    standin.tokens.add("hf_env")
    monkeypatch.delenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    assert resolve(standin).parameters == 200


REFUSALS: dict[str, tuple[Reply | None, str, str]] = {
    "missing": (None, "org/absent is not on HUB, or is private", "check the spelling"),
    "bad token": (
        Reply(401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        "HUB refuses the token (401)",
        "renew HF_TOKEN",
    ),
    "forbidden": (Reply(403), "HUB forbids reading org/absent (403)", "accept the licence"),
    "disabled": (
        Reply(403, {"X-Error-Message": "Access to this resource is disabled."}),
        "org/absent is disabled on HUB",
        "choose another",
    ),
    "too many": (Reply(429), "HUB refuses more requests for now (429)", "later"),
    "broken": (Reply(503), "HUB answers 503 for org/absent", "again"),
    "html": (Reply(200, body=b"<html>"), "HUB does not describe org/absent as a Hub does", "HF_ENDPOINT"),
    "empty": (Reply(200, body=b"{}"), "HUB does not describe org/absent as a Hub does", "HF_ENDPOINT"),
    "list": (Reply(200, body=b"[]"), "HUB does not describe org/absent as a Hub does", "HF_ENDPOINT"),
    "odd date": (
        Reply(200, body=b'{"id": "org/absent", "lastModified": "yesterday"}'),
        "HUB does not describe org/absent as a Hub does",
        "HF_ENDPOINT",
    ),
    "no commit": (
        Reply(200, body=b'{"id": "org/absent"}'),
        "the Hub states no commit of org/absent",
        "HF_ENDPOINT",
    ),
    "odd commit": (Reply(200, body=b'{"id": "x", "sha": "../x"}'), "the Hub states no commit", "HF_ENDPOINT"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_name_the_fix(standin: HubStandIn, case: str) -> None:
    reply, message, hint = REFUSALS[case]
    standin.intercept = lambda asked: reply
    said = refusal(standin, ModelSource("org/absent"))
    assert said[0].startswith(message)
    assert hint in said[1]
    assert len(standin.asked) == 1


def test_a_revision_that_is_not_there(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model())
    assert refusal(standin, replace(TINY, revision="v9")) == (
        "org/tiny has no revision `v9`",
        "choose one of HUB/org/tiny/commits/main",
    )


def test_a_name_that_is_none(standin: HubStandIn) -> None:
    assert refusal(standin, ModelSource("a/b/c"))[0] == "`a/b/c` is not a repository name"


def test_only_pickle(standin: HubStandIn) -> None:
    standin.add("org/tiny", {"config.json": b"{}", "pytorch_model.bin": b"\x80", "tf_model.h5": b"", "run.py": b""})
    assert refusal(standin) == (
        "org/tiny has no safetensors that is taken, only pytorch_model.bin, tf_model.h5",
        "choose a revision with safetensors; or, where you trust the file, source.allow: ['*.bin', '*.h5']",
    )
    model = resolve(standin, replace(TINY, allow=("*.bin",)))
    assert (model.weights, model.dtype, model.parameters) == (1, None, None)


def test_no_weights_at_all(standin: HubStandIn) -> None:
    standin.add("org/tiny", {"config.json": b"{}", "README.md": b""})
    assert refusal(standin)[0] == "org/tiny has no weights"


@pytest.mark.parametrize(
    "path",
    [
        "../x.json",
        "/abs.json",
        "a\\b.json",
        "C:\\x.json",
        "//unc/x.json",
        "a//b.json",
        "a/./b.json",
        "a/",
        "a\0.json",
        "a\x1b[2J.json",
        ".git/config",
        ".modelyard/manifest.json",
        "d/" * 550 + "x.json",
        "config.json/x.json",
        "../not-taken.bin",
    ],
    ids=ascii,
)
def test_hostile_names_are_refused_before_a_byte_is_read(standin: HubStandIn, path: str) -> None:
    standin.add("org/tiny", tiny_model() | {path: b"{}"})
    message, hint = refusal(standin)
    assert message.startswith(f"org/tiny has a file {path!r}, which ")
    assert "do not use this repository" in hint
    assert len(standin.asked) == 1


def test_names_that_one_volume_cannot_hold_together(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model() | {"CONFIG.json": b"{}"})
    assert "'config.json', which differs from 'CONFIG.json' only in case" in refusal(standin)[0]


def test_an_odd_name_can_be_left_out(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model() | {"images/a\u200db.png": b""})
    assert "invisible" in refusal(standin)[0]
    assert resolve(standin, replace(TINY, ignore=("images/",))).parameters == 200


@pytest.mark.parametrize("part", ["../../etc/passwd", "/etc/passwd", "pytorch_model.bin", "absent.safetensors", ""])
def test_an_index_may_name_only_what_is_staged(standin: HubStandIn, part: str) -> None:
    index = json.dumps({"weight_map": {"embed": part}}).encode()
    standin.add("org/tiny", sharded_model() | {"model.safetensors.index.json": index, "pytorch_model.bin": b""})
    assert refusal(standin)[0] == (
        f"org/tiny/model.safetensors.index.json names `{part}`, which is not among the files to stage"
    )


@pytest.mark.parametrize("index", [b"{}", b'{"weight_map": []}', b'{"weight_map": {"a": 1}}'])
def test_an_index_without_a_map(standin: HubStandIn, index: bytes) -> None:
    standin.add("org/tiny", sharded_model() | {"model.safetensors.index.json": index})
    assert "model.safetensors.index.json names `None`" in refusal(standin)[0]


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("config.json", b"", "org/tiny/config.json is not a JSON object"),
        ("config.json", b"[1]", "org/tiny/config.json is not a JSON object"),
        ("config.json", b"[" * 100_000, "org/tiny/config.json is not a JSON object"),
        (
            "config.json",
            b" " * (hub.MAX_CONFIG + 1),
            f"org/tiny/config.json is longer than {hub.MAX_CONFIG} bytes",
        ),
        (
            "model.safetensors",
            b"",
            "org/tiny/model.safetensors is not a safetensors file: it is shorter than 8 bytes",
        ),
        (
            "model.safetensors",
            b"\xff" * 99,
            "org/tiny/model.safetensors is not a safetensors file: its header claims",
        ),
        (
            "model.safetensors",
            b"\x02" + bytes(7) + b"??",
            "org/tiny/model.safetensors is not a safetensors file",
        ),
    ],
)
def test_broken_files(standin: HubStandIn, path: str, content: bytes, message: str) -> None:
    standin.add("org/tiny", tiny_model() | {path: content})
    assert refusal(standin)[0].startswith(message)


@pytest.mark.parametrize("change", [{"size": None}, {"size": -1}, {"size": True}, {"blobId": None}, {"blobId": "x"}])
def test_a_file_without_size_or_digest(standin: HubStandIn, change: dict[str, Any]) -> None:
    sibling = {"rfilename": "model.safetensors", "size": 1, "blobId": "a" * 40} | change
    body = json.dumps({"id": "org/tiny", "sha": "c" * 40, "siblings": [sibling]}).encode()
    standin.intercept = lambda asked: Reply(200, body=body)
    assert refusal(standin)[0] == "the Hub states no size and digest of org/tiny/model.safetensors"


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ({"license": "mit"}, "mit"),
        ({"license": "other", "license_name": "llama3"}, "llama3"),
        ({"license": "other"}, "other"),
        ({"license": ["mit"]}, None),
        ({"license": "a\nb: c"}, None),
        ({}, None),
    ],
)
def test_license(standin: HubStandIn, card: dict[str, Any], license: str | None) -> None:
    standin.add("org/tiny", tiny_model(), card=card)
    assert resolve(standin).license == license


def test_warnings(standin: HubStandIn) -> None:
    config = json.dumps(CONFIG | {"auto_map": {"AutoModel": "m.M"}}).encode()
    standin.add("org/tiny", tiny_model() | {"config.json": config}, name="new/tiny")
    warnings = hub.resolve(TINY, endpoint=standin.url).warnings
    assert [(w.severity, w.message) for w in warnings] == [
        (Severity.WARNING, "org/tiny is now called new/tiny"),
        (Severity.WARNING, "config.json of org/tiny names Python code of its own (auto_map)"),
    ]


def test_one_failure_hides_no_other_model(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model())
    seen: list[tuple[str, int, int]] = []
    wanted = [Wanted("b", TINY), Wanted("a", TINY), Wanted("gone", ModelSource("org/gone"))]
    outcome = hub.resolve_all(
        wanted, endpoint=standin.url, progress=lambda name, done, of: seen.append((name, done, of))
    )
    assert list(outcome.models) == ["a", "b"]
    assert {name: len(said) for name, said in outcome.diagnostics.items()} == {"gone": 1}
    assert (sorted(name for name, _, _ in seen), [done for _, done, _ in seen]) == (
        ["a", "b", "gone"],
        [1, 2, 3],
    )
    assert standin.paths().count("GET /api/models/org/tiny/revision/main") == 1, "one question for one source"


def test_many_models(standin: HubStandIn) -> None:
    wanted = [Wanted(f"m{i:02}", ModelSource(f"org/m{i:02}")) for i in range(20)]
    commits = {item.name: standin.add(item.source.repo, tiny_model()) for item in wanted}
    outcome = hub.resolve_all(wanted, endpoint=standin.url)
    assert {name: model.commit for name, model in outcome.models.items()} == commits
    assert outcome.diagnostics == {}
    assert hub.resolve_all([], endpoint=standin.url).models == {}


def test_when_the_caller_stops_the_rest_is_not_asked_for(standin: HubStandIn) -> None:
    wanted = [Wanted(f"m{i:03}", ModelSource(f"org/m{i:03}")) for i in range(300)]

    def stop(name: str, done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.resolve_all(wanted, endpoint=standin.url, progress=stop)
    assert len(standin.asked) <= hub.PARALLEL


@pytest.fixture
def nowhere() -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


@pytest.mark.parametrize("endpoint", ["http://[", "hub.example.com", "ftp://hub", "https://"])
def test_an_address_that_is_none(endpoint: str) -> None:
    with pytest.raises(UserError, match="is not the address of a Hub"):
        hub.resolve(TINY, endpoint=endpoint)


def test_unreachable(nowhere: str) -> None:
    with pytest.raises(Unreachable, match=f"{nowhere} cannot be reached"):
        hub.resolve(TINY, endpoint=nowhere)


def test_an_unreachable_hub_is_not_tried_for_every_model(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    attempt: Callable[..., object] = hub._attempt

    def counted(source: ModelSource, *rest: str | None) -> object:
        tried.append(source.repo)
        return attempt(source, *rest)

    monkeypatch.setattr(hub, "_attempt", counted)
    outcome = hub.resolve_all([Wanted(f"m{i}", ModelSource(f"org/m{i}")) for i in range(50)], endpoint=nowhere)
    assert len(tried) == hub.PARALLEL
    assert len(outcome.diagnostics) == 50
    assert outcome.models == {}


def test_a_line_that_drops_is_a_fault_not_a_crash(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model())
    standin.intercept = lambda asked: Reply(200, body=b"{" * 999, cut=9) if "config.json" in asked.path else None
    with pytest.raises(Unreachable):
        resolve(standin)


def test_offline(standin: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert refusal(standin) == ("the Hub may not be asked: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE")
    assert standin.asked == []
