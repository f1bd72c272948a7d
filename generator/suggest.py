"""Near misses: the word that the user probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_BEGUN = 3  # more of them say nothing


def suggest(word: str, known: Iterable[str], *, listing: bool = True) -> str:
    """A hint that names the near miss of `word` among `known`, else all of them (when they are few)."""
    words = sorted(known)
    near = [k for k in words if k.lower() == word.lower()] or _begun(word, words)
    near = near or get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(f'`{k}`' for k in near)}?"
    return f"known here: {', '.join(words)}" if listing and 0 < len(words) <= 30 else ""


def _begun(word: str, words: list[str]) -> list[str]:
    """Those that are `word` and a suffix, such as the sizes of one accelerator; none where they are many."""
    found = [k for k in words if word and k.startswith(f"{word}-")]
    return found if len(found) <= _BEGUN else []
