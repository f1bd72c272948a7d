"""config.json and what stands beside it: JSON objects, and of a kind that a loader knows by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.prestage.loadtest.base import MAX_JSON, Finding, Reader, parsed

CONFIG = "config.json"
BESIDE = ("generation_config.json", "tokenizer_config.json")


def judged(reader: Reader) -> tuple[Mapping[str, Any], list[Finding]]:
    """What config.json says, as far as it can be read, and what is found."""
    config: Mapping[str, Any] = {}
    found = []
    for path in (path for path in (CONFIG, *BESIDE) if path in reader.sizes):
        try:
            content = _content(reader, path)
        except ValueError as error:
            found.append(Finding("fault", path, f"cannot be read: {error}"))
            continue
        if path == CONFIG:
            config = content
            found.append(_named(config))
    if CONFIG not in reader.sizes:
        found.append(Finding("untested", CONFIG, "is not there: what kind of model this is was not tested"))
    return config, found


def _content(reader: Reader, path: str) -> Mapping[str, Any]:
    if reader.sizes[path] > MAX_JSON:
        raise ValueError(f"{reader.sizes[path]} bytes are no configuration")
    return parsed(reader.whole(path))


def _named(config: Mapping[str, Any]) -> Finding:
    kind, classes = config.get("model_type"), config.get("architectures")
    listed = classes if isinstance(classes, list) and all(isinstance(name, str) for name in classes) else []
    if not (isinstance(kind, str) and kind) and not listed:
        return Finding("fault", CONFIG, "names neither a model_type nor architectures")
    return Finding("judged", CONFIG, ", ".join(listed) or str(kind))


def vocabularies(config: object) -> Iterator[int]:
    """Every size of a vocabulary in a configuration, also in those of its parts: `vocab_size`, `text_vocab_size`."""
    if isinstance(config, list):
        for item in config:
            yield from vocabularies(item)
    elif isinstance(config, dict):
        for name, value in config.items():
            if str(name).endswith("vocab_size") and type(value) is int:
                yield value
            else:
                yield from vocabularies(value)
