"""Models and how they are staged."""

from __future__ import annotations

from collections.abc import Mapping

from generator import naming, plan
from generator.lock import Lock, LockedModel
from generator.resolve.platform import notify
from generator.spec import (
    Model,
    Platform,
)
from generator.yamlio import canonical_json

# Slowest copy that still counts as alive, with room for the three tries of a Job.
_BYTES_PER_SECOND = 20_000_000
_SHORTEST_DEADLINE = 3600
_DEADLINE_UNKNOWN = 6 * 3600


def model(model: Model, lock: Lock, cache: plan.Cache, everywhere: tuple[str, ...]) -> plan.Model:
    source, entry = model.source, lock.models.get(model.name)
    commit = entry.commit if entry is not None else source.revision
    token = plan.Token(source.token_secret, source.token_key) if source.token_secret else None
    return plan.Model(
        name=model.name,
        title=model.title or model.name,
        repo=source.huggingface,
        revision=source.revision,
        commit=commit,
        cache=cache,
        clusters=tuple(sorted(model.clusters)) if model.clusters is not None else tuple(sorted(everywhere)),
        token=token,
        allow=source.allow,
        ignore=source.ignore,
        license=entry.license if entry else None,
        gated=entry.gated if entry else None,
        size=entry.size if entry else None,
        weights=entry.weights if entry else None,
        dtype=entry.dtype if entry else None,
        parameters=entry.parameters if entry else None,
        context_length=entry.context_length if entry else None,
        files=_files(entry),
        labels=dict(sorted(model.labels.items())),
        key=naming.model_key(model.name, commit),
        path=naming.model_path(model.name, commit),
        refresh=_refresh(model),
        load_test=model.load_test,
        compiled_for=tuple(sorted(model.compiled_for)),
    )


def _files(entry: LockedModel | None) -> tuple[plan.File, ...] | None:
    if entry is None or entry.files is None:
        return None
    return tuple(plan.File(f.path, f.size, f.digest) for f in entry.files)


def _refresh(model: Model) -> plan.Refresh | None:
    asked = model.refresh
    return plan.Refresh(asked.schedule, asked.time_zone, asked.revision or model.source.revision) if asked else None


def prestage(model: plan.Model, ways: Mapping[str, str], image: str, platform: Platform) -> plan.Prestage:
    document = {
        "version": 1,
        "model": model.name,
        "source": {"huggingface": model.repo, "commit": model.commit},
        "allow": list(model.allow),
        "ignore": list(model.ignore),
        "files": None if model.files is None else {f.path: [f.size, f.digest] for f in model.files},
    }
    text = canonical_json(document)
    deadline = _deadline(model.size)
    notified = notify(platform.notifications)
    token = [model.token.secret, model.token.key] if model.token else []
    told = [notified.sns_topic, notified.webhook_secret, notified.webhook_key]
    inputs = canonical_json([text, image, deadline, token, told, model.key, model.load_test])
    return plan.Prestage(
        model=model,
        ways={cluster: ways[cluster] for cluster in model.clusters if cluster in ways},
        image=image,
        deadline=deadline,
        digest=naming.digest(inputs.encode()),
        plan=text,
    )


def _deadline(size: int | None) -> int:
    if size is None:
        return _DEADLINE_UNKNOWN
    seconds = 3 * size // _BYTES_PER_SECOND
    return max(_SHORTEST_DEADLINE, -(-seconds // 600) * 600)
