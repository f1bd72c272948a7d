"""`serve`: the developer's loop: a service from the working tree, served again whenever a file changes."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from generator import report
from generator.develop import asked, cluster, forwarding, live, local, models, own, rest, watching
from generator.develop import version as versions
from generator.develop.version import Version
from generator.errors import ExitCode, UserError
from generator.rehearse import flow, processes
from generator.rehearse.served import Voice
from generator.verbs.rehearse import model_folders

# What the applications import, by the name that is imported.
_NEEDED = ("prometheus_client", "ray", "torch", "transformers")
_DASHBOARD, _REQUESTS = 8265, 8000  # ports of a Ray head
HEAD = "{}-head-svc"


def serve(
    service: str,
    catalogue: Path,
    *,
    entry: str | None,
    port: int,
    patience: float,
    folders: Sequence[str],
    demo: str | None,
    verbose: bool,
    remove: bool,
    who: str | None,
    **place: str | None,
) -> ExitCode:
    """Serve until ^C: on this machine, or on the cluster that `place` names."""
    voice = Voice(_say, _say if verbose else _silent)
    remote = bool(place["context"] or place["address"])
    _check_words(remote, remove=remove, who=who, models=[*folders, *filter(None, [demo])])
    look = watching.files_of(catalogue)
    before = look()  # what is written from now on is a change
    first = versions.read(catalogue, service, entry)
    serves = False
    with processes.interruptible():
        try:
            with ExitStack() as stack:
                desk: local.Desk | cluster.Desk
                if remote:
                    cluster.check_runtime(first)
                    name = own.name(who)
                    desk, url = stack.enter_context(_cluster(first, name, port, patience, voice, **place))
                    if remove:
                        return _removed(desk.remove(first))
                else:
                    given = models.Given(model_folders(folders), demo)
                    desk, url = stack.enter_context(_local(first, port, patience, given, voice))
                _show(service, url, desk.deploy(first), name if remote else "")
                serves = True
                read = lambda: versions.read(catalogue, service, entry)  # noqa: E731
                live.loop(desk, first, read, watching.changes(look, before, desk.check), _say, _tell)
        except KeyboardInterrupt:
            if not serves:
                raise
            _say("stopped")
    return ExitCode.OK


def _check_words(remote: bool, *, remove: bool, who: str | None, models: Sequence[str]) -> None:
    """Raises UserError where options do not go together."""
    if remote and models:
        hint = "models are on the cluster's volume; leave --model-folder and --demo-model out"
        raise UserError.of("a cluster cannot see the folders of this machine", hint=hint)
    if not remote and (remove or who):
        word = "--remove" if remove else "--as"
        raise UserError.of(f"{word} is for a cluster", hint="add --cluster CONTEXT or --address HOST:PORT")


@contextmanager
def _local(
    first: Version, port: int, patience: float, given: models.Given, voice: Voice
) -> Iterator[tuple[local.Desk, str]]:
    if lost := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        hint = "pip install 'modelyard[rehearse]'"
        raise UserError.of(f"`modelyard serve` needs more packages: {', '.join(lost)}", hint=hint)
    if said := local.ray_differs(first):
        voice.say(said)
    wanted = local.Wanted(port, given, patience, flow.this_machine())
    with local.started(first, wanted, voice) as desk:
        voice.say(f"Ray's dashboard: {desk.ray.dashboard}")
        yield desk, desk.url


@contextmanager
def _cluster(
    first: Version, who: str, port: int, patience: float, voice: Voice, **place: str | None
) -> Iterator[tuple[cluster.Desk, str]]:
    """The developer's place on a cluster; at the end, what they served is deleted, whichever way it ends."""
    with ExitStack() as stack:
        if place["address"]:
            address = _address(place["address"])
            dashboard, url, keep = rest.Dashboard(lambda: address, rest.token()), "", None
        else:
            forward = stack.enter_context(_forwarded(first, port, **place))
            dashboard = rest.Dashboard(lambda: forward.address(_DASHBOARD), rest.token())
            url, keep = f"http://{forwarding.LOOPBACK}:{port}", forward.keep
        desk = cluster.Desk(dashboard, who, patience, voice, keep or (lambda: None))
        url = url or desk.url(address)
        try:
            yield desk, url
        finally:
            if desk.names:
                voice.say(f"deleting {', '.join(sorted(desk.names))}")
            desk.leave()


@contextmanager
def _forwarded(first: Version, port: int, **place: str | None) -> Iterator[forwarding.Forward]:
    local.check_port(port)
    target = forwarding.Target(
        str(place["kubectl"]),
        str(place["context"]),
        place["namespace"] or first.namespace,
        HEAD.format(first.service.name),
        {_DASHBOARD: 0, _REQUESTS: port},
    )
    _say(f"opening a way to {target.service} in namespace {target.namespace} of {target.context}")
    with forwarding.forwarded(target, _say) as forward:
        yield forward


def _address(text: str) -> str:
    """`HOST:PORT` as the start of a URL."""
    return (text if "://" in text else f"http://{text}").rstrip("/")


def _removed(names: Sequence[str]) -> ExitCode:
    _say(f"deleted {', '.join(names)}" if names else "nothing of yours is left there")
    return ExitCode.OK


def _show(service: str, url: str, routes: Mapping[str, str], who: str) -> None:
    for name, route in routes.items():
        _say(f"{name} answers at {url}{route or '/'}")
    words = ["modelyard", "ask", service, "Who are you?"]
    words += ["--url", url] if url != asked.DEFAULT else []
    if who:
        words += ["--as", who]
    if len(routes) > 1:
        words += ["--application", next(iter(routes)).removeprefix(f"{who}-")]
    _say(f"ask it: {shlex.join(words)}")
    _say("live: files of models.yaml and serving/ are served again when they change; ^C ends it")


def _tell(error: UserError) -> None:
    for diagnostic in error.diagnostics:
        report.line(report.text(diagnostic), sys.stderr)


def _say(text: str) -> None:
    report.line(f"serve: {text}", sys.stderr)


def _silent(text: str) -> None:
    """What only -v shows."""
