"""Hypothesis strategies for instances of our schemas: the part of JSON Schema (draft 7) that they use.

What the strategy cannot keep (most of `not`) is left to a filter by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Schema = Mapping[str, Any]
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=2)
    ),
    max_leaves=3,
)
MOST = 3  # items and free keys
AND = "\0"  # between patterns that all hold
# By identity, which the schema keeps by being kept: building a strategy costs more than drawing from it.
_BUILT: dict[int, tuple[Any, st.SearchStrategy[Any]]] = {}


def instances(root: Schema, schema: Schema | bool) -> st.SearchStrategy[Any]:
    """Instances of `schema`; `root` holds the definitions."""
    if id(schema) not in _BUILT:
        _BUILT[id(schema)] = (schema, st.deferred(lambda: _instances(root, merged(root, schema))))
    return _BUILT[id(schema)][1]


def merged(root: Schema, schema: Schema | bool) -> dict[str, Any]:
    """`schema` with its references followed and its `allOf` taken in."""
    if not isinstance(schema, Mapping):
        return {}
    out: dict[str, Any] = {k: v for k, v in schema.items() if k not in ("$ref", "allOf")}
    inner = [root["definitions"][schema["$ref"].rsplit("/", 1)[-1]]] if "$ref" in schema else []
    for part in (merged(root, p) for p in [*inner, *schema.get("allOf", ())]):
        for key, value in part.items():
            out[key] = _both(key, out[key], value) if key in out else value
    return out


def _both(key: str, one: Any, other: Any) -> Any:
    if key == "properties":
        return {n: {"allOf": [s[n] for s in (one, other) if n in s]} for n in {**one, **other}}
    if key == "required":
        return sorted({*one, *other})
    if key.startswith("min"):
        return max(one, other)
    if key.startswith("max"):
        return min(one, other)
    if key == "pattern":
        return f"{one}{AND}{other}" if other not in one.split(AND) else one
    return other


def _instances(root: Schema, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            rest = {k: v for k, v in schema.items() if k != key}
            return st.one_of([instances(root, {"allOf": [_only(rest, schema[key], b), b]}) for b in schema[key]])
    kinds = schema.get("type", ())
    found = [_OF[kind](root, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return st.one_of(found) if found else _ANY


def _only(rest: dict[str, Any], branches: list[Schema], branch: Schema) -> dict[str, Any]:
    """`rest` without the keys that mark another branch."""
    others = {name for other in branches for name in other.get("required", ())} - set(branch.get("required", ()))
    if "properties" not in rest:
        return rest
    return {**rest, "properties": {k: v for k, v in rest["properties"].items() if k not in others}}


def _string(root: Schema, schema: Schema) -> st.SearchStrategy[str]:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" not in schema:
        return st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=low, max_size=high or low + 8)
    patterns = [re.compile(pattern) for pattern in schema["pattern"].split(AND)]
    texts = st.one_of([st.from_regex(pattern, alphabet=st.characters(codec="ascii")) for pattern in patterns])
    return texts.filter(lambda text: low <= len(text) <= (high or len(text)) and all(p.search(text) for p in patterns))


def _number(root: Schema, schema: Schema) -> st.SearchStrategy[int]:
    low = schema.get("minimum", schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else -(2**31))
    return st.integers(low, max(low, schema.get("maximum", 2**31 - 1)))


def _array(root: Schema, schema: Schema) -> st.SearchStrategy[list[Any]]:
    low = schema.get("minItems", 0)
    high = min(schema.get("maxItems", low + MOST), low + MOST)
    unique = repr if schema.get("uniqueItems") else None
    return st.lists(instances(root, schema.get("items", True)), min_size=low, max_size=high, unique_by=unique)


def _object(root: Schema, schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    named = {name: instances(root, inner) for name, inner in schema.get("properties", {}).items()}
    required = list(schema.get("required", ()))
    low, high = schema.get("minProperties", 0), schema.get("maxProperties", len(named))
    free = [name for name in named if name not in required]
    least, most = min(max(0, low - len(required)), len(free)), max(0, min(len(free), high - len(required)))
    chosen = (
        st.lists(st.sampled_from(free), unique=True, min_size=least, max_size=most) if free and most else st.just([])
    )
    apart = set(schema.get("not", {}).get("required", ()))
    extra = schema.get("additionalProperties", False)
    more: st.SearchStrategy[dict[str, Any]] = st.just({})
    if extra is not False:
        names = instances(root, {"allOf": [{"type": "string", "minLength": 1}, schema.get("propertyNames", {})]})
        more = st.dictionaries(names, instances(root, extra), min_size=min(low, MOST), max_size=MOST)

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        names = [*required, *draw(chosen)]
        if apart and apart <= set(names):
            names.remove(draw(st.sampled_from(sorted(apart - set(required)))))
        out = {name: draw(named.get(name, _ANY)) for name in names}
        return {**draw(more), **out}

    return build()


_OF: Mapping[str, Any] = {
    "null": lambda root, schema: st.none(),
    "boolean": lambda root, schema: st.booleans(),
    "integer": _number,
    "number": _number,
    "string": _string,
    "array": _array,
    "object": _object,
}
