"""What the dashboard of staging shows: rows of panels and their PromQL. Names of metrics as in `staging_alerts`.

`$cluster` and `$model` are the choices at the top. `cluster` is a label that a Prometheus of several clusters adds
(external_labels); where it is missing, all series pass.
"""

from __future__ import annotations

from generator.emit.boards import Board, Choice, Panel

_OF = 'cluster=~"$cluster", model=~"$model"'
_BY = "cluster, model"
_NAMED = "{{cluster}} {{model}}"


def _last(metric: str, by: str = _BY) -> str:
    """What the last run of each model said."""
    return f"max by ({by}) (modelyard_{metric}{{{_OF}}})"


def _age(metric: str) -> str:
    return f"time() - {_last(metric)}"


_JOBS = 'cluster=~"$cluster", job_name=~"(prestage|refresh)-.+", condition="true"'

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Now",
        (
            Panel(
                "Models",
                "That have told how their last run went.",
                "none",
                ((f"count({_last('prestage_exit_code')})", ""),),
                "stat",
            ),
            Panel(
                "Failed",
                "Models whose last run failed.",
                "none",
                ((f"count({_last('prestage_exit_code')} > 0) or vector(0)", ""),),
                "stat",
            ),
            Panel(
                "Waiting for adoption",
                "Models with a newer commit that is staged and that models.lock.yaml does not name.",
                "none",
                ((f"sum({_last('refresh_newer_staged')}) or vector(0)", ""),),
                "stat",
            ),
            Panel(
                "Oldest check",
                "Since the model that has waited longest was compared with its branch.",
                "s",
                ((f"max({_age('refresh_last_answer_timestamp_seconds')})", ""),),
                "stat",
            ),
        ),
    ),
    (
        "Checks and runs",
        (
            Panel(
                "Since the last check",
                "Of the model's branch on the Hub, by its schedule.",
                "s",
                ((_age("refresh_last_answer_timestamp_seconds"), _NAMED),),
            ),
            Panel(
                "Since the last run",
                "However it ended.",
                "s",
                ((_age("prestage_last_completion_timestamp_seconds"), _NAMED),),
            ),
            Panel(
                "Exit status",
                "Of the last run; 0 is success, docs/prestage.md has the others.",
                "none",
                ((_last("prestage_exit_code", f"{_BY}, commit12"), f"{_NAMED} {{{{commit12}}}}"),),
            ),
            Panel(
                "Newer commits",
                "1 while a newer commit is staged and waits for adoption.",
                "none",
                ((_last("refresh_newer_staged", f"{_BY}, commit12"), f"{_NAMED} {{{{commit12}}}}"),),
            ),
        ),
    ),
    (
        "Work of the last run",
        (
            Panel("Duration", "From start to end.", "s", ((_last("prestage_duration_seconds"), _NAMED),)),
            Panel(
                "Bytes",
                "Size of the model, and what was read from the source.",
                "bytes",
                ((_last("prestage_size_bytes"), f"{_NAMED} size"), (_last("prestage_copied_bytes"), f"{_NAMED} read")),
            ),
            Panel(
                "Speed",
                "Bytes read a second, over the whole run.",
                "Bps",
                ((f"{_last('prestage_copied_bytes')} / {_last('prestage_duration_seconds')}", _NAMED),),
            ),
            Panel("Retries", "Requests that were repeated.", "none", ((_last("prestage_retries"), _NAMED),)),
            Panel(
                "Nothing to do", "1 when all was in place already.", "none", ((_last("prestage_cache_hit"), _NAMED),)
            ),
            Panel("Files", "Of the model.", "none", ((_last("prestage_files"), _NAMED),)),
        ),
    ),
    (
        "Looks for new commits, and load tests",
        (
            Panel(
                "Exit status of the last look",
                "0 is an answer of the Hub; the age of the newest one grows while there is none.",
                "none",
                ((_last("refresh_exit_code"), _NAMED),),
            ),
            Panel(
                "Exit status of the last load test",
                "65: the copy does not load, and nothing of it is published.",
                "none",
                ((_last("loadtest_exit_code", f"{_BY}, commit12"), f"{_NAMED} {{{{commit12}}}}"),),
            ),
            Panel(
                "Duration of the load test", "From start to end.", "s", ((_last("loadtest_duration_seconds"), _NAMED),)
            ),
            Panel(
                "Since the last load test",
                "However it ended.",
                "s",
                ((_age("loadtest_last_completion_timestamp_seconds"), _NAMED),),
            ),
        ),
    ),
    (
        "Jobs, from kube-state-metrics",
        (
            Panel(
                "Failed Jobs",
                "That gave up.",
                "none",
                ((f"max by (cluster, namespace, job_name) (kube_job_failed{{{_JOBS}}})", "{{cluster}} {{job_name}}"),),
            ),
            Panel(
                "Since a scheduled check succeeded",
                "By CronJob.",
                "s",
                (
                    (
                        "time() - max by (cluster, namespace, cronjob) (kube_cronjob_status_last_successful_time"
                        '{cluster=~"$cluster", cronjob=~"refresh-($model)"})',
                        "{{cluster}} {{cronjob}}",
                    ),
                ),
            ),
        ),
    ),
)

STAGING = Board(
    uid="modelyard-staging",
    title="Modelyard: staging",
    tags=("modelyard", "staging"),
    since="7d",
    refresh="1m",
    choices=(
        Choice("cluster", "Cluster", "modelyard_prestage_exit_code", "cluster"),
        Choice("model", "Model", 'modelyard_prestage_exit_code{cluster=~"$cluster"}', "model"),
    ),
    rows=ROWS,
)
