"""The Applications that an ApplicationSet makes for one cluster: its templates with the cluster's values in them.

Only what our own ApplicationSets use: cluster generators, matrices of those with files of the repository, and
`{{ .name }}` expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from generator.deployed.documents import Object
from generator.errors import UserError

ROOT_PATH = "bootstrap/applications"
_EXPRESSION = re.compile(r"\{\{ (.+?) \}\}")


@dataclass(frozen=True, slots=True)
class Application:
    """`labels` are those of the namespace, `file` the one of the tree that called for it, empty where none did."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    source: Mapping[str, Any]
    file: str


def of_cluster(
    document: Object, cluster: str, facts: Mapping[str, str], paths: Iterable[str], root: str
) -> Iterator[Application]:
    """What the ApplicationSet `document` makes for the entry `cluster`; nothing where it has nothing for it.

    Nothing either where it brings a chart from elsewhere: what that makes is not in the tree.

    `facts` are the cluster's annotations by name, `paths` the files of the tree, `root` the tree's place in the
    repository. Raises UserError where something is asked for that is not known.
    """
    spec = document["spec"]
    if "chart" in spec["template"]["spec"]["source"]:
        return
    annotations = _Annotations(facts, cluster)
    for values, patterns in entries(spec["generators"]):
        if values["entry"] != cluster:
            continue
        known = {".name": cluster, ".nameNormalized": cluster}
        known |= {f".values.{key}": str(filled(value, annotations)) for key, value in values.items()}
        for path in _files(patterns, paths, root):
            name = PurePosixPath(path).name
            file = {".path.filename": name, 'trimSuffix ".yaml" .path.filename': name.removesuffix(".yaml")}
            yield _application(filled(spec["template"], {**known, **(file if path else {})}), path)


def entries(generators: Any) -> Iterator[tuple[Mapping[str, str], tuple[str, ...] | None]]:
    """The values of each cluster generator, and the files that it is crossed with; None where it is not."""
    for inner in generators:
        if "clusters" in inner:
            yield inner["clusters"]["values"], None
        if "matrix" in inner:
            sides = inner["matrix"]["generators"]
            files = tuple(file["path"] for side in sides if "git" in side for file in side["git"]["files"])
            yield from ((values, files) for values, _ in entries(sides))


def filled(node: Any, facts: Mapping[str, str]) -> Any:
    """Templates of an ApplicationSet with `facts` in their places; UserError where one is not known."""
    if isinstance(node, dict):
        return {key: filled(value, facts) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, facts) for value in node]
    return _EXPRESSION.sub(lambda found: _fact(found[1], facts), node) if isinstance(node, str) else node


def root_of(root: Iterable[Object]) -> str:
    """Where the tree stands in the repository, as the documents of bootstrap/root.yaml say; empty for its top."""
    (application,) = (item for item in root if item["kind"] == "Application")
    return str(application["spec"]["source"]["path"]).removesuffix(ROOT_PATH).rstrip("/")


def inside(path: str, root: str) -> str:
    """A path of the repository as one of the tree."""
    return PurePosixPath(path).relative_to(root).as_posix()


def _application(template: Mapping[str, Any], file: str) -> Application:
    spec = template["spec"]
    managed = spec["syncPolicy"].get("managedNamespaceMetadata", {}).get("labels", {})
    return Application(template["metadata"]["name"], spec["destination"]["namespace"], managed, spec["source"], file)


def _files(patterns: tuple[str, ...] | None, paths: Iterable[str], root: str) -> list[str]:
    if patterns is None:
        return [""]
    own = [inside(pattern, root) for pattern in patterns]
    return [path for path in paths if any(_matches(path, pattern) for pattern in own)]


def _matches(path: str, pattern: str) -> bool:
    """Whether `*` of the pattern stands for a name, never for a folder."""
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


def _fact(expression: str, facts: Mapping[str, str]) -> str:
    try:
        return facts[expression]
    except KeyError:
        message = f"an ApplicationSet asks for {{{{ {expression} }}}}, which is not known"
        raise UserError.of(message, hint="run `modelyard render` with this version of modelyard") from None


class _Annotations(dict[str, str]):
    """Annotations of a cluster's Secret as an ApplicationSet writes them."""

    def __init__(self, facts: Mapping[str, str], cluster: str) -> None:
        self._facts, self._cluster = facts, cluster

    def __missing__(self, expression: str) -> str:
        key = expression.removeprefix(".metadata.annotations.")
        if key == expression:
            raise KeyError(expression)
        try:
            return self._facts[key]
        except KeyError:
            hint = f"write `values: {{{key}: ...}}` at the cluster: nobody else can say it where Argo CD is not"
            raise UserError.of(f"cluster `{self._cluster}` states no `{key}`", hint=hint) from None
