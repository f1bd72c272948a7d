"""plan.json: what is read from it, and everything that is refused before the first byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from generator.prestage import place
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.limits import MAX_PARTS, MIB, PART
from generator.prestage.place import Folder, S3Prefix
from generator.prestage.plan import MAX_BYTES, File, Plan, parse, summary
from generator.prestage.settings import part_size

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA, BLOB = f"sha256:{'a' * 64}", f"git:{'b' * 40}"
PLAN: dict[str, Any] = {
    "version": 1,
    "model": "tiny",
    "source": {"huggingface": "org/tiny", "commit": COMMIT},
    "allow": ["*.txt"],
    "ignore": ["b*"],
    "files": {"config.json": [2, BLOB], "a/model.safetensors": [5 * 2**40, SHA]},
}


def encoded(**changes: Any) -> bytes:
    return json.dumps({**PLAN, **changes}).encode()


def refused(content: bytes) -> PrestageError:
    with pytest.raises(PrestageError) as caught:
        parse(content)
    assert caught.value.exit is PrestageExit.PLAN
    return caught.value


def test_a_plan_is_read() -> None:
    files = (File("a/model.safetensors", 5 * 2**40, SHA), File("config.json", 2, BLOB))
    assert parse(encoded()) == Plan("tiny", "org/tiny", COMMIT, ("*.txt",), ("b*",), files)
    assert parse(encoded(files=None)).files is None
    assert summary(parse(encoded())) == f"org/tiny@{COMMIT}"


def rendered_plans() -> list[str]:
    folders = [*(ROOT / "tests/cases").glob("*/expected"), ROOT / "rendered"]
    found = [path for folder in folders for path in folder.glob("clusters/*/prestage.yaml")]
    values = [yaml.safe_load(path.read_text(encoding="utf-8"))["modelPrestage"]["models"] for path in found]
    return sorted({model["plan"] for models in values for model in models.values()})


def test_every_plan_that_is_rendered_is_one() -> None:
    texts = rendered_plans()
    assert len(texts) >= 3
    for text in texts:
        plan, data = parse(text.encode()), json.loads(text)
        assert (plan.model, plan.commit) == (data["model"], data["source"]["commit"])
        assert plan.files is None or {f.path: [f.size, f.digest] for f in plan.files} == data["files"]


@pytest.mark.parametrize("key", sorted(PLAN))
def test_every_key_is_needed(key: str) -> None:
    reason = refused(json.dumps({k: v for k, v in PLAN.items() if k != key}).encode()).reason
    assert (key in reason) or key == "version"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"version": 2}, "version 1"),
        ({"model": "Tiny"}, "'Tiny'"),
        ({"model": "tiny-"}, "'tiny-'"),
        ({"model": 5}, "model"),
        ({"source": "org/tiny"}, "plan"),
        ({"source": {"huggingface": "a/b/c", "commit": COMMIT}}, "source.huggingface"),
        ({"source": {"huggingface": "../tiny", "commit": COMMIT}}, "source.huggingface"),
        ({"source": {"huggingface": "org/tiny", "commit": "main"}}, "source.commit"),
        ({"source": {"huggingface": "org/tiny", "commit": COMMIT.upper()}}, "source.commit"),
        ({"source": {"huggingface": "org/tiny"}}, "commit"),
        ({"allow": "*.bin"}, "allow"),
        ({"ignore": [1]}, "ignore"),
        ({"files": []}, "plan"),
        ({"files": {}}, "no file"),
        ({"files": {"a": [1]}}, "plan"),
        ({"files": {"a": [1, SHA, 2]}}, "plan"),
        ({"files": {"a": [-1, SHA]}}, "size of 'a'"),
        ({"files": {"a": [True, SHA]}}, "size of 'a'"),
        ({"files": {"a": [1.0, SHA]}}, "size of 'a'"),
        ({"files": {"a": ["1", SHA]}}, "size of 'a'"),
        ({"files": {"a": [5 * 2**40 + 1, SHA]}}, "size of 'a'"),
        ({"files": {"a": [1, "sha256:" + "A" * 64]}}, "digest of 'a'"),
        ({"files": {"a": [1, "a" * 64]}}, "digest of 'a'"),
        ({"files": {"a": [1, f"{SHA}\n"]}}, "digest of 'a'"),
        ({"files": {"a": [1, None]}}, "digest of 'a'"),
        ({"files": {"../a": [1, SHA]}}, "'../a'"),
        ({"files": {"/a": [1, SHA]}}, "'/a'"),
        ({"files": {"a//b": [1, SHA]}}, "'a//b'"),
        ({"files": {".modelyard/manifest.json": [1, SHA]}}, "reserved"),
        ({"files": {"a\n": [1, SHA]}}, "'a\\n'"),
        ({"files": {"a": [1, SHA], "A": [1, SHA]}}, "'A'"),
        ({"files": {"a": [1, SHA], "a/b": [1, SHA]}}, "'a/b'"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], named: str) -> None:
    assert named in refused(encoded(**changes)).reason


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"\xff\xfe\x00", b"[" * 100_000, b'{"version": 1}', encoded() + b" " * MAX_BYTES],
    ids=range(8),
)
def test_what_is_no_plan_is_refused(content: bytes) -> None:
    assert refused(content).hint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(PLAN)), JSON)
def test_nothing_but_a_refusal_comes_of_it(key: str, value: Any) -> None:
    try:
        parse(json.dumps({**PLAN, key: value}).encode())
    except PrestageError as error:
        assert error.exit is PrestageExit.PLAN and error.reason


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://bucket/models/m/c", S3Prefix("bucket", "models/m/c")),
        ("s3://bucket/models/", S3Prefix("bucket", "models")),
        ("s3://a.b-c.1/x", S3Prefix("a.b-c.1", "x")),
        ("/mnt/models", Folder(Path("/mnt/models"))),
        ("models", Folder(Path("models").absolute())),
        ("file:///mnt/a%20b", Folder(Path("/mnt/a b"))),
        ("/mnt/a%20b", Folder(Path("/mnt/a%20b"))),
    ],
)
def test_addresses(address: str, expected: S3Prefix | Folder) -> None:
    assert place.parse(address) == expected


@pytest.mark.parametrize(
    "address",
    [
        "",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3:///models",
        "s3://Bucket/models",
        "s3://bu/models",
        "s3://bucket//models",
        "s3://bucket/a/../b",
        "s3://bucket/.modelyard",
        "s3://user:secret@bucket/a",
        "https://bucket.s3.amazonaws.com/models",
        "gs://bucket/models",
        "file://host/models",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(PrestageError) as caught:
        place.parse(address)
    assert caught.value.exit is PrestageExit.PLAN and caught.value.hint


def test_keys_and_names_of_places() -> None:
    assert S3Prefix("bucket", "models/m").key("a/b.json") == "models/m/a/b.json"
    assert str(place.parse("s3://bucket/models/m/")) == "s3://bucket/models/m"
    assert str(place.parse("/mnt/models")) == "/mnt/models"


@pytest.mark.parametrize("largest", [0, PART, MAX_PARTS * PART, MAX_PARTS * PART + 1, 10**12, 5 * 2**40])
def test_parts_are_few_enough(largest: int) -> None:
    part = part_size(largest, PART)
    assert part >= PART and part % MIB == 0 and -(-largest // part) <= MAX_PARTS
    assert part == PART or largest > MAX_PARTS * (part - MIB)
