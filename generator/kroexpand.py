"""What a kro instance becomes: CEL of an RGD evaluated with a real CEL library (cel-expr-python).

Enough of kro v0.9.3 for our own graph: defaults of SimpleSchema, `${...}` alone and inside text, includeWhen.
Fields of other resources are read from their expanded templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cel_expr_python import cel

EXPRESSION = re.compile(r"\$\{((?:[^{}\"']|\"[^\"]*\"|'[^']*')*)\}")
_DEFAULT = re.compile(r"\bdefault=(\"[^\"]*\"|\S+)")


def expand(graph: Mapping[str, Any], instance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects that `graph` makes of `instance`, in the order of the graph."""
    spec = graph["spec"]
    values: dict[str, Any] = {
        "schema": {
            "spec": with_defaults(spec["schema"]["spec"], instance["spec"]),
            "metadata": instance["metadata"],
        }
    }
    objects = []
    for resource in spec["resources"]:
        if not all(evaluate(text, values) for text in resource.get("includeWhen", [])):
            continue
        values[resource["id"]] = filled(resource["template"], values)
        objects.append(values[resource["id"]])
    return objects


def with_defaults(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with the SimpleSchema defaults of what it leaves out."""
    out = dict(given)
    for key, kind in schema.items():
        if isinstance(kind, dict):
            out[key] = with_defaults(kind, given.get(key, {}))
        elif key not in out and (found := _DEFAULT.search(kind)):
            out[key] = json.loads(found[1])
    return out


def filled(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        return {key: filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, values) for value in node]
    return evaluate(node, values) if isinstance(node, str) else node


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    whole = EXPRESSION.fullmatch(text)
    if whole:
        return cel_value(whole[1], values)
    return EXPRESSION.sub(lambda found: str(cel_value(found[1], values)), text)


def cel_value(source: str, values: Mapping[str, Any]) -> Any:
    return compiled(source, values).eval(data=dict(values)).plain_value()


def compiled(source: str, names: Iterable[str]) -> cel.Expression:
    """The parsed and checked expression; raises where it refers to anything but `names`."""
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN)).compile(source)


def expressions(node: Any) -> Iterator[str]:
    """Every CEL expression inside `node`."""
    if isinstance(node, dict):
        for value in node.values():
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)
    elif isinstance(node, str):
        yield from (found[1] for found in EXPRESSION.finditer(node))
