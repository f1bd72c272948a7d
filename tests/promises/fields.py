"""Every string that models.yaml can hold, and a harmless value for each of them.

A field is one place, or a name and all references to it: a renamed model is renamed where it is served too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from generator.spec import Spec

CASE = Path(__file__).parents[1] / "cases/everything/models.yaml"
_LAST = (
    ("registry.example.com", "zz.example.com"),
    ("chat-tls", "zz-tls"),
    ("tokenSecret: hf", "tokenSecret: zz-hf"),
    ("secret: vaulted", "secret: zz-vaulted"),
    ("passwordSecret: redis", "passwordSecret: zz-redis"),
)
KEY = "<key>"  # last part of a place: the key itself, not its value

Place = tuple[str | int, ...]
# A name, and where else in the catalogue it stands.
REFERENCES: dict[Place, tuple[Place, ...]] = {
    ("clusters", 0, "name"): (("models", 0, "clusters", 0), ("services", 0, "clusters", 0)),
    ("caches", 0, "name"): (("models", 0, "cache"),),
    ("models", 0, "name"): (
        ("services", 0, "applications", 0, "model"),
        ("services", 1, "applications", 0, "backends", 0, "model"),
    ),
    ("services", 2, "workers", 0, "name"): (("services", 2, "applications", 0, "workers"),),
}
# The second cluster shows what the first does not: the plain charts. Its strings are those of the first, and so it is
# with models and the names of services.
_TWINS: tuple[Place, ...] = (("clusters", 1), ("models", 1), ("models", 2), ("services", 1, "name"))
_TWINS += (("caches", 1, "name"), ("caches", 1, "type"))
# The third cluster is AKS, with what the others cannot have: caches, workers, secrets.
_TWINS += (("clusters", 2, "name"), ("clusters", 2, "provider"), ("models", 4), ("models", 5))
_TWINS += tuple(("caches", i, key) for i in (2, 3, 4) for key in ("name", "type", "bucket"))
_TWINS += tuple(("services", i, key) for i in (2, 3) for key in ("name", "clusters", "accelerator", "applications"))
_TWINS += (("services", 3, "upgrade", "strategy"), *(("services", 4, key) for key in ("name", "runtime", "clusters")))
_TWINS += tuple(("models", 3, key) for key in ("name", "source", "cache", "clusters"))
# Where `zq-marker` is not a value of the field.
_MARKERS = {
    "platform.repository.url": "https://zqmarker.example.com/a/b.git",
    "platform.images.*.rayVersion": "9.97.83",
    "platform.images.prestage": "zqmarker.example.com/a/b:1",
    "platform.images.*.image": "zqmarker.example.com/a/b:1",
    "platform.code.baseUrl": "https://zqmarker.example.com/a",
    "platform.backstage.owner": "group:default/zq-marker",
    "models[].source.huggingface": "zq/marker",
    "models[].source.revision": "97836f6b97836f6b97836f6b97836f6b97836f6b",
    "services[].applications[].route": "/zq-marker",
    "services[].applications[].cpu": "83",
    "services[].applications[].memory": "97Gi",
    "services[].ingress.host": "zq-marker.example.com",
    "services[].faultTolerance.redis": "zq-marker:9783",
    "services[].loadBalancer.sourceRanges[]": "97.83.0.0/16",
    "clusters[].keyVault.tenant": "97836f6b-9783-4f6b-9783-97836f6b9783",
    "clusters[].keyVault.client": "6f6b9783-9783-4f6b-9783-97836f6b9783",
    "caches[].endpoint": "https://zqmarker.example.com",
    "caches[].region": "zq-marker-9",
    "caches[].size": "97Gi",
    "models[].refresh.timeZone": "Zq/Marker",
    "caches[].repository": "zqmarker.example.com/a",
}
MARKER = "zq-marker"
# What a field must hold beside any text.
_BESIDE = {"services[].applications[].prompt": "{input}"}


@dataclass(frozen=True, slots=True)
class Field:
    """A string of the catalogue: `places` hold the same one. `marker` is a value that stands nowhere else."""

    name: str
    places: tuple[Place, ...]
    marker: str


@cache
def catalogue() -> Mapping[str, Any]:
    """The catalogue that sets every key of the language. Its lists are for all: who changes one takes a copy."""
    text = CASE.read_text(encoding="utf-8")
    # Pages list names in order: what is not the field comes last, whatever the field holds.
    for old in ("two", "three", "tools", "qwen", "t5", "inside", "full", "moving", "disk", "served", "far"):
        text = text.replace(old, f"zz-{old}")
    for old, new in _LAST:
        text = text.replace(old, new)
    return dict(yaml.safe_load(text))


def fields() -> tuple[Field, ...]:
    """Each string of the catalogue and each key of its free maps."""
    found = []
    for place in _places(catalogue()):
        name = general(place)
        if not any(place[: len(twin)] == twin for twin in _TWINS) and name not in _REFERRING:
            wild = name.replace(".images.cpu.", ".images.*.").replace(".images.gpu.", ".images.*.")
            marker = _MARKERS.get(wild.replace(".images.vllm.", ".images.*."), MARKER)
            found.append(Field(name, (place, *REFERENCES.get(place, ())), marker))
    return tuple(found)


def general(place: Place) -> str:
    """`("models", 0, "labels", "team", "<key>")` as `models[].labels.<key>`."""
    text, after_map = "", False
    for part in place:
        part = "*" if after_map and part != KEY else part
        after_map = part in _FREE
        text += "[]" if isinstance(part, int) else f".{part}" if text else part
    return text.replace(f".*.{KEY}", f".{KEY}")


_FREE = ("selector", "values", "labels", "nodeSelector", "annotations", "parameters")
_REFERRING = {general(place) for places in REFERENCES.values() for place in places}


def _places(data: Any, place: Place = ()) -> Iterator[Place]:
    if isinstance(data, dict):
        for key, value in data.items():
            if place and place[-1] in _FREE:
                yield (*place, key, KEY)
            yield from _places(value, (*place, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _places(value, (*place, number))
    elif isinstance(data, str):
        yield place


def planted(field: Field, text: str) -> dict[str, Any]:
    """The catalogue with `text` in the field."""
    data = dict(copy.deepcopy(catalogue()))
    text += _BESIDE.get(field.name, "")
    for place in field.places:
        at_key = place[-1] == KEY
        *path, last = place[:-1] if at_key else place
        node: Any = data
        for part in path:
            node = node[part]
        if at_key:
            node[text] = node.pop(last)
        else:
            node[last] = text
    return data


def strings_of(node: Any, name: str = "") -> Iterator[str]:
    """Names of all strings that a class of the language declares, in the form of `general`."""
    if isinstance(node, type) and issubclass(node, BaseModel):
        for key, field in node.model_fields.items():
            place = f"{name}.{field.alias or key}" if name else str(field.alias or key)
            yield from strings_of(field.annotation, place)
    elif node is str:
        yield name
    elif get_origin(node) is Literal:
        yield from {name for value in get_args(node) if isinstance(value, str)}
    elif get_origin(node) is dict:
        key_type, value_type = get_args(node)
        yield from strings_of(key_type, f"{name}.{KEY}")
        yield from strings_of(value_type, f"{name}.*")
    elif get_origin(node) is tuple:
        yield from strings_of(get_args(node)[0], f"{name}[]")
    elif get_origin(node) is Annotated:
        yield from strings_of(get_args(node)[0], name)
    elif get_origin(node) is Union or type(node).__name__ == "UnionType":
        for part in get_args(node):
            yield from strings_of(part, name)


def declared() -> set[str]:
    """Names of every string of the language; a reference counts as the name that it refers to."""
    return set(strings_of(Spec)) - _REFERRING
