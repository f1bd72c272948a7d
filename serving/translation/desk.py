"""Between requests and batches: how many texts may wait, who has left, and what the metrics hear of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from common import metrics
from common.errors import Overloaded, PromptRefused
from common.metrics import Sink

from translation.texts import Job, Languages, Translation

Answer = Translation | PromptRefused
Batched = Callable[[Job], Awaitable[Answer]]


class Desk:
    """`room` is how many texts may wait or be translated at a time; `batched` gives a job to the next batch."""

    def __init__(self, batched: Batched, room: int, sink: Sink) -> None:
        self._batched, self._room, self._sink = batched, room, sink
        self.pending = 0

    async def translate(self, texts: Sequence[str], languages: Languages) -> list[Answer]:
        """One answer for each text. Raises Overloaded when there is no room for all of them."""
        if self.pending + len(texts) > self._room:
            self._sink.tell(metrics.REQUESTS, 1, reason="overloaded")
            raise Overloaded(f"{self.pending} texts wait or are translated, at most {self._room} may", 1)
        began, reason = time.monotonic(), "cancelled"
        jobs = [Job(text, languages) for text in texts]
        self._moved(len(jobs))
        try:
            answers = list(await asyncio.gather(*(self._batched(job) for job in jobs)))
            reason = self._told(answers)
        except Exception:
            reason = "error"
            raise
        finally:
            for job in jobs:
                job.left.set()
            self._moved(-len(jobs))
            self._sink.tell(metrics.REQUESTS, 1, reason=reason)
            self._sink.tell(metrics.REQUEST, time.monotonic() - began, reason=reason)
        return answers

    def _moved(self, texts: int) -> None:
        self.pending += texts
        self._sink.tell(metrics.QUEUE_DEPTH, self.pending)

    def _told(self, answers: Sequence[Answer]) -> str:
        """The reason of the whole request: refused before cut before complete."""
        done = [answer for answer in answers if isinstance(answer, Translation)]
        self._sink.tell(metrics.TOKENS, sum(answer.prompt_tokens for answer in done), kind="prompt")
        self._sink.tell(metrics.TOKENS, sum(answer.completion_tokens for answer in done), kind="completion")
        if len(done) < len(answers):
            return "refused"
        return "length" if any(answer.finish_reason == "length" for answer in done) else "stop"
