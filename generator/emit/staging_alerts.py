"""Alerts of staging, as Prometheus rules.

Metrics: generator/prestage/metrics.py, which each run pushes to a Pushgateway under the model's name, and those of
kube-state-metrics 2 about Jobs and CronJobs, which need no Pushgateway. What was pushed stays until the next run of
the model replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from generator.emit.alerts import Alert
from generator.emit.staging_schedule import longest_gap
from generator.plan import Prestage
from generator.prestage.exits import PrestageExit

HOUR = 3600
START_WINDOW = HOUR  # startingDeadlineSeconds of the CronJob and the CronWorkflow
SLOW = "20e6"  # bytes a second; a Job has a whole core for more than ten times that
WORTH = "1e9"  # bytes; less says nothing about the speed

_EXIT = "max by (model) (modelyard_prestage_exit_code)"
_COPIED = "max by (model) (modelyard_prestage_copied_bytes)"
_SECONDS = "max by (model) (modelyard_prestage_duration_seconds)"

# How an exit came about, how long it may last, and what to do.
EXITS: tuple[tuple[PrestageExit, str, str, str], ...] = (
    (
        PrestageExit.PLAN,
        "its plan or arguments do not fit the program",
        "0m",
        "Render again with the release of modelyard that platform.images.prestage holds.",
    ),
    (
        PrestageExit.INTEGRITY,
        "the bytes are not those of models.lock.yaml",
        "0m",
        "Nothing was published. The pod's log names the file; lock again only when the Hub's change is wanted.",
    ),
    (
        PrestageExit.NOT_FOUND,
        "the repository, the commit or a file is not there",
        "0m",
        "See whether it was moved or made private; `modelyard lock --upgrade` pins what is there now.",
    ),
    (
        PrestageExit.STORAGE,
        "the bucket or volume is full, missing, or refuses",
        "0m",
        "See the bucket's name and region, and the rights of the role that the pods take.",
    ),
    (
        PrestageExit.TRANSIENT,
        "faults that may pass did not",
        "30m",
        "See network, proxy and the Hub's status; the next pod goes on where this one ended.",
    ),
    (
        PrestageExit.FORBIDDEN,
        "the Hub refuses: gated, private, or a wrong token",
        "0m",
        "Accept the licence on the model's page, or mend the token in the Secret that models.yaml names.",
    ),
    (
        PrestageExit.INTERRUPTED,
        "its pod was told to end and no other went on",
        "30m",
        "See why nodes go, and whether the Job or Workflow has tries left.",
    ),
)


Labelled = tuple[dict[str, str], Alert]
"""An alert and labels of its own, which tell it from others of its name."""


def alerts(namespace: str) -> Iterator[Labelled]:
    """Those that are the same for all clusters and models; `namespace` is that of the Jobs."""
    for code, how, wait, then in EXITS:
        what = f"The last run that staged {{{{ $labels.model }}}} ended with exit status {int(code)}: {how}."
        failed = Alert("ModelPrestageFailed", f"{_EXIT} == {int(code)}", wait, "warning", what, then)
        yield {"exit_code": str(int(code))}, failed
    yield from (({}, alert) for alert in _common(namespace))


def _common(namespace: str) -> Iterator[Alert]:
    jobs = f'namespace="{namespace}", job_name=~"prestage-.+", condition="true"'
    yield Alert(
        "ModelLoadTestFailed",
        "max by (model) (modelyard_loadtest_exit_code) > 0",
        "0m",
        "warning",
        "The load test of {{ $labels.model }} ended with exit status {{ $value }}: nothing of it is published.",
        "65 is a copy that does not load, and the pod's log names the file; docs/prestage.md has the others.",
    )
    yield Alert(
        "ModelRefreshFailed",
        "max by (model) (modelyard_refresh_exit_code) > 0",
        "0m",
        "warning",
        "The last look for a new commit of {{ $labels.model }} ended with exit status {{ $value }}.",
        "What is served stays as it is. 66: the branch is gone; 77: the token; docs/prestage.md has the others.",
    )
    yield Alert(
        "ModelPrestageJobFailed",
        f"max by (job_name) (kube_job_failed{{{jobs}}}) == 1",
        "0m",
        "warning",
        "The Job {{ $labels.job_name }} gave up.",
        "Its pods' last message says why; once that is mended, delete the Job, and Argo CD makes it again.",
    )
    yield Alert(
        "ModelPrestageSlow",
        f"{_COPIED} / {_SECONDS} < {SLOW}\nand on (model) {_COPIED} > {WORTH}",
        "0m",
        "info",
        "{{ $labels.model }} was copied at {{ $value | humanize }}B a second.",
        "See the retries on the dashboard, the proxy between Hub and cluster, and the pod's CPU limit.",
    )
    yield Alert(
        "ModelNewerCommitStaged",
        # Its own run tells that it was adopted; the look does so at its next turn only.
        "max by (model, commit12) (modelyard_refresh_newer_staged) == 1\n"
        "unless on (model, commit12) modelyard_prestage_exit_code",
        "0m",
        "info",
        "Commit {{ $labels.commit12 }} of {{ $labels.model }} is staged and waits for adoption.",
        "`modelyard lock --upgrade {{ $labels.model }}` and `modelyard render`; the merge moves the services to it.",
    )


def of_models(namespace: str, prestages: tuple[Prestage, ...], *, pushed: bool) -> Iterator[Labelled]:
    """Those about the models that a cluster has to have; `pushed`: its runs tell a Pushgateway."""
    for prestage in prestages:
        if pushed:
            yield {"model": prestage.model.name}, absent(namespace, prestage)
        if prestage.model.refresh is not None:
            yield {"model": prestage.model.name}, late(namespace, prestage)


def absent(namespace: str, prestage: Prestage) -> Alert:
    """No run has told anything, and no Job has ended well."""
    model = prestage.model.name
    job = f'namespace="{namespace}", job_name=~"prestage-{model}-[0-9a-f]{{10}}", condition="true"'
    return Alert(
        "ModelPrestageAbsent",
        f'absent(modelyard_prestage_exit_code{{model="{model}"}})\nunless on () max(kube_job_complete{{{job}}}) == 1',
        f"{ceil(prestage.deadline / HOUR)}h",
        "warning",
        f"{model} has to be staged here, and no run has told how it went.",
        "See whether its Job or Workflow is there and can start, and whether its pods reach the Pushgateway.",
    )


def late(namespace: str, prestage: Prestage) -> Alert:
    """The newest check is older than the schedule allows: the longest pause, the time to start, and a whole run.

    A check tells the Pushgateway, or is a Job of a CronJob that succeeded; before the first, the CronJob's age counts.
    """
    model, refresh = prestage.model.name, prestage.model.refresh
    assert refresh is not None  # noqa: S101  of_models asks
    job = f'{{namespace="{namespace}", cronjob="refresh-{model}"}}'
    newest = (
        f'modelyard_refresh_last_answer_timestamp_seconds{{model="{model}"}}'
        f"\n  or kube_cronjob_status_last_successful_time{job}\n  or kube_cronjob_created{job}"
    )
    return Alert(
        "ModelRefreshLate",
        f"time() - max(\n  {newest}\n) > {longest_gap(refresh.schedule) + START_WINDOW + prestage.deadline}",
        "0m",
        "warning",
        f"{model} was compared with the Hub {{{{ $value | humanizeDuration }}}} ago, by schedule {refresh.schedule}.",
        "See the last runs of its refresh: suspended, failed, or never started.",
    )
