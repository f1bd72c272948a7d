"""Whether every instance of one JSON Schema (draft 7) is an instance of another: what cannot be proven is reported.

Conservative: a keyword that it does not understand counts as unproven. Ours is a conjunction of parts (the schema
and what its `allOf` adds); a constraint of theirs is proven when one part of ours implies it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft7Validator

from tests.subset.regular import Unsupported, counterexample, shortest

Schema = Mapping[str, Any]

# Keywords that constrain nothing.
SILENT = frozenset(
    ("$schema", "$id", "$comment", "title", "description", "default", "examples", "definitions", "deprecated")
)
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
# What a format of Kubernetes' own schemas lets through.
FORMATS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


@dataclass(slots=True)
class Prover:
    """`ours` and `theirs` are whole documents with local references; `unproven` collects `path: why`."""

    ours: Schema
    theirs: Schema
    checked: int = 0
    unproven: list[str] = field(default_factory=list)

    def run(self) -> None:
        self.contains(self.ours, self.theirs, "")

    def contains(self, ours: Schema | bool, theirs: Schema | bool, path: str) -> None:
        """Report what of `theirs` is not implied by `ours`."""
        self.unproven += self.gaps(ours, theirs, path)

    def gaps(self, ours: Schema | bool, theirs: Schema | bool, path: str) -> Iterator[str]:
        self.checked += 1
        real = self.resolved(self.theirs, theirs)
        if real is True or ours is False:
            return
        if real is False:
            yield f"{path}: theirs accepts nothing"
            return
        parts = self.parts(ours)
        finite = next((p for p in parts if "enum" in p or "const" in p), None)
        if finite is not None:
            yield from self.finite(finite, real, path)
            return
        branches = next((p[k] for p in parts for k in ("anyOf", "oneOf") if k in p and narrows(p[k])), None)
        if branches is not None:
            rest = [{k: v for k, v in p.items() if k not in ("anyOf", "oneOf")} for p in parts]
            for number, branch in enumerate(branches):
                yield from self.gaps({"allOf": [branch, *rest]}, real, f"{path}|{number}")
            return
        yield from self.constraints(parts, real, path)

    def finite(self, part: Schema, real: Schema, path: str) -> Iterator[str]:
        validator = Draft7Validator({**real, "definitions": self.theirs.get("definitions", {})})
        for value in part.get("enum", [part.get("const")]):
            if not validator.is_valid(value):
                yield f"{path}: theirs refuses the value {value!r}"

    def parts(self, ours: Schema | bool) -> list[Schema]:
        schema = self.resolved(self.ours, ours)
        if not isinstance(schema, Mapping):
            return [{}]
        own = {k: v for k, v in schema.items() if k != "allOf"}
        return [own, *(part for inner in schema.get("allOf", ()) for part in self.parts(inner))]

    @staticmethod
    def resolved(root: Schema, schema: Schema | bool) -> Schema | bool:
        while isinstance(schema, Mapping) and "$ref" in schema:
            schema = root["definitions"][schema["$ref"].rsplit("/", 1)[-1]]
        return True if isinstance(schema, Mapping) and not schema.keys() - SILENT else schema

    def constraints(self, parts: Sequence[Schema], real: Schema, path: str) -> Iterator[str]:
        for keyword, wanted in real.items():
            if keyword in SILENT or keyword.startswith("x-"):
                continue
            rule = getattr(self, "k_" + keyword, None)
            if rule is None:
                yield f"{path}: keyword {keyword} is not understood"
            else:
                yield from rule(parts, real, wanted, path)

    def k_allOf(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        for inner in wanted:
            yield from self.gaps({"allOf": list(parts)}, inner, path)

    def k_anyOf(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        tried = [list(self.gaps({"allOf": list(parts)}, inner, path)) for inner in wanted]
        if all(tried):
            # The branch that is of our type tells more than `null`, which many of them offer too.
            yield from min(tried, key=lambda gaps: (any(": type " in gap for gap in gaps), len(gaps)))

    def k_oneOf(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        tried = {number: list(self.gaps({"allOf": list(parts)}, inner, path)) for number, inner in enumerate(wanted)}
        held = next((number for number, gaps in tried.items() if not gaps), None)
        if held is None:
            yield from min(tried.values(), key=len)
            return
        mine = set(TYPES).intersection(*(types_of(p) for p in parts))
        others = [self.resolved(self.theirs, inner) for number, inner in enumerate(wanted) if number != held]
        if not all(isinstance(other, Mapping) and not mine & types_of(other) for other in others):
            yield f"{path}: more than one branch of theirs may hold"

    def k_type(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        allowed = types_of({"type": wanted})
        mine = set(TYPES).intersection(*(types_of(p) for p in parts))
        if not mine <= allowed:
            yield f"{path}: type {sorted(mine - allowed)} is refused"

    def k_enum(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        yield f"{path}: theirs is one of {wanted}, ours is not limited"

    k_const = k_enum

    def k_properties(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        for name, schemas in properties(parts).items():
            inner: Schema | bool = wanted.get(name, real.get("additionalProperties", True))
            yield from self.gaps({"allOf": schemas}, inner, f"{path}.{name}")
        extra = additional(parts)
        if extra is not False and not any(not types_of(p) & {"object"} for p in parts):
            for name in wanted.keys() - properties(parts).keys():
                yield from self.gaps(extra, wanted[name], f"{path}.{name}")

    def k_additionalProperties(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        if "properties" not in real:
            for name, schemas in properties(parts).items():
                yield from self.gaps({"allOf": schemas}, wanted, f"{path}.{name}")
        extra = additional(parts)
        if extra is not False and any("object" in types_of(p) for p in parts):
            yield from self.gaps(extra, wanted, f"{path}.*")

    def k_required(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        mine = {name for p in parts for name in p.get("required", ())}
        for name in wanted:
            if name not in mine:
                yield f"{path}: theirs requires {name}"

    def k_items(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        mine = [p["items"] for p in parts if "items" in p]
        yield from self.gaps({"allOf": mine}, wanted, f"{path}[]")

    def k_propertyNames(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        named = {"enum": sorted(properties(parts))} if properties(parts) else False
        if named:
            yield from self.gaps(named, wanted, f"{path}<name>")
        if additional(parts) is not False:
            mine = [p["propertyNames"] for p in parts if "propertyNames" in p]
            yield from self.gaps({"allOf": [{"type": "string"}, *mine]}, wanted, f"{path}<name>")

    def k_pattern(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        mine = [p["pattern"] for p in parts if "pattern" in p]
        if wanted in mine or "string" not in set(TYPES).intersection(*(types_of(p) for p in parts)):
            return
        try:
            wrong = counterexample(mine, wanted)
        except Unsupported as error:
            yield f"{path}: theirs has the pattern {wanted}: cannot tell, {error}"
            return
        if wrong is not None:
            yield f"{path}: {wrong!r} does not match theirs, {wanted}"

    def k_format(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        if wanted not in FORMATS:
            yield f"{path}: theirs has the format {wanted}"
            return
        low, high = FORMATS[wanted]
        yield from self.at_least(parts, "minimum", low, path)
        yield from self.at_most(parts, "maximum", high, path)

    def k_not(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        """Proven when theirs excludes objects that have all of some keys, which ours cannot have."""
        together = {name for part in (wanted, *wanted.get("allOf", ())) for name in part.get("required", ())}
        apart = [set(p["not"]["required"]) for p in parts if p.get("not", {}).keys() == {"required"}]
        missing = together - properties(parts).keys() if additional(parts) is False else set()
        if not (any(p.get("not") == wanted for p in parts) or missing or any(pair <= together for pair in apart)):
            yield f"{path}: theirs excludes something"

    def k_uniqueItems(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        if wanted and not any(p.get("uniqueItems") for p in parts):
            yield f"{path}: theirs wants unique items"

    def k_exclusiveMinimum(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        lowest = float("-inf")
        if not any(p.get("exclusiveMinimum", lowest) >= wanted or p.get("minimum", lowest) > wanted for p in parts):
            yield f"{path}: theirs has exclusiveMinimum {wanted}"

    def k_minLength(self, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        try:
            least = shortest([p["pattern"] for p in parts if "pattern" in p] or ["^"])
        except Unsupported:
            least = 0
        if max(least or 0, *(p.get("minLength", 0) for p in parts)) < wanted:
            yield f"{path}: theirs has minLength {wanted}"

    def at_least(self, parts: Sequence[Schema], keyword: str, wanted: Any, path: str) -> Iterator[str]:
        floors = [p.get(keyword, p.get("exclusiveMinimum") if keyword == "minimum" else None) for p in parts]
        if not any(floor is not None and floor >= wanted for floor in floors) and (keyword == "minimum" or wanted > 0):
            yield f"{path}: theirs has {keyword} {wanted}"

    def at_most(self, parts: Sequence[Schema], keyword: str, wanted: Any, path: str) -> Iterator[str]:
        if keyword == "maxLength" and "string" not in set(TYPES).intersection(*(types_of(p) for p in parts)):
            return  # says nothing of an array, on which Karpenter's CRD has one
        if not any(p.get(keyword, float("inf")) <= wanted for p in parts):
            yield f"{path}: theirs has {keyword} {wanted}"


def _bound(keyword: str, *, least: bool) -> Any:
    def rule(self: Prover, parts: Sequence[Schema], real: Schema, wanted: Any, path: str) -> Iterator[str]:
        yield from (self.at_least if least else self.at_most)(parts, keyword, wanted, path)

    return rule


for _keyword in ("minimum", "minItems", "minProperties"):
    setattr(Prover, "k_" + _keyword, _bound(_keyword, least=True))
for _keyword in ("maximum", "maxLength", "maxItems", "maxProperties"):
    setattr(Prover, "k_" + _keyword, _bound(_keyword, least=False))


def narrows(branches: Sequence[Schema]) -> bool:
    """Whether the branches say more than which keys must be there."""
    return any(branch.keys() - {"required", "not", "properties"} for branch in branches if isinstance(branch, Mapping))


def types_of(schema: Schema) -> set[str]:
    """The types that a schema lets through; `number` includes `integer`."""
    kind = schema.get("type")
    found = set(TYPES) if kind is None else {kind} if isinstance(kind, str) else set(kind)
    return found | ({"integer"} if "number" in found else set())


def properties(parts: Sequence[Schema]) -> dict[str, list[Any]]:
    """Every named property with all that the parts say of it."""
    found: dict[str, list[Any]] = {}
    for part in parts:
        for name, schema in part.get("properties", {}).items():
            found.setdefault(name, []).append(schema)
    return found


def additional(parts: Sequence[Schema]) -> Schema | bool:
    """What other properties may be: False when any part refuses them."""
    extras = [p["additionalProperties"] for p in parts if "additionalProperties" in p]
    if any(extra is False for extra in extras):
        return False
    return {"allOf": [e for e in extras if isinstance(e, Mapping)]} if extras else True
