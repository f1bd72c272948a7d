"""Load by the official `openai` client, and what became of each request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

import httpx2
import openai

from tests.faults.prestage_sections import Found

DEADLINE = 60.0  # seconds until a request counts as one that hangs
OK, REFUSED, TOLD, HANG, CUT = "2xx", "4xx", "503 with Retry-After", "hang", "cut midway"
AT_ONCE = " at once"  # what an attempt failed by that cannot have been in work
PROMPTS = ("the model is", "one two three", "a replica loads", "staged before")

_attempts: ContextVar[list[str]] = ContextVar("_attempts")


@dataclass(slots=True)
class Measured(Found):
    """What a section found, with its figures; `missed` are those that are not what we promise, on this machine."""

    figures: dict[str, Any] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request: what came of it in the end, `tries` what each attempt came to. `began` is monotonic, in seconds."""

    kind: str
    began: float
    seconds: float
    tries: tuple[str, ...] = ()
    streamed: bool = False
    detail: str = ""


def kind_of(status: int, headers: Mapping[str, str]) -> str:
    """The class of an answer that came whole."""
    if 200 <= status < 300:
        return OK
    if 400 <= status < 500:
        return REFUSED
    if status == 503:
        return TOLD if "retry-after" in headers else "503 without Retry-After"
    return str(status)


def kind_of_failure(error: BaseException) -> str:
    """The class of an answer that did not come, or not whole."""
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return HANG
    if isinstance(error, httpx2.ConnectError):
        return "refused"
    return "reset"


class _Counting(httpx2.AsyncBaseTransport):
    """Notes what each attempt of a request comes to."""

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=1000, keepalive_expiry=5.0))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        began = time.monotonic()
        try:
            response = await self._inner.handle_async_request(request)
        except Exception as error:
            at_once = AT_ONCE if time.monotonic() - began < 0.1 else ""
            _attempts.get().append(kind_of_failure(error) + at_once)
            raise
        _attempts.get().append(kind_of(response.status_code, response.headers))
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def client(url: str) -> openai.AsyncOpenAI:
    """The official client with its default retries."""
    return openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key="none", http_client=openai.DefaultAsyncHttpxClient(transport=_Counting())
    )


async def request(asked: openai.AsyncOpenAI, model: str, tokens: int, dice: Random, *, streams: float) -> Outcome:
    """One request, a share of `streams` of them streamed; `tokens` are what the answer has to have."""
    attempts: list[str] = []
    _attempts.set(attempts)
    streamed, began, detail = dice.random() < streams, time.monotonic(), ""
    try:
        async with asyncio.timeout(DEADLINE):
            work = _streamed if streamed else _whole
            kind = OK if (detail := await work(asked, model, tokens, dice.choice(PROMPTS))) == "" else "wrong answer"
    except TimeoutError:
        kind = HANG
    except openai.APIStatusError as error:
        kind, detail = kind_of(error.status_code, error.response.headers), error.response.text[:300]
    except (openai.APIError, httpx2.HTTPError) as error:
        kind = CUT if streamed and attempts[-1:] == [OK] else kind_of_failure(error.__cause__ or error)
        detail = repr(error)[:300]
    return Outcome(kind, began, time.monotonic() - began, tuple(attempts), streamed, detail)


async def _whole(asked: openai.AsyncOpenAI, model: str, tokens: int, prompt: str) -> str:
    answer = await asked.completions.create(model=model, prompt=prompt, max_tokens=tokens, temperature=0)
    made = answer.usage.completion_tokens if answer.usage else None
    return "" if made == tokens else f"{made} tokens, not {tokens}"


async def _streamed(asked: openai.AsyncOpenAI, model: str, tokens: int, prompt: str) -> str:
    stream = await asked.completions.create(model=model, prompt=prompt, max_tokens=tokens, temperature=0, stream=True)
    reason = None
    async for piece in stream:
        reason = piece.choices[0].finish_reason if piece.choices else reason
    return "" if reason == "length" else f"the stream ended, its finish_reason is {reason}"


class Official:
    """Asks with the official client: each request has one of the lengths, in tokens; `streams` is a share of them."""

    def __init__(self, url: str, model: str, *, tokens: Sequence[int], streams: float) -> None:
        self._url, self._model, self._tokens, self._streams = url, model, tokens, streams

    async def __aenter__(self) -> Self:
        self._client = client(self._url)  # in the loop that uses it
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, dice: Random) -> Outcome:
        return await request(self._client, self._model, dice.choice(self._tokens), dice, streams=self._streams)


class Background:
    """`clients` that ask one request after another, in a thread of their own, until the context ends."""

    def __init__(self, official: Official, clients: int, seed: str, pause: float = 0.02) -> None:
        self._official, self._clients, self._seed, self._pause = official, clients, seed, pause
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="load")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Every request that has begun ends first."""
        self._stopping.set()
        self._thread.join()

    async def _all(self) -> None:
        async with self._official:
            await asyncio.gather(*(self._one(Random(f"{self._seed} {number}")) for number in range(self._clients)))

    async def _one(self, dice: Random) -> None:
        while not self._stopping.is_set():
            self.outcomes.append(await self._official.ask(dice))
            await asyncio.sleep(dice.uniform(0, 2 * self._pause))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed; 0.0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def told(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of a load: shares in per cent, times in seconds."""
    whole = [outcome for outcome in outcomes if not outcome.streamed]
    streams = [outcome for outcome in outcomes if outcome.streamed]
    seconds = [outcome.seconds for outcome in outcomes if outcome.kind == OK]
    return {
        "requests": len(outcomes),
        "answered %": share(whole, lambda outcome: outcome.kind == OK),
        "answered at the first try %": share(whole, lambda outcome: outcome.tries[:1] == (OK,) and outcome.kind == OK),
        "streams": len(streams),
        "streams whole %": share(streams, lambda outcome: outcome.kind == OK),
        "p50 s": round(percentile(seconds, 0.5), 3),
        "p99 s": round(percentile(seconds, 0.99), 3),
        "slowest s": round(max(seconds, default=0.0), 3),
        "first tries": dict(Counter(outcome.tries[0] for outcome in outcomes if outcome.tries)),
    }


def share(outcomes: Sequence[Outcome], good: Callable[[Outcome], bool]) -> float:
    """In per cent, cut and not rounded: 99.99 is never 100."""
    return int(100_000 * sum(map(good, outcomes)) / len(outcomes)) / 1000 if outcomes else 100.0
