"""tokenizer.json loads, gives back what it was given, and fits the model's embedding.

What "gives back" means: tokenizers change a text before they cut it (their normalizer), do not keep white space, and
need not know every character. So white space is left out, what comes back is compared with the text and with the
normalised text, and where characters may be unknown it has to be a part of that, in order.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from posixpath import basename
from types import ModuleType
from typing import Any, NamedTuple

from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.loadtest.base import Finding, Reader, few

TOKENIZER = "tokenizer.json"
OTHERS = (".model", ".tiktoken", "vocab.txt", "vocab.json", "tekken.json")  # ends of names of other forms
MAX_TOKENIZER = 64 * 2**20  # bytes; those with 262,144 tokens have 34 MB
TEXTS = (
    "The quick brown fox jumps over the lazy dog; 0123456789.",
    "THE QUICK BROWN FOX",
    "def f(x):\n    return x + 1",
    "Ça va, señor? Größe, Łódź, naïve",
    "中文 日本語 한국어",
    "🙂 👩‍🚀 🇪🇺",
)
# Decoders of the library whose effect is undone by what `_bare` leaves out.
_UNDONE = frozenset(
    ("BPEDecoder", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Sequence", "Strip", "WordPiece")
)
_SPACE = "▁"  # U+2581, how sentencepiece writes a space


class _Shape(NamedTuple):
    """What decides how a text has to come back."""

    whole: bool  # there is a token for each byte, so nothing is unknown
    ascii: bool  # it cuts bytes and lacks some of them: other characters may fall apart
    folds: bool  # its normaliser hides the text, so that it cannot be compared with letter by letter
    unknown: str  # the token for what it does not know
    marks: tuple[str, ...]  # what it writes at the ends of words


def findings(reader: Reader, vocabulary: int | None) -> Iterator[Finding]:
    """`vocabulary`: the largest of the sizes that the configuration states."""
    paths = sorted(path for path in reader.sizes if basename(path) == TOKENIZER)
    if not paths:
        yield _other(reader)
    for path in paths:
        yield _judged(reader, path, vocabulary if path == TOKENIZER else None)


def _other(reader: Reader) -> Finding:
    found = sorted(path for path in reader.sizes if basename(path).endswith(OTHERS))
    if found:
        return Finding("untested", found[0], f"is there, and was not tested further: only {TOKENIZER} is")
    return Finding("untested", TOKENIZER, "is not there, and no other tokenizer is")


def _judged(reader: Reader, path: str, vocabulary: int | None) -> Finding:
    if reader.sizes[path] > MAX_TOKENIZER:
        return Finding("untested", path, f"its {reader.sizes[path]} bytes are not read")
    library = _library()
    try:
        tokenizer = library.Tokenizer.from_buffer(bytes(reader.whole(path)))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        shape = _shape(tokenizer, library)
        faults = [_unfit(tokenizer, vocabulary), *_unequal(tokenizer, shape)] if shape else []
    except PrestageError:
        raise
    except Exception as error:
        return Finding("fault", path, f"tokenizers {library.__version__} cannot use it: {error}")
    except BaseException as error:  # a panic inside the library is none of Exception
        if type(error).__name__ != "PanicException":
            raise
        return Finding("fault", path, f"tokenizers {library.__version__} breaks on it: {error}")
    if shape is None:
        return Finding("untested", path, "loads, but its decoder does not undo what it does to a text")
    if faults := [fault for fault in faults if fault]:
        return Finding("fault", path, few(faults))
    kind, count = type(tokenizer.model).__name__, tokenizer.get_vocab_size()
    return Finding("judged", path, f"{kind} with {count} tokens")


def _library() -> ModuleType:
    try:
        import tokenizers
    except ImportError as error:
        hint = "pip install 'modelyard[prestage]'"
        raise PrestageError(PrestageExit.PLAN, f"the load test needs the package {error.name}", hint) from error
    return tokenizers


def _shape(tokenizer: Any, library: ModuleType) -> _Shape | None:
    """None where decoding is not meant to give a text back."""
    cuts = _types(tokenizer.normalizer) | _types(tokenizer.pre_tokenizer)
    undoes = _types(tokenizer.decoder)
    if not undoes <= _UNDONE or ("ByteLevel" in cuts and "ByteLevel" not in undoes):
        return None
    tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    if by_bytes := "ByteLevel" in cuts:
        tokens = library.pre_tokenizers.ByteLevel.alphabet()
    whole = (by_bytes or "ByteFallback" in undoes) and all(tokenizer.token_to_id(token) is not None for token in tokens)
    names = ("continuing_subword_prefix", "end_of_word_suffix")
    return _Shape(
        whole=whole,
        ascii=by_bytes and not whole,
        folds="ByteLevel" in _types(tokenizer.normalizer),
        unknown=getattr(tokenizer.model, "unk_token", None) or "",
        marks=tuple(mark for name in names if (mark := getattr(tokenizer.model, name, None))),
    )


def _types(part: Any) -> set[str]:
    """The names of the library's parts that `part` is made of."""
    found = set()

    def walk(state: Any) -> None:
        if isinstance(state, dict):
            if isinstance(state.get("type"), str):
                found.add(state["type"])
            state = list(state.values())
        if isinstance(state, list):
            for item in state:
                walk(item)

    if part is not None:
        walk(json.loads(part.__getstate__()))
    return found


def _unfit(tokenizer: Any, vocabulary: int | None) -> str:
    """Added tokens are not counted: some published models have one too many, which no text leads to."""
    count = tokenizer.get_vocab_size(with_added_tokens=False)
    if vocabulary is None or count <= vocabulary:
        return ""
    return f"it has {count} tokens, and the vocab_size of config.json is {vocabulary}"


def _unequal(tokenizer: Any, shape: _Shape) -> Iterator[str]:
    """A sentence for each text that does not come back."""
    knows = False
    for text in TEXTS:
        if shape.ascii and not text.isascii():
            continue
        encoded = tokenizer.encode(text, add_special_tokens=False)
        # A piece that Unigram does not know has the number of the unknown token, and its own letters.
        sure = [
            number
            for number, token in zip(encoded.ids, encoded.tokens, strict=True)
            if token != shape.unknown and tokenizer.id_to_token(number) == token
        ]
        knows = knows or bool(sure)
        back = tokenizer.decode(sure, skip_special_tokens=False)
        normalised = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        exact = shape.whole and len(sure) == len(encoded.ids)
        found = _bare(back, shape)
        if not any(_comes_back(found, _bare(wanted, shape), exact=exact) for wanted in (text, normalised)):
            yield f"{text!r} comes back as {back!r}"
    if not knows:
        yield "it knows no word of any text"


def _comes_back(found: str, wanted: str, *, exact: bool) -> bool:
    if exact:
        return found == wanted
    letters = iter(wanted)
    return all(letter in letters for letter in found)


def _bare(text: str, shape: _Shape) -> str:
    """Without white space and the library's own marks; without case and accents where a normaliser hides them."""
    for mark in (_SPACE, *shape.marks):
        text = text.replace(mark, "")
    text = unicodedata.normalize("NFKD" if shape.folds else "NFC", "".join(text.split()))
    if shape.folds:
        text = "".join(letter for letter in text.casefold() if not unicodedata.combining(letter))
    return text
