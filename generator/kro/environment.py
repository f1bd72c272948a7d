"""CEL as kro has it: Google's C++ runtime with the extensions and functions of kro."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from generator.errors import UserError
from generator.kro import syntax
from generator.kro.functions import FUNCTIONS, Function
from generator.kro.syntax import Tree

# kro's: cel-go ext.Bindings, Encoders, Lists, Strings, TwoVarComprehensions, and optional types.
_EXTENSIONS = ("bindings", "encoders", "lists", "optional", "strings", "two-var-comprehensions")
_BOUND = "kroOptional"
_PLACE = re.compile(r"<input>:(\d+):(\d+): (.*)")


class CelFault(ValueError):
    """An expression that does not parse or does not check; `offset` counts characters of its source."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked expression: its tree, and the compiled form that evaluates."""

    source: str
    tree: Tree
    compiled: Any


_PACKAGES = ("google.protobuf", "cel_expr_python")


def available() -> bool:
    """Whether CEL is installed."""
    try:
        return all(importlib.util.find_spec(name) for name in _PACKAGES)
    except ModuleNotFoundError:  # there is no `google` at all
        return False


@cache
def cel() -> Any:
    """The module cel_expr_python.cel. Raises UserError where it is not installed."""
    try:
        importlib.import_module("google.protobuf")
        return importlib.import_module("cel_expr_python.cel")
    except ImportError as error:
        message = "expressions need the packages cel-expr-python and protobuf"
        raise UserError.of(message, hint="pip install 'modelyard[kro]'") from error


def environment(variables: Mapping[str, Any], pool: Any = None) -> Any:
    """An environment with `variables` (name to cel.Type) and the messages of `pool`."""
    options = {} if pool is None else {"descriptor_pool": pool}
    return cel().NewEnv(config=_config(), variables=dict(variables), extensions=[_functions()], **options)


@lru_cache(maxsize=64)
def untyped(names: tuple[str, ...]) -> Any:
    """An environment where each of `names` may be anything."""
    return environment(dict.fromkeys(names, cel().Type.DYN))


@lru_cache(maxsize=4096)
def parsed(source: str) -> Tree:
    """The tree of `source`, whatever it refers to. Raises CelFault where it is no CEL."""
    return syntax.read(_compile(_empty(), source, disable_check=True).serialize())


@lru_cache(maxsize=1024)
def checked(source: str, env: Any) -> Checked:
    """`source`, checked with the types of `env`. Raises CelFault."""
    compiled = _compile(env, source)
    return Checked(source, syntax.read(compiled.serialize()), compiled)


def value(source: str, env: Any, values: Mapping[str, Any]) -> Any:
    """What `source` gives with `values`, as plain data. Raises CelFault, also for what fails while it runs."""
    result = _run(env, source, values)
    try:
        plain = result.plain_value()
    except TypeError:  # the binding has no Python value for an optional
        some = f"cel.bind({_BOUND}, {source}, {_BOUND}.hasValue() ? dyn({_BOUND}.value()) : dyn(null))"
        result = _run(env, some, values)
        plain = result.plain_value()
    if result.type().name() == "ERROR":
        raise CelFault(_message(str(plain)))
    return plain


def _run(env: Any, source: str, values: Mapping[str, Any]) -> Any:
    """Evaluate without checking: without types the checker takes `a.distinct().sort()` for a list of int."""
    try:
        return _compile(env, source, disable_check=True).eval(data=dict(values))
    except CelFault:
        raise
    except Exception as error:  # the binding raises several kinds
        raise CelFault(_message(str(error))) from error


@cache
def _empty() -> Any:
    return environment({})


@cache
def _config() -> Any:
    names = "".join(f"- name: {name}\n" for name in _EXTENSIONS)
    return cel().NewEnvConfigFromYaml(f"name: kro\nextensions:\n{names}")


@cache
def _functions() -> Any:
    """kro's own functions, as an extension: so they may share a name with functions of the others."""
    by_name: dict[str, list[Any]] = {}
    for function in FUNCTIONS:
        by_name.setdefault(function.name, []).append(_overload(function))
    return cel().CelExtension("kro", [cel().FunctionDecl(name, overloads) for name, overloads in by_name.items()])


def _overload(function: Function) -> Any:
    kinds = cel().Type
    letters = {
        "s": kinds.STRING,
        "i": kinds.INT,
        "b": kinds.BOOL,
        "f": kinds.DOUBLE,
        "y": kinds.BYTES,
        "l": kinds.LIST,
        "m": kinds.MAP,
        "d": kinds.DYN,
    }
    options = {} if function.run is None else {"impl": function.run}
    return cel().Overload(
        function.id,
        return_type=letters[function.gives],
        parameters=[letters[letter] for letter in function.takes],
        is_member=function.member,
        **options,
    )


def _compile(env: Any, source: str, **options: Any) -> Any:
    try:
        return env.compile(source, **options)
    except Exception as error:  # the binding raises several kinds
        text = str(error)
        raise CelFault(_message(text), _offset(text, source)) from error


def _message(text: str) -> str:
    """The first fault of a report, without its drawing of the place."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("|")), text)
    first = re.sub(r"^[A-Z_]+: (?=\S)", "", first.strip())
    found = _PLACE.search(first.partition("ERROR:")[2] or first)
    plain = (found[3] if found else first).replace(" (in container '')", "")
    return re.sub(r" expecting \{.*| \[[A-Z_]+\]$", "", plain)


def _offset(text: str, source: str) -> int:
    found = _PLACE.search(text.partition("ERROR:")[2])
    if not found:
        return 0
    lines = source.splitlines(keepends=True)
    return sum(map(len, lines[: int(found[1]) - 1])) + int(found[2]) - 1
