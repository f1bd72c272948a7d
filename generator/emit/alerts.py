"""Alerts of the services, as Prometheus rules. Names of metrics: serving/common/metrics.py, and Ray 2.54 and newer.

The series of a pod carry `modelyard_dev_service`, which the PodMonitor takes from the pod's label; Ray adds
`application`, `deployment` and `replica`, and so does the PodMonitor where pods run without Ray
(`generator.runtimes`). A gauge that nobody sets again is gone after a while (Ray 2.60 keeps it for
two report intervals, ray/_private/telemetry), so a value that matters longer is looked up in the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generator import naming

SERVICE = "namespace, modelyard_dev_service"
APPLICATION = f"{SERVICE}, application"
DEPLOYMENT = f"{APPLICATION}, deployment"
FAILED = 'status_code=~"5..", status_code!="503"'
SENT_AWAY = 'status_code="503"'
ENDED = "ray_modelyard_requests_total"
WITHOUT_RAY = f'{naming.RUNTIME_SERIES}!=""'
_OF_APPLICATION = "{{ $labels.modelyard_dev_service }}/{{ $labels.application }}"
_OF_SERVICE = "{{ $labels.modelyard_dev_service }}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule. `wait` is how long `expr` has to hold; `what` and `then` are for who is called."""

    name: str
    expr: str
    wait: str
    severity: str  # critical | warning | info
    what: str
    then: str


def _share(wanted: str) -> str:
    """Share of the requests that were answered with such a status."""
    return f"{_requests(f', {wanted}')}\n/ {_requests()}"


def _requests(more: str = "") -> str:
    """Requests a second; those without an application are Serve's own, such as /-/healthz."""
    return f'sum by ({APPLICATION}) (rate(ray_serve_num_http_requests_total{{application!=""{more}}}[10m]))'


def _ended(reason: str) -> str:
    """Share of the requests that ended so, where no Ray counts the answers."""
    more = f', reason="{reason}"'
    return f"{_without_ray(more)}\n/ {_without_ray()}"


def _without_ray(more: str = "") -> str:
    return f"sum by ({APPLICATION}) (rate({ENDED}{{{WITHOUT_RAY}{more}}}[10m]))"


def _grows(metric: str) -> str:
    """More than one request waits, and half as many again as ten minutes before."""
    now = f"sum by ({APPLICATION}) (avg_over_time({metric}[5m]))"
    before = f"sum by ({APPLICATION}) (avg_over_time({metric}[5m] offset 10m))"
    return f"({now} > 1 and {now} > 1.5 * {before})"


def _first_token(metric: str, model: str) -> str:
    return f"histogram_quantile(0.95, sum by ({SERVICE}, {model}, le) (rate({metric}_bucket[10m]))) > 10"


_WANTED = f"sum by ({DEPLOYMENT}) (ray_serve_autoscaling_target_replicas)"
_READY = f"sum by ({DEPLOYMENT}) (ray_serve_deployment_replica_healthy)"
_STARTS = f"sum by ({DEPLOYMENT}) (increase(ray_serve_replica_startup_latency_ms_count[30m]))"
_SCALED = (
    f"(sum by ({DEPLOYMENT}) (max_over_time(ray_serve_autoscaling_target_replicas[30m]))"
    f" - sum by ({DEPLOYMENT}) (min_over_time(ray_serve_autoscaling_target_replicas[30m])))"
)
_KV = f'sum by ({APPLICATION}, model, replica) (ray_modelyard_kv_cache_tokens{{state="%s"}})'
_VLLM_KV = f"max by ({SERVICE}, model_name) (ray_vllm_kv_cache_usage_perc)"
# Imports run while the weights are read.
_LOAD = f'sum by ({APPLICATION}, model, replica) (max_over_time(ray_modelyard_load_seconds{{phase!="import"}}[1h]))'

ALERTS = (
    Alert(
        "ModelServiceNotReady",
        f"{_WANTED} > 0\nunless on ({DEPLOYMENT}) {_READY} > 0",
        "10m",
        "critical",
        f"{_OF_APPLICATION} has no ready replica.",
        "See whether worker pods are pending (capacity, image), then the replica's log: it says why it does not start.",
    ),
    Alert(
        "ModelServiceReplicasMissing",
        f"{_READY}\n< {_WANTED}",
        "15m",
        "warning",
        f"{_OF_APPLICATION} has {{{{ $value }}}} ready replicas, fewer than wanted.",
        "See whether worker pods are pending, and the log of the replicas that do not start.",
    ),
    Alert(
        "ModelServiceReplicaRestarts",
        f"{_STARTS}\n> 3 + {_SCALED}",
        "0m",
        "warning",
        f"Replicas of {_OF_APPLICATION} started {{{{ $value | humanize }}}} times in 30 minutes.",
        "See why they end: out of memory, failed health checks, nodes that go.",
    ),
    Alert(
        "ModelServiceFirstTokenSlow",
        _first_token("ray_modelyard_time_to_first_token_seconds", "model")
        + "\nor "
        + _first_token("ray_vllm_time_to_first_token_seconds", "model_name"),
        "10m",
        "warning",
        f"One in twenty answers of {_OF_SERVICE} takes {{{{ $value | humanizeDuration }}}} or more to its first token.",
        "See whether requests wait (queue) or prompts are long; more replicas, or a faster accelerator.",
    ),
    Alert(
        "ModelServiceErrors",
        f"{_share(FAILED)} > 0.05\nor {_ended('error')} > 0.05",
        "10m",
        "critical",
        f"{{{{ $value | humanizePercentage }}}} of the requests to {_OF_APPLICATION} fail.",
        "See the log of the replicas.",
    ),
    Alert(
        "ModelServiceOverloaded",
        f"{_share(SENT_AWAY)} > 0.05\nor {_ended('overloaded')} > 0.05",
        "10m",
        "warning",
        f"{_OF_APPLICATION} sends away {{{{ $value | humanizePercentage }}}} of its requests with 503.",
        "Raise replicas.max or concurrency in models.yaml.",
    ),
    Alert(
        "ModelServiceQueueGrows",
        f"{_grows('ray_serve_deployment_queued_queries')}\nor {_grows('ray_modelyard_queue_depth')}",
        "5m",
        "warning",
        f"{{{{ $value | humanize }}}} requests to {_OF_APPLICATION} wait, and their number grows.",
        "Raise replicas.max in models.yaml before callers get 503.",
    ),
    Alert(
        "ModelServiceSlowLoad",
        f"max by ({APPLICATION}, model) ({_LOAD}) > 60",
        "0m",
        "info",
        f"A replica of {_OF_APPLICATION} took {{{{ $value | humanizeDuration }}}} to load its model.",
        "The phases are on the dashboard: reading (the volume), building (CPU), warming up.",
    ),
    Alert(
        "ModelServiceCacheFull",
        f"{_KV % 'used'}\n/ {_KV % 'limit'} > 0.95\nor {_VLLM_KV} > 0.95",
        "10m",
        "warning",
        f"The KV cache of {_OF_SERVICE} has been {{{{ $value | humanizePercentage }}}} full for 10 minutes.",
        "New requests wait for room: shorter contexts, more memory, or more replicas.",
    ),
    Alert(
        "ModelServiceNotFromCache",
        f"max by ({APPLICATION}, model) (ray_modelyard_model_from_cache) == 0",
        "5m",
        "warning",
        f"{_OF_APPLICATION} serves a model that was not checked against the manifest of its staged copy.",
        "MODELYARD_VERIFY is off, or MODEL_ID names another folder.",
    ),
)


def absent(namespace: str, service: str, kind: str) -> Alert:
    """Not one pod of the service is scraped: only who knows the services can tell."""
    select = f'namespace="{namespace}", modelyard_dev_service="{service}"'
    return Alert(
        "ModelServiceAbsent",
        f"absent(up{{{select}}} == 1)",
        "15m",
        "critical",
        f"No pod of {service} answers Prometheus.",
        f"See whether its {kind} and pods are there, and whether a NetworkPolicy keeps Prometheus out.",
    )


def rule(alert: Alert, **labels: str) -> dict[str, Any]:
    """The alert as Prometheus takes it."""
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.wait,
        "labels": {"severity": alert.severity, **labels},
        "annotations": {"summary": alert.what, "description": alert.then},
    }
