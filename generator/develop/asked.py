"""Which application of a service is asked, and where: by the catalogue, checked by what is really served there."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from generator.errors import UserError
from generator.suggest import suggest

DEFAULT = "http://127.0.0.1:8000"
_TIMEOUT = 30.0  # seconds
Application = Mapping[str, Any]
"""An entry of serveConfigV2."""


def chosen(applications: Sequence[Application], name: str | None, service: str) -> Application:
    """The application that is named, or the only one. Raises UserError that says which there are."""
    known = [str(application["name"]) for application in applications]
    if name is None and len(known) > 1:
        hint = f"name one: --application {known[0]} (of {', '.join(known)})"
        raise UserError.of(f"service `{service}` has {len(known)} applications", hint=hint)
    if name is not None and name not in known:
        raise UserError.of(f"service `{service}` has no application `{name}`", hint=suggest(name, known))
    return applications[0 if name is None else known.index(name)]


def base(url: str) -> str:
    """The address of the proxy, without a slash at its end. Raises UserError where it is no address."""
    found = url if "://" in url else f"http://{url}"
    if not found.startswith(("http://", "https://")):
        raise UserError.of(f"--url: `{url}` is no address", hint="http://HOST:PORT, without the application's route")
    return found.rstrip("/")


def check(url: str, application: Application, hint: str) -> str:
    """Where the application answers, below `url`. Raises UserError where nothing, or something else, answers there."""
    route = str(application.get("route_prefix") or "/")
    routes = _routes(url, hint)
    if routes is not None and route not in routes:
        message = f"{url} serves no application at {route}"
        there = ", ".join(sorted(routes)) or "nothing"
        raise UserError.of(message, hint=f"{there} is served there; {hint}")
    if routes is not None and routes[route] != application["name"]:
        message = f"{url} serves `{routes[route]}` at {route}, not `{application['name']}`"
        raise UserError.of(message, hint=f"another service has this route there; {hint}")
    return url + route.rstrip("/")


def _routes(url: str, hint: str) -> Mapping[str, str] | None:
    """What Serve's proxy serves, application by route; None where something in front of it does not tell."""
    opener = urllib.request.build_opener()
    try:
        with opener.open(f"{url}/-/routes", timeout=_TIMEOUT) as answer:
            found = json.loads(answer.read())
            return found if isinstance(found, dict) else None
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except OSError as error:
        raise UserError.of(f"nothing answers at {url}: {getattr(error, 'reason', error)}", hint=hint) from error
    except ValueError:
        return None
