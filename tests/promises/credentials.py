"""Promise G13: what looks like a credential is refused where it stands, is not repeated, and nothing is written."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

from generator.errors import UserError
from generator.report import diagnostics as report
from generator.verbs.render import render

LETTERS = "abcdefghijKLMNOPQRST0123456789uvwxyzUVWXYZabcdefghij0123456789"
PASSWORD = "Secret-1234"
# Made up, in the shapes that the providers document.
TOKENS = {
    "hugging face": "hf_" + LETTERS[:34],
    "hugging face organisation": "api_org_" + LETTERS[:34],
    "github classic": "ghp_" + LETTERS[:36],
    "github app": "ghs_" + LETTERS[:36],
    "github fine": "github_pat_" + LETTERS[:50],
    "gitlab": "glpat-" + LETTERS[:20],
    "gitlab deploy": "gldt-" + LETTERS[:20],
    "aws key": "AKIA" + "ABCDEFGHIJ234567",
    "aws session": "ASIA" + "ABCDEFGHIJ234567",
    "slack bot": "xoxb-" + "123456789012-abcdefABCDEF",
    "slack hook": "https://hooks.slack.com/services/T000/B000/XXXXXXXX",
    "openai": "sk-" + LETTERS[:48],
    "openai project": "sk-proj-" + LETTERS[:60],
    "anthropic": "sk-ant-api03-" + LETTERS[:60],
    "stripe": "sk_live_" + LETTERS[:24],
    "google api": "AIza" + LETTERS[:35],
    "google oauth": "ya29." + LETTERS[:30],
    "npm": "npm_" + LETTERS[:36],
    "pypi": "pypi-" + LETTERS[:60],
    "digitalocean": "dop_v1_" + hashlib.sha256(b"x").hexdigest(),
    "docker": "dckr_pat_" + LETTERS[:27],
    "vault": "hvs." + LETTERS[:24],
    "sendgrid": f"SG.{LETTERS[:22]}.{LETTERS[:43]}",
    "shopify": "shpat_" + hashlib.sha256(b"x").hexdigest()[:32],
    "linear": "lin_api_" + LETTERS[:40],
    "age": "AGE-SECRET-KEY-1" + ("ABCDEFGH23456789" * 4)[:58],
    "private key": "-----BEGIN RSA PRIVATE KEY-----",
    "jwt": f"eyJ{LETTERS[:20]}.eyJ{LETTERS[:20]}.{LETTERS[:20]}",
    "password in an address": f"https://user:{PASSWORD}@git.example.com/x.git",
}
_CATALOGUE = (Path(__file__).parents[1] / "cases/minimal/models.yaml").read_text(encoding="utf-8")
# Where it may stand.
PLACES = {
    "comment": f"# a note: TOKEN\n{_CATALOGUE}",
    "free text": f'{_CATALOGUE}    title: "use TOKEN"\n',
    "other value": _CATALOGUE.replace("revision: ", 'revision: "TOKEN" # ', 1),
    "key": f'{_CATALOGUE}    "TOKEN": x\n',
    "key given twice": f'{_CATALOGUE}    "TOKEN": x\n    "TOKEN": x\n',
    "broken YAML": f'{_CATALOGUE}    title: "TOKEN" x\n',
}
_NOT_YAML = ("key given twice", "broken YAML")  # refused before their meaning is looked at


def faults(folder: Path) -> Iterator[str]:
    """Tokens and places at which the promise does not hold."""
    for place in PLACES:
        for kind, token in TOKENS.items():
            text = PLACES[place].replace("TOKEN", token)
            yield from (f"{kind} as {place}: {what}" for what in _faults(folder, text, token, place))


def _faults(folder: Path, text: str, token: str, place: str) -> Iterator[str]:
    path = folder / "models.yaml"
    path.write_text(text, encoding="utf-8")
    code, said = rendered(path)
    if code != 1 or [entry.name for entry in folder.iterdir()] != ["models.yaml"]:
        yield f"exit code {code}, {sorted(entry.name for entry in folder.iterdir())}"
    lines = [number for number, line in enumerate(text.split("\n"), 1) if token in line]
    if not any(f"models.yaml:{number}:" in said for number in lines):
        yield f"lines {lines} are not named: {said}"
    if place not in _NOT_YAML and "looks like a credential" not in said:
        yield f"not recognised: {said}"
    secret = PASSWORD if PASSWORD in token else token
    if any(secret[at : at + 11] in said for at in range(6, len(secret) - 10)) or secret in said:
        yield f"repeated: {said}"


ORDINARY = (
    "sha256:" + hashlib.sha256(b"x").hexdigest(),
    hashlib.sha1(b"x", usedforsecurity=False).hexdigest(),
    "hf_token",
    "sk-learn-text-classification-for-everyone",
    "task-force-one-and-a-half-and-a-little-more",
    "TheBloke/Mistral-7B-Instruct-v0.2-GPTQ",
    "QWxhZGRpbjpvcGVuIHNlc2FtZSBhbmQgc29tZSBtb3Jl",
    "registry.example.com/a/b@sha256:" + hashlib.sha256(b"y").hexdigest(),
    "https://user@git.example.com/x.git",
    "npm_config_registry and pypi-server",
    "AKIA is a prefix",
    "550e8400-e29b-41d4-a716-446655440000",
)


def mistaken(folder: Path) -> Iterator[str]:
    """Ordinary texts that are taken for credentials."""
    for text in ORDINARY:
        path = folder / "models.yaml"
        path.write_text(PLACES["free text"].replace("TOKEN", text), encoding="utf-8")
        code, said = rendered(path)
        if code or "credential" in said:
            yield f"{text}: {said}"


def rendered(catalogue: Path) -> tuple[int, str]:
    """Exit code of `modelyard render` and what it said."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = int(render(catalogue, None, output="text"))
        except UserError as error:
            report(error.diagnostics, output="text")
            code = 1
    return code, out.getvalue() + err.getvalue()
