"""What the service reads from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import StartRefused

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Settings:
    """Lengths are in tokens; None leaves the choice to the model (context length) or to torch (threads)."""

    model: Path
    max_tokens: int
    context_length: int | None
    dtype: str
    threads: int | None
    verify: bool

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """Raises StartRefused, naming the variable."""
        if not env.get("MODEL_ID"):
            raise StartRefused("MODEL_ID is not set: it names the folder of the model")
        if not (model := Path(env["MODEL_ID"])).is_dir():
            raise StartRefused(f"MODEL_ID is not a folder: {model} is not staged, or its volume is not mounted")
        if (dtype := env.get("DTYPE", "auto")) not in DTYPES:
            raise StartRefused(f"DTYPE is {dtype!r}, not one of {', '.join(DTYPES)}")
        return cls(
            model=model,
            max_tokens=_count(env, "MAX_TOKENS") or 1024,
            context_length=_count(env, "CONTEXT_LENGTH"),
            dtype=dtype,
            threads=_count(env, "MODELYARD_THREADS"),
            verify=env.get("MODELYARD_ALLOW_UNVERIFIED") != "1",
        )


def _count(env: Mapping[str, str], name: str) -> int | None:
    value = env.get(name, "")
    if value and not (value.isascii() and value.isdigit() and int(value) > 0):
        raise StartRefused(f"{name} is {value!r}, not a whole number from 1")
    return int(value) if value else None
