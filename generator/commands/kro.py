"""kro without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from generator.commands.shared import EPILOG, output_option
from generator.errors import ExitCode


@click.group()
def kro() -> None:
    """kro without a cluster: check ResourceGraphDefinitions, and see what instances become."""


@kro.command("check", epilog=EPILOG)
@click.argument("places", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--schemas",
    "schema_places",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path, exists=True),
    help="CustomResourceDefinitions or JSON Schemas of the kinds in the graphs: templates are held against them.",
)
@output_option
def kro_check(places: tuple[Path, ...], schema_places: tuple[Path, ...], output: str) -> ExitCode:
    """Say what kro would refuse in the ResourceGraphDefinitions of FILE (files or folders), and what fails later.

    Looks at names, SimpleSchema, expressions and their types, dependencies and circles, conditions, collections, and
    the templates. Fields of a kind are checked where its schema is known: by --schemas, or from another graph in FILE.
    """
    from generator.verbs import kro as verb

    return verb.check(places, schema_places=schema_places, output=output)


@kro.command("expand", epilog=EPILOG)
@click.argument("places", nargs=-1, required=True, metavar="INSTANCE...", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--rgd",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    default=(Path("rendered/kro"),),
    show_default="rendered/kro",
    help="Where the graph of the kind is: a file or a folder.",
)
@click.option(
    "--with",
    "live",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path, exists=True),
    help="Objects as the cluster has them (kubectl get -o yaml): for externalRef, and for what stands in a status.",
)
@click.option("-r", "--recursive", is_flag=True, help="Expand objects that are instances of another graph, too.")
@click.option("--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="How to print.")
def kro_expand(places: tuple[Path, ...], **asked: Any) -> ExitCode:
    """Print the objects that the instances in INSTANCE become, in the order in which kro makes them.

    Graphs may stand in INSTANCE, too. Each instance is held against the schema of its kind first. What only a cluster
    knows stays as it is written, and stderr says why.
    """
    from generator.verbs import kro as verb

    return verb.expand(places, **asked)
