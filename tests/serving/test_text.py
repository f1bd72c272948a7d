"""Characters and stop sequences do not depend on how the tokens come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_generation.text import Decoder, Stops
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.serving.models import trained

BYTES = trained()
WORDS = Tokenizer(models.WordLevel({"▁the": 0, "▁model": 1, "s": 2, "?": 3}, unk_token="?"))
WORDS.decoder = decoders.Metaspace()
WORDS.pre_tokenizer = pre_tokenizers.Metaspace()


def pushed(decoder: Decoder, tokens: list[int], at_once: int) -> list[str]:
    return [decoder.push(tokens[at : at + at_once]) for at in range(0, len(tokens), at_once)]


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_characters_come_whole(at_once: int) -> None:
    tokens = BYTES.encode("the é 🤗 model").ids
    decoder = Decoder(BYTES)
    pieces = pushed(decoder, tokens, at_once)
    assert "".join(pieces) == "the é 🤗 model"
    assert not any("\ufffd" in piece for piece in pieces)
    assert decoder.end() == ""


def test_an_answer_that_ends_within_a_character() -> None:
    decoder = Decoder(BYTES)
    half = BYTES.encode("a🤗").ids[:-2]
    assert pushed(decoder, half, 1)[0] == "a"
    assert decoder.end() == BYTES.decode(half)[1:] != ""


@given(st.lists(st.integers(0, BYTES.get_vocab_size() - 1)), st.integers(1, 4))
def test_pieces_are_the_text(tokens: list[int], at_once: int) -> None:
    decoder = Decoder(BYTES)
    assert "".join(pushed(decoder, tokens, at_once)) + decoder.end() == BYTES.decode(tokens)


@given(st.lists(st.integers(0, BYTES.get_vocab_size() - 1), max_size=12), st.lists(st.integers(0, 300), min_size=1))
def test_the_prompt_is_not_repeated(before: list[int], tokens: list[int]) -> None:
    decoder = Decoder(BYTES, before)
    text = "".join(pushed(decoder, tokens, 1)) + decoder.end()
    seen = BYTES.decode(before[-8:])
    alone = not seen or seen.endswith("\ufffd")
    assert text == (BYTES.decode(tokens) if alone else BYTES.decode(before[-8:] + tokens)[len(seen) :])


def test_the_space_between_prompt_and_answer() -> None:
    assert Decoder(WORDS).push([1]) == "model"
    assert Decoder(WORDS, [0]).push([1]) == " model"


@pytest.mark.parametrize(
    ("stops", "text", "told", "met"),
    [
        ([], "abc", "abc", False),
        (["x"], "abc", "abc", False),
        (["b"], "abc", "a", True),
        (["abc"], "abc", "", True),
        (["c", "ab"], "xabc", "x", True),
        (["abc", "b"], "xabc", "xa", True),  # b is complete first
        (["bc", "abc"], "xabc", "x", True),  # both at once: the longer
        (["aab"], "aaab", "a", True),
        (["ab"], "xa", "xa", False),  # it only began
        (["é🤗"], "né🤗!", "n", True),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_stops(stops: list[str], text: str, told: str, met: bool, size: int) -> None:
    through = Stops(stops)
    pieces = [through.push(text[at : at + size]) for at in range(0, len(text), size)]
    assert ("".join(pieces) + through.end(), through.met) == (told, met)


@given(st.text("ab", max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.data())
def test_stops_do_not_depend_on_the_cut(text: str, stops: list[str], data: st.DataObject) -> None:
    ends = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    expected = text[: min(ends)[1]] if ends else text
    through, told, rest = Stops(stops), "", text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        told += through.push(rest[:size])
        rest = rest[size:]
        assert expected.startswith(told)  # nothing is taken back
    assert told + through.end() == expected
    assert through.met == bool(ends)
