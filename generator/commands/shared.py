"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = "Exit codes: 0 fine; 1 a fault in your files, or drift; 2 wrong usage; 3 a bug in modelyard."

catalogue_option = click.option(
    "-f",
    "--file",
    "catalogue",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("models.yaml"),
    show_default=True,
    help="The catalogue.",
)
out_option = click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="The rendered tree. [default: the folder `platform.repository.path` beside the catalogue]",
)
output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, JSON for machines.",
)
helm_option = click.option(
    "--helm",
    default=None,
    help="The helm program, for clusters with `gitops: kubectl`. [default: MODELYARD_HELM, or helm on PATH]",
)
