"""Schedules: five fields of cron, as CronJob and CronWorkflow read them (robfig/cron v3, ParseStandard).

Macros such as `@daily` and `TZ=` are left out on purpose: five fields mean the same to every reader, and the time zone
has a key of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One of the five fields: the whole numbers that it takes, and names for some of them."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of low, low + 1, ...


PARTS = (
    Part("minute", 0, 59),
    Part("hour", 0, 23),
    Part("day of the month", 1, 31),
    Part("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    Part("day of the week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_ITEM = re.compile(r"(?P<from>\*|\?|[A-Za-z]+|[0-9]+)(-(?P<to>[A-Za-z]+|[0-9]+))?(/(?P<step>[0-9]+))?", re.ASCII)


def checked(text: str) -> str:
    """The schedule as it stands. Raises ValueError with what is wrong."""
    faults = list(_faults(text))
    if faults:
        raise ValueError("; ".join(faults))
    return text


def _faults(text: str) -> Iterator[str]:
    fields = text.split(" ")
    if len(fields) != len(PARTS):
        names = ", ".join(part.name for part in PARTS)
        yield f"is no schedule: cron has five fields with one space between them ({names}), such as `0 3 * * *`"
        return
    for part, field in zip(PARTS, fields, strict=True):
        for item in field.split(","):
            fault = _fault(part, item)
            if fault:
                yield f"{part.name} `{item}` {fault}"


def _fault(part: Part, item: str) -> str:
    found = _ITEM.fullmatch(item)
    if not found:
        return f"is not `*`, a number from {part.low} to {part.high}, a range or a step such as `*/2`"
    if found["from"] in ("*", "?"):
        first, last = part.low, part.high
        if found["to"]:
            return "is a range that starts with no number"
    else:
        numbers = [_number(part, text) for text in (found["from"], found["to"]) if text]
        if None in numbers:
            return f"is out of reach: {part.low} to {part.high}" + (" or a name in English" if part.names else "")
        first, last = numbers[0] or 0, numbers[-1] or 0
        if last < first:
            return "is a range that ends before it starts"
    return "has a step of 0" if found["step"] and int(found["step"]) == 0 else ""


def _number(part: Part, text: str) -> int | None:
    if text.lower() in part.names:
        return part.low + part.names.index(text.lower())
    return int(text) if text.isdigit() and part.low <= int(text) <= part.high else None
