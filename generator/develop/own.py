"""What is the developer's own on a cluster that others use: names of applications and routes."""

from __future__ import annotations

import copy
import getpass
import re
from collections.abc import Mapping, Sequence
from typing import Any

from generator.errors import UserError

LONGEST = 30  # characters: it stands in front of an application's name
_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_OTHER = re.compile(r"[^a-z0-9]+")


def name(given: str | None) -> str:
    """The developer's name: `given`, or made of their login. A DNS label; UserError where it is none."""
    if given is None:
        return _of_login()
    if not _LABEL.fullmatch(given) or len(given) > LONGEST:
        message = f"--as: `{given}` is no name: lower case letters, digits and `-`, at most {LONGEST} characters"
        raise UserError.of(message, hint=f"--as {made}" if (made := label(given)) else "--as NAME")
    return given


def label(login: str) -> str:
    """A DNS label that reads like `login`; empty where nothing is left of it."""
    found = _OTHER.sub("-", login.lower().partition("@")[0]).lstrip("-0123456789")
    return found[:LONGEST].rstrip("-")


def _of_login() -> str:
    try:
        found = label(getpass.getuser())
    except (OSError, KeyError):  # no such user, as in some containers
        found = ""
    if not found:
        raise UserError.of("your login makes no name for your applications", hint="give one: --as NAME")
    return found


def route(who: str, path: str) -> str:
    """A route below one of the developer's own."""
    return f"/{who}{path}".rstrip("/")


def applications(given: Sequence[Mapping[str, Any]], who: str) -> list[dict[str, Any]]:
    """The entries of serveConfigV2 under names and routes of the developer's."""
    own = copy.deepcopy([dict(application) for application in given])
    for application in own:
        application["name"] = f"{who}-{application['name']}"
        application["route_prefix"] = route(who, str(application.get("route_prefix") or "/"))
    return own
