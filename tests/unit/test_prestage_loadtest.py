"""The load test passes sound models of many forms, and names every fault of a damaged one at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generator.prestage import manifest
from generator.prestage.exits import PrestageExit
from generator.prestage.loadtest import base, header
from tests.faults import headers
from tests.standins import weights
from tests.standins.vocabularies import vocabulary
from tests.unit import loadtesting
from tests.unit.loadtesting import FIRST, INDEX, SECOND, held, model, tensor, text
from tests.unit.prestaging import Ended, judge


def _added(found: dict[str, Any], number: int) -> None:
    found["added_tokens"].append({**found["added_tokens"][0], "id": number, "content": "<image>"})


SOUND: dict[str, dict[str, bytes | None]] = {
    "in shards": {},
    "in one file": {INDEX: None, FIRST: None, SECOND: None, "model.safetensors": weights.safetensors()},
    "a header with blanks": {INDEX: None, FIRST: weights.safetensors(padding=500)},
    "no tensors": {INDEX: None, FIRST: loadtesting.header({})},
    "a tensor without values": {INDEX: None, FIRST: loadtesting.header({"a": tensor(shape=[0, 3], offsets=[0, 0])})},
    "four bits a value": {INDEX: None, FIRST: loadtesting.header({"a": tensor("F4", [3, 4], [0, 6])}, 6)},
    "a total of 32 bits a value": {INDEX: loadtesting.index(metadata={"total_size": 4 * (16 * 8 + 8 * 8 + 8)})},
    "a total as text": {INDEX: loadtesting.index(metadata={"total_size": "416"})},
    "no total": {INDEX: loadtesting.index(metadata={})},
    "no metadata": {INDEX: loadtesting.index(metadata=None)},
    "only a class": {"config.json": text({"architectures": ["A"]})},
    "only a type": {"config.json": text({"model_type": "a"})},
    "sizes of parts": {"config.json": text({"model_type": "a", "vocab_size": 8, "text_config": {"vocab_size": 600}})},
    "no configuration": {"config.json": None},
    "no tokenizer": {"tokenizer.json": None},
    "an added token too many": {"tokenizer.json": vocabulary(change=lambda found: _added(found, 600))},
    "a GGUF file": {INDEX: None, FIRST: None, SECOND: None, "model.gguf": b"GGUF" + bytes(40)},
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_models_are_published(tmp_path: Path, name: str) -> None:
    plan = held(tmp_path, model(**SOUND[name]))
    ended = judge(plan, tmp_path)
    assert ended.error is None, ended.error.reason
    assert ended.of("published", "target") == [str(tmp_path)]
    assert (tmp_path / manifest.PATH).is_file() and not (tmp_path / manifest.HELD).exists()


_CTC = {"pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}

UNTESTED: dict[str, tuple[dict[str, bytes | None], str, str]] = {
    "no configuration": ({"config.json": None}, "config.json", "is not there"),
    "no tokenizer": ({"tokenizer.json": None}, "tokenizer.json", "no other tokenizer is"),
    "sentencepiece alone": (
        {"tokenizer.json": None, "tokenizer.model": b"\n"},
        "tokenizer.model",
        "not tested further",
    ),
    "words alone": ({"tokenizer.json": None, "vocab.txt": b"a\n"}, "vocab.txt", "was not tested further"),
    "pickles": ({"pytorch_model.bin": b"\x80\x04}."}, "pytorch_model.bin", "of this format"),
    "speech": (
        {"tokenizer.json": vocabulary(change=lambda found: found.update(decoder={"type": "CTC", **_CTC}))},
        "tokenizer.json",
        "does not undo",
    ),
}


@pytest.mark.parametrize("name", UNTESTED)
def test_what_was_not_tested_is_said(tmp_path: Path, name: str) -> None:
    changes, path, reason = UNTESTED[name]
    ended = judge(held(tmp_path, model(**changes)), tmp_path)
    assert ended.error is None, ended.error.reason
    said = {line["path"]: line["reason"] for line in ended.said if line["event"] == "untested"}
    assert reason in said[path]


def _one(content: bytes) -> dict[str, bytes | None]:
    """A model of one file of weights."""
    return {INDEX: None, FIRST: None, SECOND: None, "model.safetensors": content}


def _mapped(**places: str) -> dict[str, bytes | None]:
    """The index with other places."""
    found = {"embed": FIRST, "layer.0": SECOND, "norm": SECOND, **places}
    return {INDEX: loadtesting.index(weight_map=found)}


def _torn(found: dict[str, Any]) -> None:
    """A token has another's number."""
    tokens = found["model"]["vocab"]
    tokens["a"], tokens["b"] = tokens["b"], tokens["a"]
    found["decoder"] = {"type": "Sequence", "decoders": [found["decoder"], _replace("q", "z")]}


def _replace(old: str, new: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


WEIGHTS = "model.safetensors"
DAMAGED: dict[str, tuple[dict[str, bytes | None], str, str]] = {
    "no JSON": ({"config.json": b"{"}, "config.json", "cannot be read"),
    "a list": ({"config.json": b"[]"}, "config.json", "no JSON object"),
    "other characters": ({"config.json": b'{"model_type": "\xff"}'}, "config.json", "not UTF-8"),
    "a key twice": ({"config.json": b'{"model_type": "a", "model_type": "b"}'}, "config.json", "'model_type' twice"),
    "nested": ({"config.json": b"[" * 100_000}, "config.json", "cannot be read"),
    "no kind": ({"config.json": b"{}"}, "config.json", "neither a model_type nor architectures"),
    "a kind of no name": ({"config.json": b'{"model_type": 5, "architectures": [1]}'}, "config.json", "neither"),
    "generation": ({"generation_config.json": b"{"}, "generation_config.json", "cannot be read"),
    "tokenizer configuration": ({"tokenizer_config.json": b""}, "tokenizer_config.json", "cannot be read"),
    "an empty file": (_one(b""), WEIGHTS, "shorter than 8 bytes"),
    "a header without end": (_one(b"\xff" * 8 + b"{}"), WEIGHTS, "its header claims"),
    "a header that is none": (_one(loadtesting.header(b"{nothing}")), WEIGHTS, "its header cannot be read"),
    "a list as header": (_one(loadtesting.header(b"[]")), WEIGHTS, "no JSON object"),
    "a tensor twice": (_one(loadtesting.header(b'{"a": 1, "a": 2}')), WEIGHTS, "it has 'a' twice"),
    "metadata that are none": (
        _one(loadtesting.header({"__metadata__": {"a": 1}})),
        WEIGHTS,
        "other things than texts",
    ),
    "a tensor that is none": (_one(loadtesting.header({"a": 5})), WEIGHTS, "a: is no object"),
    "no offsets": (_one(loadtesting.header({"a": {"dtype": "F32", "shape": [2]}})), WEIGHTS, "lacks 'data_offsets'"),
    "an unknown type": (_one(loadtesting.header({"a": tensor("F12")}, 8)), WEIGHTS, "unknown type 'F12'"),
    "a negative shape": (_one(loadtesting.header({"a": tensor(shape=[-2])}, 8)), WEIGHTS, "has shape [-2]"),
    "offsets that are none": (_one(loadtesting.header({"a": tensor(offsets=["0", 8])}, 8)), WEIGHTS, "has offsets"),
    "another size than its shape": (_one(loadtesting.header({"a": tensor(shape=[3])}, 8)), WEIGHTS, "takes 8 bytes"),
    "half a byte": (_one(loadtesting.header({"a": tensor("F4", [3], [0, 1])}, 1)), WEIGHTS, "takes 1 bytes"),
    "a hole": (
        _one(loadtesting.header({"a": tensor(), "b": tensor(offsets=[12, 20])}, 20)),
        WEIGHTS,
        "b begins at byte 12 of the data, where 8 is due",
    ),
    "an overlap": (
        _one(loadtesting.header({"a": tensor(), "b": tensor(offsets=[4, 12])}, 12)),
        WEIGHTS,
        "b begins at byte 4 of the data, where 8 is due",
    ),
    "beyond the end": (_one(loadtesting.header({"a": tensor()}, 4)), WEIGHTS, "and 4 bytes follow the header"),
    "before the end": (_one(loadtesting.header({"a": tensor()}, 9)), WEIGHTS, "and 9 bytes follow the header"),
    "an index that is none": ({INDEX: b"{}"}, INDEX, "is not an index of weights"),
    "a list as index": ({INDEX: loadtesting.index(weight_map=[])}, INDEX, "is not an index of weights"),
    "a tensor that no file holds": (_mapped(head=SECOND), INDEX, f"places head in {SECOND}, which does not hold it"),
    "a tensor in another file": (_mapped(norm=FIRST), INDEX, f"{SECOND} holds norm, which it places in another file"),
    "a file that is not there": (_mapped(head="more.safetensors"), INDEX, "names more.safetensors, which is not there"),
    "a file outside": (_mapped(head="../more.safetensors"), INDEX, "which is not there"),
    "another total": ({INDEX: loadtesting.index(metadata={"total_size": 417})}, INDEX, "states a total_size of 417"),
    "a total that is none": ({INDEX: loadtesting.index(metadata={"total_size": "nan"})}, INDEX, "a total_size of nan"),
    "no GGUF": ({"model.gguf": b"version https://git-lfs.github.com/spec/v1\n"}, "model.gguf", "is not a GGUF file"),
    "a tokenizer that is none": ({"tokenizer.json": b"{}"}, "tokenizer.json", "cannot use it"),
    "half a tokenizer": ({"tokenizer.json": loadtesting.TOKENIZER[:-500]}, "tokenizer.json", "cannot use it"),
    "a merge of nothing": (
        {"tokenizer.json": vocabulary(change=lambda found: found["model"]["merges"].append(["nothing", "at all"]))},
        "tokenizer.json",
        "cannot use it",
    ),
    "a tokenizer that changes texts": (
        {"tokenizer.json": vocabulary(change=_torn)},
        "tokenizer.json",
        "comes back as",
    ),
    "a tokenizer of another model": (
        {"config.json": text({"model_type": "a", "vocab_size": 100, "text_config": {"vocab_size": 300}})},
        "tokenizer.json",
        "and the vocab_size of config.json is 300",
    ),
}


def refused(ended: Ended, root: Path) -> dict[str, str]:
    """Why, by path; nothing is published."""
    assert ended.error is not None and ended.error.exit is PrestageExit.INTEGRITY
    assert not (root / manifest.PATH).exists() and (root / manifest.HELD).is_file()
    return {line["path"]: line["reason"] for line in ended.said if line["event"] == "fault"}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_models_are_not(tmp_path: Path, name: str) -> None:
    changes, path, reason = DAMAGED[name]
    found = refused(judge(held(tmp_path, model(**changes)), tmp_path), tmp_path)
    assert reason in found[path], found
    assert set(found) == {path}


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    files = model(**{"config.json": b"{", FIRST: loadtesting.header({"a": 5}), "tokenizer.json": b"{}"})
    plan = held(tmp_path, files)
    (tmp_path / SECOND).write_bytes(files[SECOND][:-1])
    ended = judge(plan, tmp_path)
    assert set(refused(ended, tmp_path)) == {"config.json", FIRST, SECOND, INDEX, "tokenizer.json"}
    assert ended.error and ended.error.reason.count(":") >= 3 and ended.error.reason.endswith("; and 2 more")
    assert "the revision in service stays" in ended.error.hint


def test_a_shard_that_is_broken_is_told_once(tmp_path: Path) -> None:
    """The index is not blamed for it, and what it says of the other shard is still compared."""
    broken = {FIRST: loadtesting.header({"embed": 5}), **_mapped(head=SECOND)}
    found = refused(judge(held(tmp_path, model(**broken)), tmp_path), tmp_path)
    assert set(found) == {FIRST, INDEX} and "head" in found[INDEX] and "embed" not in found[INDEX]


def test_an_index_is_not_called_sound_by_half(tmp_path: Path) -> None:
    ended = judge(held(tmp_path, model(**{FIRST: loadtesting.header({"embed": 5})})), tmp_path)
    assert ended.of("untested") == [INDEX] and INDEX not in ended.of("judged")


def test_many_faults_of_a_file_are_cut(tmp_path: Path) -> None:
    entries = {f"t{number}": 5 for number in range(9)}
    found = refused(judge(held(tmp_path, model(**_one(loadtesting.header(entries)))), tmp_path), tmp_path)
    assert found[WEIGHTS] == "t0: is no object; t1: is no object; t2: is no object; and 6 more"


@pytest.mark.parametrize("what", ["header", "index", "tokenizer"])
def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    path = {"header": FIRST, "index": INDEX, "tokenizer": "tokenizer.json"}[what]
    if what == "tokenizer":
        monkeypatch.setattr("generator.prestage.loadtest.tokenizer.MAX_TOKENIZER", 10)
    else:
        name = "header.MAX_HEADER" if what == "header" else "weights.MAX_JSON"
        monkeypatch.setattr(f"generator.prestage.loadtest.{name}", 10)
    ended = judge(held(tmp_path, model()), tmp_path)
    assert ended.error is None and path in ended.of("untested")


def test_a_long_header_is_read_in_two(tmp_path: Path) -> None:
    reader = _reader(tmp_path, weights.safetensors(padding=2 * header.FIRST))
    found, faults = header.read(reader, WEIGHTS)
    assert faults == [] and set(found.tensors) == set(weights.TENSORS)
    assert [length for _, length in reader.reads] == [header.FIRST, header.FIRST + len(weights.safetensors()) - 416]


def test_weights_themselves_are_not_read(tmp_path: Path) -> None:
    """A tensor of 8 MiB costs one read of 64 KiB."""
    reader = _reader(tmp_path, weights.safetensors({"large": ("F32", (2**21,))}))
    header.read(reader, WEIGHTS)
    assert reader.reads == [(0, header.FIRST)]


class _Counted(base.Reader):
    reads: list[tuple[int, int]]

    def read(self, path: str, start: int, length: int) -> bytearray:
        self.reads.append((start, length))
        return super().read(path, start, length)


def _reader(root: Path, body: bytes) -> _Counted:
    from generator.prestage import targets
    from tests.unit import prestaging

    (root / WEIGHTS).write_bytes(body)
    chosen = prestaging.settings()
    reader = _Counted(targets.opened(str(root), chosen), {WEIGHTS: len(body)}, chosen.patience)
    reader.reads = []
    return reader


def test_a_published_copy_is_judged_and_stays(tmp_path: Path) -> None:
    plan = held(tmp_path, model(), manifest.PATH)
    before = (tmp_path / manifest.PATH).read_bytes()
    ended = judge(plan, tmp_path)
    assert ended.error is None and ended.tally.already and ended.of("published", "target") == []
    (tmp_path / "config.json").write_bytes(b"{")
    assert judge(plan, tmp_path).error is not None
    assert (tmp_path / manifest.PATH).read_bytes() == before


def test_without_a_copy_nothing_is_touched(tmp_path: Path) -> None:
    ended = judge(held(tmp_path / "other", model()), tmp_path / "none")
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND and "--hold" in ended.error.hint
    assert not (tmp_path / "none").exists()


def test_a_copy_of_fewer_files_is_none_of_the_plan(tmp_path: Path) -> None:
    held(tmp_path, model(**{"tokenizer.json": None}))
    ended = judge(held(tmp_path / "other", model()), tmp_path)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND and "all files of the plan" in ended.error.reason


@pytest.mark.parametrize("act", ["withdrawn", "replaced", "published"])
def test_a_copy_that_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    """What was judged is published, or nothing."""
    from generator.prestage.loadtest import judging, publication

    plan, path, real = held(tmp_path, model()), tmp_path / manifest.HELD, tmp_path / manifest.PATH
    acts: dict[str, Callable[[], object]] = {
        "withdrawn": path.unlink,
        "replaced": lambda: path.write_bytes(path.read_bytes() + b" "),
        "published": lambda: path.rename(real),
    }

    def meanwhile(*arguments: Any) -> Any:
        yield from judging.findings(*arguments)
        acts[act]()

    monkeypatch.setattr(publication, "judging", type("Judging", (), {"findings": staticmethod(meanwhile)}))
    ended = judge(plan, tmp_path)
    if act == "published":
        assert ended.error is None and ended.of("already", "by") == ["another run, which finished first"]
    else:
        assert ended.error and ended.error.exit is PrestageExit.TRANSIENT and not real.exists()


def test_headers_are_judged_as_safetensors_judges_them() -> None:
    """A slice; `python -m tests.faults.headers` tries thousands."""
    assert list(headers.different(seed=7, count=200)) == []
