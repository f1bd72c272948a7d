"""The canonical writer: plain data to YAML and to JSON. The bytes depend on the data alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from generator.errors import Path as Place
from generator.yamlio.positions import path_text
from generator.yamlio.scalars import double_quoted, is_plain, json_escaped, unsafe_character

_DEPTH = 100  # nested levels; deeper data is a cycle
_STEP = "  "
# libyaml, go-yaml: a key that is followed by its colon starts at most 1024 characters before it.
_SIMPLE_KEY = 1000
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_MEMO_LENGTH = 80  # longer strings repeat too seldom to be remembered
# A line that starts with a tab or ends with a blank is not written as a block: editors and some parsers
# change it.
_NOT_IN_BLOCK = re.compile(r"^\t|[ \t]$", re.MULTILINE)


def dump(data: object, *, header: str | None = None) -> bytes:
    """`data` as one YAML document in UTF-8 that ends with a newline.

    Block style, two spaces, LF. Mappings keep their order; lists are indented under their key. Strings are
    plain where every YAML parser reads them so, texts of several lines are literal blocks, all others are in
    double quotes. `header` becomes comment lines on top.

    Raises TypeError for what is not a mapping, list, tuple, str, int, float, bool or None, and ValueError for
    what YAML parsers do not agree on: integers beyond 64 bits, floats with an exponent, half surrogate pairs.
    """
    return f"{_comment(header)}{_document(data)}\n".encode()


def dump_all(documents: Iterable[object], *, header: str | None = None) -> bytes:
    """Several documents in one stream, `---` between them. No documents give the header alone."""
    return (_comment(header) + "---\n".join(f"{_document(data)}\n" for data in documents)).encode()


def canonical_json(data: object) -> str:
    """`data` as compact ASCII JSON with sorted keys: equal data give equal text, whatever the order.

    Raises TypeError and ValueError as dump does; any finite number passes.
    """
    _check(data, _json_leaf)
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_as_dict)


def pretty_json(data: object) -> bytes:
    """`data` as indented JSON in UTF-8 with a final newline, keys in the order given.

    Invisible characters are escaped. Raises TypeError and ValueError as dump does; any finite number passes.
    """
    _check(data, _json_leaf)
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=_as_dict)
    return f"{json_escaped(text)}\n".encode()


def _comment(header: str | None) -> str:
    """Comment lines. Raises ValueError for a character that would end a comment or hide text in it."""
    if header is None:
        return ""
    if unsafe_character(header) >= 0:
        raise ValueError("a header holds an invisible or control character")
    return "".join(f"# {line}".rstrip() + "\n" for line in header.removesuffix("\n").split("\n"))


def _document(data: object) -> str:
    lines: list[str] = []
    try:
        if isinstance(data, Mapping) and data:
            _mapping(data, "", lines)
        elif isinstance(data, list | tuple) and data:
            _sequence(data, "", lines)
        else:
            lines.append(_leaf(data, ""))
    except (TypeError, ValueError):
        _check(data)  # raises with the place
        raise
    return "\n".join(lines)


def _mapping(data: Mapping[str, Any], pad: str, lines: list[str]) -> None:
    for key, value in data.items():
        name = f"{pad}{_key(key, pad)}:"
        if type(value) is str and "\n" not in value:
            lines.append(f"{name} {_line(value) if len(value) > _MEMO_LENGTH else _short(value)}")
        elif value and isinstance(value, dict | Mapping):
            lines.append(name)
            _mapping(value, _deeper(pad), lines)
        elif value and isinstance(value, list | tuple):
            lines.append(name)
            _sequence(value, _deeper(pad), lines)
        else:
            lines.append(f"{name} {_leaf(value, pad)}")


def _sequence(data: Iterable[Any], pad: str, lines: list[str]) -> None:
    inner = _deeper(pad)
    for value in data:
        first = len(lines)
        if type(value) is str and "\n" not in value:
            lines.append(f"{pad}- {_line(value)}")
        elif value and isinstance(value, dict | Mapping):
            _mapping(value, inner, lines)
            lines[first] = f"{pad}- {lines[first][len(inner) :]}"
        elif value and isinstance(value, list | tuple):
            _sequence(value, inner, lines)
            lines[first] = f"{pad}- {lines[first][len(inner) :]}"
        else:
            lines.append(f"{pad}- {_leaf(value, pad)}")


def _deeper(pad: str) -> str:
    if len(pad) >= _DEPTH * len(_STEP):
        raise ValueError(f"nested deeper than {_DEPTH} levels")
    return pad + _STEP


def _leaf(value: object, pad: str) -> str:
    """A scalar or empty collection; a literal block is indented one step from `pad`."""
    if isinstance(value, str):
        return _text(str.__str__(value), pad)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    raise TypeError(f"{type(value).__name__} is not YAML data")


def _number(value: float) -> str:
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("an integer beyond 64 bits: write it as a string")
        return int.__repr__(value)
    text = float.__repr__(value)
    if not _FLOAT.fullmatch(text):
        raise ValueError(f"the float {text} is not read alike by all parsers: write it as a string")
    return text


def _line(text: str) -> str:
    """A string on one line. Raises UnicodeEncodeError, a ValueError, for half of a surrogate pair."""
    if is_plain(text):
        return text
    if not text.isascii():
        text.encode()
    return double_quoted(text)


# Keys and short values repeat; two memos, so that values that do not repeat never push the keys out.
_short = lru_cache(maxsize=8192)(_line)
_short_key = lru_cache(maxsize=4096)(_line)


def _key(key: object, pad: str) -> str:
    """A key without its colon; one too long for a simple key is explicit: `? key`, then a line with `:`."""
    if not isinstance(key, str):
        raise TypeError(f"{type(key).__name__} is not a key: keys are strings")
    if len(key) <= _MEMO_LENGTH:
        return _short_key(str.__str__(key))
    text = _line(str.__str__(key))
    return text if len(text) <= _SIMPLE_KEY else f"? {text}\n{pad}"


def _text(text: str, pad: str) -> str:
    """A string as a plain or quoted scalar, or as a literal block where every editor keeps that as it is.

    Blank lines at the end are quoted, not kept with `|+`: tools that mend the ends of files would drop them.
    """
    lines = text.split("\n")
    kept = lines[-1] == ""
    if len(lines) == 1 or lines[0] == "" or (kept and lines[-2] == "") or unsafe_character(text) >= 0:
        return _line(text)
    if _NOT_IN_BLOCK.search(text):
        return double_quoted(text)
    # A first line that starts with a space hides where the block's own indentation ends.
    indicator = str(len(_STEP)) if lines[0].startswith(" ") else ""
    body = "\n".join(f"{pad}{_STEP}{line}" if line else "" for line in (lines[:-1] if kept else lines))
    return f"|{indicator}{'' if kept else '-'}\n{body}"


def _as_dict(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON data")


def _json_leaf(value: object, _pad: str) -> str:
    return json.dumps(value, allow_nan=False, default=_as_dict)


def _check(data: object, leaf: Callable[[object, str], str] = _leaf) -> None:
    """Raises TypeError or ValueError, with its place, for the first thing in `data` that cannot be written.

    Leaves are judged by `leaf`, which gets a scalar or an empty collection and an indentation.
    """
    for place, value in _walk(data, ()):
        try:
            _deeper(_STEP * (len(place) - 1))
            for text in (part for part in (value, *place[-1:]) if isinstance(part, str)):
                text.encode()
            if not (value and isinstance(value, dict | Mapping | list | tuple)):
                leaf(value, "")
            for key in value if isinstance(value, Mapping) else ():
                _key(key, "")
        except UnicodeEncodeError as error:
            raise ValueError(f"half of a surrogate pair{_where(place)}") from error
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error}{_where(place)}") from error


def _where(place: Place) -> str:
    return f" at {path_text(place)}" if place else ""


def _walk(data: object, place: Place) -> Iterator[tuple[Place, object]]:
    yield place, data
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(data, dict | Mapping):
        items = data.items()
    elif isinstance(data, list | tuple):
        items = enumerate(data)
    for key, value in items:
        yield from _walk(value, (*place, key))
