"""Runs the Job's program with the Job's arguments, and shows the pods what it staged."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generator import filechoice
from generator.errors import UserError
from generator.prestage.events import amount
from generator.rehearse import processes, seaweedfs
from generator.rehearse.hub import Hub
from generator.rehearse.pods import Claim, Container, Image, Mount
from generator.rehearse.standins import StandIn
from generator.rehearse.work import Job, moved

HUB = "https://huggingface.co"
STAND_IN_HINT = "--demo-model takes a model that is here, --model-folder FOLDER one of yours"
_HUB_TIMEOUT = 10.0  # seconds until an answer of any kind
_SPOKEN = 5.0  # seconds between two lines about progress
# How the real Hub is reached from here; a pod has its own way.
_NETWORK = ("HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
# A rehearsal is nobody else's business: options of the Job that tell others how it ended, or name another server.
_LEFT_OUT = ("--notify-sns", "--push-gateway", "--source", "--wait", "--endpoint-url")
CLAIMS = "claims"  # folder beside those of the Jobs
_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")  # the Job's own to say
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Staged:
    """A model that is where the pods look. `seconds` is the Job's own time, `shown` that of the copy to the mount."""

    model: str
    source: str
    stand_in: str
    target: str
    files: int
    bytes: int
    seconds: float
    shown: float = 0.0


@dataclass(frozen=True, slots=True)
class Store:
    """What stands for the buckets: an S3 server, or without one the pods' own folders."""

    s3: seaweedfs.SeaweedFS | None
    name: str = "a folder, for want of SeaweedFS"


@contextmanager
def store(jobs: Sequence[Job], folder: Path, say: Say) -> Iterator[Store]:
    """SeaweedFS where a Job writes to a bucket and it is installed and starts, else nothing."""
    if not any(job.bucket for job in jobs):
        yield Store(None, "a folder, which stands for a volume or an image")
        return
    with ExitStack() as stack:
        if seaweedfs.program():
            folder.mkdir()
            try:
                server = stack.enter_context(seaweedfs.SeaweedFS(folder))
            except RuntimeError as error:
                say(str(error).splitlines()[0])
            else:
                yield Store(server, "S3 (SeaweedFS)")
                return
        yield Store(None)


def folders(mounts: Sequence[Mount], place: Path, claims: Path) -> dict[str, str]:
    """A folder for each mount of a container, by its path; a ConfigMap's has its files.

    That of a claim or an image is below `claims`, the same for all who mount it.
    """
    made = {}
    for number, mount in enumerate(mounts):
        shared = isinstance(mount.volume, Claim | Image)
        above = claims / mount.volume.name if isinstance(mount.volume, Claim | Image) else place / _name(number, mount)
        folder = above / mount.part
        folder.mkdir(parents=True, exist_ok=shared)
        for name, content in getattr(mount.volume, "files", {}).items():
            (folder / name).write_bytes(content)
        made[mount.path] = str(folder)
    return made


def _name(number: int, mount: Mount) -> str:
    return f"{number}-{mount.path.rpartition('/')[2]}"


def check_hub(jobs: Sequence[Job]) -> None:
    """Raises UserError where no Hub answers, before the program tries for minutes."""
    endpoint = os.environ.get("HF_ENDPOINT", "") or HUB
    if not jobs:
        return
    try:
        request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310  the user's own setting
        urllib.request.urlopen(request, timeout=_HUB_TIMEOUT).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()  # it answers
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError.of(f"the Hub {endpoint} cannot be reached: {reason}", hint=STAND_IN_HINT) from error


def stage(
    job: Job, stand_in: StandIn | None, hub: Hub, store: Store, shown: Mapping[str, str], place: Path, say: Say
) -> Staged:
    """Runs the Job, then makes its files visible below `shown`, the folders that stand for the pods' mounts.

    `place` is the Job's own; the claims' folders are beside it. Raises UserError with the program's reason and hint.
    """
    plan = job.content
    own = folders(job.steps[0].mounts, place, place.parent / CLAIMS)
    if stand_in:
        content = _offered(plan, stand_in, hub)
        Path(moved(job.plan, own)).write_text(json.dumps(content))
    final = moved(job.path, shown)
    target = f"s3://{job.bucket}/{job.key}" if store.s3 and job.bucket else final
    if job.bucket:
        _bucket(store, job.bucket)
    ended = []
    for step in job.steps:
        words = list(own_words(step.words, own))
        if job.bucket:
            words[words.index("--target") + 1] = target
        given = {
            **processes.bare_environment(),
            **_around(store, stand_in, hub),
            **{name: moved(value, own) for name, value in step.environment.items()},
            **_secrets(step, stand_in),
        }
        ended.append(_run(words, given, place, say))
    done = ended[0]
    staged = Staged(
        model=str(done["model"]),
        source=f"{plan['source']['huggingface']}@{plan['source']['commit'][:12]}",
        stand_in=stand_in.title if stand_in else "",
        target=target,
        files=int(done["files"]),
        bytes=int(done["bytes"]),
        seconds=float(done["seconds"]),
    )
    if target == final:
        return staged
    first = _program(list(own_words(job.steps[0].words, own)))
    copy = [*first, moved(job.plan, own), "--source", target, "--target", final]
    again = _run(copy, given, place, lambda text: None)
    return replace(staged, shown=float(again["seconds"]))


def _program(words: Sequence[str]) -> list[str]:
    """Interpreter and module, without the arguments."""
    return list(words[: next(index for index, word in enumerate(words) if word.endswith(".json"))])


def own_words(words: Sequence[str], own: Mapping[str, str]) -> Iterator[str]:
    """The command with our interpreter and the mounts' folders; without what tells others or needs another region.

    Our interpreter stays where it is, be it below a path that a mount has in the pod, as /tmp.
    """
    skipped = False
    for index, word in enumerate(words):
        if skipped or word in _LEFT_OUT:
            skipped = not skipped
        else:
            yield processes.interpreter(word) if index == 0 else moved(word, own)


def _around(store: Store, stand_in: StandIn | None, hub: Hub) -> dict[str, str]:
    """What the cluster gives: credentials, the way to the Hub and to S3."""
    given = {name: value for name, value in (store.s3.environment() if store.s3 else {}).items() if name not in _REGION}
    if stand_in:
        return {**given, "PYTHONPATH": processes.own_code(), "HF_ENDPOINT": hub.url}
    ways = {name: os.environ.get(name) or os.environ.get(name.lower(), "") for name in _NETWORK}
    given |= {name: value for name, value in ways.items() if value}
    local = ",".join(filter(None, (ways["NO_PROXY"], "127.0.0.1")))
    return {**given, "PYTHONPATH": processes.own_code(), "NO_PROXY": local}


def _secrets(step: Container, stand_in: StandIn | None) -> dict[str, str]:
    """The shell's token stands for the one in the Secret; a stand-in asks for none."""
    token = os.environ.get("HF_TOKEN", "")
    return {"HF_TOKEN": token} if token and stand_in is None and "HF_TOKEN" in step.secrets else {}


def _offered(plan: dict[str, Any], stand_in: StandIn, hub: Hub) -> dict[str, Any]:
    """The plan for the stand-in's files, which the Hub then has under the plan's repository and commit."""
    hub.add(plan["source"]["huggingface"], stand_in.files, commit=plan["source"]["commit"])
    if plan["files"] is None:
        return plan  # the program chooses from what the Hub lists
    chosen = filechoice.choose(stand_in.files, plan["allow"], plan["ignore"])
    return plan | {"files": {path: [stand_in.files[path].size, stand_in.files[path].digest] for path in chosen}}


def _bucket(store: Store, name: str) -> None:
    if store.s3:
        client = store.s3.client()
        if name not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=name)


def _run(words: Sequence[str], environment: Mapping[str, str], place: Path, say: Say) -> dict[str, Any]:
    """The program's last event. Raises UserError with its reason."""
    log = place / "program.log"
    with log.open("wb") as errors, processes.running(words, environment, place, subprocess.PIPE, errors) as process:
        last = _followed(process, say)
        code = process.wait()
    if code == 0 and last:
        return last
    said = log.read_text(errors="replace").strip().splitlines()
    reason = last.get("reason") or (said[-1] if said else f"exit status {code}")
    raise UserError.of(f"staging failed: {reason}", hint=str(last.get("hint", "")))


def _followed(process: subprocess.Popen[bytes], say: Say) -> dict[str, Any]:
    """Reads the program's events; says now and then how far it is."""
    last: dict[str, Any] = {}
    spoken = time.monotonic()
    for line in process.stdout or ():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event["event"] == "retry":
            say(f"again in {event['wait']:.0f} s: {event['reason']}")
        if event["event"] == "progress" and time.monotonic() - spoken > _SPOKEN:
            spoken = time.monotonic()
            speed = f"{amount(event['bytes_per_second'])}/s"
            say(f"{amount(event['bytes'])} of {amount(event['total'])}, {speed}")
        if event["event"] in ("done", "tested", "failed"):
            last = event
    return last
