"""The Hugging Face Hub: listing and addresses by huggingface_hub, bytes by ranged GETs of the addresses."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, cast

from generator import __version__, filechoice
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Transient, mismatch
from generator.prestage.plan import File, Plan, check_paths, checked_size, summary
from generator.prestage.settings import Settings
from generator.prestage.transport import Ranges, Refused, origin, retry_after

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # the library reads it once, when it is imported below

from huggingface_hub import HfApi, errors, get_hf_file_metadata, hf_hub_url
from huggingface_hub.hf_api import RepoSibling

# httpx in huggingface_hub 1.x, httpx2 in 2.x: the base of both is the same class that HfHubHTTPError extends.
_TransportError = cast("type[Exception]", errors.HfHubHTTPError.__bases__[0])
_TIMEOUT = 30.0  # seconds without a byte
_FRESH = 30.0  # seconds; an address that is refused so soon was never good


class Address(NamedTuple):
    """Where a file's bytes are, and since when (time.monotonic()). A token goes to the Hub's own origin only."""

    url: str
    authorised: bool
    since: float


class HubSource:
    """The files of `plan.commit`, never those of a branch."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self._plan, self._settings = plan, settings
        self._check_token()
        self._api = HfApi(token=settings.token or False, library_name="modelyard", library_version=__version__)
        self._ranges = Ranges(settings.watch)
        self._addresses: dict[str, Address] = {}
        self._refused: dict[str, PrestageError] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def _check_token(self) -> None:
        token = self._settings.token or ""
        if not (token.isascii() and token.isprintable()) or " " in token:
            hint = f"write it again, without line breaks, into {self._secret}"
            raise PrestageError(PrestageExit.FORBIDDEN, "the Hub token holds characters that no token has", hint)

    def close(self) -> None:
        self._ranges.close()

    @property
    def name(self) -> str:
        return f"{self._api.endpoint}/{summary(self._plan)}"

    def files(self) -> tuple[File, ...]:
        if self._plan.files is not None:
            return self._plan.files
        return self._settings.patience.call("list", self._listed)

    def head(self, revision: str) -> str:
        """The commit of a branch or tag, as the Hub states it now."""
        return self._settings.patience.call("ask for", partial(self._head, revision), path=revision)

    def _head(self, revision: str) -> str:
        repo = self._plan.repo
        with self._explained():
            try:
                commit = self._api.model_info(repo, revision=revision, timeout=_TIMEOUT).sha
            except errors.RevisionNotFoundError as error:
                hint = "check refresh.revision in models.yaml: the branch was renamed or deleted"
                raise _not_found(f"{repo} has no branch {revision}", hint) from error
            if not re.fullmatch("[0-9a-f]{40}", commit or ""):
                raise ValueError(f"commit {commit!r}")
        return str(commit)

    def read(self, file: File, start: int, view: memoryview) -> int:
        address = self._address(file)
        headers = {"User-Agent": f"modelyard/{__version__}"}
        if address.authorised and self._settings.token:
            headers["Authorization"] = f"Bearer {self._settings.token}"
        try:
            return self._ranges.read(address.url, headers, start, view, file.size)
        except Refused as error:
            # Addresses are signed for some minutes; asking again tells an expired one from a refusal.
            with self._lock:
                self._addresses.pop(file.path, None)
            if time.monotonic() - address.since < _FRESH:
                raise self._refused_by_cdn(error, file) from error
            raise Transient(f"the address expired ({error})") from error

    def _refused_by_cdn(self, error: Refused, file: File) -> Transient:
        codes = {401: PrestageExit.FORBIDDEN, 403: PrestageExit.FORBIDDEN, 404: PrestageExit.NOT_FOUND}
        hint = f"check that the network lets {error.host} through, and ask the Hub's operator"
        return Transient(f"{error} for {file.path}", exit=codes.get(error.status, PrestageExit.TRANSIENT), hint=hint)

    def _address(self, file: File) -> Address:
        """Asked, and asked again, by one thread for all that wait for this file."""
        with self._lock:
            lock = self._locks.setdefault(file.path, threading.Lock())
        with lock:
            if refused := self._refused.get(file.path):
                raise refused
            found = self._addresses.get(file.path)
            if found is None:
                found = self._addresses[file.path] = self._asked_until_it_answers(file)
        return found

    def _asked_until_it_answers(self, file: File) -> Address:
        try:
            return self._settings.patience.call("address", partial(self._asked, file), path=file.path)
        except PrestageError as error:
            self._refused[file.path] = error  # for the threads that wait behind this one
            raise

    def _asked(self, file: File) -> Address:
        url = hf_hub_url(self._plan.repo, file.path, revision=self._plan.commit, endpoint=self._api.endpoint)
        with self._explained():
            stated = get_hf_file_metadata(
                url,
                token=self._api.token,
                timeout=_TIMEOUT,
                library_name="modelyard",
                library_version=__version__,
                endpoint=self._api.endpoint,
            )
        if stated.commit_hash != self._plan.commit:
            raise mismatch(f"the Hub answers with commit {stated.commit_hash} for {file.path} at {self._plan.commit}")
        if stated.size is not None and stated.size != file.size:
            raise mismatch(f"the Hub states {stated.size} bytes for {file.path}, the plan says {file.size}")
        digest = file.digest.partition(":")[2]
        if stated.etag and len(stated.etag) == len(digest) and stated.etag != digest:
            raise mismatch(f"the Hub states digest {stated.etag} for {file.path}, the plan says {digest}")
        authorised = origin(stated.location) == origin(self._api.endpoint)
        return Address(stated.location, authorised, time.monotonic())

    def _listed(self) -> tuple[File, ...]:
        """The default choice of the commit's files, with the digests that the Hub states."""
        plan = self._plan
        with self._explained():
            info = self._api.model_info(plan.repo, revision=plan.commit, files_metadata=True, timeout=_TIMEOUT)
        if info.sha != plan.commit:
            raise mismatch(f"the Hub answers with commit {info.sha} for {plan.commit}")
        siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        chosen = filechoice.choose(siblings, plan.allow, plan.ignore)
        if not any(map(filechoice.is_weights, chosen)):
            hint = "choose a revision with safetensors, or name the files in source.allow"
            raise PrestageError(PrestageExit.NOT_FOUND, f"{summary(plan)} has no weights that are taken", hint)
        with self._explained():
            files = tuple(_file(siblings[path]) for path in chosen)
        check_paths(files)
        return files

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what huggingface_hub raises into what the run does about it."""
        try:
            yield
        except errors.HfHubHTTPError as error:
            raise self._refusal(error) from error
        except errors.OfflineModeIsEnabled as error:
            raise PrestageError(PrestageExit.PLAN, "HF_HUB_OFFLINE is set", "unset it") from error
        except errors.HFValidationError as error:
            raise PrestageError(PrestageExit.PLAN, str(error), "write owner/name") from error
        except (_TransportError, OSError) as error:
            raise Transient(f"{self._api.endpoint}: {str(error) or type(error).__name__}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Transient(f"{self._api.endpoint} does not answer as a Hub does: {error!r}") from error

    def _refusal(self, error: errors.HfHubHTTPError) -> Exception:
        repo, commit = self._plan.repo, self._plan.commit
        status = error.response.status_code
        match error:
            case errors.GatedRepoError():
                return PrestageError(PrestageExit.FORBIDDEN, f"{repo} is gated", self._accept())
            case errors.DisabledRepoError():
                return PrestageError(PrestageExit.FORBIDDEN, f"{repo} is disabled", "choose another repository")
            case errors.RevisionNotFoundError():
                return _not_found(f"{repo} has no commit {commit}", "run `modelyard lock --upgrade` and render again")
            case errors.RepositoryNotFoundError():
                hint = f"check the spelling; for a private one: {self._accept()}"
                code = PrestageExit.FORBIDDEN if status == 401 and self._settings.token else PrestageExit.NOT_FOUND
                return PrestageError(code, f"{repo} is not on {self._api.endpoint}, or is private", hint)
            case errors.EntryNotFoundError():
                return _not_found(f"{repo} lacks a file at {commit}", "run `modelyard lock` and render again")
        if status in (401, 403):
            return PrestageError(PrestageExit.FORBIDDEN, f"{self._api.endpoint} answers {status}", self._accept())
        after = retry_after(error.response.headers.get("Retry-After"))
        return Transient(f"{self._api.endpoint} answers {status} for {repo}", after=after)

    def _accept(self) -> str:
        page = f"{self._api.endpoint}/{self._plan.repo}"
        return f"accept the licence at {page} and put a token that may read it into {self._secret}"

    @property
    def _secret(self) -> str:
        secret = self._settings.token_secret
        return f"the Secret {secret}" if secret else "a Secret that source.tokenSecret names"


def _not_found(reason: str, hint: str) -> PrestageError:
    return PrestageError(PrestageExit.NOT_FOUND, reason, hint)


def _file(sibling: RepoSibling) -> File:
    lfs = sibling.lfs
    digest = f"sha256:{lfs.sha256}" if lfs else f"git:{sibling.blob_id}"
    return File(sibling.rfilename, checked_size(lfs.size if lfs else sibling.size, sibling.rfilename), digest)
