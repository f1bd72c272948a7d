"""The translator without HTTP: tiny models of three families, each batch against the model by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from common.errors import PromptRefused, StartRefused

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from translation.texts import Job, Languages, Translation  # noqa: E402
from translation.translator import Translator, load  # noqa: E402

from tests.serving import tiny  # noqa: E402

TEXTS = ["the model is staged", "one", "a replica loads the model from a folder before it is served"]
NEW_TOKENS = 12


@dataclass(frozen=True)
class Settings:
    """Those that loading reads."""

    model: Path
    dtype: str = "auto"


def translator(folder: Path, max_tokens: int = NEW_TOKENS, context_length: int | None = None) -> Translator:
    torch.set_num_threads(1)
    settings: Any = Settings(folder)
    return Translator(load(settings), max_tokens, context_length)


def alone(folder: Path, text: str, **options: Any) -> str:
    """What transformers says to one text."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    output = model.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=NEW_TOKENS, **options)
    said: str = tokenizer.decode(output[0], skip_special_tokens=True)
    return said


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "t5": tiny.t5(tmp_path_factory.mktemp("t5")),
        "bart": tiny.bart(tmp_path_factory.mktemp("bart")),
        "nllb": tiny.nllb(tmp_path_factory.mktemp("nllb")),
    }


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_a_batch_says_what_each_text_says_alone(folders: dict[str, Path], family: str) -> None:
    answers = translator(folders[family]).translate([Job(text) for text in TEXTS])
    assert [answer.text for answer in answers if isinstance(answer, Translation)] == [
        alone(folders[family], text) for text in TEXTS
    ]


def test_the_beams_of_the_model_are_used(folders: dict[str, Path]) -> None:
    """The tiny BART asks for two beams, which say something else than greedy decoding."""
    greedy = [alone(folders["bart"], text, num_beams=1) for text in TEXTS]
    assert [alone(folders["bart"], text) for text in TEXTS] != greedy


def test_lengths(folders: dict[str, Path]) -> None:
    two = translator(folders["t5"], max_tokens=2)
    (cut,) = two.translate([Job(TEXTS[0])])
    assert isinstance(cut, Translation)
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 2)
    bart = translator(folders["bart"], max_tokens=10**6)
    assert (bart.max_tokens, bart.context_length) == (tiny.POSITIONS - 1, tiny.POSITIONS)
    (long,) = bart.translate([Job(TEXTS[1])])
    assert isinstance(long, Translation) and long.completion_tokens <= tiny.POSITIONS - 1


def test_what_is_too_long_does_not_spoil_the_batch(folders: dict[str, Path]) -> None:
    small = translator(folders["t5"], context_length=8)
    first, refused, last = small.translate([Job("one"), Job("é" * 40), Job("two")])
    assert isinstance(first, Translation) and isinstance(last, Translation)
    assert isinstance(refused, PromptRefused) and str(refused).endswith("tokens, at most 8 are allowed")


def test_an_empty_text_is_refused(folders: dict[str, Path]) -> None:
    (refused,) = translator(folders["t5"]).translate([Job("")])
    assert isinstance(refused, PromptRefused) and "no tokens" in str(refused)


def test_languages_of_one_batch_are_kept_apart(folders: dict[str, Path]) -> None:
    pairs = [Languages("eng_Latn", "fra_Latn"), Languages("fra_Latn", "eng_Latn"), Languages("eng_Latn", "fra_Latn")]
    answers = translator(folders["nllb"]).translate([Job(TEXTS[0], pair) for pair in pairs])
    ids = transformers.AutoTokenizer.from_pretrained(folders["nllb"]).convert_tokens_to_ids(["eng_Latn", "fra_Latn"])
    to_french = alone(folders["nllb"], TEXTS[0], forced_bos_token_id=ids[1])
    assert [a.text for a in answers if isinstance(a, Translation)][::2] == [to_french, to_french]
    assert isinstance(answers[1], Translation)


@pytest.mark.parametrize(
    ("family", "languages", "reason"),
    [
        ("t5", Languages("en", "fr"), "takes no `source` and `target`"),
        ("nllb", Languages("eng_Latn", "xx_XX"), "does not know the language 'xx_XX'"),
        ("nllb", Languages("xx", None), "does not know the language 'xx'"),
    ],
)
def test_unknown_languages(folders: dict[str, Path], family: str, languages: Languages, reason: str) -> None:
    (refused,) = translator(folders[family]).translate([Job("one", languages)])
    assert isinstance(refused, PromptRefused) and reason in str(refused)


def test_who_left_is_not_translated(folders: dict[str, Path]) -> None:
    gone, here = Job(TEXTS[2]), Job(TEXTS[0])
    gone.left.set()
    answers = translator(folders["t5"]).translate([gone, here])
    assert isinstance(answers[0], PromptRefused) and isinstance(answers[1], Translation)


def test_a_batch_that_all_have_left_ends(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """They leave after the start: the next step is the last."""
    job, subject = Job(TEXTS[0]), translator(folders["t5"], max_tokens=400)
    real = subject._refusal

    def leave(ids: list[int]) -> PromptRefused | None:
        job.left.set()
        return real(ids)

    monkeypatch.setattr(subject, "_refusal", leave)
    (answer,) = subject.translate([job])
    assert isinstance(answer, Translation) and answer.completion_tokens == 1
    assert subject.alive()


def test_what_cannot_be_loaded(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="CONTEXT_LENGTH is 4096, the model's own is"):
        translator(folders["t5"], context_length=4096)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(StartRefused, match="holds no encoder-decoder model"):
        translator(tmp_path)


def test_weights_of_another_model(folders: dict[str, Path], tmp_path: Path) -> None:
    for file in folders["t5"].iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"d_ff": 7}))
    with pytest.raises(StartRefused, match="the weights are not those"):
        translator(tmp_path)
