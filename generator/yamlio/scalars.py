"""What a scalar means to the YAML parsers that meet our files, and how a string is written so that all agree.

Three readings are compared: YAML 1.1 as PyYAML 6.0 resolves it, the YAML 1.2 core schema (ruamel.yaml 0.19),
and Kubernetes' own parser (sigs.k8s.io/yaml over go-yaml, as in Helm 4.1 and kubectl 1.35). What they read
differently is refused when read and quoted when written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

# Characters that a reviewer cannot see or that reorder what he sees: Unicode general categories Cc (but tab
# and newline), Cf, Cs, Co, Zl and Zp, the non-characters, and Default_Ignorable_Code_Point but the variation
# selectors U+FE00-FE0F that emoji need. Spelled out, not taken from `unicodedata`, so that the bytes we write
# do not depend on the Python in use; the list covers Unicode 14 to 16.
_UNSAFE_RANGES = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff"
    "\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 14))
    + "\U000e0000-\U000e0fff\U000efffe-\U0010ffff"
)
_UNSAFE = re.compile(f"[{_UNSAFE_RANGES}]")
# In the text of a file CR LF is a line end; a CR alone is not.
_UNSAFE_IN_TEXT = re.compile(f"(?!\r\n)[{_UNSAFE_RANGES}]")
_UNSAFE_ASCII = bytes(set(range(0x20)) - set(b"\t\n\r")) + b"\x7f"
_ASCII = bytes(range(0x80))
_ESCAPED = re.compile(f'["\\\\\t\n{_UNSAFE_RANGES}]')
_SHORT_ESCAPES = MappingProxyType({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})

_MEANT: Mapping[str, bool | None] = MappingProxyType({"": None, "~": None, "null": None, "true": True, "false": False})
_BOOLEAN_WORDS = frozenset(
    form
    for word in ("y", "n", "yes", "no", "on", "off", "true", "false")
    for form in (word, word.capitalize(), word.upper())
)
_REFUSED_WORDS = frozenset((_BOOLEAN_WORDS | {"Null", "NULL", "=", "<<"}) - _MEANT.keys())
# For the reader's inner loop: a plain scalar is text unless it starts so, or is one of these words.
NUMERIC_START = frozenset("+-.0123456789")
SPECIAL_WORDS = frozenset(_MEANT) | _REFUSED_WORDS

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)")
# Compared with underscores taken out, as go-yaml does it, and as digits, as PyYAML and ruamel.yaml do. Base 8
# and 60: YAML 1.1; upper-case prefixes and hexadecimal floats: Go's strconv; bare exponents and leading
# zeros: YAML 1.2 and Go.
_OTHER_NUMBER = re.compile(
    r"""[-+]?(?:
        (?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?
      | 0[xX][0-9a-fA-F.]+(?:[pP][-+]?[0-9]+)? | 0[oObB][-+]?[0-9]+
      | [0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?
    )""",
    re.VERBOSE,
)
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}[0-9.:Zz+\- \t]*)?"
)

# Written plain: ASCII that starts with a letter, `/` or `_`, where a colon or a space always has something
# harmless behind it; and Kubernetes quantities such as 16Gi and 500m. Everything else gets double quotes.
_PLAIN = re.compile(
    r"[A-Za-z/_](?:[A-Za-z0-9_./@+=,()-]|:(?=[A-Za-z0-9_./:@-])| (?=[A-Za-z0-9_/(]))*"
    r"|[1-9][0-9]*(?:[KMGTP]i|m)"
)
_QUOTED_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))


class AmbiguousScalarError(ValueError):
    """A plain scalar whose type depends on the parser. `args`: message and hint of the diagnostic."""


def unsafe_character(text: str) -> int:
    """The index of the first invisible, reordering or control character, or -1. Newline and tab pass."""
    match = _UNSAFE.search(text)
    return match.start() if match else -1


def unsafe_in_source(text: str) -> list[int]:
    """The indices of all such characters in the text of a file, where CR LF may end a line."""
    if _looks_safe(text):
        return []
    return [match.start() for match in _UNSAFE_IN_TEXT.finditer(text)]


def _looks_safe(text: str) -> bool:
    """Whether a quick look finds nothing; the regular expression alone takes twenty times as long."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw.translate(None, _UNSAFE_ASCII)) != len(raw) or raw.count(b"\r") != raw.count(b"\r\n"):
        return False
    return text.isascii() or not _UNSAFE.search(raw.translate(None, _ASCII).decode("utf-8", "surrogatepass"))


def plain_value(text: str) -> str | int | float | bool | None:
    """The value of a scalar that stands in a file without quotes.

    Booleans are `true` and `false`, null is `null`, `~` or nothing, integers are decimal and fit 64 bits,
    floats are decimal with digits on both sides of the point. Everything else is text; raises
    AmbiguousScalarError where one of the three parsers takes it for something else.
    """
    if text[:1] in NUMERIC_START:
        return _numeric(text)
    if text in _MEANT:
        return _MEANT[text]
    if text in _REFUSED_WORDS:
        raise AmbiguousScalarError(*_word_fault(text))
    return text


def _word_fault(text: str) -> tuple[str, str]:
    if text in _BOOLEAN_WORDS:
        return (
            f"{text} is a boolean to some YAML parsers and text to others",
            f'write true or false in lower case, or put quotes around it: "{text}"',
        )
    if text == "<<":
        return "<< is a merge key to some YAML parsers and text to others", 'put quotes around it: "<<"'
    if text == "=":
        return "= has a meaning of its own in YAML 1.1", 'put quotes around it: "="'
    return f"{text} is null, in an unusual spelling", f'write null, or put quotes around it: "{text}"'


def _numeric(text: str) -> str | int | float:
    if _INTEGER.fullmatch(text):
        number = int(text)
        if -(2**63) <= number < 2**63:
            return number
    elif _FLOAT.fullmatch(text):
        real = float(text)
        if abs(real) != float("inf"):
            return real
    if _NOT_FINITE.fullmatch(text):
        raise AmbiguousScalarError(f"{text} is not a finite number", f'put quotes around text: "{text}"')
    if _TIMESTAMP.fullmatch(text):
        raise AmbiguousScalarError(
            f"{shown(text)} is a date to some YAML parsers and text to others", "put quotes around it"
        )
    if any(_OTHER_NUMBER.fullmatch(text.replace("_", digit)) for digit in ("", "0")):
        raise AmbiguousScalarError(
            f"{shown(text)} is a number to some YAML parsers, another number or text to others",
            "put quotes around it if it is text; write a number in plain decimal digits of at most 64 bits",
        )
    return text


def is_plain(text: str) -> bool:
    """Whether every parser reads `text`, written without quotes in block style, as this very string."""
    return _PLAIN.fullmatch(text) is not None and text.lower() not in _QUOTED_WORDS


def double_quoted(text: str) -> str:
    """`text` as a YAML double-quoted scalar on one line; what is invisible or reorders is escaped."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def json_escaped(text: str) -> str:
    """JSON text whose invisible and reordering characters are escaped, as pairs above U+FFFF (RFC 8259, 7).

    Newlines between the tokens stay: JSON strings hold none.
    """
    return _UNSAFE.sub(_json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def shown(text: str, width: int = 60) -> str:
    """`text` for a message: as it is where harmless, else quoted and escaped; cut to `width` characters."""
    cut = text if len(text) <= width else text[: width - 3] + "..."
    return cut if cut and cut.isascii() and cut.isprintable() else double_quoted(cut)
