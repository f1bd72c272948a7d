"""Near misses: the word that the user probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(word: str, known: Iterable[str], *, listing: bool = True) -> str:
    """A hint that names the near miss of `word` among `known`, else all of them (when they are few)."""
    words = sorted(known)
    near = [k for k in words if k.lower() == word.lower()] or get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known here: {', '.join(words)}" if listing and 0 < len(words) <= 30 else ""
