"""No secret reaches the output: what looks like one is refused, and not repeated in full (promise G13)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from generator import assets, compile
from generator.errors import Severity
from tests.promises import strings

LETTERS = "abcdefghijKLMNOPQRST0123456789uvwxyzUVWXYZabcdefghij0123456789"
TOKENS = {
    "hugging face": "hf_" + LETTERS[:34],
    "github classic": "ghp_" + LETTERS[:36],
    "github app": "ghs_" + LETTERS[:36],
    "github fine": "github_pat_" + LETTERS[:50],
    "gitlab": "glpat-" + LETTERS[:20],
    "aws key": "AKIA" + "ABCDEFGHIJ234567",
    "aws session": "ASIA" + "ABCDEFGHIJ234567",
    "slack bot": "xoxb-" + "123456789012-abcdefABCDEF",
    "slack hook": "https://hooks.slack.com/services/T000/B000/XXXXXXXX",
    "openai": "sk-" + LETTERS[:48],
    "stripe": "sk_live_" + LETTERS[:24],
    "google api": "AIza" + LETTERS[:35],
    "google oauth": "ya29." + LETTERS[:30],
    "npm": "npm_" + LETTERS[:36],
    "pypi": "pypi-" + LETTERS[:60],
    "digitalocean": "dop_v1_" + hashlib.sha256(b"x").hexdigest(),
    "docker": "dckr_pat_" + LETTERS[:27],
    "vault": "hvs." + LETTERS[:24],
    "sendgrid": f"SG.{LETTERS[:22]}.{LETTERS[:43]}",
    "shopify": "shpat_" + hashlib.md5(b"x", usedforsecurity=False).hexdigest(),
    "linear": "lin_api_" + LETTERS[:40],
    "age": "AGE-SECRET-KEY-1" + ("ABCDEFGH23456789" * 4)[:58],
    "private key": "-----BEGIN RSA PRIVATE KEY-----",
    "jwt": f"eyJ{LETTERS[:20]}.eyJ{LETTERS[:20]}.{LETTERS[:20]}",
    "password in an address": "https://user:secret@git.example.com/x.git",
}


@pytest.mark.parametrize("kind", sorted(TOKENS))
@pytest.mark.parametrize("place", [("services", 0, "title"), ("models", 0, "labels", "team")])
def test_a_credential_is_refused_and_not_shown(tmp_path: Path, kind: str, place: tuple[str | int, ...]) -> None:
    token = TOKENS[kind]
    (tmp_path / "models.yaml").write_bytes(strings.yamlio.dump(strings.planted(strings.Cell(place, f"use {token}"))))
    planned = compile.plan_catalogue(tmp_path / "models.yaml", assets.find())
    found = [d for d in planned.diagnostics if "credential" in d.message]
    assert planned.plan is None and len(found) == 1
    assert found[0].line > 1 and found[0].severity is Severity.ERROR
    assert not [d for d in found if token in d.message + d.hint]


@pytest.mark.parametrize(
    "text",
    [
        "sha256:" + hashlib.sha256(b"x").hexdigest(),
        hashlib.sha1(b"x", usedforsecurity=False).hexdigest(),
        "hf_token",
        "task-force-one",
    ],
)
def test_ordinary_text_is_not(tmp_path: Path, text: str) -> None:
    assert isinstance(strings.judge(strings.Cell(("services", 0, "title"), text), tmp_path), strings.Rendered)
