"""Text out of tokens, as they come: whole characters, up to a stop sequence."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

UNFINISHED = "\ufffd"  # what bytes decode to that are no character, or not yet
SEEN = 8  # tokens of a prompt that are looked at; spaces do not reach farther


class Decoder:
    """The text of one answer. A character whose bytes are in several tokens comes with the last of them.

    `before` are the tokens that it continues: some tokenizers drop the space at the beginning of a text, and only of
    that. Where they end within a character, they are left out.
    """

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._ids = list(before[-SEEN:])
        text = tokenizer.decode(self._ids, skip_special_tokens=True)
        if not text or text.endswith(UNFINISHED):
            self._ids, text = [], ""
        self._stream = DecodeStream(ids=list(self._ids), skip_special_tokens=True)
        self._told = len(text)  # characters

    def push(self, tokens: Sequence[int]) -> str:
        """What these tokens add."""
        parts = []
        for token in tokens:
            self._ids.append(token)
            if part := self._stream.step(self._tokenizer, token):
                parts.append(part)
        text = "".join(parts)
        self._told += len(text)
        return text

    def end(self) -> str:
        """What was held back: bytes that became no character."""
        rest = self._tokenizer.decode(self._ids, skip_special_tokens=True)[self._told :]
        self._told += len(rest)
        return rest


class Stops:
    """Lets text through up to the stop sequence that is complete first. A part of one is never let through.

    Which one that is does not depend on how the text is cut into pieces: where several end at the same character,
    the longest counts.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sequences
        self._held = ""
        self.met = False

    def push(self, text: str) -> str:
        """What may be told now; nothing after a stop sequence."""
        if self.met or not self._sequences:
            return "" if self.met else text
        self._held += text
        found = [(at + len(stop), at) for stop in self._sequences if (at := self._held.find(stop)) >= 0]
        if found:
            self.met = True
            return self._release(min(found)[1])
        return self._release(len(self._held) - max(map(self._begun, self._sequences)))

    def end(self) -> str:
        """What was held back, when nothing follows."""
        return "" if self.met else self._release(len(self._held))

    def _begun(self, stop: str) -> int:
        """How many of the last characters are the beginning of `stop`."""
        most = min(len(stop) - 1, len(self._held))
        return next((n for n in range(most, 0, -1) if self._held.endswith(stop[:n])), 0)

    def _release(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        return text
