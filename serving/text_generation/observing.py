"""What the engine tells, as metrics."""

from __future__ import annotations

from common import metrics
from common.metrics import Sink

from text_generation.observer import Reason


class EngineMetrics:
    """An `Observer`. Requests are counted by the replica, which alone knows of stop sequences and refusals."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def stepped(self, running: int, waiting: int, new_tokens: int, cached: int) -> None:
        self._sink.tell(metrics.BATCH_SIZE, running)
        self._sink.tell(metrics.QUEUE_DEPTH, waiting)
        self._sink.tell(metrics.KV_CACHE, cached, state="used")
        self._sink.tell(metrics.TOKENS, new_tokens, kind="completion")

    def started(self, prompt_tokens: int, waited: float) -> None:
        self._sink.tell(metrics.QUEUE, waited)
        self._sink.tell(metrics.TOKENS, prompt_tokens, kind="prompt")

    def first_token(self, seconds: float) -> None:
        self._sink.tell(metrics.FIRST_TOKEN, seconds)

    def finished(self, reason: Reason, tokens: int, seconds: float) -> None: ...
