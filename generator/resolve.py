"""Spec, lock and bundles to the Plan: every default, name, path and reference decided, once.

Assumes that `checks` found no error. What the user may have left out is settled here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

from generator import __version__, naming, plan
from generator.apps import APPS, Deployment
from generator.bundle import Bundle, join
from generator.catalog import ACCELERATORS, DEFAULT_RAY_IMAGES, DEFAULT_REPLICA_MEMORY, REPLICA_OVERHEAD
from generator.lock import Lock, LockedModel
from generator.quantities import cores, gibibytes, in_bytes
from generator.spec import Application, Cluster, Model, Notifications, Platform, Service, Spec
from generator.yamlio import canonical_json, dump

# Slowest copy that still counts as alive, with room for the three tries of a Job.
_BYTES_PER_SECOND = 20_000_000
_SHORTEST_DEADLINE = 3600
_DEADLINE_UNKNOWN = 6 * 3600
# The PersistentVolume's capacity is required and ignored by the driver; this stands where sizes are unknown.
_CAPACITY_UNKNOWN = "1Ti"
SERVE_PORT = 8000

Code = Mapping[str, Mapping[str, bytes]]
"""Packages of serving/: folder to its files, path to content."""


def resolve(spec: Spec, lock: Lock, code: Code, text: str, job_digest: str) -> plan.Plan:
    """The Plan of a catalogue.

    `code` maps a folder of serving/ to its files, `text` is models.yaml as read, `job_digest` the digest of the
    prestage chart's templates: a Job is immutable, so a changed template needs a new name too.
    """
    platform = spec.platform
    clusters = tuple(_cluster(c) for c in spec.clusters)
    caches = {c.name: plan.Cache(c.name, c.type, c.bucket, c.credentials) for c in spec.caches}
    everywhere = tuple(c.name for c in clusters)
    models = tuple(_model(m, lock, caches[m.cache], everywhere) for m in sorted(spec.models, key=lambda m: m.name))
    image = _digested(platform.images.prestage, lock)
    notify = _notify(platform.notifications)
    by_name = {m.name: m for m in models}
    services = tuple(_service(s, platform, by_name, lock, code) for s in sorted(spec.services, key=lambda s: s.name))
    used = {s.code.filename: s.code for s in services if s.code is not None}
    return plan.Plan(
        platform=_platform(platform, text),
        clusters=clusters,
        models=models,
        prestages=tuple(_prestage(m, image, notify, job_digest) for m in models),
        services=services,
        bundles=tuple(used[name] for name in sorted(used)),
        images={image: "prestage"} | {s.image: "ray" for s in services},
        version=__version__,
    )


def _digested(reference: str, lock: Lock) -> str:
    """The image by digest where the lock has it; the tag stays beside it, for people."""
    digest = lock.images.get(reference)
    return f"{reference}@{digest}" if digest and "@" not in reference else reference


def _platform(platform: Platform, text: str) -> plan.Platform:
    repository = platform.repository
    return plan.Platform(
        prefix=platform.prefix,
        repo_url=repository.url,
        repo_revision=repository.revision,
        root=repository.path,
        namespace=platform.namespace,
        argocd_namespace=platform.argocd.namespace,
        project=platform.argocd.project,
        notify=_notify(platform.notifications),
        backstage=_backstage(platform, text),
    )


def _notify(asked: Notifications) -> plan.Notify:
    key = asked.webhook_key if asked.webhook_secret else ""
    return plan.Notify(asked.sns_topic or "", asked.webhook_secret or "", key)


def _backstage(platform: Platform, text: str) -> plan.Backstage | None:
    if platform.backstage is None:
        return None
    host, path = naming.host_and_path(platform.repository.url)
    owner, _, repo = path.rpartition("/")
    return plan.Backstage(
        owner=platform.backstage.owner,
        scm=platform.backstage.scm or ("gitlab" if "gitlab" in host else "github"),
        repo=f"{host}?owner={owner}&repo={repo}",
        catalogue=platform.backstage.catalogue,
        text=text,
    )


def _cluster(cluster: Cluster) -> plan.Cluster:
    return plan.Cluster(
        name=cluster.name,
        provider=cluster.provider,
        selector=dict(sorted(cluster.selector.items())) or {"cluster_name": cluster.name},
        destination="*" if cluster.selector else cluster.name,
        values=dict(sorted(cluster.values.items())),
        services_by=cluster.services_by,
        addons=tuple(sorted(cluster.addons)),
    )


def _model(model: Model, lock: Lock, cache: plan.Cache, everywhere: tuple[str, ...]) -> plan.Model:
    source, entry = model.source, lock.models.get(model.name)
    commit = entry.commit if entry is not None else source.revision
    token = plan.Token(source.token_secret, source.token_key) if source.token_secret else None
    return plan.Model(
        name=model.name,
        title=model.title or model.name,
        repo=source.huggingface,
        revision=source.revision,
        commit=commit,
        cache=cache,
        clusters=tuple(sorted(model.clusters)) if model.clusters is not None else tuple(sorted(everywhere)),
        token=token,
        allow=source.allow,
        ignore=source.ignore,
        license=entry.license if entry else None,
        gated=entry.gated if entry else None,
        size=entry.size if entry else None,
        weights=entry.weights if entry else None,
        dtype=entry.dtype if entry else None,
        parameters=entry.parameters if entry else None,
        context_length=entry.context_length if entry else None,
        files=_files(entry),
        labels=dict(sorted(model.labels.items())),
        key=naming.model_key(model.name, commit),
        path=naming.model_path(model.name, commit),
    )


def _files(entry: LockedModel | None) -> tuple[plan.File, ...] | None:
    if entry is None or entry.files is None:
        return None
    return tuple(plan.File(f.path, f.size, f.digest) for f in entry.files)


def _prestage(model: plan.Model, image: str, notify: plan.Notify, job_digest: str) -> plan.Prestage:
    document = {
        "version": 1,
        "model": model.name,
        "source": {"huggingface": model.repo, "commit": model.commit},
        "allow": list(model.allow),
        "ignore": list(model.ignore),
        "files": None if model.files is None else {f.path: [f.size, f.digest] for f in model.files},
    }
    text = canonical_json(document)
    deadline = _deadline(model.size)
    token = [model.token.secret, model.token.key] if model.token else []
    told = [notify.sns_topic, notify.webhook_secret, notify.webhook_key]
    inputs = canonical_json([text, image, deadline, token, told, model.key, job_digest])
    return plan.Prestage(model=model, image=image, deadline=deadline, digest=naming.digest(inputs.encode()), plan=text)


def _deadline(size: int | None) -> int:
    if size is None:
        return _DEADLINE_UNKNOWN
    seconds = 3 * size // _BYTES_PER_SECOND
    return max(_SHORTEST_DEADLINE, -(-seconds // 600) * 600)


def _service(
    service: Service,
    platform: Platform,
    models: Mapping[str, plan.Model],
    lock: Lock,
    code: Code,
) -> plan.Service:
    accelerated = service.accelerator is not None
    role = APPS[service.applications[0].app].image(accelerated)
    image = _ray_image(platform, role)
    applications = tuple(_application(a, models[a.model], accelerated) for a in service.applications)
    bundle = _bundle(service, code)
    cache = models[service.applications[0].model].cache
    return plan.Service(
        name=service.name,
        title=service.title or service.name,
        clusters=tuple(sorted(service.clusters)),
        image=_digested(image[0], lock),
        ray_version=image[1],
        accelerator=service.accelerator,
        applications=applications,
        workers=_workers(service, models),
        serve_config=_serve_config(service, applications, platform, bundle, cache),
        code=bundle,
        code_by=platform.code.delivery,
        cache=cache,
        capacity=_capacity([a.model for a in applications]),
        ingress=_ingress(service),
    )


def _bundle(service: Service, code: Code) -> Bundle | None:
    """One zip for the service, with the packages of the applications that it runs and nothing else."""
    apps = [APPS[a.app] for a in service.applications if APPS[a.app].packages]
    packages = {package: code[package] for app in apps for package in app.packages}
    return join((app.name for app in apps), packages) if apps else None


def _ray_image(platform: Platform, role: str) -> tuple[str, str]:
    chosen = getattr(platform.images, role) or DEFAULT_RAY_IMAGES[role]
    return chosen.image, chosen.ray_version


def _application(application: Application, model: plan.Model, accelerated: bool) -> plan.Application:
    return plan.Application(
        name=application.name or application.model,
        model=model,
        app=application.app,
        route=application.route,
        min_replicas=application.replicas.min,
        max_replicas=application.replicas.max,
        accelerators=application.accelerators if accelerated else 0,
        context_length=application.context_length or model.context_length,
    )


def _workers(service: Service, models: Mapping[str, plan.Model]) -> plan.Workers:
    """One pod for one replica of the largest application; as many pods as there may be replicas."""
    accelerator = ACCELERATORS.get(service.accelerator or "")
    cpus = max(cores(a.cpu) for a in service.applications)
    memory = max((_replica_memory(a, models[a.model]) for a in service.applications), key=in_bytes)
    limits = {"cpu": str(-(-int(cpus * 1000) // 1000)), "memory": memory}
    if accelerator is not None:
        limits[accelerator.resource] = str(max(a.accelerators for a in service.applications))
    return plan.Workers(
        min=sum(a.replicas.min for a in service.applications),
        max=sum(a.replicas.max for a in service.applications),
        limits=limits,
        node_selector=dict(sorted(service.node_selector.items())),
        tolerations=(accelerator.toleration,) if accelerator else (),
    )


def _replica_memory(application: Application, model: plan.Model) -> str:
    if application.memory is not None:
        return application.memory
    if model.weights is None:
        return DEFAULT_REPLICA_MEMORY
    return gibibytes(int(model.weights * 1.2) + REPLICA_OVERHEAD)


def _serve_config(
    service: Service,
    applications: tuple[plan.Application, ...],
    platform: Platform,
    bundle: Bundle | None,
    cache: plan.Cache,
) -> str:
    entries = []
    for asked, resolved in zip(service.applications, applications, strict=True):
        app = APPS[asked.app]
        uri = _working_dir(platform, bundle, cache) if bundle is not None and app.packages else ""
        entries.append(app.serve(_deployment(asked, resolved, uri)))
    http = {"host": "0.0.0.0", "port": SERVE_PORT}  # noqa: S104  inside the pod, behind a NetworkPolicy
    return dump({"proxy_location": "EveryNode", "http_options": http, "applications": entries}).decode()


def _deployment(asked: Application, resolved: plan.Application, working_dir: str) -> Deployment:
    return Deployment(
        name=resolved.name,
        route=resolved.route,
        model=resolved.model.name,
        model_path=resolved.model.path,
        working_dir=working_dir,
        min_replicas=resolved.min_replicas,
        max_replicas=resolved.max_replicas,
        cpus=cores(asked.cpu),
        accelerators=resolved.accelerators,
        context_length=resolved.context_length,
        max_tokens=asked.max_tokens,
        concurrency=asked.concurrency,
    )


def _working_dir(platform: Platform, bundle: Bundle, cache: plan.Cache) -> str:
    """URI of the zip, by the way that `platform.code` says. Ray caches by URI: the digest is in the name."""
    match platform.code.delivery:
        case "s3":
            bucket = cache.bucket or plan.BUCKET_SLOT
            return f"s3://{bucket}/{naming.CODE_PREFIX}/{bundle.filename}"
        case "url":
            return f"{(platform.code.base_url or '').rstrip('/')}/{bundle.filename}"
        case _:
            return f"file://{naming.CODE_MOUNT}/{bundle.filename}"


def _capacity(models: list[plan.Model]) -> str:
    sizes = [m.size for m in models]
    return _CAPACITY_UNKNOWN if None in sizes else gibibytes(sum(s for s in sizes if s is not None))


def _ingress(service: Service) -> plan.Ingress | None:
    asked = service.ingress
    if asked is None:
        return None
    return plan.Ingress(asked.host, asked.class_name, asked.tls_secret, dict(sorted(asked.annotations.items())))
