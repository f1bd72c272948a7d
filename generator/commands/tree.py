"""From models.yaml to the tree, and what is wrong with either."""

from __future__ import annotations

from pathlib import Path

import click

from generator import report
from generator.commands.shared import EPILOG, catalogue_option, helm_option, out_option, output_option
from generator.errors import ExitCode


@click.command(epilog=EPILOG)
@catalogue_option
@out_option
@helm_option
@output_option
def render(catalogue: Path, out: Path | None, helm: str | None, output: str) -> ExitCode:
    """Write the rendered tree: all of it or nothing, and only what changed."""
    from generator.verbs import render as verb

    return verb.render(catalogue, out, output=output, helm=helm)


@click.command(epilog=EPILOG)
@catalogue_option
@out_option
@click.option("--tracked", is_flag=True, help="Fail as well when Git does not track a file of the tree.")
@helm_option
@output_option
def check(catalogue: Path, out: Path | None, tracked: bool, helm: str | None, output: str) -> ExitCode:
    """Compare the rendered tree with the catalogue, writing nothing; exit 1 and a diff when it is stale."""
    from generator.verbs import render as verb

    return verb.check(catalogue, out, output=output, tracked=tracked, helm=helm)


@click.command(epilog=EPILOG)
@click.argument("tree", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("rendered"))
@click.option("--helm", default=None, help="The helm program. [default: helm on PATH]")
@click.option("--no-helm", is_flag=True, help="Leave out what only helm can tell: what the charts expand to.")
@output_option
def lint(tree: Path, helm: str | None, no_helm: bool, output: str) -> ExitCode:
    """Judge a rendered TREE offline: schemas of every object, names, and rules of practice."""
    from generator.verbs import lint as verb

    return verb.lint(tree, helm=helm, with_helm=not no_helm, output=output)


@click.command(epilog=EPILOG)
@click.argument("what", type=click.Choice(["json", "markdown"]), default="json")
def schema(what: str) -> ExitCode:
    """Print the JSON Schema of models.yaml, or its reference as Markdown."""
    from generator import reference

    report.line((reference.json_schema() if what == "json" else reference.markdown()).removesuffix("\n"))
    return ExitCode.OK
