"""`modelyard add`: one item more in models.yaml, and not a byte changed besides.

The functions take the text and return the new text. What they would add is judged by the same rules as a
hand-written item, so the file is never left with a fault that it did not have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from generator import checks, naming, yamledit, yamlio
from generator.errors import Diagnostic, Severity, UserError, dotted
from generator.files import replace_file
from generator.load import load
from generator.lock import Lock
from generator.spec import Spec
from generator.spec.model import RepoId


@dataclass(frozen=True, slots=True)
class AddModel:
    """`modelyard add model HF_ID`. None takes the default: name from the id, the only cache, `main`."""

    hf_id: str
    name: str | None = None
    title: str | None = None
    revision: str | None = None
    cache: str | None = None
    token_secret: str | None = None


@dataclass(frozen=True, slots=True)
class AddService:
    """`modelyard add service NAME`. No clusters means all; `replicas` is `MIN:MAX` or one number for both."""

    name: str
    model: str
    clusters: tuple[str, ...] = ()
    app: str | None = None
    accelerator: str | None = None
    route: str | None = None
    replicas: str | None = None


def add_model(text: str, file: str, request: AddModel, lock: Lock | None = None) -> str:
    """`text`, the models.yaml called `file`, with one more model. Raises UserError."""
    spec = _spec(text, file)
    item = _model_item(spec, file, request)
    _refuse_taken(item["name"], [m.name for m in spec.models], "model", file, "--name")
    # Whether the source is pinned or gated is for `modelyard lock` to find out next.
    return _with_item(text, file, "models", item, lock, but=("source",))


def add_service(text: str, file: str, request: AddService, lock: Lock | None = None) -> str:
    """`text`, the models.yaml called `file`, with one more service. Raises UserError."""
    spec = _spec(text, file)
    item = _service_item(spec, file, request)
    _refuse_taken(item["name"], [s.name for s in spec.services], "service", file, "another NAME")
    return _with_item(text, file, "services", item, lock)


def derived_name(hf_id: str) -> str:
    """The model name for a Hub id: its last part as a DNS-1035 label; length is not looked at."""
    label = re.sub(r"[^a-z0-9]+", "-", hf_id.rsplit("/", 1)[-1].lower()).strip("-")
    return label if label[:1].isalpha() else f"model-{label}".strip("-")


def save(path: Path, text: str) -> None:
    """Replace the file at `path` whole, or the file that it names when it is a link. Raises UserError."""
    replace_file(Path(os.path.realpath(path)), text.encode())


def _spec(text: str, file: str) -> Spec:
    """The catalogue as it stands; one with faults is not edited."""
    loaded = load(yamlio.load(text, file))
    if loaded.spec is None:
        raise UserError(loaded.diagnostics)
    return loaded.spec


def _model_item(spec: Spec, file: str, request: AddModel) -> dict[str, Any]:
    _refuse_bad_id(request.hf_id, file)
    source = _given(huggingface=request.hf_id, revision=request.revision, tokenSecret=request.token_secret)
    return _given(
        name=request.name or _fitting(derived_name(request.hf_id), file),
        title=request.title,
        source=source,
        cache=request.cache or _only_cache(spec, file),
    )


def _service_item(spec: Spec, file: str, request: AddService) -> dict[str, Any]:
    application = _given(
        model=request.model,
        app=request.app or "text-generation",
        route=request.route or "/",
        replicas=_replicas(request.replicas or "1", file),
    )
    return _given(
        name=request.name,
        clusters=list(request.clusters or (c.name for c in spec.clusters)),
        accelerator=request.accelerator,
        applications=[application],
    )


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _refuse_bad_id(hf_id: str, file: str) -> None:
    try:
        TypeAdapter[str](RepoId).validate_python(hf_id)
    except ValidationError as error:
        message = f"`{hf_id}` is not the id of a Hugging Face repository"
        raise UserError.of(message, file=file, hint=_id_hint(hf_id)) from error


def _id_hint(hf_id: str) -> str:
    """The id inside the address of a Hub page, else what an id looks like."""
    address = re.match(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([^/?#\s]+/[^/?#\s]+)", hf_id)
    if address:
        return f"did you mean `{address[1]}`?"
    return "`owner/name`, as in the address of its page: letters, digits, `-`, `_` and `.`"


def _fitting(name: str, file: str) -> str:
    limit = naming.MODEL_NAME
    if len(name) > limit.characters:
        message = f"the id gives the name `{name}`: {len(name)} characters, {limit.characters} are left"
        hint = f"{limit.because}: --name {name[: limit.characters].rstrip('-')}, or a better one"
        raise UserError.of(message, file=file, hint=hint)
    return name


def _only_cache(spec: Spec, file: str) -> str:
    if len(spec.caches) > 1:
        names = ", ".join(c.name for c in spec.caches)
        raise UserError.of(f"there are {len(spec.caches)} caches: {names}", file=file, hint="choose one with --cache")
    return spec.caches[0].name


def _replicas(text: str, file: str) -> dict[str, int]:
    match = re.fullmatch(r"([0-9]{1,4})(?::([0-9]{1,4}))?", text)
    if match is None:
        raise UserError.of(f"`{text}` is no number of replicas", file=file, hint="MIN:MAX, as in --replicas 1:3")
    return {"min": int(match[1]), "max": int(match[2] or match[1])}


def _refuse_taken(name: str, names: Iterable[str], what: str, file: str, way_out: str) -> None:
    if name in names:
        raise UserError.of(f"there is a {what} `{name}` already", file=file, hint=f"choose {way_out}")


def _with_item(
    text: str, file: str, key: str, item: dict[str, Any], lock: Lock | None, but: tuple[str, ...] = ()
) -> str:
    """`text` with `item` as the last entry of `key`, read back and judged; faults in the fields `but` pass.

    Diagnostics carry no line: theirs would be one of a file that is not written.
    """
    new = yamledit.append_item(text, key, item, file)
    document = yamlio.load(new, file)
    loaded = load(document)
    faults = [replace(d, line=0, column=0) for d in loaded.diagnostics]
    if loaded.spec is not None:
        at = (key, len(document.data[key]) - 1)
        found = (f for f in checks.check(loaded.spec, lock or Lock()) if f.path[:2] == at)
        faults = [
            Diagnostic(fault.message, file, path=dotted(fault.path), hint=fault.hint)
            for fault in found
            if fault.severity is Severity.ERROR and not set(fault.path[2:3]) & set(but)
        ]
    if faults:
        raise UserError(faults)
    return new
