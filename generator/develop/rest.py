"""Ray's dashboard: what it offers under /api, with the cluster's token."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator.errors import UserError

TIMEOUT = 60.0  # seconds without a byte
_SHOWN = 1000  # characters of a refusal
TOKEN_HINT = (
    "RAY_AUTH_TOKEN holds the token, or RAY_AUTH_TOKEN_PATH names a file with it;"  # noqa: S105  no token
    " it is `auth_token` of the Secret that models.yaml names as `authSecret`"
)


class NotFoundError(Exception):
    """The dashboard has no such thing."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`where` gives the address, without a slash at its end: it may be another one each time."""

    where: Callable[[], str]
    token: str = field(default="", repr=False)

    def get(self, path: str) -> Any:
        return json.loads(self.ask("GET", path))

    def post(self, path: str, body: object) -> Any:
        return json.loads(self.ask("POST", path, json.dumps(body).encode(), "application/json"))

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/octet-stream") -> bytes:
        """The answer. Raises NotFoundError, and UserError for every other fault."""
        address = self.where()
        headers = {"Content-Type": kind} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            request = urllib.request.Request(address + path, body, headers, method=method)  # noqa: S310
            with _OPENER.open(request, timeout=TIMEOUT) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                reason = " ".join(error.read().decode(errors="replace").split())[:_SHOWN]
            raise _refused(address, error.code, reason) from error
        except (OSError, ValueError) as error:
            reason = str(getattr(error, "reason", error))
            hint = "is that the address of a Ray dashboard (port 8265), and does the cluster run?"
            raise UserError.of(f"no answer from {address}: {reason}", hint=hint) from error


# The way to a dashboard is a tunnel or a name of the inner network: never a proxy, which would see the token.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _refused(address: str, status: int, reason: str) -> Exception:
    match status:
        case 401:
            return UserError.of(f"the cluster at {address} asks for a token", hint=TOKEN_HINT)
        case 403:
            return UserError.of(f"the cluster at {address} refuses the token", hint=TOKEN_HINT)
        case 404:
            return NotFoundError(reason)
        case _:
            return UserError.of(f"the cluster at {address} answers HTTP {status}: {reason}")


def token(environment: Mapping[str, str] = os.environ) -> str:
    """The token as Ray itself finds it (Ray 2.60, AuthenticationTokenLoader); empty where there is none."""
    if given := environment.get("RAY_AUTH_TOKEN", "").strip():
        return given
    named = environment.get("RAY_AUTH_TOKEN_PATH", "")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        if named:
            raise UserError.of("RAY_AUTH_TOKEN_PATH names no file", file=named, hint=TOKEN_HINT) from None
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError.of(f"cannot be read: {error}", file=str(path), hint=TOKEN_HINT) from error
