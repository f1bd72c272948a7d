"""What the Hub's refusals mean, and how to mend each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

from huggingface_hub import errors

from generator.errors import Diagnostic, UserError
from generator.lock import ModelSource

# httpx in huggingface_hub 1.x, httpx2 in 2.x: the base of both is the same class that HfHubHTTPError extends.
TransportError = cast("type[Exception]", errors.HfHubHTTPError.__bases__[0])


class Unreachable(UserError):
    """The Hub did not answer at all, so asking it for other models is no use."""


def checked(endpoint: str) -> str:
    """The address of a Hub as it is. Raises UserError where it is none."""
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError.of(
            f"`{endpoint}` is not the address of a Hub", hint="set HF_ENDPOINT to https://…, or unset it"
        )
    return endpoint


@contextmanager
def explained(source: ModelSource, endpoint: str) -> Iterator[None]:
    """Turns what huggingface_hub raises inside the block into a UserError that names the fix."""
    try:
        yield
    except (errors.OfflineModeIsEnabled, TransportError) as error:
        if isinstance(error, errors.HfHubHTTPError):
            message, hint = _refusal(error, source, endpoint)
            raise UserError.of(message, hint=hint) from error
        raise _unreachable(error, endpoint) from error
    except errors.HFValidationError as error:
        raise UserError.of(f"`{source.repo}` is not a repository name", hint="write owner/name") from error


def _unreachable(error: Exception, endpoint: str) -> Unreachable:
    if isinstance(error, errors.OfflineModeIsEnabled):
        message, hint = "the Hub may not be asked: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE"
    else:
        message = f"{endpoint} cannot be reached: {str(error) or type(error).__name__}"
        hint = "check the network and proxy; HF_ENDPOINT names a mirror"
    return Unreachable((Diagnostic(message, hint=hint),))


def _refusal(error: errors.HfHubHTTPError, source: ModelSource, endpoint: str) -> tuple[str, str]:
    repo = source.repo
    match error:
        case errors.GatedRepoError():
            return f"{repo} is gated: reading it needs an accepted licence and a token", _accept(repo, endpoint)
        case errors.DisabledRepoError():
            return f"{repo} is disabled on {endpoint}", "choose another repository"
        case errors.RevisionNotFoundError():
            return (
                f"{repo} has no revision `{source.revision}`",
                f"choose one of {endpoint}/{repo}/commits/main",
            )
        case errors.RepositoryNotFoundError():
            return (
                f"{repo} is not on {endpoint}, or is private",
                "check the spelling; a private one needs HF_TOKEN here and source.tokenSecret for the Jobs",
            )
        case errors.EntryNotFoundError():
            return f"{repo} lost a file that its listing names", "run `modelyard lock` again"
    return _by_status(error, repo, endpoint)


def _by_status(error: errors.HfHubHTTPError, repo: str, endpoint: str) -> tuple[str, str]:
    status = error.response.status_code
    if status == 401:
        return f"{endpoint} refuses the token (401)", "renew HF_TOKEN, or unset it for public models"
    if status == 403:
        return f"{endpoint} forbids reading {repo} (403)", _accept(repo, endpoint)
    if status == 429:
        return (
            f"{endpoint} refuses more requests for now (429)",
            "run `modelyard lock` later; HF_TOKEN raises the limit",
        )
    return f"{endpoint} answers {status} for {repo}", "run `modelyard lock` again"


def _accept(repo: str, endpoint: str) -> str:
    return (
        f"accept the licence at {endpoint}/{repo}, then set HF_TOKEN to a token with read permission for this"
        " command, and source.tokenSecret for the prestage Jobs"
    )
