"""Numbers of `benchmarks.serving` turned into tables and verdicts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

NAIVE = "hand-written, Ray's defaults"
NAIVE_THREADS = "hand-written, same threads"
SERVE = "transformers serve"
CB = "transformers serve --continuous-batching"
CB_DEFAULTS = "transformers serve --continuous-batching, its defaults"
STATIC = "@serve.batch, padded"
BARE = "model.generate, nothing around it"
OURS = "ours"


@dataclass(frozen=True, slots=True)
class Sample:
    """One round: seconds from the first request to the last answer, and CPU seconds of server and of clients.

    `latencies` and `firsts` are seconds to the end and to the first text of each answer; `equal` answers of
    `compared` have the text of `generate` alone, `agreed` is the mean share of the text until the first difference.
    `others` is the number of cores that other processes of the machine used meanwhile: figures of a busy machine mean
    little, as threads that wait for each other lose the most.
    """

    tokens: int
    seconds: float
    cpu: float
    client: float
    latencies: Sequence[float] = ()
    firsts: Sequence[float] = ()
    equal: int = 0
    compared: int = 0
    agreed: float = 1.0
    others: float = 0.0

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """A server at a number of clients (of a batch, for BARE): its rounds, and a round that is read as a stream."""

    dtype: str
    server: str
    clients: int
    rounds: Sequence[Sample]
    stream: Sample | None = None
    memory: float | None = None  # MiB, resident, of the process with the model

    @property
    def rate(self) -> float:
        return statistics.median(sample.rate for sample in self.rounds)

    @property
    def latencies(self) -> list[float]:
        return [seconds for sample in self.rounds for seconds in sample.latencies]

    @property
    def p95(self) -> float:
        return percentile(self.latencies, 0.95)

    @property
    def equality(self) -> tuple[int, int]:
        samples = [*self.rounds, *([self.stream] if self.stream else [])]
        return sum(each.equal for each in samples), sum(each.compared for each in samples)


@dataclass(frozen=True, slots=True)
class Target:
    """What was to be reached: `value` at least, or at most, `goal`."""

    name: str
    value: float
    goal: float
    least: bool = True

    @property
    def reached(self) -> bool:
        return self.value >= self.goal if self.least else self.value <= self.goal


Rows = Mapping[tuple[str, str, int], Row]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank). NaN where there are none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def common(one: str, other: str) -> float:
    """The share of `other` until the first character that differs."""
    same = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    return (min(len(one), len(other)) if same is None else same) / max(1, len(other))


def compared(texts: Sequence[str], wanted: Sequence[str]) -> tuple[int, int, float]:
    """How many are equal, of how many, and the mean share of a text until the first difference."""
    equal = sum(text == want for text, want in zip(texts, wanted, strict=True))
    return equal, len(texts), statistics.mean(map(common, texts, wanted))


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns stand under each other; the first is text, the others are numbers."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in [lines[0], rule, *lines[1:]]
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


HEADER = (
    "server", "clients", "tokens/s", "of the rounds", "p50 s", "p95 s", "first p50 ms", "first p95 ms",
    "CPU s / 1,000", "equal", "MiB",
)  # fmt: skip


def rates(rows: Iterable[Row]) -> str:
    """One line a row."""
    return markdown(HEADER, map(_line, rows))


def _line(row: Row) -> list[str]:
    cpu = 1000 * sum(sample.cpu for sample in row.rounds) / sum(sample.tokens for sample in row.rounds)
    firsts = [1000 * seconds for seconds in (row.stream.firsts if row.stream else ())]
    equal, of = row.equality
    return [
        row.server,
        str(row.clients),
        f"{row.rate:.0f}",
        " ".join(f"{sample.rate:.0f}" for sample in row.rounds),
        _told(percentile(row.latencies, 0.5), 2),
        _told(row.p95, 2),
        _told(percentile(firsts, 0.5), 0),
        _told(percentile(firsts, 0.95), 0),
        f"{cpu:.2f}",
        f"{equal}/{of}" if of else "",
        "" if row.memory is None else f"{row.memory:.0f}",
    ]


def _told(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def rate_targets(dtype: str, rows: Rows) -> list[Target]:
    """Those of tokens per second and of p95, of what was measured in this dtype."""

    def ratio(other: str, clients: int) -> float | None:
        mine, theirs = rows.get((dtype, OURS, clients)), rows.get((dtype, other, clients))
        return mine.rate / theirs.rate if mine and theirs else None

    wanted = [
        ("8 clients: tokens/s over continuous batching of transformers", ratio(CB, 8), 1.0),
        ("32 clients: tokens/s over continuous batching of transformers", ratio(CB, 32), 1.0),
        ("32 clients: tokens/s over model.generate of a batch of 32", ratio(BARE, 32), 0.8),
        ("1 client: tokens/s over model.generate", ratio(BARE, 1), 0.9),
    ]
    found = [Target(f"{dtype}, {name}", value, goal) for name, value, goal in wanted if value is not None]
    mine, naive = rows.get((dtype, OURS, 32)), rows.get((dtype, NAIVE, 32))
    if mine and naive:
        found.append(Target(f"{dtype}, 32 clients: p95 over the hand-written one", mine.p95 / naive.p95, 0.1, False))
    return found


def equal_target(dtype: str, name: str, mine: tuple[int, int], batched: tuple[int, int]) -> Target:
    """All answers are to be those of unbatched `generate`, each pair is (equal, of).

    bfloat16 has near ties, which each shape of a batch decides otherwise: as many there as of `generate` in batches.
    """
    goal = 1.0 if dtype == "float32" else batched[0] / max(1, batched[1])
    return Target(f"{dtype}, {name}: share of {mine[1]} answers equal to unbatched generate", mine[0] / mine[1], goal)


def equalities(samples: Mapping[str, Sample]) -> str:
    """A line for each server that was asked the same."""
    lines = [[name, f"{each.equal} of {each.compared}", f"{100 * each.agreed:.1f} %"] for name, each in samples.items()]
    return markdown(("server", "equal to unbatched generate", "of the text until the first difference"), lines)


def verdicts(targets: Iterable[Target]) -> str:
    """What was asked for, and what came."""
    return markdown(
        ("asked for", "value", "goal", "verdict"),
        (
            [
                target.name,
                f"{target.value:.3g}",
                f"{'at least' if target.least else 'at most'} {target.goal:g}",
                "reached" if target.reached else "NOT REACHED",
            ]
            for target in targets
        ),
    )
