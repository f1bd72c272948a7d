"""YAML of other people: every document of a file, with the line of each value.

`generator.yamlio` refuses what its users should not write. Files that kro would take are read here as Kubernetes
reads them, anchors and several documents included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from generator.errors import Diagnostic, Fault, Path, UserError, dotted
from generator.yamlio import LIMITS
from generator.yamlio.positions import LOADER


class _Loader(LOADER):  # type: ignore[misc]  # libyaml where PyYAML was built with it
    """Plain data: a date stays text, and `1:30` is no number, as in the YAML library of Kubernetes."""


_OTHERS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OTHERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in (
    ("int", r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list("-+.0123456789"))


MAX_NODES = 1_000_000


@dataclass(frozen=True, slots=True)
class Located(Fault):
    """A fault inside a text of several lines: `needle` is what to look for there."""

    needle: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One document; `node` is its YAML tree, None for data that comes from no file, and `text` the whole file."""

    data: Any
    file: str
    node: yaml.Node | None = None
    text: str = field(default="", repr=False)

    def locate(self, path: Path, needle: str = "") -> tuple[int, int]:
        """Line and column of the value at `path`, or of the deepest value around it that is there.

        Of a text of several lines it is the line that holds `needle`.
        """
        node = self.node
        if node is None:
            return 0, 0
        for part in path:
            inner = _inside(node, part)
            if inner is None:
                break
            node = inner
        start, end = node.start_mark, node.end_mark
        lines = self.text.split("\n")[start.line + 1 : end.line + 1] if needle and end.line > start.line else []
        for number, text in enumerate(lines, start=start.line + 2):
            if needle in text:
                return number, text.index(needle) + 1
        return start.line + 1, start.column + 1

    def diagnostic(self, fault: Fault) -> Diagnostic:
        """`fault` with its place in the file."""
        line, column = self.locate(fault.path, fault.needle if isinstance(fault, Located) else "")
        return Diagnostic(fault.message, self.file, line, column, dotted(fault.path), fault.hint, fault.severity)


def _inside(node: yaml.Node, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if str(key.value) == part), None)
    return None


def read(path: FilePath) -> list[Document]:
    """The documents of a file that are mappings. Raises UserError where it is no YAML, or larger than 16 MiB."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError.of(f"cannot read the file: {error.strerror}", file=str(path), hint="check the name") from error
    if len(raw) > LIMITS.file_bytes:
        raise UserError.of("the file is too large", file=str(path))
    text = raw.decode("utf-8", "replace")
    if path.suffix == ".json":
        try:
            data = json.loads(text)
        except ValueError as error:
            raise UserError.of(f"not valid JSON: {error}", file=str(path)) from error
        return [Document(data, str(path))] if isinstance(data, dict) else []
    return parse(text, str(path))


def parse(text: str, file: str) -> list[Document]:
    """The documents of `text` that are mappings. Raises UserError where it is no YAML."""
    try:
        return list(_documents(text, file))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message = f"not valid YAML: {getattr(error, 'problem', None) or error}"
        hint = "a Helm template? render it first: helm template" if "{{" in text else ""
        raise UserError((Diagnostic(message, file, line, column, hint=hint),)) from error


def _documents(text: str, file: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            _bounded(node, {})
            data = loader.construct_document(node)
            if isinstance(data, dict):
                yield Document(data, file, node, text)
    finally:
        loader.dispose()


def _bounded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many nodes `node` holds, those of aliases counted each time. Raises YAMLError for too many, or no end."""
    if id(node) not in sizes:
        sizes[id(node)] = MAX_NODES  # an alias of something around it has no end
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        inner = 0 if isinstance(node, yaml.ScalarNode) else sum(_bounded(part, sizes) for part in parts)
        sizes[id(node)] = inner + 1
    if sizes[id(node)] > MAX_NODES:
        raise yaml.YAMLError(f"aliases expand to more than {MAX_NODES} values")
    return sizes[id(node)]


def files(places: list[FilePath]) -> Iterator[FilePath]:
    """The files among `places`, and the YAML files below the folders among them. Raises UserError for none."""
    for place in places:
        if place.is_dir():
            yield from (path for path in sorted(place.rglob("*")) if re.fullmatch(r"\.ya?ml|\.json", path.suffix))
        elif place.exists():
            yield place
        else:
            raise UserError.of("there is no such file or folder", file=str(place), hint="check the name")
