"""`prestage`: run here what the Jobs run in the cluster, for a plan.json or for models of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from generator import assets, compile
from generator.errors import Severity, UserError
from generator.plan import Baked, Bucket, Claims, Prestage
from generator.suggest import suggest


def prestage(names: tuple[str, ...], catalogue: Path, *, target: str | None, **given: Any) -> int:
    """Stage each of `names`; returns the first exit status that is not 0, after all were tried."""
    command = _command()
    jobs = list(_jobs(command, names, catalogue, target, preview=bool(given.get("preview"))))
    codes = [command.run(load, target=place, load_test=test, **given) for load, place, test in jobs]
    command.leave(lambda: next(filter(None, codes), 0))
    return 0


def _jobs(
    command: ModuleType, names: tuple[str, ...], catalogue: Path, target: str | None, *, preview: bool
) -> Iterator[tuple[Callable[[], Any], str | None, bool]]:
    """What to load, where it goes, whether it is tested. A plan file has an exact target; models go below theirs."""
    files = [name for name in names if name.endswith(".json")]
    for file in files:
        yield partial(command.load, Path(file)), target, False
    if len(files) < len(names) or not names:
        for job in _asked(catalogue, [name for name in names if name not in files]):
            place = f"{target.rstrip('/')}/{job.model.key}" if target else _own_target(job)
            if place is None and not preview:
                _refuse(job, catalogue)
            yield partial(command.parse, job.plan.encode()), place, job.model.load_test


def _asked(catalogue: Path, names: list[str]) -> list[Prestage]:
    planned = compile.plan_catalogue(catalogue, assets.find())
    if planned.plan is None:
        raise UserError(d for d in planned.diagnostics if d.severity is Severity.ERROR)
    by_name = {job.model.name: job for job in planned.plan.prestages}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        message = f"the catalogue has no model `{unknown[0]}`"
        raise UserError.of(message, file=str(catalogue), hint=suggest(unknown[0], by_name))
    return [by_name[name] for name in names or sorted(by_name)]


def _own_target(job: Prestage) -> str | None:
    """The cache's bucket; of several regions the first, which the others are filled from."""
    cache = job.model.cache
    if not isinstance(cache, Bucket):
        return None
    bucket = cache.bucket or next((region.bucket for region in cache.regions), None)
    return f"s3://{bucket}/{job.model.key}" if bucket else None


def _refuse(job: Prestage, catalogue: Path) -> None:
    """Says where a model can go that has no bucket of its own. Raises UserError."""
    name = job.model.name
    match job.model.cache:
        case Claims():
            message = f"`{name}` goes to a claim, which its Job mounts in the cluster"
            hint = "name a folder to have a copy here: `--target FOLDER`, which may be a mounted volume"
        case Baked():
            message = f"`{name}` goes into the images of its services, which their build makes"
            hint = "name a folder to have a copy here: `--target FOLDER`"
        case _:
            message = f"the bucket of `{name}` is named after the cluster, which nobody here knows"
            hint = "name it: `--target s3://BUCKET`"
    raise UserError.of(message, file=str(catalogue), hint=hint)


def _command() -> ModuleType:
    """The program; it needs packages that compiling does not."""
    try:
        import botocore  # noqa: F401
        import huggingface_hub  # noqa: F401

        from generator.prestage import command
    except ModuleNotFoundError as error:
        hint = "pip install 'modelyard[prestage]'"
        raise UserError.of(f"`modelyard prestage` needs the package {error.name}", hint=hint) from error
    return command
