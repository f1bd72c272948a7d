"""The options that the Job's program and `modelyard prestage` share. Imports little: every verb pays for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from generator.prestage.limits import WORKERS, Verify

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--target", metavar="URL", help="s3://bucket/prefix, or a folder of a mounted volume."),
    click.option(
        "--source", metavar="URL", help="Instead of the Hub: a folder, or an S3 prefix that modelyard has written."
    ),
    click.option("--plan", "preview", is_flag=True, help="Print what would be copied and its size; touch nothing."),
    click.option(
        "--verify",
        type=click.Choice([str(choice) for choice in Verify]),
        default=str(Verify.CHECKSUM),
        show_default=True,
        help="How a copy that is there already is looked at: its sizes, the checksums that S3 states, or every byte.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 64),
        default=WORKERS,
        show_default=True,
        help="Parts on their way at once; each takes 5 MiB of memory.",
    ),
    click.option("--deadline", type=click.FloatRange(min=1), metavar="SECONDS", help="Give up after so long."),
    click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File that holds the Hub token; else HF_TOKEN, or the file that HF_TOKEN_PATH names.",
    ),
    click.option("--endpoint-url", metavar="URL", help="Another S3 than AWS's; else AWS_ENDPOINT_URL."),
    click.option("--metrics-file", type=click.Path(dir_okay=False, path_type=Path), help="Write Prometheus metrics."),
    click.option("--push-gateway", metavar="URL", help="Push Prometheus metrics to a gateway."),
    click.option("--notify-sns", metavar="ARN", help="Tell an SNS topic how it ended."),
    click.option(
        "--output",
        type=click.Choice(["auto", "text", "json"]),
        default="auto",
        show_default=True,
        help="Sentences and a progress bar, or one JSON line per event; auto: JSON where stdout is no terminal.",
    ),
)


def options(command: F) -> F:
    """A decorator: adds them all, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
