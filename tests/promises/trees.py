"""Two trees that differ in one string: everything else in them is the same, and the string arrives as it is.

A tree is rendered once with a marker and once with a payload in the same field. The payload's tree is the
marker's, with every marker replaced: in paths, keys and values, and inside the JSON and YAML that values carry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from markdown_it import MarkdownIt

from generator import yamlio
from generator.deployed import RENDERED
from generator.yamlio import unsafe_character

MARKDOWN = MarkdownIt("commonmark").enable("table")
PLAIN = re.compile(r"[A-Za-z0-9._/:-]*")
# Argo CD and kro evaluate what stands here.
EVALUATED = ("bootstrap/", "kro/")
# Digests of inputs in which the string stands.
_DIGEST = re.compile(r"prestage-[a-z0-9-]+-[0-9a-f]{10}|[0-9a-f]{10}")
_CLASS = re.compile(r"(?<=-retain-)[0-9a-f]{10}$")
Change = Callable[[str], str]


def replacing(old: str, new: str) -> Change:
    return lambda text: text.replace(old, new)


def documents(text: str, name: str) -> list[Any]:
    """The YAML documents of a file, read strictly."""
    parts = re.split(r"(?m)^---\n", text)
    return [yamlio.load(part, name, RENDERED).data for part in parts if part.strip("\n ")]


def opened(node: Any, change: Change, key: str = "") -> Any:
    """`node` with `change` on each string and the texts in it read; lists in an order of their own."""
    if isinstance(node, dict):
        return {change(name): opened(value, change, name) for name, value in node.items()}
    if isinstance(node, list):
        return sorted((opened(item, change) for item in node), key=lambda item: json.dumps(item, sort_keys=True))
    if not isinstance(node, str):
        return node
    if key in ("plan", "plan.json"):
        return opened(json.loads(node), change)
    if key == "serveConfigV2" and "\n" in node:
        return opened(yamlio.load(node, key, RENDERED).data, change)
    if _DIGEST.fullmatch(node):
        return "digest"
    return change(_CLASS.sub("digest", node))


def _same(text: str) -> str:
    return text


def differences(marked: Mapping[str, bytes], made: Mapping[str, bytes], marker: str, payload: str) -> Iterator[str]:
    """What in the tree `made` is not the tree `marked` with `payload` for `marker`."""
    change = replacing(marker, payload)
    renamed = {change(path): content for path, content in marked.items()}
    for path in sorted(renamed.keys() ^ made.keys()):
        yield f"{path} is only in one of the trees"
    for path in sorted(renamed.keys() & made.keys()):
        same = renamed[path] == made[path] and marker.encode() not in renamed[path]
        if same or path.endswith((".njk", "manifest.json")):  # the form is judged by its engines, digests by themselves
            continue
        yield from (f"{path}: {what}" for what in _different(path, renamed[path].decode(), made[path].decode(), change))
        if path.startswith(EVALUATED) and not PLAIN.fullmatch(payload):
            yield f"{path}: {payload!r} reaches what Argo CD or kro evaluates"


def _different(path: str, marked: str, made: str, change: Change) -> Iterator[str]:
    if unsafe_character(made) >= 0:
        yield f"holds U+{ord(made[unsafe_character(made)]):04X}"
    expected: list[Any]
    found: list[Any]
    if path.endswith(".md"):
        expected, found = list(_tokens(marked, change)), list(_tokens(made, _same))
    elif path.endswith(".json"):
        expected, found = [opened(json.loads(marked), change)], [opened(json.loads(made), _same)]
    elif path.endswith(".yaml"):
        expected, found = opened(documents(marked, path), change), opened(documents(made, path), _same)
    else:
        expected, found = [change(marked)], [made]
    yield from (f"{one!r} is not {other!r}"[:600] for one, other in _pairs(found, expected))


def _pairs(found: list[Any], expected: list[Any]) -> Iterator[tuple[Any, Any]]:
    if len(found) != len(expected):
        yield len(found), len(expected)
    else:
        yield from (pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1])


def _tokens(text: str, change: Change) -> Iterator[tuple[Any, ...]]:
    """What a Markdown renderer shows: kind, address and text of each piece."""
    for token in MARKDOWN.parse(text):
        yield token.type, token.tag, _flat(change(token.content)) if token.type == "fence" else ""
        shown = ""
        for child in token.children or ():
            if child.type in ("text", "text_special"):
                shown += child.content
            else:
                yield "text", _flat(change(shown))
                shown = ""
                # A code span shows what stands between its fence and one space.
                yield child.type, change(str(child.attrs.get("href", ""))), _flat(change(child.content))
        yield "text", _flat(change(shown))


def _flat(text: str) -> str:
    return " ".join(text.split())


def objects(text: str) -> list[dict[str, Any]]:
    """What helm printed."""
    return [document for document in documents(text, "helm") if document]
