"""Tokenizers of every kind pass the load test, whatever they do to a text; broken ones do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generator.prestage import targets
from generator.prestage.loadtest import tokenizer
from generator.prestage.loadtest.base import Finding, Reader
from tests.standins.vocabularies import KINDS, vocabulary
from tests.unit import prestaging


def found(root: Path, content: bytes, size: int | None = None) -> Finding:
    """What is found of this tokenizer.json."""
    (root / "tokenizer.json").write_bytes(content)
    chosen = prestaging.settings()
    reader = Reader(targets.opened(str(root), chosen), {"tokenizer.json": len(content)}, chosen.patience)
    (finding,) = tokenizer.findings(reader, size)
    return finding


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes(tmp_path: Path, kind: str) -> None:
    finding = found(tmp_path, vocabulary(kind), 1000)
    assert finding.kind == "judged", finding.text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_to_fit(tmp_path: Path, kind: str) -> None:
    finding = found(tmp_path, vocabulary(kind), 10)
    assert finding.kind == "fault" and "the vocab_size of config.json is 10" in finding.text


def _decoder(*parts: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """These come after the decoder."""

    def change(content: dict[str, Any]) -> None:
        decoders = [content["decoder"]] if content["decoder"] else []
        content["decoder"] = {"type": "Sequence", "decoders": [*decoders, *parts]}

    return change


SWAP = {"type": "Replace", "pattern": {"String": "o"}, "content": "0"}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"words"}))
def test_other_letters_are_seen_in_every_kind(tmp_path: Path, kind: str) -> None:
    assert "comes back as" in found(tmp_path, vocabulary(kind, _decoder(SWAP))).text


def _without_bytes(content: dict[str, Any]) -> None:
    """Every character that needs a byte becomes unknown."""
    content["model"]["byte_fallback"] = False


def _without_unknown(content: dict[str, Any]) -> None:
    content["model"]["unk_token"] = None
    content["model"]["byte_fallback"] = False


def test_unknown_characters_are_no_fault(tmp_path: Path) -> None:
    assert found(tmp_path, vocabulary("sentencepiece BPE", _without_bytes)).kind == "judged"


def test_characters_that_bytes_stand_for_may_not_get_lost(tmp_path: Path) -> None:
    """All bytes have tokens, and yet the emoji are gone."""
    assert "comes back as" in found(tmp_path, vocabulary("sentencepiece BPE", _without_unknown)).text


def test_a_tokenizer_that_knows_nothing(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["model"]["vocab"] = {"<unk>": 0, "none": 1}

    assert "it knows no word of any text" in found(tmp_path, vocabulary("words", change)).text


@pytest.mark.parametrize("kind", ["byte-level BPE", "bytes by a normaliser"])
def test_bytes_that_nobody_puts_together(tmp_path: Path, kind: str) -> None:
    finding = found(tmp_path, vocabulary(kind, lambda content: content.update(decoder=None)))
    assert finding.kind == "untested" and "does not undo" in finding.text


def test_a_lost_accent_is_a_fault_where_bytes_are_known(tmp_path: Path) -> None:
    change = _decoder({"type": "Replace", "pattern": {"String": "ñ"}, "content": "n"})
    assert "señor" in found(tmp_path, vocabulary("byte-level BPE", change)).text
