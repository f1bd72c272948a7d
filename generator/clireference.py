"""docs/cli.md, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from generator.errors import ExitCode

_MEANING = {
    ExitCode.OK: "fine; warnings may have been printed",
    ExitCode.FAULT: "a fault in your files, or the tree is not what the catalogue says",
    ExitCode.USAGE: "wrong usage: an unknown verb, a bad option",
    ExitCode.BUG: "a bug in modelyard, with a traceback and the versions to report",
}


def markdown(group: click.Group) -> str:
    """One section for each verb, and the exit codes."""
    lines = [
        "# Command line",
        "",
        "Generated from the commands. Diagnostics go to stderr as text, or to stdout as JSON with `--output json`.",
        "",
        "| exit code | means |",
        "| --- | --- |",
        *(f"| {int(code)} | {meaning} |" for code, meaning in _MEANING.items()),
        "| 130 | stopped with ^C |",
    ]
    top = click.Context(group, info_name="modelyard", **group.context_settings)
    for command in _commands(group, "modelyard", top):
        lines += ["", *command]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, path: str, top: click.Context) -> Iterator[list[str]]:
    """`top` is the context whose settings all commands inherit, as when they are called."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}", top)
        else:
            words = f"{path} {name}".removeprefix("modelyard ")
            context = click.Context(command, info_name=words, parent=top)
            epilog, command.epilog = command.epilog, None
            yield [f"## {path} {name}", "", "```text", *command.get_help(context).splitlines(), "```"]
            command.epilog = epilog
