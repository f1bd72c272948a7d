"""`modelyard add`: one item more, every other byte as it was; or a fault that says the way out."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest

from generator import naming, yamlio
from generator.edit import AddModel, AddService, add_model, add_service, derived_name, save
from generator.errors import UserError
from generator.lock import KvShape, Lock, LockedModel, ModelSource

HEAD = """\
# Head comment, kept.
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog

platform:   # three blanks before
    prefix: 'peeks'
    repository: {url: "https://git.example.com/platform/gitops.git"}
    images:
        prestage: registry.example.com/platform/modelyard-prestage:0.1.0


clusters:
  - name: hub   # the first
    provider: eks

  - {name: spoke, provider: eks}
caches:
- name: s3
  type: s3
"""
MODELS = """\

models:

  # The small one.
  - name: tinyllama   # kept
    source: {huggingface: TinyLlama/TinyLlama-1.1B-Chat-v1.0}
    cache: s3
    # A comment after the last key.

# Between the lists.
"""
SERVICES = """\
services:
- name: chat
  clusters:
  - hub

  applications:
  - model: tinyllama  # the only one
"""
TEXT = HEAD + MODELS + SERVICES + "# The end.\n"
QWEN = AddModel("Qwen/Qwen3-8B")
ASK = AddService("ask", "tinyllama")


def inserted(before: str, after: str) -> str:
    """The lines that `after` has more; fails when it lacks or changes any of `before`."""
    lines = [*difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))]
    assert [line for line in lines if line[0] in "-?"] == []
    return "".join(line[2:] for line in lines if line[0] == "+")


def last(text: str, key: str) -> Any:
    return yamlio.load(text, "models.yaml").data[key][-1]


def fault(text: str, request: AddModel | AddService, lock: Lock | None = None) -> tuple[str, str]:
    """Messages, each behind its place, and hints."""
    with pytest.raises(UserError) as caught:
        if isinstance(request, AddModel):
            add_model(text, "models.yaml", request, lock)
        else:
            add_service(text, "models.yaml", request, lock)
    found = caught.value.diagnostics
    # A line would be one of the file that is not written.
    assert {(d.file, d.line) for d in found} == {("models.yaml", 0)}
    said = "\n".join(f"{d.path}: {d.message}".removeprefix(": ") for d in found)
    return said, "\n".join(d.hint for d in found if d.hint)


LAYOUTS = {
    "all": TEXT,
    "no final newline": TEXT.removesuffix("\n"),
    "CRLF": TEXT.replace("\n", "\r\n"),
    "services first": HEAD + SERVICES + MODELS,
    "nothing after the item": HEAD + SERVICES + MODELS.split("    # A comment after")[0],
    "many blank lines at the end": TEXT + "\n\n\n",
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("kind", ["models", "services"])
def test_addition_is_pure_insertion(text: str, kind: str) -> None:
    after = add_model(text, "models.yaml", QWEN) if kind == "models" else add_service(text, "models.yaml", ASK)
    assert inserted(text, after).count("name: ") == 1
    assert_only_grown(text, after, kind)


@pytest.mark.parametrize("text", [HEAD, HEAD + "models: []\n", HEAD + "models: [] # none yet\n"])
def test_first_model(text: str) -> None:
    after = add_model(text, "models.yaml", QWEN)
    assert after.startswith(HEAD)
    assert_only_grown(text, after, "models")


@pytest.mark.parametrize("text", [HEAD + MODELS, HEAD + MODELS + "services: []\n"])
def test_first_service(text: str) -> None:
    after = add_service(text, "models.yaml", ASK)
    assert after.startswith(HEAD + MODELS)
    assert_only_grown(text, after, "services")


def assert_only_grown(before: str, after: str, key: str) -> None:
    """`after` says what `before` says, and one item more in `key`."""
    old, new = (yamlio.load(text, "models.yaml").data for text in (before, after))
    assert new.pop(key)[:-1] == old.pop(key, [])
    assert new == old


def test_model_with_the_defaults() -> None:
    after = add_model(TEXT, "models.yaml", QWEN)
    assert last(after, "models") == {"name": "qwen3-8b", "source": {"huggingface": "Qwen/Qwen3-8B"}, "cache": "s3"}


def test_model_with_everything() -> None:
    request = AddModel("mistralai/Mistral-7B-Instruct-v0.2", "mistral", "Mistral: 7B, #1", "3ad372f", "s3", "hf-token")
    assert last(add_model(TEXT, "models.yaml", request), "models") == {
        "name": "mistral",
        "title": "Mistral: 7B, #1",
        "source": {
            "huggingface": "mistralai/Mistral-7B-Instruct-v0.2",
            "revision": "3ad372f",
            "tokenSecret": "hf-token",
        },
        "cache": "s3",
    }


def test_service_with_the_defaults() -> None:
    assert last(add_service(TEXT, "models.yaml", ASK), "services") == {
        "name": "ask",
        "clusters": ["hub", "spoke"],
        "applications": [
            {"model": "tinyllama", "app": "text-generation", "route": "/", "replicas": {"min": 1, "max": 1}}
        ],
    }


def test_service_with_everything() -> None:
    request = AddService("fast", "tinyllama", ("spoke",), "vllm", "nvidia-l4", "/v1/ask", "2:5")
    assert last(add_service(TEXT, "models.yaml", request), "services") == {
        "name": "fast",
        "clusters": ["spoke"],
        "accelerator": "nvidia-l4",
        "applications": [{"model": "tinyllama", "app": "vllm", "route": "/v1/ask", "replicas": {"min": 2, "max": 5}}],
    }


def test_additions_add_up() -> None:
    text = TEXT
    for number in range(5):
        text = add_model(text, "models.yaml", AddModel("Qwen/Qwen3-8B", f"m{number}"))
        text = add_service(text, "models.yaml", AddService(f"s{number}", f"m{number}"))
    added = inserted(TEXT, text)
    assert (added.count("huggingface:"), added.count("applications:")) == (5, 5)


@pytest.mark.parametrize(
    ("hf_id", "name"),
    [
        ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "tinyllama-1-1b-chat-v1-0"),
        ("gpt2", "gpt2"),
        ("org/Name__with..dots-", "name-with-dots"),
        ("org/_hidden", "hidden"),
        ("org/70B", "model-70b"),
        ("org/___", "model"),
    ],
)
def test_derived_name(hf_id: str, name: str) -> None:
    assert derived_name(hf_id) == name


@pytest.mark.parametrize("characters", [naming.MODEL_NAME.characters - 1, naming.MODEL_NAME.characters])
def test_name_up_to_the_limit_is_taken(characters: int) -> None:
    name = "m" * characters
    assert last(add_model(TEXT, "models.yaml", AddModel(f"org/{name}")), "models")["name"] == name


@pytest.mark.parametrize(
    ("request_", "message", "hint"),
    [
        (AddModel("TinyLlama/TinyLlama", "tinyllama"), "there is a model `tinyllama` already", "--name"),
        (AddModel("org/" + "m" * 44), "44 characters, 43 are left", f"--name {'m' * 43}"),
        (AddModel("org/x", "m" * 44), "models[1].name: name has 44 characters, 43 are left", "shorten it by 1"),
        (AddModel("org/x", "Chat"), "models[1].name: `Chat` is not allowed here", "lower-case letters"),
        (AddModel("org/x", cache="s33"), "models[1].cache: there is no cache `s33`", "did you mean `s3`?"),
        (AddModel("org/x", revision="a b"), "models[1].source.revision: `a b` is not allowed here", ""),
        (AddModel("org/x", token_secret="HF"), "models[1].source.tokenSecret: `HF` is not allowed", ""),
        (AddModel("a/b/c"), "`a/b/c` is not the id of a Hugging Face repository", "`owner/name`"),
        (AddModel("org/na me"), "is not the id", "`owner/name`"),
        (AddModel(""), "is not the id", "`owner/name`"),
        (AddModel("org/x\nevil: true"), "is not the id", "`owner/name`"),
        (
            AddModel("https://huggingface.co/Qwen/Qwen3-8B/tree/main"),
            "is not the id",
            "did you mean `Qwen/Qwen3-8B`?",
        ),
        (AddModel("hf.co/Qwen/Qwen3-8B"), "is not the id", "did you mean `Qwen/Qwen3-8B`?"),
        (AddService("chat", "tinyllama"), "there is a service `chat` already", "another NAME"),
        (AddService("ask", "tinylama"), "there is no model `tinylama`", "did you mean `tinyllama`?"),
        (AddService("ask", "tinyllama", ("hubb",)), "there is no cluster `hubb`", "did you mean `hub`?"),
        (
            AddService("ask", "tinyllama", accelerator="nvidia-l5"),
            "there is no accelerator `nvidia-l5`",
            "did you mean `nvidia-l4",
        ),
        (AddService("ask", "tinyllama", app="vlm"), "`vlm` is not one of", "did you mean `vllm`?"),
        (AddService("ask", "tinyllama", app="vllm"), "`vllm` needs an accelerator", "accelerator:"),
        (AddService("ask", "tinyllama", route="ask"), "`ask` is not allowed here", ""),
        (AddService("ask", "tinyllama", replicas="3:1"), "min 3 is above max 1", ""),
        (AddService("ask", "tinyllama", replicas="few"), "`few` is no number of replicas", "--replicas 1:3"),
        (AddService("ask", "tinyllama", replicas="-1"), "`-1` is no number of replicas", "--replicas 1:3"),
        (AddService("ask", "tinyllama", replicas="1:1001"), "replicas.max: ", ""),
        (AddService("s" * 48, "tinyllama"), "name has 48 characters, 47 are left", "shorten it by 1"),
        (AddService("2nd", "tinyllama"), "services[1].name: `2nd` is not allowed here", "a letter first"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, AddModel | AddService) else "",
)
def test_faulty_request(request_: AddModel | AddService, message: str, hint: str) -> None:
    said, way_out = fault(TEXT, request_)
    assert message in said
    assert hint in way_out


def test_several_caches_want_a_choice() -> None:
    text = TEXT.replace("- name: s3\n", "- name: east\n  type: s3\n- name: s3\n")
    assert fault(text, QWEN) == ("there are 2 caches: east, s3", "choose one with --cache")
    added = add_model(text, "models.yaml", AddModel("Qwen/Qwen3-8B", cache="east"))
    assert last(added, "models")["cache"] == "east"


def test_file_with_faults_is_not_edited() -> None:
    text = TEXT.replace("prefix:", "prefx:")
    for request in (QWEN, ASK):
        with pytest.raises(UserError) as caught:
            if isinstance(request, AddModel):
                add_model(text, "models.yaml", request)
            else:
                add_service(text, "models.yaml", request)
        assert "platform.prefx" in [d.path for d in caught.value.diagnostics]
        assert all(d.line for d in caught.value.diagnostics)


def test_faults_of_older_items_do_not_stand_in_the_way() -> None:
    """A cross-check that fails elsewhere (an unknown model) is for `check` to say; nothing gets worse."""
    text = TEXT.replace("model: tinyllama  #", "model: gone  #")
    assert last(add_model(text, "models.yaml", QWEN), "models")["name"] == "qwen3-8b"


def test_credential_is_not_written() -> None:
    said, _ = fault(TEXT, AddModel("org/x", title="hf_" + "a" * 30))
    assert "looks like a credential" in said


def test_what_does_not_fit_is_refused_when_the_lock_knows_the_size() -> None:
    source = ModelSource("TinyLlama/TinyLlama-1.1B-Chat-v1.0")
    entry = LockedModel(source, "f" * 40, context_length=2048, kv=KvShape(22, 4, 64), weights=40 * 1024**3)
    lock = Lock({"tinyllama": entry})
    said, _ = fault(TEXT, AddService("ask", "tinyllama", app="vllm", accelerator="nvidia-t4"), lock)
    assert "do not fit" in said
    fits = AddService("ask", "tinyllama", app="vllm", accelerator="nvidia-h100-80gb")
    assert last(add_service(TEXT, "models.yaml", fits, lock), "services")["name"] == "ask"


def test_save_replaces_the_file_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("old")
    path.chmod(0o640)
    before = path.stat().st_ino
    save(path, "new\r\n")
    assert path.read_bytes() == b"new\r\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_ino != before
    assert [p.name for p in tmp_path.iterdir()] == ["models.yaml"]


def test_save_writes_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "models.yaml"
    real.write_text("old")
    link = tmp_path / "models.yaml"
    link.symlink_to(real)
    save(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("old")

    def disk_full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", disk_full)
    with pytest.raises(UserError, match="No space left"):
        save(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("models.yaml", "old")]
