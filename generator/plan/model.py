"""Models, and how they are staged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.plan.cache import Cache


@dataclass(frozen=True, slots=True)
class Token:
    """A key of a Secret that holds a Hub token."""

    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model; `digest` is `sha256:<64 hex>` or, for small files, the Hub's `git:<40 hex>` blob id."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model at one commit. Sizes in bytes; None is unknown, never a guess."""

    name: str
    title: str
    repo: str
    revision: str  # as asked
    commit: str
    cache: Cache
    clusters: tuple[str, ...]
    token: Token | None
    allow: tuple[str, ...]
    ignore: tuple[str, ...]
    license: str | None
    gated: bool | None
    size: int | None
    weights: int | None
    dtype: str | None
    parameters: int | None
    context_length: int | None
    files: tuple[File, ...] | None
    labels: Mapping[str, str]
    key: str  # bucket key prefix
    path: str  # folder that pods see
    refresh: Refresh | None
    load_test: bool
    compiled_for: tuple[str, ...]  # rows of catalog.ACCELERATORS


@dataclass(frozen=True, slots=True)
class Refresh:
    """When the Hub is looked at for a new commit, and on which branch."""

    schedule: str  # five fields of cron
    time_zone: str
    revision: str


@dataclass(frozen=True, slots=True)
class Prestage:
    """How one model is staged."""

    model: Model
    ways: Mapping[str, str]  # cluster -> row of generator.stagings; empty where nothing is staged on clusters
    image: str
    deadline: int  # seconds, of the whole run
    digest: str  # of all inputs but the cluster's own values
    plan: str  # canonical JSON that the program reads: source, commit, files


@dataclass(frozen=True, slots=True)
class Image:
    """An image that holds the models of a service, and what it is built of."""

    service: str
    target: str  # name of the build: the first worker group that runs it
    reference: str
    base: str
    prestage: str
    packages: str | None  # `cpu` or `gpu`: whose requirements are added to the base; None: it has them
    models: tuple[Model, ...]
    plans: Mapping[str, str]  # model -> Prestage.plan
