"""Promise G5: any string of models.yaml is data in every target, or it is refused with its line.

A cell is one payload in one field. What is accepted is rendered, compared with the tree of a harmless value
(trees.py), and goes through the programs that read it: helm, and the template engines of Backstage (engines.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from generator import assets, compile, report, yamlio
from generator.errors import Diagnostic, Severity, UserError
from generator.plan import BUCKET_SLOT
from generator.yamlio import unsafe_character
from tests.promises import fields, trees
from tests.promises.fields import Field

# Templates, shell, HCL, YAML, JSON, Markdown; what cannot be seen; lengths; words that are not text everywhere.
PAYLOADS = (
    "{{ .Values }}", '{{ fail "x" }}', "{{- printf }}", "{{/* x */}}", "{{ .metadata.annotations.aws_region }}", "{{",
    "}}", "${schema.spec.rayImage}", '${"x"}', "${", "$${x}", "$(id)", "`id`", "; rm -rf ~", "&& id", "| id", "$HOME",
    "${HOME}", "${{ parameters.x }}", "${{ secrets.t }}", "{% raw %}", "{% endraw %}", "{# x #}", "{%- if x %}",
    "%{ if true }", "%%{x}", "${var.x}", '"', "'", "\\", '\\"', "a: b", "a #b", "- a", "? a", "&a", "*a", "!!str a",
    "!tag", "|", ">", "%YAML 1.1", "---", "...", "yes", "no", "on", "null", "~", "012", "0x1F", "1e3", "1_000",
    "12:30:45", "2026-11-21", ".inf", "=", "<<", "a\nb", "a\r\nb", "\n", "\ta", "a ", " a", "", "\x00", "\x1b[31m",
    "\u202ea", "a\u200bb", "\ufeffa", "a\u2028b", "\u2066a", "<script>x</script>", "[x](javascript:x)", "a|b",
    "**b**", "![x](y)", "../../etc", "/etc/passwd", "..\\x", "C:\\x", "a//b", BUCKET_SLOT, "modelyard-bucket",
    "models/models", "ünïcödé", "模型", "🦙", "a" * 5000, "A", "-a", "a-", "a.b", "a_b", "@", "a@sha256:1",
    "{{ .Release.Name }}", '{{ tpl "{{ .Values }}" . }}', "{{`{{`}}", "{{ .metadata }}", "{{range .}}x{{end}}",
    "}}{{", "${}", "${{", "}}}", '${{ "a" | dump }}', "${{ values.service | dump }}", "#}", "{%", "%}", "${{'",
    "{%- endraw -%}", "{#-", "$${{", "$${schema}", '${"${VAR}"}', "%{", "%{ for x in y }", "<<EOF", "$(curl x)",
    "'; id; '", '" --post-renderer x', "-oProxyCommand=id", "\\n", "\\u0000", '{"a": 1}', "[1]", "{a: b}", "a,b",
    "a: {{ b }}", "key: |\n  x", "a\n---\nb", "\n{{ fail }}\n", "\r", "\x85", "\x7f", "a\x08b", "a\tb", "\u200da",
    "\u2069", "\xad", "\u061ca", "\u3164", "\U000e0041", "\ufffe", "e\u0301", "\uff1a", "\u212a", "\u2028", "  ",
    "a  b", "a" * 1000, "a" * 1001, "a" * 63, "a" * 64, "a" * 253, "true", "False", "NO", "nan", "-1", "0", "1",
    "1.0", "08", "0o17", "+1", "::1", "1:1", "null.null", "&#x3c;", "&lt;b&gt;", "<!-- -->", "<img src=x onerror=y>",
    "https://example.com", "www.example.com", "@everyone", "#1", "$x^2$", "~~a~~", "| a |", "\\|", "``a``", "a`b",
    "```", "# a", "> a", "1. a", "[a]: b", "**/../*", "*", "?", "[", "[!a]", "a/..", "a/../b", "./a", ".", "..",
    ".git", "/", "//", "a/", "/a/", "con", "a.lock", "refs/heads/x", "@{-1}", "a..b", "a b", "a\\b",
    "file:///etc/passwd", "$ref", "__proto__", "constructor", "zz", "app.kubernetes.io/name", "kubernetes.io/",
    "/name", "argocd.argoproj.io/secret-type", "a/b/c", "A/b", "name", "apiVersion",
)  # fmt: skip
# No text but a meaning: a number of cores for Ray, no path at all, a port that a NetworkPolicy opens.
MEANT = {
    ("services[].applications[].cpu", "1"),
    ("services[].applications[].route", "/"),
    ("services[].faultTolerance.redis", "1:1"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One payload in one field."""

    field: Field
    payload: str

    def __str__(self) -> str:
        return f"{self.field.name} = {yamlio.shown(self.payload)}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """The tree of a cell, and that of its field's marker."""

    cell: Cell
    files: dict[str, bytes]
    marked: dict[str, bytes]


def cells(seed: int, count: int) -> list[Cell]:
    """All cells, or `count` of them: as many of each field and of each payload as there can be."""
    every = [Cell(f, p) for f in fields.fields() for p in PAYLOADS if (f.name, p) not in MEANT]
    return every if count >= len(every) else sorted(random.Random(seed).sample(every, count), key=every.index)


@cache
def _tree(field: Field, text: str, folder: Path) -> dict[str, bytes] | tuple[Diagnostic, ...]:
    path = folder / "models.yaml"
    path.write_bytes(yamlio.dump(fields.planted(field, text)))
    try:
        planned = compile.plan_catalogue(path, assets.find())
        if planned.plan is None:
            return planned.diagnostics
        return dict(compile.files(planned.plan, assets.find()).files)
    except UserError as error:
        return error.diagnostics


def judge(cell: Cell, folder: Path) -> Rendered | list[str]:
    """The trees of an accepted cell; of a refused one what is wrong with the refusal."""
    made = _tree.__wrapped__(cell.field, cell.payload, folder)
    if isinstance(made, tuple):
        return list(_refusal(cell, made))
    marked = _tree(cell.field, cell.field.marker, folder)
    if isinstance(marked, tuple):
        return [f"{cell}: accepted, but {cell.field.marker} is not: {marked[0].message}"]
    return Rendered(cell, made, marked)


def _refusal(cell: Cell, found: Sequence[Diagnostic]) -> Iterator[str]:
    errors = [d for d in found if d.severity is Severity.ERROR]
    if not errors:
        yield f"{cell}: refused without an error"
    for error in errors:
        if not (error.file and error.line and error.column):
            yield f"{cell}: refused without a place: {error.message}"
        said = report.text(error)
        if unsafe_character(said) >= 0 or said.count("\n") > bool(error.hint):
            yield f"{cell}: the message obeys the payload: {said!r}"


def faults(rendered: Rendered) -> Iterator[str]:
    """What is wrong with the files of an accepted cell."""
    cell = rendered.cell
    try:
        for what in trees.differences(rendered.marked, rendered.files, cell.field.marker, cell.payload):
            yield f"{cell}: {what}"
    except UserError as error:
        yield f"{cell}: not strict YAML: {error}"


def judged(chosen: Iterable[Cell], folder: Path) -> tuple[list[Rendered], list[str]]:
    """The accepted cells, and what is wrong with any."""
    accepted, wrong = [], []
    for cell in chosen:
        outcome = judge(cell, folder)
        if isinstance(outcome, list):
            wrong += outcome[:1]
        else:
            accepted.append(outcome)
            wrong += list(faults(outcome))[:1]
    return accepted, wrong
