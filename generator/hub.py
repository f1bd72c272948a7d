"""Asks the Hugging Face Hub what a model is, through huggingface_hub. Imported by the verb `lock` alone.

The commit is pinned by the first answer; everything else is read at that commit. HF_ENDPOINT, HF_TOKEN and
the token file are honoured by the library. No request is repeated: a refusal stays a refusal, and a second
run of `lock` asks only for what is missing.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, NamedTuple

from generator import __version__, filechoice, modelconfig, safetensors
from generator.errors import Diagnostic, Severity, UserError
from generator.lock import LockedFile, LockedModel, ModelSource
from generator.lockplan import Wanted

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # the library reads it once, when it is imported below

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.hf_api import ModelInfo

from generator.hubfaults import Unreachable, checked, explained
from generator.hubfiles import check_indexes, chosen
from generator.hubread import FIRST_READ, TIMEOUT, Place, parameters, read_json

PARALLEL = 8
MAX_CONFIG = 10 * 2**20

Progress = Callable[[str, int, int], None]
"""Called with the model's name, how many are done, and how many there are; from the caller's thread."""


_Job = tuple[ModelSource, str | None]  # the commit, where it is pinned already


class Resolution(NamedTuple):
    """A model as the Hub describes it, and what its user should know."""

    model: LockedModel
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Answers by model name, and faults and warnings by model name: one failure does not hide the others."""

    models: Mapping[str, LockedModel]
    diagnostics: Mapping[str, tuple[Diagnostic, ...]]


def resolve(
    source: ModelSource, *, commit: str | None = None, endpoint: str | None = None, token: str | None = None
) -> Resolution:
    """What the Hub says of `source`, at `commit` where one is already pinned.

    `endpoint` and `token` default to HF_ENDPOINT and HF_TOKEN. Raises UserError that names the fix.
    """
    api = HfApi(endpoint=endpoint, token=token, library_name="modelyard", library_version=__version__)
    with explained(source, checked(api.endpoint)):
        info = _info(api, source, commit or source.revision)
        place = Place(api, source, _pinned(info, source, commit))
        files = chosen(source, info.siblings or ())
        check_indexes(place, files)
        config = _config(place, files)
        return Resolution(_locked(place, info, files, config), tuple(_warnings(source, info, config)))


def resolve_all(
    wanted: Sequence[Wanted],
    *,
    endpoint: str | None = None,
    token: str | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """`resolve` for many models, eight at a time; models of the same source are asked for once.

    When none of the first eight reaches the Hub, the rest is not tried.
    """
    names: dict[_Job, list[str]] = {}
    for item in wanted:
        names.setdefault((item.source, item.commit), []).append(item.name)
    jobs = list(names)
    answers: dict[str, Resolution | UserError] = {}

    def take(job: _Job, answer: Resolution | UserError) -> None:
        for name in names[job]:
            answers[name] = answer
            if progress:
                progress(name, len(answers), len(wanted))

    for job, answer in _in_parallel(jobs[:PARALLEL], endpoint, token):
        take(job, answer)
    if answers and all(isinstance(answer, Unreachable) for answer in answers.values()):
        answers |= {name: next(iter(answers.values())) for job in jobs[PARALLEL:] for name in names[job]}
    else:
        for job, answer in _in_parallel(jobs[PARALLEL:], endpoint, token):
            take(job, answer)
    return _outcome(answers)


def _in_parallel(
    jobs: Sequence[_Job], endpoint: str | None, token: str | None
) -> Iterator[tuple[_Job, Resolution | UserError]]:
    """Answers as they come; when the caller stops, what is not begun is not asked for."""
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        futures = {pool.submit(_attempt, *job, endpoint, token): job for job in jobs}
        yield from ((futures[future], future.result()) for future in as_completed(futures))
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(
    source: ModelSource, commit: str | None, endpoint: str | None, token: str | None
) -> Resolution | UserError:
    try:
        return resolve(source, commit=commit, endpoint=endpoint, token=token)
    except UserError as error:
        return error


def _outcome(answers: Mapping[str, Resolution | UserError]) -> Outcome:
    models = {name: a.model for name, a in sorted(answers.items()) if isinstance(a, Resolution)}
    said = {name: a.warnings if isinstance(a, Resolution) else a.diagnostics for name, a in sorted(answers.items())}
    return Outcome(models, {name: diagnostics for name, diagnostics in said.items() if diagnostics})


def _info(api: HfApi, source: ModelSource, revision: str) -> ModelInfo:
    try:
        return api.model_info(source.repo, revision=revision, files_metadata=True, timeout=TIMEOUT)
    except (HFValidationError, HfHubHTTPError):
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError.of(
            f"{api.endpoint} does not describe {source.repo} as a Hub does",
            hint="check HF_ENDPOINT and the proxy",
        ) from error


def _pinned(info: ModelInfo, source: ModelSource, commit: str | None) -> str:
    sha = info.sha
    if not isinstance(sha, str) or not re.fullmatch("[0-9a-f]{40}", sha):
        raise UserError.of(f"the Hub states no commit of {source.repo}", hint="check HF_ENDPOINT")
    asked = commit or source.revision
    if re.fullmatch("[0-9a-f]{40}", asked) and asked != sha:
        raise UserError.of(f"the Hub answers with {sha} for commit {asked} of {source.repo}", hint="check HF_ENDPOINT")
    return sha


def _locked(place: Place, info: ModelInfo, files: tuple[LockedFile, ...], config: Mapping[str, Any]) -> LockedModel:
    weights = sum(file.size for file in files if filechoice.is_weights(file.path))
    counts = _parameters(place, info, [file for file in files if file.path.endswith(".safetensors")])
    return LockedModel(
        source=place.source,
        commit=place.commit,
        license=_license(info),
        gated=None if info.gated is None else bool(info.gated),
        dtype=max(counts, key=lambda dtype: (counts[dtype], dtype), default=None),
        parameters=sum(counts.values()) or None,
        context_length=modelconfig.context_length(config),
        kv=modelconfig.kv_shape(config),
        size=sum(file.size for file in files),
        weights=weights,
        files=files,
    )


def _parameters(place: Place, info: ModelInfo, files: Sequence[LockedFile]) -> Mapping[str, int]:
    """Parameters by dtype: the Hub's count where it fits the files of this commit, else from their headers.

    The Hub may have counted another commit than the one asked for.
    """
    stated = getattr(info.safetensors, "parameters", None)
    if isinstance(stated, dict) and _fits(stated, files):
        return stated
    counts: Counter[str] = Counter()
    for file in files:
        counts += parameters(place, file)
    return counts


def _fits(counts: Mapping[str, Any], files: Sequence[LockedFile]) -> bool:
    """Whether the files hold these parameters and headers and nothing else."""
    if not all(isinstance(dtype, str) and type(n) is int and n >= 0 for dtype, n in counts.items()):
        return False
    data, total = safetensors.size(counts), sum(file.size for file in files)
    return data is not None and 0 <= total - data <= total // 100 + FIRST_READ * len(files)


def _config(place: Place, files: Sequence[LockedFile]) -> Mapping[str, Any]:
    return read_json(place, "config.json", MAX_CONFIG) if any(f.path == "config.json" for f in files) else {}


def _license(info: ModelInfo) -> str | None:
    """The licence of the model card, by its own name where the card says `other`."""
    card = info.card_data
    named = [getattr(card, "license", None), getattr(card, "license_name", None)]
    chosen = named[1] if named[0] == "other" and named[1] else named[0]
    return chosen if isinstance(chosen, str) and re.fullmatch("[ -~]{1,200}", chosen) else None


def _warnings(source: ModelSource, info: ModelInfo, config: Mapping[str, Any]) -> Iterable[Diagnostic]:
    if info.id != source.repo:
        yield Diagnostic(
            f"{source.repo} is now called {info.id}",
            hint="change source.huggingface",
            severity=Severity.WARNING,
        )
    if modelconfig.runs_code(config):
        yield Diagnostic(
            f"config.json of {source.repo} names Python code of its own (auto_map)",
            hint="it is not staged and not run; check that the engine knows this architecture itself",
            severity=Severity.WARNING,
        )
