"""Promises G7 and G8: what YAML parsers read differently, and what is too much, is refused with its line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from generator.yamlio import LIMITS
from tests.promises import credentials

ROOT = Path(__file__).parents[2]
MINIMAL = (ROOT / "tests/cases/minimal/models.yaml").read_text(encoding="utf-8")
MEMORY = 512 * 2**20  # bytes of address space; an alias bomb that unfolds takes more


@dataclass(frozen=True, slots=True)
class Sample:
    """A catalogue, and what `render` says of it: nothing when it is taken."""

    text: str
    said: str = ""


def bomb(levels: str = "abcdefghi") -> str:
    """Nine levels of aliases: 290 bytes, which unfold to more than nine to the power of eight nodes."""
    first = levels[0]
    lines = [f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]" for old, new in pairwise(levels)]
    return "\n".join([f"{first}: &{first} [x]", *lines]) + "\n"


def padded(size: int) -> str:
    """The minimal catalogue in exactly `size` bytes."""
    return MINIMAL + "#" * (size - len(MINIMAL))


def _title(text: str) -> str:
    return f"{MINIMAL}    title: {text}\n"


def _labelled(size: int) -> str:
    """A comment is no string; a value of the language is far below the limit, so the key is unknown."""
    return f"{MINIMAL}    unknown: {'x' * size}\n"


def _nested(depth: int) -> str:
    """Brackets so deep that the innermost has `depth` collections around it, itself included."""
    return f"{MINIMAL}    unknown: {'[' * (depth - 3)}{']' * (depth - 3)}\n"


_TOO_LARGE = f"the file is larger than {LIMITS.file_bytes} bytes"
_TOO_DEEP = f"nested deeper than {LIMITS.depth} levels"
_TOO_LONG = f"a text of {LIMITS.scalar_bytes + 1} bytes is too long"
_UNKNOWN = ":21:5: models[0].unknown: unknown key `unknown`"

SAMPLES: Mapping[str, Sample] = {
    "a file one byte below the limit": Sample(padded(LIMITS.file_bytes - 1)),
    "a file at the limit": Sample(padded(LIMITS.file_bytes)),
    "a file one byte above the limit": Sample(padded(LIMITS.file_bytes + 1), _TOO_LARGE),
    "a string one byte below the limit": Sample(_labelled(LIMITS.scalar_bytes - 1), _UNKNOWN),
    "a string at the limit": Sample(_labelled(LIMITS.scalar_bytes), _UNKNOWN),
    "a string one byte above the limit": Sample(_labelled(LIMITS.scalar_bytes + 1), _TOO_LONG),
    "one level below the limit": Sample(_nested(LIMITS.depth - 1), _UNKNOWN),
    "as deep as the limit": Sample(_nested(LIMITS.depth), _UNKNOWN),
    "one level too deep": Sample(_nested(LIMITS.depth + 1), _TOO_DEEP),
    "20,000 brackets": Sample("a: " + "[" * 20_000, _TOO_DEEP),
    "20,000 mappings": Sample("a: " + "{a: " * 20_000, _TOO_DEEP),
    "an alias bomb": Sample(bomb(), ":2:4: b: anchor &b"),
    "a key twice": Sample(_title("a\n    title: b"), ":22:5: models[0].title: the key title is given twice"),
    "a merge key": Sample(f"{MINIMAL}    <<: {{}}\n", ":21:5: models[0].<<: merge key <<"),
    "an alias": Sample(_title("*a"), ":21:12: models[0].title: alias *a"),
    "an anchor": Sample(_title("&a b"), ":21:12: models[0].title: anchor &a"),
    "a tag": Sample(_title("!!binary aGk="), ":21:12: models[0].title: "),
    "two documents": Sample(f"{MINIMAL}---\na: 1\n", ":21:1: "),
    "a number for a key": Sample(f"{MINIMAL}    1: x\n", ":21:5: "),
    "infinity": Sample(_title(".inf"), ":21:12: models[0].title: "),
    "not a number": Sample(_title(".nan"), ":21:12: models[0].title: "),
    "an old boolean": Sample(_title("no"), ":21:12: models[0].title: "),
    "an octal number": Sample(_title("010"), ":21:12: models[0].title: "),
    "a number with base 60": Sample(_title("12:30:45"), ":21:12: models[0].title: "),
    "a date": Sample(_title("2026-11-21"), ":21:12: models[0].title: "),
    "a tab": Sample(f"{MINIMAL}\ttitle: x\n", ":21:1: "),
    "a byte that is not UTF-8": Sample(_title("\udcff"), ":21:12: the file is not UTF-8"),
    "a bidirectional character": Sample(_title("a\u202eb"), ":21:13: invisible or control character U+202E"),
    "a null character": Sample(_title("a\x00b"), ":21:13: invisible or control character U+0000"),
}


# Those that fill the memory of a careless reader go through a process that has little.
HEAVY = ("a file at the limit", "20,000 brackets", "20,000 mappings", "an alias bomb")


def faults(folder: Path) -> Iterator[str]:
    """Samples of which `render` says something else, or which leave something behind."""
    for name, sample in SAMPLES.items():
        path = folder / "models.yaml"
        path.write_bytes(sample.text.encode("utf-8", "surrogateescape"))
        for run in (credentials.rendered, *((with_little_memory,) if name in HEAVY else ())):
            code, said = run(path)
            written = (folder / "rendered").exists()
            if code != bool(sample.said) or sample.said not in said or written == bool(sample.said):
                yield f"{name}: exit code {code}, {said[:300]}"
            if len(said) > 20_000:
                yield f"{name}: {len(said)} characters of complaint"
            shutil.rmtree(folder / "rendered", ignore_errors=True)


def with_little_memory(path: Path) -> tuple[int, str]:
    """Exit code of `modelyard render`, and what it said."""
    program = f"import resource as r; r.setrlimit(r.RLIMIT_AS, ({MEMORY},) * 2); from generator.cli import main; main()"
    command = [sys.executable, "-c", program, "render", "-f", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
