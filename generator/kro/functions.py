"""kro's function libraries beyond CEL's own: declared for the checker, evaluated where that is exact and simple.

Source: kro v0.9.3, pkg/cel/environment.go and pkg/cel/library; Kubernetes' CEL libraries (apiserver, pkg/cel/library);
cel-go ext/lists.go. What takes or gives an opaque type (URL, quantity, IP, CIDR, semver) is dyn here: the checker then
says less than kro's, and never something else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18} | {
    f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", start=1)
}
_QUANTITY = re.compile(r"([-+]?[0-9]*\.?[0-9]+\.?)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([-+]?[0-9]+))?")

Run = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Function:
    """One overload. Types are letters: s string, i int, b bool, f double, y bytes, l list, m map, d dyn.

    `run` is None where it can be checked but not evaluated here.
    """

    name: str
    takes: str
    gives: str
    run: Run | None = None
    member: bool = False

    @property
    def id(self) -> str:
        return f"{self.name.replace('.', '_')}_{'member_' if self.member else ''}{self.takes or 'none'}"


def seeded_text(length: int, seed: str) -> str:
    """`random.seededString`: letters and digits picked by the SHA-256 of the seed, four bytes each."""
    digest, out = hashlib.sha256(seed.encode()).digest(), ""
    for index in range(length):
        start = index * 4 % len(digest)
        out += _ALPHABET[int.from_bytes(digest[start : start + 4], "big") % len(_ALPHABET)]
    return out


def seeded_number(low: int, high: int, seed: str) -> int:
    digest = hashlib.sha256(seed.encode()).digest()
    return low + int.from_bytes(digest[:8], "big") % (high - low)


def fnv64a(text: str) -> bytes:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value.to_bytes(8, "big")


def to_json(value: Any) -> str:
    """As Go's encoding/json: keys sorted, no spaces, `<`, `>` and `&` escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return re.sub(r"[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def quantity(text: str) -> Decimal:
    """The value of a Kubernetes quantity. Raises ValueError where it is none."""
    found = _QUANTITY.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no quantity")
    small = {"n": -9, "u": -6, "m": -3}
    if found[2] in small:
        return Decimal(found[1]).scaleb(small[found[2]])
    return Decimal(found[1]).scaleb(int(found[3] or 0)) * Decimal(_SUFFIXES[found[2] or ""])


def _checked_quantity(text: str) -> str:
    quantity(text)
    return text


def is_quantity(text: str) -> bool:
    return bool(_QUANTITY.fullmatch(text))


def _compared(first: str, second: str) -> int:
    one, two = quantity(first), quantity(second)
    return (one > two) - (one < two)


def _set(values: list[Any], index: int, value: Any) -> list[Any]:
    if not 0 <= index < len(values):
        raise ValueError(f"there is no item {index} in a list of {len(values)}")
    return [*values[:index], value, *values[index + 1 :]]


def _removed(values: list[Any], index: int) -> list[Any]:
    return [*_set(values, index, None)[:index], *values[index + 1 :]]


def _found(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


def _all_found(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _index(values: list[Any], value: Any) -> int:
    return values.index(value) if value in values else -1


def _last_index(values: list[Any], value: Any) -> int:
    return len(values) - 1 - values[::-1].index(value) if value in values else -1


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme or text.startswith("/"))


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The second map wins."""
    return {**first, **second}


def _member(name: str, takes: str, gives: str, run: Run | None = None) -> Function:
    return Function(name, takes, gives, run, member=True)


_OPAQUE = [
    _member(name, takes, gives)
    for names, takes, gives in (
        ("add sub", "dd", "d"),
        ("family prefixLength major minor patch", "d", "i"),
        ("isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast", "d", "b"),
        ("containsIP containsCIDR", "dd", "b"),
        ("condition", "dds", "d"),
        ("ip masked", "d", "d"),
    )
    for name in names.split()
] + [
    Function(name, takes, gives)
    for name, takes, gives in (
        ("ip", "s", "d"),
        ("isIP", "s", "b"),
        ("ip.isCanonical", "s", "b"),
        ("cidr", "s", "d"),
        ("isCIDR", "s", "b"),
        ("semver", "s", "d"),
        ("semver", "sb", "d"),
        ("isSemver", "s", "b"),
        ("isSemver", "sb", "b"),
        ("omit", "", "d"),
    )
]

FUNCTIONS: tuple[Function, ...] = (
    Function("random.seededString", "is", "s", seeded_text),
    Function("random.seededInt", "iis", "i", seeded_number),
    Function("json.unmarshal", "s", "d", json.loads),
    Function("json.marshal", "d", "s", to_json),
    Function("hash.fnv64a", "s", "y", fnv64a),
    Function("hash.sha256", "s", "y", lambda text: hashlib.sha256(text.encode()).digest()),
    Function("hash.md5", "s", "y", lambda text: hashlib.md5(text.encode(), usedforsecurity=False).digest()),
    Function("lists.setAtIndex", "lid", "l", _set),
    Function("lists.insertAtIndex", "lid", "l", lambda values, at, value: [*values[:at], value, *values[at:]]),
    Function("lists.removeAtIndex", "li", "l", _removed),
    Function("quantity", "s", "d", _checked_quantity),
    Function("isQuantity", "s", "b", is_quantity),
    Function("url", "s", "d", lambda text: text),
    Function("isURL", "s", "b", _is_url),
    _member("merge", "mm", "m", _merged),
    _member("isSorted", "l", "b", lambda values: values == sorted(values)),
    _member("sum", "l", "d", lambda values: sum(values)),
    _member("min", "l", "d", min),
    _member("max", "l", "d", max),
    _member("indexOf", "ld", "i", _index),
    _member("lastIndexOf", "ld", "i", _last_index),
    _member("find", "ss", "s", _found),
    _member("findAll", "ss", "l", _all_found),
    _member("findAll", "ssi", "l", _all_found),
    _member("base64", "y", "s", lambda raw: base64.b64encode(raw).decode()),
    _member("isLessThan", "dd", "b", lambda first, second: _compared(first, second) < 0),
    _member("isGreaterThan", "dd", "b", lambda first, second: _compared(first, second) > 0),
    _member("compareTo", "dd", "i", _compared),
    _member("asInteger", "d", "i", lambda text: int(quantity(text))),
    _member("asApproximateFloat", "d", "f", lambda text: float(quantity(text))),
    _member("isInteger", "d", "b", lambda text: quantity(text) == quantity(text).to_integral_value()),
    _member("sign", "d", "i", lambda text: _compared(text, "0")),
    _member("getScheme", "d", "s", lambda text: urlsplit(text).scheme),
    _member("getHost", "d", "s", lambda text: urlsplit(text).netloc.rpartition("@")[2]),
    _member("getHostname", "d", "s", lambda text: urlsplit(text).hostname or ""),
    _member("getPort", "d", "s", lambda text: str(urlsplit(text).port or "")),
    _member("getEscapedPath", "d", "s", lambda text: urlsplit(text).path),
    _member("getQuery", "d", "m", lambda text: parse_qs(urlsplit(text).query, keep_blank_values=True)),
    *_OPAQUE,
)

# What the runtime checks and cannot run: the macros transformMap and transformMapEntry become such calls.
MAP_MACROS = "cel.@mapInsert"
NOT_EVALUATED = {f.name: f"{f.name}()" for f in FUNCTIONS if f.run is None} | {MAP_MACROS: "transformMap()"}
