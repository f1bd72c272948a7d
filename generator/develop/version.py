"""What the working tree says now of one service: its applications, its models, its code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator import assets, bundle, plan, yamlio
from generator import compile as compiling
from generator.apps import APPS
from generator.deployed import RENDERED
from generator.errors import Diagnostic, Severity, UserError
from generator.suggest import suggest

SOON = 5  # seconds for the answers that are in work
_AT_ONCE = {"graceful_shutdown_wait_loop_s": 0.1}  # between two looks at whether there are any; Ray's default is 2 s


@dataclass(frozen=True, slots=True)
class Version:
    """A service as it would be rendered. `plans` is plan.json by model, `files` are the packages of `serving/`."""

    service: plan.Service
    namespace: str
    serve: Mapping[str, Any]
    plans: Mapping[str, str]
    files: Mapping[str, bytes]

    @property
    def applications(self) -> list[dict[str, Any]]:
        """Entries of serveConfigV2."""
        return list(self.serve["applications"])

    @property
    def content(self) -> tuple[list[dict[str, Any]], Mapping[str, bytes]]:
        """What is served; two versions that have the same are one. The address of released code says nothing here."""
        return [without_code(application) for application in self.applications], self.files

    @property
    def models(self) -> dict[str, plan.Model]:
        return {model.name: model for a in self.service.applications for model in a.models}


def without_code(application: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of serveConfigV2 without `working_dir`."""
    environment = {key: value for key, value in application.get("runtime_env", {}).items() if key != "working_dir"}
    return {**application, "runtime_env": environment}


def hasty(applications: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries of serveConfigV2 for replicas that end soon: whoever reloads waits for the old ones."""
    return [_hasty(application) for application in applications]


def _hasty(application: Mapping[str, Any]) -> dict[str, Any]:
    """With no more than a moment for answers in work; what `args` say of deployments is left to vLLM."""
    soon = [
        {**d, "graceful_shutdown_timeout_s": min(d.get("graceful_shutdown_timeout_s", 20), SOON), **_AT_ONCE}
        for d in application.get("deployments", ())
    ]
    return {**application, "deployments": soon} if soon else dict(application)


def read(catalogue: Path, service: str, entry: str | None = None) -> Version:
    """The service as it is on the cluster `entry` of models.yaml, else on its first.

    Raises UserError: faults of the catalogue, no such service, code that is no Python.
    """
    planned = compiling.plan_catalogue(catalogue, assets.find())
    if planned.plan is None:
        raise UserError(d for d in planned.diagnostics if d.severity is Severity.ERROR)
    found = chosen(planned.plan.services, service, entry, catalogue)
    files = dict(_files(catalogue, found))
    if faults := list(syntax_faults(files, lambda path: folder(catalogue, path.partition("/")[0]).parent / path)):
        raise UserError(faults)
    return Version(
        found,
        planned.plan.platform.namespace,
        yamlio.load(found.serve_config, "serveConfigV2", RENDERED).data,
        {job.model.name: job.plan for job in planned.plan.prestages},
        files,
    )


def chosen(services: tuple[plan.Service, ...], name: str, entry: str | None, catalogue: Path) -> plan.Service:
    """The service of the name, and of the cluster where one is given. Raises UserError that says which there are."""
    named = [service for service in services if service.name == name]
    if not named:
        hint = suggest(name, {service.name for service in services})
        raise UserError.of(f"the catalogue has no service `{name}`", file=str(catalogue), hint=hint)
    here = [service for service in named if entry is None or entry in service.clusters]
    if not here:
        known = {cluster for service in named for cluster in service.clusters}
        message = f"service `{name}` is not on cluster `{entry}` of the catalogue"
        raise UserError.of(message, file=str(catalogue), hint=suggest(str(entry), known))
    return here[0]


def packages(service: plan.Service) -> list[str]:
    """Folders of serving/ that the service's applications import."""
    return sorted({package for application in service.applications for package in APPS[application.app].packages})


def folders(catalogue: Path) -> list[Path]:
    """Where any service's packages are."""
    return [folder(catalogue, package) for package in sorted({p for app in APPS.values() for p in app.packages})]


def folder(catalogue: Path, package: str) -> Path:
    """Where the package is: in the repository of the catalogue, else in this installation."""
    own = catalogue.parent / "serving" / package
    return own if own.is_dir() else assets.find().root / "serving" / package


def _files(catalogue: Path, service: plan.Service) -> Iterator[tuple[str, bytes]]:
    for package in packages(service):
        for path, content in bundle.read_app(folder(catalogue, package)).items():
            yield f"{package}/{path}", content


def syntax_faults(files: Mapping[str, bytes], place: Callable[[str], Path]) -> Iterator[Diagnostic]:
    """Sources that Python does not read; `place` says where people find them."""
    for path, content in files.items():
        try:
            with warnings.catch_warnings(action="ignore"):
                compile(content, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            at = error.lineno or 0, error.offset or 0
            yield Diagnostic(f"is no Python: {error.msg}", str(place(path)), *at)
        except ValueError as error:  # null bytes
            yield Diagnostic(f"is no Python: {error}", str(place(path)))
