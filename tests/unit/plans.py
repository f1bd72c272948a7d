"""A Plan for tests of emitters: the two models of models.yaml at fixed commits, built by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from generator import bundle, naming
from generator.plan import (
    Application,
    Autoscaler,
    Backstage,
    Bucket,
    Cluster,
    Model,
    Notify,
    Plan,
    Platform,
    Prestage,
    Service,
    Token,
    Workers,
)
from generator.shutdown import Shutdown

TEXT = """\
# The models of the platform.
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
services:
  - name: chat # on CPUs
    clusters: [peeks-hub]
    applications:
      - {model: tinyllama, route: /generate}
"""
CODE = bundle.build("text-generation", {"app.py": b"def build(args):\n    return None\n"})
S3 = Bucket(name="s3", kind="s3", bucket=None, credentials="driver", regions=(), server=None)
CPU_IMAGE = "registry.example.com/ml/ray:1.4.0@sha256:" + "a" * 64
VLLM_IMAGE = "registry.example.com/ml/ray-llm:2.58.0"
PRESTAGE_IMAGE = "registry.example.com/platform/modelyard-prestage:0.1.0"


def model(name: str, repo: str, commit: str, **changes: Any) -> Model:
    known = Model(
        name=name,
        title=name,
        repo=repo,
        revision="main",
        commit=commit,
        cache=S3,
        clusters=("peeks-hub",),
        token=None,
        allow=(),
        ignore=(),
        license=None,
        gated=None,
        size=None,
        weights=None,
        dtype=None,
        parameters=None,
        context_length=None,
        files=None,
        labels={},
        key=naming.model_key(name, commit),
        path=naming.model_path(name, commit),
        refresh=None,
        load_test=False,
        compiled_for=(),
    )
    return replace(known, **changes)


TINYLLAMA = model(
    "tinyllama",
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "fe8a4ea1ffedaf415f4da2f062534de366a451e6",
    title="TinyLlama 1.1B Chat",
    license="apache-2.0",
    gated=False,
    size=2_202_000_000,
    weights=2_200_119_864,
    dtype="bfloat16",
    parameters=1_100_048_384,
    context_length=2048,
)
MISTRAL = model(
    "mistral-7b",
    "mistralai/Mistral-7B-Instruct-v0.2",
    "63a8b081895390a26e140280378bc85ec8bce07a",
    title="Mistral 7B Instruct v0.2",
    token=Token("hf-token", "token"),
)
CLUSTER = Cluster(
    name="peeks-hub",
    provider="eks",
    selector={"enable_ray_operator": "true"},
    destination="*",
    values={},
    services_by="kro",
    gitops="argocd",
    profile=None,
    key_vault=None,
    node_pools=None,
    addons=("kro", "kuberay-operator"),
    operator_namespace="kuberay-system",
)


def application(of: Model, app: str, route: str, accelerators: int = 0) -> Application:
    return Application(
        name=of.name,
        models=(of,),
        weights=(),
        app=app,
        route=route,
        min_replicas=1,
        max_replicas=3,
        accelerators=accelerators,
        group="workers",
    )


def workers(limits: dict[str, str], accelerator: str | None = None, most: int = 3) -> Workers:
    return Workers(
        name="workers",
        accelerator=accelerator,
        image=VLLM_IMAGE if accelerator else CPU_IMAGE,
        min=1,
        max=most,
        busy=1,
        limits=limits,
        node_selector={},
        tolerations=({"key": "nvidia.com/gpu", "operator": "Exists"},) if accelerator else (),
    )


def service(name: str, served: Application, limits: dict[str, str], accelerator: str | None = None) -> Service:
    return Service(
        name=name,
        title=name,
        clusters=("peeks-hub",),
        image=VLLM_IMAGE if accelerator else CPU_IMAGE,
        ray_version="2.58.0",
        runtime="ray",
        head={"cpu": "1", "memory": "4Gi"},
        applications=(served,),
        groups=(workers(limits, accelerator),),
        shutdown=Shutdown(drain=50, grace=80),
        serve_config="applications: []\n",
        code=None if accelerator else CODE,
        code_by="config-map",
        cache=served.models[0].cache,
        capacity="3Gi",
        ingress=None,
        load_balancer=None,
        autoscaler=Autoscaler(60, "default"),
        upgrade=None,
        fault_tolerance=None,
        auth_secret=None,
        priority_class=None,
        queue=None,
        spread=None,
    )


CHAT = service("chat", application(TINYLLAMA, "text-generation", "/generate"), {"cpu": "2", "memory": "8Gi"})
MISTRAL_SERVICE = service(
    "mistral",
    application(MISTRAL, "vllm", "/", accelerators=1),
    {"cpu": "2", "memory": "24Gi", "nvidia.com/gpu": "1"},
    "nvidia-a10g",
)
BACKSTAGE = Backstage(
    owner="group:default/platform",
    scm="github",
    repo="git.example.com?owner=platform&repo=gitops",
    catalogue="models.yaml",
    text=TEXT,
)
PLATFORM = Platform(
    prefix="peeks",
    repo_url="https://git.example.com/platform/gitops.git",
    repo_revision="main",
    root="rendered",
    namespace="ray-system",
    argocd_namespace="argocd",
    project="modelyard",
    notify=Notify(sns_topic="", webhook_secret="", webhook_key=""),
    backstage=BACKSTAGE,
    monitoring=None,
    parallel=3,
)


def staged(of: Model, way: str = "job") -> Prestage:
    ways = dict.fromkeys(of.clusters, way)
    return Prestage(of, ways, PRESTAGE_IMAGE, 3600, naming.digest(of.key.encode()), "{}")


def example_plan(**changes: Any) -> Plan:
    """The Plan with fields replaced; `models` brings its own `prestages` unless they are given too."""
    if "models" in changes:
        changes.setdefault("prestages", tuple(staged(m) for m in changes["models"]))
    plan = Plan(
        platform=PLATFORM,
        clusters=(CLUSTER,),
        models=(MISTRAL, TINYLLAMA),
        prestages=(staged(MISTRAL), staged(TINYLLAMA)),
        services=(CHAT, MISTRAL_SERVICE),
        bundles=(CODE,),
        baked=(),
        images={PRESTAGE_IMAGE: "prestage", CPU_IMAGE: "ray", VLLM_IMAGE: "ray"},
        version="0.1.0",
    )
    return replace(plan, **changes)
