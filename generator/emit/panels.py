"""What the dashboard of the services shows: rows of panels and their PromQL. Names of metrics as in `alerts`.

`$namespace`, `$service` and `$application` are the choices at the top of the dashboard.
"""

from __future__ import annotations

from generator.emit.alerts import ENDED, FAILED, SENT_AWAY, WITHOUT_RAY
from generator.emit.boards import Board, Choice, Panel

SERVICE = 'namespace=~"$namespace", modelyard_dev_service=~"$service"'
_APPLICATION = f'{SERVICE}, application=~"$application"'
_BY = "modelyard_dev_service, application"


def _sum(metric: str, by: str = _BY, more: str = "", select: str = _APPLICATION) -> str:
    return f"sum by ({by}) ({metric}{{{select}{more}}})"


def _rate(metric: str, by: str = _BY, more: str = "", select: str = _APPLICATION) -> str:
    return f"sum by ({by}) (rate({metric}{{{select}{more}}}[$__rate_interval]))"


def _quantile(share: float, metric: str, by: str = _BY, select: str = _APPLICATION) -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', f'{by}, le', select=select)})"


_HEALTHY = f"ray_serve_deployment_replica_healthy{{{_APPLICATION}}}"
_HTTP = "ray_serve_num_http_requests_total"
_NAMED = "{{modelyard_dev_service}}/{{application}}"
_FIRST = "ray_modelyard_time_to_first_token_seconds"
_VLLM_FIRST = "ray_vllm_time_to_first_token_seconds"
_VLLM = "modelyard_dev_service, model_name"
_VLLM_NAMED = "{{modelyard_dev_service}}/{{model_name}}"


def _total(status: str = "", reason: str = "") -> str:
    """Answers by their status, and where no Ray counts them by how the requests ended."""
    answers = f"rate({_HTTP}{{{_APPLICATION}{status}}}[$__rate_interval])"
    ended = f"rate({ENDED}{{{_APPLICATION}, {WITHOUT_RAY}{reason}}}[$__rate_interval])"
    return f"sum({answers} or {ended})"


def _share(status: str, reason: str) -> str:
    """Share of the requests that were answered with such a status, or ended so."""
    ended = f', reason="{reason}"'
    return f"{_total(f', {status}', ended)} / {_total()}"


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Now",
        (
            Panel(
                "Ready replicas",
                "Replicas that passed their last health check; without Ray, pods that answer Prometheus.",
                "none",
                ((f"sum({_HEALTHY} or up{{{_APPLICATION}, {WITHOUT_RAY}}})", "ready"),),
                "stat",
            ),
            Panel("Requests", "Answers a second, of any status.", "reqps", ((_total(), "requests"),), "stat"),
            Panel(
                "Failed",
                "Share of the requests with a status of 5xx, 503 not counted.",
                "percentunit",
                ((_share(FAILED, "error"), "failed"),),
                "stat",
            ),
            Panel(
                "Sent away",
                "Share of the requests that got 503, because all queues were full.",
                "percentunit",
                ((_share(SENT_AWAY, "overloaded"), "503"),),
                "stat",
            ),
        ),
    ),
    (
        "What callers see",
        (
            Panel(
                "Requests by status",
                "Answers a second; without Ray by how they ended.",
                "reqps",
                (
                    (_rate(_HTTP, f"{_BY}, status_code"), f"{_NAMED} {{{{status_code}}}}"),
                    (_rate(ENDED, f"{_BY}, reason", f", {WITHOUT_RAY}"), f"{_NAMED} {{{{reason}}}}"),
                ),
            ),
            Panel(
                "Time to the first token",
                "From the request's arrival at the replica.",
                "s",
                (
                    (_quantile(0.5, _FIRST), f"{_NAMED} half"),
                    (_quantile(0.95, _FIRST), f"{_NAMED} 95 %"),
                    (_quantile(0.5, _VLLM_FIRST, _VLLM, SERVICE), f"{_VLLM_NAMED} half"),
                    (_quantile(0.95, _VLLM_FIRST, _VLLM, SERVICE), f"{_VLLM_NAMED} 95 %"),
                ),
            ),
            Panel(
                "Time of a whole answer",
                "Of 95 % of the answers, by how they ended.",
                "s",
                ((_quantile(0.95, "ray_modelyard_request_seconds", f"{_BY}, reason"), f"{_NAMED} {{{{reason}}}}"),),
            ),
            Panel(
                "Time in the replica's queue",
                "Before a request joins the batch.",
                "s",
                ((_quantile(0.95, "ray_modelyard_queue_seconds"), f"{_NAMED} 95 %"),),
            ),
        ),
    ),
    (
        "Work",
        (
            Panel(
                "Tokens",
                "Tokens a second: read (prompt) and written (completion).",
                "short",
                (
                    (_rate("ray_modelyard_tokens_total", f"{_BY}, kind"), f"{_NAMED} {{{{kind}}}}"),
                    (_rate("ray_vllm_prompt_tokens_total", _VLLM, select=SERVICE), f"{_VLLM_NAMED} prompt"),
                    (_rate("ray_vllm_generation_tokens_total", _VLLM, select=SERVICE), f"{_VLLM_NAMED} completion"),
                ),
            ),
            Panel(
                "Requests at a time",
                "In the batch of each replica.",
                "short",
                (
                    (_sum("ray_modelyard_batch_size", f"{_BY}, replica"), f"{_NAMED} {{{{replica}}}}"),
                    (_sum("ray_vllm_num_requests_running", _VLLM, select=SERVICE), _VLLM_NAMED),
                ),
            ),
            Panel(
                "Waiting requests",
                "At the replicas, and in front of them.",
                "short",
                (
                    (_sum("ray_modelyard_queue_depth"), f"{_NAMED} at replicas"),
                    (_sum("ray_serve_deployment_queued_queries"), f"{_NAMED} in front"),
                    (_sum("ray_vllm_num_requests_waiting", _VLLM, select=SERVICE), f"{_VLLM_NAMED} at replicas"),
                ),
            ),
            Panel(
                "KV cache in use",
                "Share of what it may hold.",
                "percentunit",
                (
                    (
                        _sum("ray_modelyard_kv_cache_tokens", f"{_BY}, replica", ', state="used"')
                        + " / "
                        + _sum("ray_modelyard_kv_cache_tokens", f"{_BY}, replica", ', state="limit"'),
                        f"{_NAMED} {{{{replica}}}}",
                    ),
                    (f"max by ({_VLLM}) (ray_vllm_kv_cache_usage_perc{{{SERVICE}}})", _VLLM_NAMED),
                ),
            ),
        ),
    ),
    (
        "Replicas",
        (
            Panel(
                "Replicas",
                "Wanted, and ready.",
                "short",
                (
                    (_sum("ray_serve_autoscaling_target_replicas", f"{_BY}, deployment"), f"{_NAMED} wanted"),
                    (_sum("ray_serve_deployment_replica_healthy", f"{_BY}, deployment"), f"{_NAMED} ready"),
                ),
            ),
            Panel(
                "Starts",
                "Replicas that became ready within an hour.",
                "short",
                (
                    (
                        f"sum by ({_BY}) (increase(ray_serve_replica_startup_latency_ms_count{{{_APPLICATION}}}[1h]))",
                        _NAMED,
                    ),
                ),
            ),
            Panel(
                "Loading a model",
                "The slowest replica of the last hour, by phase.",
                "s",
                (
                    (
                        f"max by ({_BY}, phase) (max_over_time(ray_modelyard_load_seconds{{{_APPLICATION}}}[1h]))",
                        f"{_NAMED} {{{{phase}}}}",
                    ),
                ),
            ),
            Panel(
                "Health checks that failed",
                "Within an hour.",
                "short",
                ((f"sum by ({_BY}) (increase(ray_serve_health_check_failures_total{{{_APPLICATION}}}[1h]))", _NAMED),),
            ),
        ),
    ),
    (
        "Pods",
        (
            Panel(
                "CPU",
                "Share of the pod's cores.",
                "percent",
                ((f"max by (pod) (ray_node_cpu_utilization{{{SERVICE}}})", "{{pod}}"),),
            ),
            Panel(
                "Memory",
                "Share of the pod's limit.",
                "percentunit",
                (
                    (
                        f"max by (pod) (ray_node_mem_used{{{SERVICE}}})"
                        f" / max by (pod) (ray_node_mem_total{{{SERVICE}}})",
                        "{{pod}}",
                    ),
                ),
            ),
            Panel(
                "Accelerators",
                "How busy each is.",
                "percent",
                ((f"avg by (pod, GpuIndex) (ray_node_gpus_utilization{{{SERVICE}}})", "{{pod}} {{GpuIndex}}"),),
            ),
            Panel(
                "Accelerator memory",
                "In use on each.",
                "decmbytes",
                ((f"avg by (pod, GpuIndex) (ray_node_gram_used{{{SERVICE}}})", "{{pod}} {{GpuIndex}}"),),
            ),
        ),
    ),
)

# What says that a service is there: Ray Serve, our applications wherever they run, vLLM without Ray.
_THERE = '__name__=~"ray_serve_application_status|ray_modelyard_model_from_cache|ray_vllm_num_requests_running"'
SERVICES = Board(
    uid="modelyard-services",
    title="Modelyard: model services",
    tags=("modelyard", "ray", "llm"),
    since="3h",
    refresh="30s",
    choices=(
        Choice("namespace", "Namespace", f"{{{_THERE}}}", "namespace"),
        Choice("service", "Service", f'{{{_THERE}, namespace=~"$namespace"}}', "modelyard_dev_service"),
        Choice("application", "Application", f"{{{_THERE}, {SERVICE}}}", "application"),
    ),
    rows=ROWS,
)
