"""A service on a running cluster, beside what others serve there: through the dashboard's port and nothing else.

The code goes into Ray's own store (PUT /api/packages), under a name with its digest. A job (POST /api/jobs) imports it
there and serves it with `serve.run`. A PUT of a Serve configuration would be simpler, and would delete what GitOps and
other developers serve.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from generator import bundle
from generator.develop import driver, own
from generator.develop.driver import CONFIG, TAKEN
from generator.develop.live import UntouchedError
from generator.develop.local import routes
from generator.develop.rest import Dashboard, NotFoundError
from generator.develop.version import Version, hasty, without_code
from generator.errors import UserError
from generator.rehearse import fitting, raycluster
from generator.rehearse.served import Voice

DRIVER = "modelyard_driver.py"
_DRIVER_SOURCE = Path(driver.__file__)
_LOOK = 0.5  # seconds between two looks
_DELETE = 120.0  # seconds until applications have to be gone
_ENDED = ("FAILED", "STOPPED", "SUCCEEDED")
_SHOWN = 20  # lines of a job's log


@dataclass(slots=True)
class Desk:
    """The developer's applications on the cluster. A job keeps their code in Ray.

    `names` and `jobs` are all that may be there: they are noted first, and done then.
    """

    dashboard: Dashboard
    who: str
    patience: float
    voice: Voice
    keep: Callable[[], None] = lambda: None
    names: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)
    content: bytes = b""

    def url(self, address: str) -> str:
        """Where requests go, on the host of the dashboard: the port is Serve's own to say."""
        options = self.dashboard.get("/api/serve/applications/").get("http_options") or {}
        return f"http://{urlsplit(address).hostname}:{options.get('port', 8000)}"

    def check(self) -> None:
        """Keeps the way there open. Raises UserError where it cannot be."""
        self.keep()

    def deploy(self, version: Version) -> Mapping[str, str]:
        """Serves the version in place of the one before; route by application. Raises UserError."""
        applications = entries(version, self.who)
        names = [str(application["name"]) for application in applications]
        before = self._applications()
        check_others(before, names)
        for name in sorted(set(names) & set(before) - self.names):
            self.voice.say(f"application {name} is there already, under your name: it is replaced")
        self.content = package(version, applications)
        stale, self.names = self.names - set(names), self.names | set(names)
        older = set(self.jobs)
        job = self._submit("deploy", version.service.name)
        try:
            self._wait(job, names)
        except UserError:
            self._stop({job})
            raise
        self._stop(older)
        if stale:
            self._delete(sorted(stale))
        return routes(applications)

    def leave(self) -> None:
        """Nothing of the developer's is left. Raises UserError."""
        if self.names:
            self._delete(sorted(self.names))
        self._stop(set(self.jobs))

    def remove(self, version: Version) -> list[str]:
        """What an earlier session has left of the version's applications, and is deleted now."""
        there = self._applications()
        named = [str(a["name"]) for a in entries(version, self.who)]
        left = [name for name in named if name in there]
        check_others(there, left)
        if left:
            self.content, self.names = package(version, []), set(left)
            self.leave()
        mine = _metadata(self.who, version.service.name)
        jobs = [job for job in self.dashboard.get("/api/jobs/") if job.get("metadata") == mine]
        self._stop({str(job["submission_id"]) for job in jobs if job["status"] not in _ENDED})
        return left

    def _submit(self, words: str, service: str = "") -> str:
        """Starts the driver as a job that reserves nothing; its id, which is known before Ray knows it."""
        job = f"modelyard-{self.who}-{secrets.token_hex(8)}"
        uri = upload(self.dashboard, self.content)
        self.jobs.add(job)
        body = {
            "entrypoint": f"python {DRIVER} {words}",
            "submission_id": job,
            "runtime_env": {"working_dir": uri},
            "metadata": _metadata(self.who, service),
            "entrypoint_num_cpus": 0,
        }
        self.dashboard.post("/api/jobs/", body)
        return job

    def _stop(self, jobs: set[str]) -> None:
        """Ends drivers; what they served goes on."""
        for job in sorted(jobs):
            with suppress(NotFoundError):
                self.dashboard.post(f"/api/jobs/{job}/stop", {})
        self.jobs -= jobs

    def _delete(self, names: Sequence[str]) -> None:
        job = self._submit(f"delete {' '.join(names)}")
        until = time.monotonic() + _DELETE
        while (found := state(self.dashboard, job))["status"] not in _ENDED:
            if time.monotonic() > until:
                break
            time.sleep(_LOOK)
        self._stop({job})
        if left := sorted(set(names) & set(self._applications())):
            message = f"application `{left[0]}` is not deleted: {found.get('message') or found['status']}"
            raise UserError.of(message, hint="once more: modelyard serve SERVICE --remove, with the same options")
        self.names -= set(names)

    def _applications(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.dashboard.get("/api/serve/applications/")["applications"]
        return found

    def _wait(self, job: str, names: Sequence[str]) -> None:
        taken = False

        def look() -> Mapping[str, Any]:
            """None of the applications, while those of the version before may run."""
            nonlocal taken
            taken = taken or TAKEN in log(self.dashboard, job)
            return self._applications() if taken else {}

        def check() -> None:
            found = state(self.dashboard, job)
            if found["status"] in _ENDED:
                reason = failed(self.dashboard, job, str(found.get("message") or ""), self.voice.detail)
                raise reason if taken else UntouchedError(reason.diagnostics)

        raycluster.wait(look, check, names, self.patience, self.voice.say, self.voice.detail)


def check_runtime(version: Version) -> None:
    """Raises UserError where the service has no Ray to be sent to."""
    if version.service.runtime != "ray":
        message = f"service `{version.service.name}` runs on {version.service.runtime}, without a Ray that takes code"
        raise UserError.of(message, hint="serve it here: leave --cluster and --address out")


def entries(version: Version, who: str) -> list[dict[str, Any]]:
    """The applications under the developer's name, one replica each, without the address of released code."""
    found = own.applications(fitting.one_each(hasty(version.applications)), who)
    return [without_code(application) for application in found]


def package(version: Version, applications: Sequence[Mapping[str, Any]]) -> bytes:
    """A zip with the working tree's code, what to serve of it, and the program that does."""
    added = {DRIVER: _DRIVER_SOURCE.read_bytes(), CONFIG: json.dumps(applications, sort_keys=True).encode()}
    return bundle.build(version.service.name, {**version.files, **added}).zip


def upload(dashboard: Dashboard, content: bytes) -> str:
    """Puts the zip into Ray's store, where it is not there; its URI."""
    name = upload_name(content)
    try:
        dashboard.ask("GET", f"/api/packages/gcs/{name}")
    except NotFoundError:
        dashboard.ask("PUT", f"/api/packages/gcs/{name}", content)
    return f"gcs://{name}"


def upload_name(content: bytes) -> str:
    """By which Ray knows a package, and keeps it."""
    return f"_ray_pkg_{sha256(content).hexdigest()[:40]}.zip"


def _metadata(who: str, service: str) -> dict[str, str]:
    return {"modelyard": who, "service": service}


def state(dashboard: Dashboard, job: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = dashboard.get(f"/api/jobs/{job}")
    return found


def log(dashboard: Dashboard, job: str) -> str:
    """What the driver has said."""
    return str(dashboard.get(f"/api/jobs/{job}/logs").get("logs") or "")


def failed(dashboard: Dashboard, job: str, message: str, detail: Callable[[str], None]) -> UserError:
    """Why the driver has ended, in the words of the exception that ended it."""
    whole = log(dashboard, job)
    detail(whole)
    said = "\n".join(whole.splitlines()[-_SHOWN:])
    reason = raycluster.reason_in(said or message)
    return UserError.of(f"the cluster does not serve this version: {reason}", hint="-v shows the log of the job")


def check_others(there: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raises UserError where a name belongs to what a Serve configuration has put there."""
    for name in names:
        if there.get(name, {}).get("source") == "declarative":
            message = f"application `{name}` is on the cluster already, and comes from its Serve configuration"
            raise UserError.of(message, hint="take another name for yours: --as NAME")
