"""The direction of imports, read from the syntax tree of every module; nothing is imported here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Lowest first: a unit (a module or a package directly below generator/) imports from earlier lines only; the units
# of one line are peers and do not import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("filechoice", "safetensors"),
    ("prestage",),  # runs in a Job's image, without the rest
    ("errors",),
    ("assets", "catalog", "cron", "naming", "quantities", "shutdown", "suggest"),
    ("bundle", "files", "gitfiles", "gitindex", "registry", "tree", "yamlio"),
    ("credentials", "kro", "records", "spec", "yamledit"),
    ("chartdocs", "reference", "wording"),
    ("load",),
    ("lock",),
    ("plan",),
    ("apps", "caches", "profiles", "providers"),
    ("runtimes", "stagings"),
    ("hubread", "hubfaults", "lockplan", "modelconfig"),
    ("hubfiles",),
    ("hub",),
    ("workers",),
    ("applications", "baking", "clusters", "memory", "stated"),
    ("pods",),
    ("devices", "inference", "rayclusters", "storage"),
    ("checks",),
    ("services",),
    ("resolve",),
    ("emit",),
    ("deployed", "kinds"),
    ("lint",),
    ("compile", "edit", "gc", "scaffold"),
    ("clireference", "diff", "rehearse", "versions"),
    ("develop",),
    ("report",),
    ("verbs",),
    ("commands",),
    ("cli", "__main__"),
)
TERMINAL = {"report", "cli", "__main__", "prestage"}  # units that may print; prestage is a program of its own
PROGRAMS = {"generator.develop.driver", "generator.rehearse.guard"}  # modules that are programs, too
LEVEL = {unit: level for level, units in enumerate(LAYERS) for unit in units}


def unit_of(module: str) -> str:
    """`generator.spec.base` -> `spec`; `generator` -> the empty string."""
    return [*module.split("."), ""][1]


def module_name(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """`(line, dotted module)` of every import, also those inside functions and `if TYPE_CHECKING`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            if base == "generator":  # `from generator import lock` imports the unit, not the package
                yield from ((node.lineno, f"generator.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base


def import_faults(module: str, tree: ast.AST) -> Iterator[str]:
    """What `module` imports and may not."""
    unit = unit_of(module)
    for line, target in imported(tree):
        place = f"{module}:{line}"
        if target.startswith("."):
            yield f"{place} imports {target}: imports are absolute"
        if not (target == "generator" or target.startswith("generator.")):
            continue
        other = unit_of(target)
        if other == unit or other in {"", "__version__"}:
            continue
        if LEVEL.get(other, len(LAYERS)) >= LEVEL.get(unit, -1):
            yield f"{place} imports {target}: {other} is not below {unit}"


def terminal_faults(module: str, tree: ast.AST) -> Iterator[str]:
    """Where `module` prints or exits."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print" | "exit" | "quit" as name)):
                yield f"{module}:{node.lineno} calls {name}()"
            case ast.Attribute(value=ast.Name(id="sys" | "os" as owner), attr="exit" | "_exit" as name):
                yield f"{module}:{node.lineno} uses {owner}.{name}"
            case ast.Attribute(value=ast.Attribute(attr="stdout" | "stderr" as name), attr="write" | "writelines"):
                yield f"{module}:{node.lineno} writes to {name}"
            case ast.Attribute(value=ast.Name(id="click"), attr="echo" | "secho" as name):
                yield f"{module}:{node.lineno} uses click.{name}"
            case ast.Raise(exc=ast.Name(id="SystemExit") | ast.Call(func=ast.Name(id="SystemExit"))):
                yield f"{module}:{node.lineno} raises SystemExit"


def sources(folder: str) -> list[tuple[str, ast.Module]]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [(module_name(path), ast.parse(path.read_bytes(), str(path))) for path in paths]


GENERATOR = sources("generator")


def test_every_unit_has_a_layer() -> None:
    units = {unit_of(module) for module, _ in GENERATOR} - {""}
    assert units - set(LEVEL) == set(), "add them to LAYERS, at their place"


def test_imports_point_to_earlier_layers() -> None:
    assert [fault for module, tree in GENERATOR for fault in import_faults(module, tree)] == []


def test_only_the_terminal_modules_print_or_exit() -> None:
    modules = [(name, tree) for name, tree in GENERATOR if unit_of(name) not in TERMINAL and name not in PROGRAMS]
    assert [fault for module, tree in modules for fault in terminal_faults(module, tree)] == []


def test_serving_does_not_import_the_generator() -> None:
    found = [
        f"{module}:{line} imports {target}"
        for module, tree in sources("serving")
        for line, target in imported(tree)
        if target.split(".")[0] == "generator"
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "code", "fault"),
    [
        ("generator.spec.model", "from generator.spec.base import Node", None),
        ("generator.plan", "from generator import __version__, naming", None),
        ("generator.prestage.hub", "from generator.prestage.exits import Exit", None),
        ("generator.naming", "def f():\n    from generator.plan import Plan", "plan is not below naming"),
        ("generator.naming", "from generator import plan", "plan is not below naming"),
        ("generator.apps.base", "import generator.caches.base", "caches is not below apps"),
        ("generator.emit.charts", "from generator.prestage.exits import Exit", None),
        ("generator.prestage.hub", "from generator.errors import UserError", "errors is not below prestage"),
        ("generator.cli", "from generator.helpers import x", "helpers is not below cli"),
        ("generator.cli", "from . import tree", "imports are absolute"),
    ],
)
def test_the_rule_itself(module: str, code: str, fault: str | None) -> None:
    faults = [text.rpartition(": ")[2] for text in import_faults(module, ast.parse(code))]
    assert faults == ([] if fault is None else [fault])


@pytest.mark.parametrize(
    "code",
    ["print(1)", "exit(1)", "sys.exit(1)", "sys.stderr.write('x')", "click.echo('x')", "raise SystemExit(2)"],
)
def test_the_terminal_rule_itself(code: str) -> None:
    assert len(list(terminal_faults("generator.tree", ast.parse(code)))) == 1
