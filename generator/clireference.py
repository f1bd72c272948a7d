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
    for command in _commands(group, "modelyard"):
        lines += ["", *command]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, path: str) -> Iterator[list[str]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            context = click.Context(command, info_name=f"{path} {name}", max_content_width=100)
            epilog, command.epilog = command.epilog, None
            yield [f"## {path} {name}", "", "```text", *command.get_help(context).splitlines(), "```"]
            command.epilog = epilog
