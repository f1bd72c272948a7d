"""What a Grafana dashboard is made of: choices at its top, and rows of panels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel with its series: expression and legend. `unit` is Grafana's name of it."""

    title: str
    meaning: str
    unit: str
    series: tuple[tuple[str, str], ...]
    kind: str = "timeseries"


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable: the values that the label `of` has on `series`, all of them at first."""

    name: str
    title: str
    series: str
    of: str


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. `since` and `refresh` are durations: what is shown at first, and how often it is asked anew."""

    uid: str
    title: str
    tags: tuple[str, ...]
    since: str
    refresh: str
    choices: tuple[Choice, ...]
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
