"""Beginning and changing a models.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from generator.commands.shared import EPILOG, catalogue_option
from generator.errors import ExitCode

# Rows of generator.scaffold.PLATFORMS, which is not imported before it is needed.
PLATFORMS = ("eks", "aks", "any-kubernetes", "kserve", "shared-gpu")


@click.command(epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--platform",
    type=click.Choice(PLATFORMS),
    default=PLATFORMS[0],
    show_default=True,
    help="Whose example models.yaml begins with: docs/<platform>.md explains it.",
)
def init(folder: Path, platform: str) -> ExitCode:
    """Start a repository in FOLDER, or add what is missing to an existing one; nothing there is touched."""
    from generator.verbs import edit as verb

    return verb.init(folder, platform)


@click.group()
def add() -> None:
    """Add a model or a service to the catalogue, keeping every comment and blank line."""


@add.command("model", epilog=EPILOG)
@click.argument("hf_id")
@click.option("--name", default=None, help="Name in the catalogue. [default: from HF_ID]")
@click.option("--title", default=None, help="How people call it.")
@click.option("--revision", default=None, help="Branch, tag or commit. [default: main]")
@click.option("--cache", default=None, help="Cache that holds it. [default: the only one]")
@click.option("--token-secret", default=None, help="Secret with a Hub token, for gated and private models.")
@catalogue_option
def add_model(catalogue: Path, **asked: Any) -> ExitCode:
    """Add the Hub repository HF_ID (owner/name) to the models."""
    from generator.verbs import edit as verb

    return verb.add_model(catalogue, **asked)


@add.command("service", epilog=EPILOG)
@click.argument("name")
@click.option("--model", required=True, help="Model to serve.")
@click.option("--cluster", "clusters", multiple=True, help="Cluster where it runs. [default: all]")
@click.option("--app", default=None, help="Application: text-generation, vllm or translation.")
@click.option("--accelerator", default=None, help="Device of each replica.")
@click.option("--route", default=None, help="Path prefix under which it answers.")
@click.option("--replicas", default=None, metavar="MIN:MAX", help="How many copies run.")
@catalogue_option
def add_service(catalogue: Path, **asked: Any) -> ExitCode:
    """Add a service NAME that serves one model."""
    from generator.verbs import edit as verb

    return verb.add_service(catalogue, **asked)
