"""Whether every text that one regular expression accepts is accepted by another: a proof, no sampling.

Both become automata (Thompson), whose product is searched for a text that the first takes and the second does not.
Patterns are searched for, as JSON Schema does: without anchors they may stand anywhere. `$` is the end of the text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from itertools import count, pairwise
from typing import Any

op: Any = import_module("re._constants")  # private: mypy knows neither
parser: Any = import_module("re._parser")

Ranges = tuple[tuple[int, int], ...]
"""Code points, as closed intervals."""
States = frozenset[int]

LAST = 0x10FFFF
MOST_STATES = 50_000
SPACE = tuple((ord(c), ord(c)) for c in " \t\n\r\f\v")
DIGIT = ((48, 57),)
WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
NEWLINE = ((10, 10),)


class Unsupported(ValueError):
    """A pattern uses what this module does not know, or the search grew too large."""


@dataclass(slots=True)
class Automaton:
    """State 0 starts, state 1 accepts. `moves` read a character; `jumps` are free, some only at an end of the text."""

    moves: dict[int, list[tuple[Ranges, int]]] = field(default_factory=dict)
    jumps: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    fresh: Iterator[int] = field(default_factory=lambda: count(2))

    def jump(self, source: int, target: int, when: str = "") -> None:
        self.jumps.setdefault(source, []).append((when, target))

    def move(self, source: int, ranges: Ranges, target: int) -> None:
        self.moves.setdefault(source, []).append((ranges, target))

    def closure(self, states: Iterable[int], when: str = "") -> States:
        """What is reached without reading; `when` is `^` before the first character, `$` after the last."""
        left = list(states)
        found = set(left)
        while left:
            for condition, target in self.jumps.get(left.pop(), ()):
                if condition in when and target not in found:
                    found.add(target)
                    left.append(target)
        return frozenset(found)

    def step(self, states: States, point: int) -> States:
        reached = (
            target
            for state in states
            for ranges, target in self.moves.get(state, ())
            if any(low <= point <= high for low, high in ranges)
        )
        return self.closure(reached)


def counterexample(ours: Sequence[str], theirs: str) -> str | None:
    """A shortest text that all of `ours` accept and `theirs` does not; None when there is none.

    Raises Unsupported when that cannot be told.
    """
    automata = [automaton(pattern) for pattern in (*ours, theirs)]
    for text, (*mine, real) in walk(automata):
        if all(mine) and not real:
            return text
    return None


def shortest(ours: Sequence[str]) -> int | None:
    """Length of the shortest text that all of `ours` accept; None when they accept none. Raises Unsupported."""
    return next((len(text) for text, accepted in walk([automaton(pattern) for pattern in ours]) if all(accepted)), None)


def walk(automata: Sequence[Automaton]) -> Iterator[tuple[str, list[bool]]]:
    """Texts in order of length, one for each reachable combination of states, and which automata accept it."""
    points = alphabet(automata)
    start = tuple(a.closure([0], "^") for a in automata)
    queue = deque([("", start)])
    # The empty text stands at both ends at once, so it is judged apart.
    yield "", [1 in a.closure([0], "^$") for a in automata]
    seen = {start}
    while queue:
        text, states = queue.popleft()
        if text:
            yield text, [1 in a.closure(s, "$") for a, s in zip(automata, states, strict=True)]
        for point in points:
            after = tuple(a.step(s, point) for a, s in zip(automata, states, strict=True))
            if after not in seen and all(after[:-1] or after):
                seen.add(after)
                queue.append((text + chr(point), after))
        if len(seen) > MOST_STATES:
            raise Unsupported(f"more than {MOST_STATES} states")


def alphabet(automata: Sequence[Automaton]) -> list[int]:
    """One code point of each class that no pattern tells apart; letters first, for readable examples."""
    cuts = {0, LAST + 1}
    for ranges in (ranges for a in automata for moves in a.moves.values() for ranges, _ in moves):
        cuts |= {edge for low, high in ranges for edge in (low, high + 1)}
    return sorted((low for low, high in pairwise(sorted(cuts)) if low < high), key=lambda p: (not chr(p).isalnum(), p))


@lru_cache(maxsize=256)
def automaton(pattern: str) -> Automaton:
    built = Automaton()
    first, last = next(built.fresh), next(built.fresh)
    built.jump(0, first)
    built.move(0, ((0, LAST),), 0)
    built.jump(last, 1)
    built.move(1, ((0, LAST),), 1)
    parsed = parser.parse(pattern)
    if parsed.state.flags & ~re.UNICODE:
        raise Unsupported(f"flags in {pattern}")
    built.jump(_sequence(built, parsed, first), last)
    return built


def _sequence(built: Automaton, items: Iterable[tuple[Any, Any]], state: int) -> int:
    """Append the items behind `state`; the state behind them."""
    for code, value in items:
        state = _item(built, code, value, state)
    return state


def _item(built: Automaton, code: Any, value: Any, state: int) -> int:
    after = next(built.fresh)
    if code in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
        built.move(state, _ranges(code, value), after)
    elif code is op.AT and value in (op.AT_BEGINNING, op.AT_BEGINNING_STRING, op.AT_END, op.AT_END_STRING):
        built.jump(state, after, "^" if value in (op.AT_BEGINNING, op.AT_BEGINNING_STRING) else "$")
    elif code is op.BRANCH:
        for branch in value[1]:
            first = next(built.fresh)
            built.jump(state, first)
            built.jump(_sequence(built, branch, first), after)
    elif code is op.SUBPATTERN:
        built.jump(_sequence(built, value[3], state), after)
    elif code in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, body = value
        _repeat(built, least, most, body, state, after)
    else:
        raise Unsupported(str(code))
    return after


def _repeat(built: Automaton, least: int, most: Any, body: Any, state: int, after: int) -> None:
    for _ in range(least):
        state = _sequence(built, body, state)
    loop = next(built.fresh)
    built.jump(state, loop)
    built.jump(loop, after)
    if most is op.MAXREPEAT:
        built.jump(_sequence(built, body, loop), loop)
        return
    for _ in range(most - least):
        loop = _sequence(built, body, loop)
        built.jump(loop, after)


def _ranges(code: Any, value: Any) -> Ranges:
    if code is op.LITERAL:
        return ((value, value),)
    if code is op.NOT_LITERAL:
        return _without(((value, value),))
    if code is op.ANY:
        return _without(NEWLINE)
    if code is op.IN:
        negated = value[0][0] is op.NEGATE
        found = tuple(span for inner in value[negated:] for span in _class(*inner))
        return _without(found) if negated else found
    raise Unsupported(str(code))


def _class(code: Any, value: Any) -> Ranges:
    if code is op.RANGE:
        return (value,)
    if code is op.CATEGORY:
        # As ECMA 262 has them, but for the white space outside ASCII.
        known = {op.CATEGORY_SPACE: SPACE, op.CATEGORY_DIGIT: DIGIT, op.CATEGORY_WORD: WORD}
        opposite = {op.CATEGORY_NOT_SPACE: SPACE, op.CATEGORY_NOT_DIGIT: DIGIT, op.CATEGORY_NOT_WORD: WORD}
        return known[value] if value in known else _without(opposite[value])
    return _ranges(code, value)


def _without(spans: Ranges) -> Ranges:
    found, low = [], 0
    for first, last in sorted(spans):
        if low < first:
            found.append((low, first - 1))
        low = max(low, last + 1)
    return (*found, (low, LAST)) if low <= LAST else tuple(found)
