"""One model: its files, its engine, and what answers requests with them. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from common import metrics
from common.errors import Overloaded, PromptRefused, StartRefused, Unavailable
from common.manifest import check
from common.metrics import ClosableSink

from text_generation.backend import Asked, Complete, Done, Event, Health, Piece, Started
from text_generation.observing import EngineMetrics
from text_generation.settings import Settings

if TYPE_CHECKING:
    from text_generation.engine import Answer, Engine, Limits, Request

GATHERED = 0.02  # seconds in which the pieces of a stream become one: shorter ones cost more than anybody can see
WHOLE = 32  # tokens at a time, where nobody reads along
SILENT = "the engine does not answer"


class Replica:
    """A `Backend`. It takes its settings from the environment, and is ready when its constructor returns.

    Methods may be called through a handle of Serve, `answer` with `stream=True`.
    """

    def __init__(self, sink: Callable[[str], ClosableSink] | None = None) -> None:
        """`sink` makes what takes the numbers of the model with that name: Ray's metrics, where there is none.

        Raises StartRefused.
        """
        settings = Settings.read(os.environ)
        staged = check(settings.model, verify=settings.verify)
        self._name = settings.name or (staged.model if staged else settings.model.name)
        self._metrics: ClosableSink = (sink or metrics.RayMetrics)(self._name)
        self._metrics.tell(metrics.FROM_CACHE, float(staged is not None))
        # huggingface_hub and tokenizers read these when they are imported.
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        self._max_tokens = settings.max_tokens
        self._start(settings)
        for phase, seconds in self._load.items():
            self._metrics.tell(metrics.LOAD, seconds, phase=phase)

    def _start(self, settings: Settings) -> None:
        began = time.perf_counter()
        # Here and not above: building the application imports this module where no torch is needed.
        from text_generation import loading, tokenizer
        from text_generation.engine import Engine

        imported = time.perf_counter() - began
        with ThreadPoolExecutor(1, "tokenizer") as pool:
            reading = pool.submit(tokenizer.read, settings.model)
            model = loading.load(settings)
            self._texts = reading.result()
        limits = _limits(settings, model.config)
        self._metrics.tell(metrics.KV_CACHE, limits.kv_tokens, state="limit")
        self._engine = Engine(model, limits, EngineMetrics(self._metrics))
        warmed = time.perf_counter()
        with ThreadPoolExecutor(1, "warm-up") as pool:  # Serve's event loop runs in this thread
            pool.submit(asyncio.run, _warm_up(self._engine)).result()
        self._load: Mapping[str, float] = {
            **model.seconds,
            "import": imported + model.seconds.get("import", 0.0),
            "warm_up": time.perf_counter() - warmed,
        }
        # What was imported stays: without it, a full collection of garbage is short.
        gc.collect()
        gc.freeze()

    def models(self) -> Sequence[str]:
        return (self._name,)

    async def complete(self, asked: Asked, headers: Mapping[str, str]) -> Complete:
        pieces, prompt_tokens = [], 0
        async with aclosing(self._events(asked, 1 if asked.stop else WHOLE)) as events:
            async for event in events:
                match event:
                    case Started():
                        prompt_tokens = event.prompt_tokens
                    case Piece():
                        pieces.append(event.text)
                    case Done():
                        return Complete(
                            self._name, "".join(pieces), event.finish_reason, prompt_tokens, event.completion_tokens
                        )
        raise Unavailable("the answer has no end")

    async def answer(self, asked: Asked, headers: Mapping[str, str]) -> AsyncGenerator[Event, None]:
        """While nobody takes a piece, the next ones join it."""
        async with aclosing(self._events(asked, 1)) as events:
            async for event in events:
                told = time.monotonic()
                yield event
                if isinstance(event, Piece) and (left := GATHERED - (time.monotonic() - told)) > 0:
                    await asyncio.sleep(left)

    async def health(self) -> Health:
        pending, alive = self._engine.pending(), self._engine.alive()
        return Health(alive, "" if alive else SILENT, pending.running, pending.waiting, self._load)

    def check_health(self) -> None:
        """Serve asks every few seconds, and replaces a replica that raises."""
        if not self._engine.alive():
            raise RuntimeError(SILENT)

    def __del__(self) -> None:
        """Serve calls it when the last request of a replica that ends is answered, or its time is over."""
        self.close()

    def close(self) -> None:
        """Ends the engine; callers that are left get Unavailable."""
        if hasattr(self, "_engine"):
            self._engine.close()
        if hasattr(self, "_metrics"):
            self._metrics.close()

    async def _events(self, asked: Asked, every: int) -> AsyncGenerator[Event, None]:
        began, reason = time.monotonic(), "cancelled"
        try:
            request = await self._request(asked, every)
            async with self._engine.generate(request) as steps:
                yield Started(self._name, len(request.prompt))
                async for event in self._read(steps, asked, request):
                    if isinstance(event, Done):
                        reason = event.finish_reason
                    yield event
        except PromptRefused:
            reason = "refused"
            raise
        except Overloaded:
            reason = "overloaded"
            raise
        except RuntimeError as error:
            reason = "error"
            raise Unavailable(str(error)) from error
        finally:
            self._metrics.tell(metrics.REQUESTS, 1, reason=reason)
            self._metrics.tell(metrics.REQUEST, time.monotonic() - began, reason=reason)

    async def _read(self, steps: Answer, asked: Asked, request: Request) -> AsyncIterator[Event]:
        """A stop sequence ends the answer before the engine does: its slot is free then, for the caller closes it."""
        from text_generation.text import Decoder, Stops

        decoder = Decoder(self._texts.tokenizer, request.prompt if isinstance(asked.prompt, str) else ())
        stops, count = Stops(asked.stop), 0
        async for step in steps:
            count += len(step.tokens)
            # The token that ends an answer is no text, even where the tokenizer's files do not call it special.
            tokens = step.tokens[:-1] if step.finish == "stop" else step.tokens
            text = stops.push(decoder.push(tokens))
            if step.finish:
                text += stops.push(decoder.end())
                text += stops.end()
            if text:
                yield Piece(text)
            if stops.met or step.finish:
                yield Done("stop" if stops.met else step.finish or "stop", count)
                return

    async def _request(self, asked: Asked, every: int) -> Request:
        """Raises PromptRefused."""
        from text_generation.engine import Request
        from text_generation.sampling import Sampling

        prompt = await self._texts.encode(asked.prompt)
        vocabulary = self._engine.vocabulary
        if not prompt:
            raise PromptRefused("the prompt has no tokens")
        if (token := max(prompt)) >= vocabulary:
            raise PromptRefused(f"token {token} is not one of the model's {vocabulary}")
        return Request(
            prompt,
            self._length(len(prompt), asked),
            Sampling(asked.temperature, asked.top_p, asked.seed),
            self._texts.ends,
            every,
        )

    def _length(self, prompt: int, asked: Asked) -> int:
        """How many tokens may be generated after a prompt of `prompt` tokens. Raises PromptRefused."""
        least, context = asked.max_tokens or 1, self._engine.context_length
        if least > self._max_tokens:
            raise PromptRefused(f"max_tokens is {least}, at most {self._max_tokens} are allowed")
        if prompt + least > context:
            raise PromptRefused(f"{prompt} tokens of prompt and {least} more exceed the context of {context}")
        room = min(context, self._engine.limits.kv_tokens) - prompt
        if least > room:
            raise PromptRefused(f"{prompt} tokens of prompt and {least} more exceed the cache of {prompt + room}")
        return asked.max_tokens or min(asked.usual or self._max_tokens, self._max_tokens, room)


def _limits(settings: Settings, config: Any) -> Limits:
    """Raises StartRefused."""
    from text_generation.engine import Limits

    context = _context_length(config.get_text_config(), settings.context_length)
    kv_tokens = settings.kv_tokens or settings.slots * context
    return Limits(settings.slots, settings.queue, kv_tokens, context, settings.chunk)


def _context_length(config: Any, wanted: int | None) -> int:
    own: int | None = getattr(config, "max_position_embeddings", None)
    if own is None and wanted is None:
        raise StartRefused("config.json states no context length: set CONTEXT_LENGTH")
    if own is not None and wanted is not None and wanted > own:
        raise StartRefused(f"CONTEXT_LENGTH is {wanted}, the model's own is {own}")
    return wanted or own or 0


async def _warm_up(engine: Engine) -> None:
    """A token, so that the first request finds everything in place."""
    from text_generation.engine import Request

    async with engine.generate(Request((0,), 1)) as answer:
        async for _ in answer:
            pass
