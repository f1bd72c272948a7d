"""How long a schedule rests: what is late depends on it.

Fields as generator.cron takes them, read as robfig/cron v3 reads them, which Kubernetes and Argo Workflows use.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from itertools import pairwise

from generator.cron import PARTS, Part

DAY = 24 * 60  # minutes
START = date(2023, 1, 1)
DAYS = 9 * 365  # has two leap years: the longest pause is from one 29 February to the next


@cache
def longest_gap(schedule: str) -> int:
    """Seconds between two runs at most; what never runs (30 February) gets the whole time looked at."""
    fields = schedule.split(" ")
    minutes, hours, *days = (taken(part, field) for part, field in zip(PARTS, fields, strict=True))
    times = [hour * 60 + minute for hour in sorted(hours) for minute in sorted(minutes)]
    # Where both are limited, a day that fits one of them is enough.
    either = not any(_all(field) for field in (fields[2], fields[4]))
    on = [day for day in range(DAYS) if _fits(START + timedelta(day), *days, either=either)]
    within = max((later - earlier for earlier, later in pairwise(times)), default=0)
    across = max(
        ((later - earlier) * DAY + times[0] - times[-1] for earlier, later in pairwise(on)), default=DAYS * DAY
    )
    return max(within, across) * 60


def taken(part: Part, field: str) -> frozenset[int]:
    """The numbers that a field stands for."""
    return frozenset(number for item in field.split(",") for number in _item(part, item))


def _item(part: Part, item: str) -> Iterator[int]:
    span, _, step = item.partition("/")
    first, _, last = span.partition("-")
    everything = first in ("*", "?")
    low = part.low if everything else _number(part, first)
    # `5/15` goes on to the end
    high = _number(part, last) if last else part.high if everything or step else low
    yield from range(low, high + 1, int(step or 1))


def _number(part: Part, text: str) -> int:
    return int(text) if text.isdigit() else part.low + part.names.index(text.lower())


def _all(field: str) -> bool:
    """Whether a field of days leaves all of them: `*/2` does not."""
    return any(item in ("*", "?", "*/1", "?/1") for item in field.split(","))


def _fits(
    day: date, of_month: frozenset[int], months: frozenset[int], of_week: frozenset[int], *, either: bool
) -> bool:
    found = (day.day in of_month, day.isoweekday() % 7 in of_week)
    return day.month in months and (any(found) if either else all(found))
