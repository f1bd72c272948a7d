"""Whether weights and KV cache fit: on the accelerator, and in the replica's host memory. Sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterator

from generator.catalog import ACCELERATORS, REPLICA_OVERHEAD, USABLE_ACCELERATOR_MEMORY
from generator.errors import Fault, Path, Severity
from generator.lock import LockedModel
from generator.quantities import human, in_bytes
from generator.spec import Application, Service

# The KV cache is kept in 16 bits (vLLM and transformers default for the models we serve).
_KV_BYTES = 2

MORE_ACCELERATORS = "take more `accelerators` or a larger one"
MORE_MEMORY = "take a larger `memory`"


def kv_per_token(entry: LockedModel) -> int | None:
    """Bytes of keys and values of one token; None when the lock does not know the model's shape."""
    return None if entry.kv is None else 2 * entry.kv.layers * entry.kv.heads * entry.kv.head_dim * _KV_BYTES


def faults(service: Service, application: Application, at: Path, entry: LockedModel | None) -> Iterator[Fault]:
    """What does not fit, or cannot be told because the lock does not know the size."""
    context = application.context_length or (entry.context_length if entry else None)
    yield from _lengths(application, at, entry, context)
    if entry is None or entry.weights is None:
        message = f"size of `{application.model}` is unknown: whether it fits is not checked"
        hint = f"run `modelyard lock {application.model}` where the Hub can be reached"
        yield Fault((*at, "model"), message, hint, Severity.WARNING)
        return
    accelerator = ACCELERATORS.get(service.accelerator or "")
    if accelerator is not None:
        usable = int(accelerator.memory * application.accelerators * USABLE_ACCELERATOR_MEMORY)
        what = f"{application.accelerators} x {accelerator.name}"
        yield from _fits(application, at, entry, context, usable, what, MORE_ACCELERATORS)
    elif application.memory is not None and service.accelerator is None:
        usable = in_bytes(application.memory) - REPLICA_OVERHEAD
        what = f"memory {application.memory}, less {human(REPLICA_OVERHEAD)} for the program,"
        yield from _fits(application, at, entry, context, usable, what, MORE_MEMORY)


def _lengths(application: Application, at: Path, entry: LockedModel | None, context: int | None) -> Iterator[Fault]:
    limit = entry.context_length if entry else None
    if limit is not None and application.context_length is not None and application.context_length > limit:
        message = f"contextLength {application.context_length} is above the {limit} tokens of `{application.model}`"
        yield Fault((*at, "contextLength"), message, f"at most {limit}, or leave it out")
    if context is not None and application.max_tokens >= context:
        message = f"maxTokens {application.max_tokens} leaves no room for a prompt in {context} tokens"
        path = (*at, "maxTokens") if "max_tokens" in application.model_fields_set else at
        yield Fault(path, message, f"set `maxTokens` below {context}")


def _fits(
    application: Application,
    at: Path,
    entry: LockedModel,
    context: int | None,
    usable: int,
    what: str,
    more: str,
) -> Iterator[Fault]:
    weights, per_token = entry.weights or 0, kv_per_token(entry)
    if weights > usable:
        message = (
            f"weights of `{application.model}` ({human(weights)}) do not fit: {what} holds {human(max(usable, 0))}"
        )
        yield Fault((*at, "model"), message, more)
        return
    if per_token is None or context is None:
        return
    room = usable - weights
    if per_token * context > room:
        message = (
            f"weights ({human(weights)}) and the KV cache of one request of {context} tokens"
            f" ({human(per_token * context)}) do not fit: {what} holds {human(usable)}"
        )
        yield Fault((*at, "model"), message, f"set `contextLength` to {room // per_token} or less, or {more}")
    elif per_token * context * application.concurrency > room:
        fitting = room // (per_token * context)
        message = (
            f"only {fitting} of {application.concurrency} requests of {context} tokens fit beside the weights at a time"
        )
        hint = f"lower `concurrency` to {fitting} or `contextLength`; shorter requests still run together"
        yield Fault((*at, "model"), message, hint, Severity.WARNING)
