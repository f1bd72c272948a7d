"""kro's functions, where they are evaluated: values from its documentation and tests."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest

from generator.kro import environment
from generator.kro.evaluate import plain
from generator.kro.functions import FUNCTIONS, fnv64a, is_quantity, quantity, seeded_number, seeded_text, to_json


def evaluated(source: str) -> Any:
    return plain(environment.value(source, environment.untyped(("a",)), {"a": {"b": [3, 1, 2]}}))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("json.marshal({'b': 1, 'a': [true, null]})", '{"a":[true,null],"b":1}'),
        ("json.unmarshal('{\"a\": [1]}').a[0] == 1", True),
        ("lists.range(3)", [0, 1, 2]),
        ("lists.setAtIndex([1, 2], 0, 9)", [9, 2]),
        ("lists.insertAtIndex([1, 2], 2, 9)", [1, 2, 9]),
        ("lists.removeAtIndex([1, 2], 0)", [2]),
        ("{'a': 1}.merge({'a': 2, 'b': 3})", {"a": 2, "b": 3}),
        ("a.b.sort()", [1, 2, 3]),
        ("a.b.reverse()", [2, 1, 3]),
        ("a.b.slice(1, 3)", [1, 2]),
        ("a.b.sum() + 0", 6),
        ("a.b.min() + a.b.max()", 4),
        ("a.b.indexOf(1)", 1),
        ("a.b.isSorted()", False),
        ("[1, 1, 2].distinct()", [1, 2]),
        ("[[1], [2, [3]]].flatten()", [1, 2, [3]]),
        ("'abc 123'.find('[0-9]+')", "123"),
        ("'123 abc 456'.findAll('[0-9]+')", ["123", "456"]),
        ("'123 abc 456'.findAll('[0-9]+', 1)", ["123"]),
        ("base64.encode(hash.sha256('x')) == base64.encode(b'x')", False),
        ("quantity('1Gi').isGreaterThan(quantity('500Mi'))", True),
        ("quantity('1k').asInteger()", 1000),
        ("isQuantity('1Zi')", False),
        ("url('https://u@example.com:80/a%20b?k=v').getHostname()", "example.com"),
        ("url('https://example.com:80/p').getPort()", "80"),
        ("url('https://example.com/p?k=v').getQuery()['k'][0]", "v"),
        ("isURL('nothing')", False),
        ("'a,b'.split(',').join('-').upperAscii()", "A-B"),
        ("cel.bind(x, 2, x * x)", 4),
    ],
)
def test_functions(source: str, value: Any) -> None:
    assert evaluated(source) == value


def test_seeded_text_is_kros() -> None:
    # pkg/cel/library/random.go, by hand: the first 4 bytes of the digest as a big-endian number, modulo 36.
    digest = hashlib.sha256(b"seed").digest()
    first = "0123456789abcdefghijklmnopqrstuvwxyz"[int.from_bytes(digest[:4], "big") % 36]
    assert seeded_text(12, "seed")[0] == first
    assert seeded_text(12, "seed")[8] == first  # after 8 steps of 4 bytes it begins again
    assert len(seeded_text(12, "seed")) == 12
    assert 5 <= seeded_number(5, 8, "seed") < 8


def test_fnv64a() -> None:
    assert fnv64a("").hex() == "cbf29ce484222325"  # the offset basis of FNV-1a
    assert fnv64a("a").hex() == "af63dc4c8601ec8c"


def test_json_is_gos() -> None:
    assert to_json({"b": "<&>", "a": 1.5, "é": None}) == '{"a":1.5,"b":"\\u003c\\u0026\\u003e","é":null}'


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.5", "1.5"), ("500m", "0.5"), ("1Ki", 1024), ("2k", 2000), ("1e3", 1000), ("-1Gi", -(2**30))],
)
def test_quantities(text: str, value: Any) -> None:
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "Gi", "1gi", "1 Gi", "x"])
def test_what_is_no_quantity(text: str) -> None:
    assert not is_quantity(text)
    with pytest.raises(ValueError, match="no quantity"):
        quantity(text)


def test_every_overload_has_its_own_name() -> None:
    assert len({function.id for function in FUNCTIONS}) == len(FUNCTIONS)
