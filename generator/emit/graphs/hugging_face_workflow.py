"""What stages a model: the Workflow, the schedule, and the steps of both (Argo Workflows v4.1.2)."""

from __future__ import annotations

from typing import Any

from generator import naming
from generator.emit.graphs.base import CONTAINER_SECURITY, NAME
from generator.emit.graphs.hugging_face_identity import labels, named
from generator.prestage.exits import PERMANENT, PrestageExit

OUTPUTS = ("path", "commit", "bytes", "seconds")
OUTPUT_FOLDER = "/tmp/outputs"  # noqa: S108  the only writable folder
PLAN = f"{naming.PLAN_MOUNT}/plan.json"
BACKOFF = {"duration": "30s", "factor": "2", "cap": "10m"}
# A new role can take a minute to be known everywhere: being refused by the bucket is tried again too.
_FINAL = sorted(int(code) for code in PERMANENT if code is not PrestageExit.STORAGE)
RETRY = f"lastRetry.status == 'Error' || !(asInt(lastRetry.exitCode) in {_FINAL})"


def plan_file() -> dict[str, Any]:
    return {
        **named("v1", "ConfigMap", f"stage-{NAME}-" + "${schema.spec.inputs}"),
        "data": {"plan.json": "${schema.spec.plan}"},
    }


def workflow() -> dict[str, Any]:
    base = named("argoproj.io/v1alpha1", "Workflow", f"stage-{NAME}-" + "${schema.spec.inputs}")
    base["metadata"]["annotations"] = {
        "modelyard.dev/source": "${schema.spec.source.repoId}@${schema.spec.source.commit}",
        "modelyard.dev/target": "s3://${schema.spec.target.bucket}/${schema.spec.target.key}",
        # Pods that start before their association stay without an identity, so this must wait for it.
        "modelyard.dev/association": "${association.status.associationID}",
        "modelyard.dev/executor": "${executorBinding.metadata.name}",
    }
    steps = [
        [{"name": "prestage", "template": "prestage"}],
        [{"name": "load-test", "template": "load-test", "when": "${schema.spec.loadTest ? 'true' : 'false'}"}],
    ]
    outputs = [
        {"name": name, "valueFrom": {"parameter": f"{{{{steps.prestage.outputs.parameters.{name}}}}}"}}
        for name in OUTPUTS
    ]
    return {**base, "spec": _run({"name": "stage", "steps": steps, "outputs": {"parameters": outputs}}, _staging())}


def refresh() -> dict[str, Any]:
    base = named("argoproj.io/v1alpha1", "CronWorkflow", f"refresh-{NAME}")
    arguments = (
        f"['{PLAN}', '--revision', schema.spec.refresh.revision,"
        " '--root', 's3://' + schema.spec.target.bucket + '/' + schema.spec.target.folder]"
        " + (schema.spec.loadTest ? ['--load-test'] : [])" + _GATEWAY + _TOPIC + " + ['--tell', 'newer']"
    )
    steps = [[{"name": "refresh", "template": "refresh"}]]
    spec = {
        "schedules": ["${schema.spec.refresh.schedule}"],
        "timezone": "${schema.spec.refresh.timeZone}",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "workflowSpec": _run(
            {"name": "look", "steps": steps},
            [
                _template(
                    "refresh", "generator.prestage.refresh", arguments, _secret("MODELYARD_WEBHOOK_URL", "webhook")
                )
            ],
            tell="failures",  # the step tells of a new commit, and nobody of a night without one
        ),
    }
    base["metadata"]["annotations"] = {"modelyard.dev/after": "${workflow.metadata.name}"}
    return {**base, "spec": spec}


def _run(entry: dict[str, Any], templates: list[dict[str, Any]], tell: str = "all") -> dict[str, Any]:
    """A Workflow's spec: one run of a model at a time, so many of all models as the ConfigMap says."""
    limit = {"name": naming.STAGING_LIMITS, "key": "parallel"}
    return {
        "entrypoint": entry["name"],
        "onExit": "${schema.spec.snsTopic == 'none' && schema.spec.webhook.secret == 'none' ? '' : 'ended'}",
        "serviceAccountName": "${account.metadata.name}",
        # The executor beside the program reports results with it; its Role allows nothing else.
        "automountServiceAccountToken": True,
        "activeDeadlineSeconds": "${schema.spec.deadlineSeconds}",
        "synchronization": {
            "mutexes": [{"name": f"stage-{NAME}"}],
            "semaphores": [{"configMapKeyRef": limit}],
        },
        "podGC": {"strategy": "OnPodSuccess", "deleteDelayDuration": "10m"},
        "podMetadata": {"labels": labels()},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "plan", "configMap": {"name": "${planFile.metadata.name}"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "128Mi"}},
        ],
        "templates": [entry, *templates, _ended(tell)],
    }


_URL = "'s3://' + schema.spec.target.bucket + '/' + schema.spec.target.key"
_GATEWAY = " + (schema.spec.pushGateway == 'none' ? [] : ['--push-gateway', schema.spec.pushGateway])"
_TOPIC = " + (schema.spec.snsTopic == 'none' ? [] : ['--notify-sns', schema.spec.snsTopic])"
_REPLICA = (
    " + (schema.spec.replica ? ['--source', 's3://' + schema.spec.home.bucket + '/' + schema.spec.target.key,"
    " '--wait', string(schema.spec.deadlineSeconds)] : [])"
)


def _staging() -> list[dict[str, Any]]:
    stage = f"['{PLAN}', '--target', {_URL}, '--outputs', '{OUTPUT_FOLDER}']{_REPLICA}"
    stage += " + (schema.spec.loadTest ? ['--hold'] : [])" + _GATEWAY
    test = f"['{PLAN}', '--target', {_URL}]{_GATEWAY}"
    return [
        {
            **_template("prestage", "generator.prestage", stage),
            "outputs": {
                "parameters": [{"name": name, "valueFrom": {"path": f"{OUTPUT_FOLDER}/{name}"}} for name in OUTPUTS]
            },
        },
        _template("load-test", "generator.prestage.loadtest", test),
    ]


def _template(name: str, module: str, arguments: str, *more: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "retryStrategy": {"limit": "5", "retryPolicy": "Always", "expression": RETRY, "backoff": BACKOFF},
        "container": _container(module, arguments, [*_environment(), *more]),
    }


def _ended(tell: str) -> dict[str, Any]:
    """Tells how the whole Workflow ended, once, also when a pod could not tell itself."""
    told = [
        {"name": "MODELYARD_WORKFLOW_STATUS", "value": "{{workflow.status}}"},
        {"name": "MODELYARD_WORKFLOW_FAILURES", "value": "{{workflow.failures}}"},
        _secret("MODELYARD_WEBHOOK_URL", "webhook"),
    ]
    arguments = (
        f"['--model', schema.metadata.name, '--commit', schema.spec.source.commit, '--target', {_URL}]"
        f" + ['--tell', '{tell}']"
        f"{_TOPIC}"
    )
    container = _container("generator.prestage.ended", arguments, [*_environment()[:3], *told])
    return {"name": "ended", "retryStrategy": {"limit": "2", "retryPolicy": "Always"}, "container": container}


def _environment() -> list[dict[str, Any]]:
    return [
        {"name": "AWS_REGION", "value": "${schema.spec.target.region}"},
        {"name": "HF_HUB_DISABLE_TELEMETRY", "value": "1"},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108
        _secret("HF_TOKEN", "token"),
        # For the hint when the Hub refuses.
        {
            "name": "MODELYARD_TOKEN_REFERENCE",
            "value": "${schema.spec.token.secret == 'none' ? '' : schema.spec.token.secret}",
        },
    ]


def _secret(variable: str, field: str) -> dict[str, Any]:
    at = f"schema.spec.{field}"
    reference = {
        "name": f"${{{at}.secret}}",
        "key": f"${{{at}.key}}",
        "optional": f"${{{at}.secret == 'none'}}",
    }
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}


def _container(module: str, arguments: str, environment: list[dict[str, Any]]) -> dict[str, Any]:
    resources = {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "256Mi"}
    return {
        "image": "${schema.spec.programImage}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", module],
        "args": "${" + arguments + "}",
        "env": environment,
        "resources": {"requests": resources, "limits": resources},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "plan", "mountPath": naming.PLAN_MOUNT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }
