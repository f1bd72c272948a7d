"""The options of the programs in this package and of `modelyard prestage`. Imports little: every verb pays for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import click

from generator.prestage.limits import WORKERS, Verify

F = TypeVar("F", bound=Callable[..., Any])

HELP = {"help_option_names": ["-h", "--help"]}
"""Settings of each program's click context."""

_COPYING = MappingProxyType(
    {
        "target": click.option("--target", metavar="URL", help="s3://bucket/prefix, or a folder of a mounted volume."),
        "source": click.option(
            "--source", metavar="URL", help="Instead of the Hub: a folder, or an S3 prefix that modelyard has written."
        ),
        "plan": click.option(
            "--plan", "preview", is_flag=True, help="Print what would be copied and its size; touch nothing."
        ),
        "verify": click.option(
            "--verify",
            type=click.Choice([str(choice) for choice in Verify]),
            default=str(Verify.CHECKSUM),
            show_default=True,
            help="How a copy that is there already is looked at: its sizes, the checksums that S3 states, "
            "or every byte.",
        ),
        "workers": click.option(
            "--workers",
            type=click.IntRange(1, 64),
            default=WORKERS,
            show_default=True,
            help="Parts on their way at once; each takes 5 MiB of memory.",
        ),
        "deadline": click.option(
            "--deadline", type=click.FloatRange(min=1), metavar="SECONDS", help="Give up after so long."
        ),
        "token-file": click.option(
            "--token-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="File that holds the Hub token; else HF_TOKEN, or the file that HF_TOKEN_PATH names.",
        ),
        "endpoint-url": click.option(
            "--endpoint-url", metavar="URL", help="Another S3 than AWS's; else AWS_ENDPOINT_URL."
        ),
        "metrics-file": click.option(
            "--metrics-file", type=click.Path(dir_okay=False, path_type=Path), help="Write Prometheus metrics."
        ),
        "push-gateway": click.option("--push-gateway", metavar="URL", help="Push Prometheus metrics to a gateway."),
        "notify-sns": click.option("--notify-sns", metavar="ARN", help="Tell an SNS topic how it ended."),
        "output": click.option(
            "--output",
            type=click.Choice(["auto", "text", "json"]),
            default="auto",
            show_default=True,
            help="Sentences and a progress bar, or one JSON line per event; auto: JSON where stdout is no terminal.",
        ),
    }
)
_STEPS = MappingProxyType(
    {
        "hold": click.option(
            "--hold",
            is_flag=True,
            help="Copy and verify everything, but leave it to the load test to let readers see it.",
        ),
        "load-test": click.option(
            "--load-test",
            is_flag=True,
            help="Test the model before readers see it, as generator.prestage.loadtest does.",
        ),
        "wait": click.option(
            "--wait",
            type=click.FloatRange(min=0),
            default=0.0,
            metavar="SECONDS",
            help="How long to wait for an S3 source that is not complete yet.",
        ),
        "tell": click.option(
            "--tell",
            type=click.Choice(["all", "failures"]),
            default="all",
            show_default=True,
            help="Notify of every end, or of failures alone, where a later step tells the rest.",
        ),
        "outputs": click.option(
            "--outputs",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Write the results there, a file each: path, commit, bytes, seconds.",
        ),
    }
)
_OPTIONS: Mapping[str, Callable[[Any], Any]] = MappingProxyType({**_COPYING, **_STEPS})


def options(command: F) -> F:
    """A decorator: adds those of `modelyard prestage`, in this order."""
    return _with(command, _COPYING)


def chosen(*names: str) -> Callable[[F], F]:
    """A decorator that adds these."""
    return lambda command: _with(command, names)


def _with(command: F, names: Iterable[str]) -> F:
    for name in reversed(list(names)):
        command = _OPTIONS[name](command)
    return command
