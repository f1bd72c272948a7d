"""Spec, lock and bundles to the Plan: every default, name, path and reference decided, once.

Assumes that `checks` found no error. What the user may have left out is settled here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from generator import __version__, naming, plan, services
from generator.caches import CACHES
from generator.catalog import STORAGE_CLASSES
from generator.lock import Lock, LockedModel
from generator.profiles import applied, head
from generator.providers import PROVIDERS
from generator.quantities import gibibytes
from generator.services import Code
from generator.shutdown import shutdown
from generator.spec import (
    Cache,
    Cluster,
    ImageCache,
    Model,
    Notifications,
    Platform,
    PvcCache,
    S3Cache,
    Service,
    Spec,
)
from generator.spec.cluster import KeyVault
from generator.yamlio import canonical_json

# Slowest copy that still counts as alive, with room for the three tries of a Job.
_BYTES_PER_SECOND = 20_000_000
_SHORTEST_DEADLINE = 3600
_DEADLINE_UNKNOWN = 6 * 3600
# The PersistentVolume's capacity is required and ignored by the driver; this stands where sizes are unknown.
_CAPACITY_UNKNOWN = "1Ti"


def resolve(spec: Spec, lock: Lock, code: Code, text: str) -> plan.Plan:
    """The Plan of a catalogue.

    `code` maps a folder of serving/ to its files, `text` is models.yaml as read.
    """
    platform = spec.platform
    clusters = tuple(_cluster(c, spec.services) for c in spec.clusters)
    caches = {c.name: _cache(c) for c in spec.caches}
    ways = {c.name: _ways(c, spec.clusters) for c in spec.caches}
    everywhere = tuple(c.name for c in clusters)
    models = tuple(_model(m, lock, caches[m.cache], everywhere) for m in sorted(spec.models, key=lambda m: m.name))
    image = _digested(platform.images.prestage, lock)
    by_name = {m.name: m for m in models}
    alike = [part for s in sorted(spec.services, key=lambda s: s.name) for part in _by_profile(s, clusters)]
    served = tuple(_service(s, profile, platform, by_name, lock, code) for s, profile in alike)
    used = {s.code.filename: s.code for s in served if s.code is not None}
    return plan.Plan(
        platform=_platform(platform, text),
        clusters=clusters,
        models=models,
        prestages=tuple(_prestage(m, ways[m.cache.name], image, platform) for m in models),
        services=served,
        bundles=tuple(used[name] for name in sorted(used)),
        images={image: "prestage"}
        | {g.image: "ray" for s in served for g in s.groups}
        | {s.image: "ray" for s in served},
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
        monitoring=_monitoring(platform),
        parallel=platform.staging.parallel,
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


def _monitoring(platform: Platform) -> plan.Monitoring | None:
    asked = platform.monitoring
    if asked is None:
        return None
    gateway = asked.push_gateway
    return plan.Monitoring(
        labels=dict(sorted(asked.labels.items())),
        namespace=asked.namespace,
        dashboards=asked.dashboards,
        push_gateway=plan.PushGateway(gateway.namespace, gateway.service, gateway.port) if gateway else None,
    )


def _cluster(cluster: Cluster, services: Sequence[Service]) -> plan.Cluster:
    provider = PROVIDERS[cluster.provider]
    vault = cluster.key_vault
    return plan.Cluster(
        name=cluster.name,
        provider=cluster.provider,
        selector=dict(sorted(cluster.selector.items())) or {"cluster_name": cluster.name},
        destination="*" if cluster.selector else cluster.name,
        values=dict(sorted(cluster.values.items())),
        services_by=cluster.services_by or provider.services_by,
        gitops=cluster.gitops,
        profile=cluster.profile,
        key_vault=_key_vault(vault) if vault else None,
        node_pools=cluster.node_pools,
        addons=tuple(sorted(cluster.addons if cluster.addons is not None else _addons(cluster, services))),
    )


def _addons(cluster: Cluster, services: Sequence[Service]) -> tuple[str, ...]:
    """What is installed where models.yaml does not say: nothing by kubectl, no KubeRay where KServe serves alone."""
    runtimes = {service.runtime for service in services if cluster.name in service.clusters}
    if cluster.gitops != "argocd" or runtimes == {"kserve"}:
        return ()
    return PROVIDERS[cluster.provider].addons


def _key_vault(vault: KeyVault) -> plan.KeyVault:
    secrets = tuple(plan.VaultSecret(item.secret, item.key, item.object) for item in vault.secrets)
    return plan.KeyVault(vault.name, vault.tenant, vault.client, secrets)


def _ways(cache: Cache, clusters: Sequence[Cluster]) -> Mapping[str, str]:
    """How each cluster stages what is in the cache."""
    if not CACHES[cache.type].staged:
        return {}
    usual = cache.staging if isinstance(cache, S3Cache) else "job"
    return {cluster.name: cluster.staging or usual for cluster in clusters}


def _cache(cache: Cache) -> plan.Cache:
    match cache:
        case S3Cache():
            regions = tuple(plan.Region(region.region, region.bucket) for region in cache.regions)
            return plan.Bucket(cache.name, cache.type, cache.bucket, cache.credentials, regions, _server(cache))
        case PvcCache():
            made = _retained(cache) if cache.retain else None
            size = None if cache.size == "auto" else cache.size
            storage_class = made.name if made else cache.storage_class
            return plan.Claims(cache.name, cache.type, storage_class, made, cache.access_mode, size)
        case ImageCache():
            return plan.Baked(cache.name, cache.type, cache.repository)


def _server(cache: S3Cache) -> plan.S3Server | None:
    if cache.endpoint is None:
        return None
    return plan.S3Server(cache.endpoint, cache.region or "", cache.credentials_secret or "")


def _retained(cache: PvcCache) -> plan.StorageClass:
    """The class of the cluster, with Retain and without what marks the cluster's default."""
    known = STORAGE_CLASSES.get(cache.storage_class)
    provisioner = cache.provisioner or (known.provisioner if known else "")
    parameters = dict(sorted({**(known.parameters if known else {}), **cache.parameters}.items()))
    content = canonical_json([provisioner, parameters])
    name = naming.retained_class(cache.storage_class, content.encode())
    return plan.StorageClass(name, provisioner, parameters)


def _refresh(model: Model) -> plan.Refresh | None:
    asked = model.refresh
    return plan.Refresh(asked.schedule, asked.time_zone, asked.revision or model.source.revision) if asked else None


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
        refresh=_refresh(model),
        load_test=model.load_test,
        compiled_for=tuple(sorted(model.compiled_for)),
    )


def _files(entry: LockedModel | None) -> tuple[plan.File, ...] | None:
    if entry is None or entry.files is None:
        return None
    return tuple(plan.File(f.path, f.size, f.digest) for f in entry.files)


def _prestage(model: plan.Model, ways: Mapping[str, str], image: str, platform: Platform) -> plan.Prestage:
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
    notify = _notify(platform.notifications)
    token = [model.token.secret, model.token.key] if model.token else []
    told = [notify.sns_topic, notify.webhook_secret, notify.webhook_key]
    inputs = canonical_json([text, image, deadline, token, told, model.key, model.load_test])
    return plan.Prestage(
        model=model,
        ways={cluster: ways[cluster] for cluster in model.clusters if cluster in ways},
        image=image,
        deadline=deadline,
        digest=naming.digest(inputs.encode()),
        plan=text,
    )


def _deadline(size: int | None) -> int:
    if size is None:
        return _DEADLINE_UNKNOWN
    seconds = 3 * size // _BYTES_PER_SECOND
    return max(_SHORTEST_DEADLINE, -(-seconds // 600) * 600)


def _by_profile(service: Service, clusters: Sequence[plan.Cluster]) -> Iterator[tuple[Service, str | None]]:
    """The service once for each profile among its clusters."""
    profiles = {c.name: c.profile for c in clusters if c.name in service.clusters}
    for profile in sorted(set(profiles.values()), key=lambda name: name or ""):
        names = tuple(name for name in service.clusters if profiles[name] == profile)
        yield applied(service.model_copy(update={"clusters": names}), profile), profile


def _service(
    service: Service,
    profile: str | None,
    platform: Platform,
    models: Mapping[str, plan.Model],
    lock: Lock,
    code: Code,
) -> plan.Service:
    image = services.ray_image(platform, service)
    applications = tuple(services.application(service, a, models) for a in service.applications)
    bundle = services.bundled(service, code)
    entries = services.entries(service, applications, platform, bundle, lock)
    reference = _digested(image[0], lock)
    return plan.Service(
        name=service.name,
        title=service.title or service.name,
        clusters=tuple(sorted(service.clusters)),
        image=reference,
        ray_version=image[1],
        runtime=service.runtime,
        applications=applications,
        groups=services.groups(service, reference, lock),
        head=head(profile),
        serve_config=services.serve_config(entries),
        shutdown=shutdown(entries),
        code=bundle,
        code_by=platform.code.delivery,
        cache=applications[0].models[0].cache,
        capacity=_capacity({m.name: m for a in applications for m in a.models}),
        ingress=_ingress(service),
    )


def _capacity(models: Mapping[str, plan.Model]) -> str:
    sizes = [m.size for m in models.values()]
    return _CAPACITY_UNKNOWN if None in sizes else gibibytes(sum(s for s in sizes if s is not None))


def _ingress(service: Service) -> plan.Ingress | None:
    asked = service.ingress
    if asked is None:
        return None
    return plan.Ingress(asked.host, asked.class_name, asked.tls_secret, dict(sorted(asked.annotations.items())))
