"""`models:`, what the platform offers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from generator import cron
from generator.spec.base import LabelKey, LabelValue, Name, Node, SecretKey, Seq, Text, described

RepoId = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$", max_length=96),
]
"""A Hub repository, `owner/name` (huggingface_hub v1.28.0 utils/_validators.py, ASCII only)."""

HubRevision = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]|[./][A-Za-z0-9_-])*$", max_length=200)
]
FilePattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9*?\[][A-Za-z0-9*?._\[\]/-]*$", max_length=200)]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class Source(Node):
    """Where the weights come from."""

    huggingface: RepoId = described("Repository on the Hugging Face Hub.", "TinyLlama/TinyLlama-1.1B-Chat-v1.0")
    revision: HubRevision = described(
        "Branch, tag or commit. What is not a 40-digit commit is pinned by `modelyard lock`.", "main", default="main"
    )
    token_secret: SecretName | None = described(
        "Secret in the platform's namespace that holds a Hub token; needed for gated and private models.",
        "hf-token",
        default=None,
    )
    token_key: SecretKey = described("Key inside `tokenSecret`.", "token", default="token")
    allow: Seq[FilePattern] = described(
        "File patterns to take beside safetensors, configuration and tokenizer; a pickle or Python file only when"
        " named exactly.",
        ["*.gguf"],
        default=(),
    )
    ignore: Seq[FilePattern] = described("File patterns to leave out.", ["original/*"], default=())


Schedule = Annotated[str, StringConstraints(min_length=9, max_length=100), AfterValidator(cron.checked)]
"""Five fields of cron, as CronJob and CronWorkflow both read them."""

TimeZone = Annotated[
    str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9+_-]*(/[A-Z][A-Za-z0-9+_-]*){0,2}$", max_length=64)
]
"""A name of the IANA time zone database; whether it exists, only the cluster knows."""


class Refresh(Node):
    """A look at the Hub by schedule. A new commit is staged beside the one in use and reported; only Git adopts it."""

    schedule: Schedule = described("When, as cron has it.", "0 3 * * *")
    time_zone: TimeZone = described("Time zone of the schedule.", "Europe/Berlin", default="Etc/UTC")
    revision: HubRevision | None = described(
        "Branch to follow; the one of `source` when left out.", "main", default=None
    )


class Model(Node):
    """One model that the platform offers."""

    name: Name = described("Name that services refer to; part of every path and object name.", "tinyllama")
    title: Text | None = described("How people call it; shown in Backstage.", "TinyLlama 1.1B Chat", default=None)
    source: Source = described("Where the weights come from.")
    cache: Name = described("Cache that holds it.", "s3")
    clusters: Seq[Name] | None = described(
        "Clusters where it is staged; all clusters when left out.", ["peeks-hub"], default=None
    )
    refresh: Refresh | None = described(
        "Looks for new commits by schedule; never when left out.", {"schedule": "0 3 * * *"}, default=None
    )
    load_test: bool = described(
        "Whether a copy is tried before it counts as complete: configuration, headers of the weights, tokenizer.",
        True,
        default=False,
    )
    compiled_for: Seq[Name] = described(
        "Accelerators that the weights are compiled for; needed for AWS Trainium and Inferentia.",
        ["aws-inferentia2"],
        default=(),
    )
    labels: dict[LabelKey, LabelValue] = described(
        "Free labels, shown on the catalogue page.", {"team": "search"}, default={}
    )
