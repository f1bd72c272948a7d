"""The parts of benchmarks.serving that decide what the figures say."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import servingmodel
from benchmarks.clients import Load, events, parsed, run
from benchmarks.serving import steps
from benchmarks.servingfleet import Task, sample
from benchmarks.servingreport import (
    BARE,
    CB,
    NAIVE,
    OURS,
    Row,
    Sample,
    Target,
    common,
    compared,
    markdown,
    percentile,
    rate_targets,
    rates,
    verdicts,
)


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([3.0], 0.95, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 0.95, 4.0),
        ([float(n) for n in range(100)], 0.95, 94.0),
        ([1.0, 2.0], 0.0, 1.0),
    ],
)
def test_percentile(values: list[float], share: float, wanted: float) -> None:
    assert percentile(values, share) == wanted


def test_percentile_of_nothing() -> None:
    assert math.isnan(percentile([], 0.5))


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [("abcd", "abcd", 1.0), ("abXd", "abcd", 0.5), ("ab", "abcd", 0.5), ("abcdef", "abcd", 1.0), ("X", "abcd", 0.0)],
)
def test_common_start(one: str, other: str, share: float) -> None:
    assert common(one, other) == share


def test_compared() -> None:
    assert compared(["abcd", "abXX"], ["abcd", "abcd"]) == (1, 2, 0.75)


def row(server: str, clients: int, rate: float, latencies: Sequence[float] = (1.0,)) -> Row:
    rounds = [Sample(int(100 * rate * factor), 100.0, 5.0, 0.1, latencies) for factor in (0.5, 1.0, 3.0)]
    return Row("float32", server, clients, rounds)


def by_key(*rows: Row) -> dict[tuple[str, str, int], Row]:
    return {(each.dtype, each.server, each.clients): each for each in rows}


def test_targets_come_from_medians_and_pooled_latencies() -> None:
    rows = by_key(
        row(OURS, 32, 900, [1.0] * 19 + [2.0]),
        row(NAIVE, 32, 50, [20.0]),
        row(CB, 32, 780),
        row(BARE, 32, 1000),
        row(OURS, 1, 80),
        row(BARE, 1, 100),
    )
    values = {target.name: (target.value, target.reached) for target in rate_targets("float32", rows)}
    assert values == {
        "float32, 32 clients: tokens/s over continuous batching of transformers": (900 / 780, True),
        "float32, 32 clients: tokens/s over model.generate of a batch of 32": (0.9, True),
        "float32, 1 client: tokens/s over model.generate": (0.8, False),
        "float32, 32 clients: p95 over the hand-written one": (0.05, True),
    }


def test_nothing_of_ours_reaches_nothing() -> None:
    assert rate_targets("float32", by_key(row(CB, 8, 300), row(BARE, 32, 900))) == []


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (Target("x", 1.0, 1.0), True),
        (Target("x", 0.99, 1.0), False),
        (Target("x", 0.1, 0.1, least=False), True),
        (Target("x", 0.11, 0.1, least=False), False),
    ],
)
def test_verdicts(target: Target, reached: bool) -> None:
    assert target.reached is reached
    assert ("NOT REACHED" in verdicts([target])) is not reached


def test_table_lines_up() -> None:
    assert markdown(("name", "n"), [("a", "1"), ("longer", "234")]).splitlines() == [
        "| name   |   n |",
        "| ------ | --: |",
        "| a      |   1 |",
        "| longer | 234 |",
    ]


def test_table_of_rates() -> None:
    stream = Sample(100, 1.0, 1.0, 0.1, (), (0.05, 0.25), 2, 2)
    rounds = [Sample(100, 2.0, 0.3, 0.1, (0.5, 1.5), (), 3, 4)]
    cells = [
        cell.strip() for cell in rates([Row("float32", OURS, 8, rounds, stream, 700.4)]).splitlines()[2].split("|")
    ]
    assert cells[1:-1] == ["ours", "8", "50", "50", "0.50", "1.50", "50", "250", "3.00", "5/6", "700"]


@pytest.mark.parametrize(
    ("only", "dtype", "wanted"),
    [
        (["fp32", "bf16", "equal", "mixed", "startup"], "float32", ["fp32", "equal", "mixed"]),
        (["fp32", "bf16", "equal", "mixed", "startup"], "bfloat16", ["bf16", "equal"]),
        (["fp32", "equal"], "bfloat16", []),
        (["equal"], "bfloat16", ["equal"]),
        (["mixed"], "bfloat16", []),
        (["startup"], "float32", []),
    ],
)
def test_steps(only: list[str], dtype: str, wanted: list[str]) -> None:
    assert steps(only, dtype) == wanted


def test_a_task_goes_round() -> None:
    assert Task(["a", "b"], [1, 2], ["A", "B"]).cycled(3) == Task(["a", "b", "a"], [1, 2, 1], ["A", "B", "A"])


def test_an_answer_of_another_length_is_no_measurement() -> None:
    asked = {"sent": 0.0, "first": 0.5, "done": 1.0, "text": "abcd", "tokens": 31}
    with pytest.raises(RuntimeError, match="an answer has 31 tokens, 32 were asked for"):
        sample("x", Task(["p"], [32]), {"seconds": 1.0, "cpu": 0.0, "asked": [asked]}, 0.0)
    found = sample("x", Task(["p"], [31], ["abcX"]), {"seconds": 1.0, "cpu": 0.5, "asked": [asked]}, 2.0)
    assert found == Sample(31, 1.0, 2.0, 0.5, [1.0], [0.5], 0, 1, 0.75)


def test_heads_and_events_are_read() -> None:
    assert parsed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: b:c\r\n\r\n") == (
        200,
        {"content-length": "4", "x-a": "b:c"},
    )
    assert events(b'data: {"a": 1}\n\n: note\n\ndata: [DONE]\n\ndata: {"b"') == ([{"a": 1}], b'data: {"b"')


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(text: str, usage: int | None = None) -> bytes:
    document: dict[str, Any] = {"choices": [{"text": text}]} | (
        {"usage": {"completion_tokens": usage}} if usage else {}
    )
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def asked_of(answer: bytes, body: dict[str, Any], clients: int, count: int) -> Any:
    """What clients bring back from a server that gives every request the same bytes."""

    async def serve() -> Any:
        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
                writer.write(answer)
                if b"close" in answer:
                    writer.close()
                    return

        async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await client(reader, writer)
            except asyncio.IncompleteReadError:
                writer.close()

        async with await asyncio.start_server(quiet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await run(Load("127.0.0.1", port, "/v1/completions", "completion", clients, 10, [body] * count))

    return asyncio.run(serve())


def test_whole_answers() -> None:
    document = b'{"choices": [{"text": "abc"}], "usage": {"completion_tokens": 3}}'
    for head in (b"", b"Connection: close\r\n"):
        answer = b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (head, len(document), document)
        found = asked_of(answer, {"prompt": "a"}, 2, 5)
        assert [(each.number, each.text, each.tokens) for each in found.asked] == [(n, "abc", 3) for n in range(5)]
        assert all(each.sent < each.first == each.done for each in found.asked)


def test_streamed_answers() -> None:
    """Events that are cut across chunks; the first text counts, not the first event."""
    stream = event("") + event("ab") + event("c") + event("", 3) + b"data: [DONE]\n\n"
    chunks = b"".join(chunk(stream[start : start + 7]) for start in range(0, len(stream), 7)) + b"0\r\n\r\n"
    found = asked_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, {"stream": True}, 1, 2)
    assert [(each.text, each.tokens) for each in found.asked] == [("abc", 3)] * 2
    assert all(each.sent < each.first <= each.done for each in found.asked)


def test_a_refusal_ends_the_run() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        asked_of(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nfull", {"prompt": "a"}, 1, 1)
    assert "answered 503: full" in str(caught.value.exceptions[0])


def test_vocabulary_is_filled_without_a_gap() -> None:
    full = servingmodel.filled({"a": 0, "Ġword1": 1}, 5)
    assert full == {"a": 0, "Ġword1": 1, "Ġword0": 2, "Ġword2": 3, "Ġword3": 4}


def test_every_token_has_one_successor_or_is_open() -> None:
    follows = servingmodel.successors(range(1, 5001), random.Random(1))
    assert len(set(follows.values())) == len(follows)
    assert all(this != following for this, following in follows.items())
    assert 0.04 < 1 - len(follows) / 5000 < 0.08


def test_prompts_have_their_length_when_they_are_read_back(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    plain = servingmodel.tokenizer()
    lengths = [2, 17, 17, 200]
    found = servingmodel.cut(lambda text: plain.encode(text).ids, plain.decode, lengths, random.Random(1))
    assert [len(plain.encode(prompt).ids) for prompt in found] == lengths
    assert len(set(found)) == 4
    assert plain.get_vocab_size() == servingmodel.VOCABULARY
    assert plain.decode([servingmodel.VOCABULARY - 1]).startswith(" word")
