"""Which words are offered in place of one that is not known."""

from __future__ import annotations

import pytest

from generator.suggest import suggest

SIZES = ("nvidia-a100-40gb", "nvidia-a100-80gb", "nvidia-a10g", "nvidia-t4")


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("nvidia-t44", SIZES, "did you mean `nvidia-t4`?"),
        ("nvidia-a100", SIZES, "did you mean `nvidia-a100-40gb` or `nvidia-a100-80gb`?"),  # nearer by letters: a10g
        ("nvidia", SIZES, "did you mean `nvidia-t4`?"),  # four that begin so say nothing
        ("loadbalancer", ("loadBalancer", "ingress"), "did you mean `loadBalancer`?"),
        ("colour", ("cpu", "memory"), "known here: cpu, memory"),
        ("", ("-x", "memory"), "known here: -x, memory"),
    ],
)
def test_the_hint(word: str, known: tuple[str, ...], hint: str) -> None:
    assert suggest(word, known) == hint


def test_what_the_message_lists_is_not_listed_again() -> None:
    assert suggest("colour", ("cpu", "memory"), listing=False) == ""
