"""Whether weights and KV cache fit: on the accelerator, and in the replica's host memory. Sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from generator.apps import APPS
from generator.catalog import REPLICA_OVERHEAD, USABLE_ACCELERATOR_MEMORY
from generator.errors import Fault, Path, Severity
from generator.lock import LockedModel
from generator.quantities import human, in_bytes
from generator.spec import Application, Service
from generator.workers import accelerator_of, on_host

# The KV cache is kept in 16 bits where the weights are (vLLM and transformers default for the models we serve).
_KV_BYTES = 2
# Bytes of a number, by `dtype` of models.yaml and by the lock's.
_WANTED: Mapping[str, int] = MappingProxyType({"float32": 4, "bfloat16": 2, "float16": 2})
_STORED: Mapping[str, int] = MappingProxyType({"F64": 8, "F32": 4, "BF16": 2, "F16": 2})

MORE_ACCELERATORS = "take more `accelerators` or a larger one"
MORE_MEMORY = "take a larger `memory`"


@dataclass(frozen=True, slots=True)
class Use:
    """One model of an application: `at` is the application's place, `name_at` that of the model's name."""

    application: Application
    name: str
    at: Path
    name_at: Path
    entry: LockedModel

    @property
    def context(self) -> int | None:
        return self.application.context_length or self.entry.context_length


@dataclass(frozen=True, slots=True)
class Room:
    """What there is: `usable` bytes, how to name them, and what gives more.

    `whole`: the KV cache of all requests is taken at the start, as it was compiled, and not as they come.
    """

    usable: int
    what: str
    more: str
    whole: bool = False


def kv_per_token(entry: LockedModel, dtype: str = "auto") -> int | None:
    """Bytes of keys and values of one token; None when the lock does not know the model's shape."""
    if entry.kv is None:
        return None
    return 2 * entry.kv.layers * entry.kv.heads * entry.kv.head_dim * max(_KV_BYTES, _WANTED.get(dtype, 0))


def weights_as(weights: int, stored: str | None, dtype: str) -> int:
    """Bytes of the weights in memory: `dtype` of models.yaml may not be what the files hold. Unknown stays."""
    if dtype not in _WANTED or stored is None or stored not in _STORED:
        return weights
    return weights * _WANTED[dtype] // _STORED[stored]


def needed(application: Application, entry: LockedModel | None, *, on_host: bool) -> int | None:
    """Host memory of a replica that `memory` does not state; None when the lock does not know the weights.

    Weights pass through it on the way to any device, the KV cache stays `on_host` only without one.
    """
    if entry is None or entry.weights is None:
        return None
    weights = weights_as(entry.weights, entry.dtype, application.dtype)
    per_token, tokens = kv_per_token(entry, application.dtype), kv_tokens(application, entry.context_length)
    cache = per_token * tokens if on_host and per_token and tokens else 0
    return int(weights * 1.2) + cache + REPLICA_OVERHEAD


def kv_tokens(application: Application, own_context: int | None) -> int | None:
    """Bound of the KV cache of a replica, in tokens."""
    context = application.context_length or own_context
    return application.kv_cache_tokens or (context and context * application.concurrency)


def faults(
    service: Service, application: Application, name: str, at: Path, name_at: Path, entry: LockedModel | None
) -> Iterator[Fault]:
    """What does not fit of one model, or cannot be told because the lock does not know the size."""
    known = Use(application, name, at, name_at, entry) if entry is not None else None
    yield from _lengths(application, name, at, entry)
    if known is None or known.entry.weights is None:
        message = f"size of `{name}` is unknown: whether it fits is not checked"
        hint = f"run `modelyard lock {name}` where the Hub can be reached"
        yield Fault(name_at, message, hint, Severity.WARNING)
    elif (room := _room(service, application)) is not None:
        yield from _fits(known, room)


def _room(service: Service, application: Application) -> Room | None:
    accelerator = accelerator_of(service, application)
    if accelerator is not None:
        usable = int(accelerator.memory * application.accelerators * USABLE_ACCELERATOR_MEMORY)
        what = f"{application.accelerators} x {accelerator.name}"
        return Room(usable, what, MORE_ACCELERATORS, whole=bool(accelerator.compiled))
    if application.memory is None or not on_host(service, application):
        return None
    usable = in_bytes(application.memory) - REPLICA_OVERHEAD
    return Room(usable, f"memory {application.memory}, less {human(REPLICA_OVERHEAD)} for the program,", MORE_MEMORY)


def _lengths(application: Application, name: str, at: Path, entry: LockedModel | None) -> Iterator[Fault]:
    limit = entry.context_length if entry else None
    context = application.context_length or limit
    if limit is not None and application.context_length is not None and application.context_length > limit:
        message = f"contextLength {application.context_length} is above the {limit} tokens of `{name}`"
        yield Fault((*at, "contextLength"), message, f"at most {limit}, or leave it out")
    if context is not None and application.max_tokens >= context and APPS[application.app].one_window:
        message = f"maxTokens {application.max_tokens} leaves no room for a prompt in {context} tokens"
        path = (*at, "maxTokens") if "max_tokens" in application.model_fields_set else at
        yield Fault(path, message, f"set `maxTokens` below {context}")
    tokens = application.kv_cache_tokens
    if tokens is not None and context is not None and tokens < context:
        message = f"kvCacheTokens {tokens} does not hold one request of {context} tokens"
        yield Fault((*at, "kvCacheTokens"), message, f"at least {context}, or a smaller `contextLength`")


def _fits(use: Use, room: Room) -> Iterator[Fault]:
    weights = weights_as(use.entry.weights or 0, use.entry.dtype, use.application.dtype)
    if weights > room.usable:
        message = (
            f"weights of `{use.name}` ({human(weights)}) do not fit: {room.what} holds {human(max(room.usable, 0))}"
        )
        yield Fault(use.name_at, message, room.more)
        return
    per_token = kv_per_token(use.entry, use.application.dtype)
    if per_token is None or use.context is None:
        return
    left = room.usable - weights
    if use.application.kv_cache_tokens is not None:
        yield from _bounded(use, room, weights, per_token, use.application.kv_cache_tokens)
    elif per_token * use.context > left:
        message = (
            f"weights ({human(weights)}) and the KV cache of one request of {use.context} tokens"
            f" ({human(per_token * use.context)}) do not fit: {room.what} holds {human(room.usable)}"
        )
        yield Fault(use.name_at, message, f"set `contextLength` to {left // per_token} or less, or {room.more}")
    elif per_token * use.context * use.application.concurrency > left:
        fitting = left // (per_token * use.context)
        yield _oversized(use, room, weights, fitting) if room.whole else _crowded(use, fitting)


def _bounded(use: Use, room: Room, weights: int, per_token: int, tokens: int) -> Iterator[Fault]:
    if weights + per_token * tokens > room.usable:
        message = (
            f"weights ({human(weights)}) and a KV cache of {tokens} tokens ({human(per_token * tokens)}) do not fit:"
            f" {room.what} holds {human(room.usable)}"
        )
        most = (room.usable - weights) // per_token
        yield Fault((*use.at, "kvCacheTokens"), message, f"set `kvCacheTokens` to {most} or less, or {room.more}")


def _oversized(use: Use, room: Room, weights: int, fitting: int) -> Fault:
    """A compiled model has the cache of its whole batch, used or not."""
    message = (
        f"weights ({human(weights)}) and the KV cache of {use.application.concurrency} requests of {use.context}"
        f" tokens do not fit: {room.what} holds {human(room.usable)}"
    )
    hint = f"serve a variant that was compiled for {fitting} requests or fewer, or for shorter ones; or {room.more}"
    return Fault(use.name_at, message, hint)


def _crowded(use: Use, fitting: int) -> Fault:
    message = (
        f"only {fitting} of {use.application.concurrency} requests of {use.context} tokens fit beside the weights at a"
        " time"
    )
    hint = f"lower `concurrency` to {fitting} or `contextLength`; shorter requests still run together"
    return Fault(use.name_at, message, hint, Severity.WARNING)
