"""What the service reads from its environment. README.md lists the variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from common.errors import StartRefused
from common.manifest import Verify

DTYPES = ("auto", "float32", "bfloat16", "float16")
QUEUE_PER_SLOT = 4
T = TypeVar("T", bound=str)


@dataclass(frozen=True, slots=True)
class Settings:
    """Lengths are in tokens. None leaves the choice: to the model (context), to what follows from it (KV cache), or to
    the manifest (name).
    """

    model: Path
    name: str | None = None
    max_tokens: int = 1024
    context_length: int | None = None
    dtype: str = "auto"
    slots: int = 8
    queue: int = 32
    kv_tokens: int | None = None
    chunk: int = 512
    verify: Verify = "sizes"

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """Raises StartRefused, naming the variable."""
        slots = _count(env, "CONCURRENCY") or 8
        return cls(
            model=_folder(env),
            name=env.get("MODEL_NAME") or None,
            max_tokens=_count(env, "MAX_TOKENS") or 1024,
            context_length=_count(env, "CONTEXT_LENGTH"),
            dtype=_one_of(env, "DTYPE", DTYPES),
            slots=slots,
            queue=slots * QUEUE_PER_SLOT if (queue := _count(env, "QUEUE", least=0)) is None else queue,
            kv_tokens=_count(env, "KV_CACHE_TOKENS"),
            chunk=_count(env, "PREFILL_CHUNK") or 512,
            verify=_one_of(env, "MODELYARD_VERIFY", get_args(Verify)),
        )


def _folder(env: Mapping[str, str]) -> Path:
    if not env.get("MODEL_ID"):
        raise StartRefused("MODEL_ID is not set: it names the folder of the model")
    if not (model := Path(env["MODEL_ID"])).is_dir():
        raise StartRefused(f"MODEL_ID is not a folder: {model} is not staged, or its volume is not mounted")
    return model


def _one_of(env: Mapping[str, str], name: str, known: tuple[T, ...]) -> T:
    value = env.get(name) or known[0]
    for choice in known:
        if choice == value:
            return choice
    raise StartRefused(f"{name} is {value!r}, not one of {', '.join(known)}")


def _count(env: Mapping[str, str], name: str, least: int = 1) -> int | None:
    value = env.get(name, "")
    if value and not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) >= least):
        raise StartRefused(f"{name} is {value!r}, not a whole number from {least}")
    return int(value) if value else None
