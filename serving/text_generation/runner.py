"""Continuous batching: each step is one forward pass for all requests, and requests come and go between steps.

A step takes the next token of every request that generates, and pieces of the prompts that are new: a long prompt does
not hold up the others, a short answer does not wait for a long one. Used by one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch

from text_generation.attention import Pass, Piece, forward
from text_generation.sampling import GREEDY, Draw, Sampling, choose
from text_generation.slots import Slots

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to continue, and for how long. An id of `ends` ends the answer and is its last token."""

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = GREEDY
    ends: frozenset[int] = frozenset()
    every: int = 1  # tokens that are delivered at a time, where nobody reads along

    @property
    def longest(self) -> int:
        """Tokens of prompt and answer; the last token of the answer is never looked at again."""
        return len(self.prompt) + self.max_tokens - 1


@dataclass(slots=True, eq=False)
class Running:
    """A request in a slot. `read` tokens of its prompt are in the slot, and all of `tokens` but the newest."""

    request: Request
    draw: Draw
    slot: int
    read: int = 0
    tokens: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.read + max(0, len(self.tokens) - 1)

    @property
    def finish(self) -> Finish | None:
        if self.tokens and self.tokens[-1] in self.request.ends:
            return "stop"
        return "length" if len(self.tokens) >= self.request.max_tokens else None


class Piecework(NamedTuple):
    """A piece of a prompt and whose it is."""

    running: Running
    piece: Piece


class Runner:
    """The requests in work, and the model. `chunk` bounds the tokens of prompts in one step."""

    def __init__(self, model: Any, slots: Slots, chunk: int) -> None:
        self._model, self._slots, self._chunk = model, slots, chunk
        self._generating: list[Running] = []  # the place is the slot
        self._reading: list[Running] = []  # in the order of arrival

    def __len__(self) -> int:
        return len(self._generating) + len(self._reading)

    def __iter__(self) -> Iterator[Running]:
        yield from self._generating
        yield from self._reading

    @property
    def cached(self) -> int:
        """Tokens in the slots."""
        return sum(running.length for running in self)

    def has_room(self, request: Request) -> bool:
        """Whether the request can run to its end beside all others, each to its own."""
        longest = max((running.request.longest for running in self), default=0)
        return self._slots.fits(len(self) + 1, max(longest, request.longest))

    def admit(self, request: Request) -> Running:
        """Call only with room for it."""
        running = Running(request, Draw.of(request.sampling, self._slots.device), slot=len(self))
        self._reading.append(running)
        return running

    def leave(self, running: Running) -> None:
        """Frees the slot; another request moves into it, so that no gap stays."""
        if running in self._reading:
            self._reading.remove(running)
            gap = running.slot
        else:
            last = self._generating.pop()
            gap = last.slot
            if last is not running:
                self._put(last, running.slot)
                self._generating[running.slot] = last
        highest = max(self._reading, key=lambda r: r.slot, default=None)
        if highest is not None and highest.slot > gap:
            self._put(highest, gap)

    def step(self) -> list[Running]:
        """One forward pass. Returns those that have a new token; who has finished leaves by itself."""
        pieces = self._pieces()
        newest = [running.length for running in self._generating]
        work = Pass(self._slots, newest, [work.piece for work in pieces])
        self._slots.make_room(len(self), max([*newest, *(work.piece.stop - 1 for work in pieces)]) + 1)
        logits = self._logits(work, pieces)
        for part in pieces:
            part.running.read = part.piece.stop
        told = self._generating + [part.running for part in pieces if part.piece.whole]
        for running, token in zip(told, choose(logits, [running.draw for running in told]), strict=True):
            running.tokens.append(token)
        self._promote([part.running for part in pieces if part.piece.whole])
        for running in sorted((r for r in told if r.finish), key=lambda r: -r.slot):
            self.leave(running)
        return told

    def _pieces(self) -> list[Piecework]:
        pieces, left = [], self._chunk
        for running in self._reading:
            length = len(running.request.prompt)
            stop = min(length, running.read + left)
            pieces.append(Piecework(running, Piece(running.slot, running.read, stop, whole=stop == length)))
            left -= stop - running.read
            if left <= 0:
                break
        return pieces

    def _logits(self, work: Pass, pieces: Sequence[Piecework]) -> torch.Tensor:
        ids = [running.tokens[-1] for running in self._generating]
        for running, piece in pieces:
            ids.extend(running.request.prompt[piece.start : piece.stop])
        return forward(self._model, ids, work)

    def _promote(self, ready: Sequence[Running]) -> None:
        """From reading to generating: into the slot after those that generate."""
        for running in ready:
            self._reading.remove(running)
            target = len(self._generating)
            if running.slot != target:
                other = next(r for r in self._reading if r.slot == target)
                self._slots.swap(running.slot, target, max(running.length, other.length))
                running.slot, other.slot = target, running.slot
            self._generating.append(running)

    def _put(self, running: Running, slot: int) -> None:
        if running.length:
            self._slots.move(running.slot, slot, running.length)
        running.slot = slot
