"""Models: pinned, staged, found again, removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from generator.commands.shared import EPILOG, catalogue_option, output_option
from generator.errors import ExitCode
from generator.prestage import options as prestage_options


@click.command(epilog=EPILOG)
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


STAGED = """Exit codes: 0 done, or already there; 64 the plan or an argument is wrong; 65 wrong bytes; 66 not found at
the source; 73 the target is full or refuses; 75 a fault that may pass; 77 the Hub refuses; 143 interrupted.
1, 2 and 3 as for the other verbs."""


@click.command(epilog=STAGED)
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


@click.command("gc", epilog=EPILOG)
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


@click.command(epilog=EPILOG)
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


@click.command(epilog=EPILOG)
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
