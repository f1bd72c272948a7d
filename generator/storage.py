"""Rules about caches: what a kind of cache needs, and where, how and by whom it can be filled and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from generator import naming
from generator.applications import models_of, repeats
from generator.caches import CACHES
from generator.catalog import STORAGE_CLASSES
from generator.errors import Fault, Path
from generator.profiles import applied
from generator.providers import PROVIDERS
from generator.quantities import gibibytes, human, in_bytes
from generator.spec import Cache, Cluster, Model, PvcCache, S3Cache, Service, Spec
from generator.workers import applications_on, groups_of

_ONE_NODE = "ReadWriteOnce"
# They make disks: EBS CSI driver, "multi-attach only in block mode"; Azure Disk CSI driver, the same.
_DISKS = frozenset({"ebs.csi.aws.com", "disk.csi.azure.com"})
_SHARED = "take `accessMode: ReadWriteMany` with a class of file shares"


def rules(spec: Spec) -> Iterator[Fault]:
    """What can be said without the lock."""
    for i, cache in enumerate(spec.caches):
        if isinstance(cache, S3Cache):
            yield from _server(cache, ("caches", i))
            yield from _identity(spec, cache, ("caches", i))
        elif isinstance(cache, PvcCache):
            yield from _class(cache, ("caches", i))
    yield from _regions(spec)
    yield from _by_workflow(spec)
    yield from _refreshed(spec)
    yield from _told(spec)
    for i, service in enumerate(spec.services):
        yield from _readable(spec, service, i)
    yield from _one_node(spec)


def sizes(spec: Spec, known: Mapping[str, int | None]) -> Iterator[Fault]:
    """Whether claims can be as large as their models; `known` are bytes of a model's files, from the lock."""
    caches = _caches(spec)
    for i, model in enumerate(spec.models):
        cache, size = caches.get(model.cache), known.get(model.name)
        if not isinstance(cache, PvcCache):
            continue
        if cache.size == "auto" and size is None:
            message = f"nobody knows the size of `{model.name}`, and `{cache.name}` makes claims of that size"
            hint = f"run `modelyard lock {model.name}`, or write `size` at the cache"
            yield Fault(("models", i, "source"), message, hint)
        elif cache.size != "auto" and size is not None and in_bytes(cache.size) < size:
            message = f"claims of `{cache.name}` have {cache.size}, and the files of `{model.name}` {human(size)}"
            hint = f"write `size: {gibibytes(int(size * 1.1))}` at the cache, or leave it out"
            yield Fault(("models", i, "cache"), message, hint)


def _caches(spec: Spec) -> dict[str, Cache]:
    return {cache.name: cache for cache in spec.caches}


def _is_on(model: Model, cluster: Cluster) -> bool:
    return model.clusters is None or cluster.name in model.clusters


def _used_on(spec: Spec, cache: Cache) -> list[Cluster]:
    """The clusters that stage something in the cache."""
    models = [model for model in spec.models if model.cache == cache.name]
    return [cluster for cluster in spec.clusters if any(_is_on(model, cluster) for model in models)]


def _server(cache: S3Cache, at: Path) -> Iterator[Fault]:
    """`endpoint` and what belongs to it stand together, and nothing of AWS beside them."""
    belongs = {"region": cache.region, "credentialsSecret": cache.credentials_secret}
    if cache.endpoint is None:
        for key in (key for key, value in belongs.items() if value is not None):
            message = f"`{key}` is for a server at `endpoint`, and cache `{cache.name}` has none"
            yield Fault((*at, key), message, "add `endpoint`, or leave it out: of AWS, the cluster says it")
        return
    needed = belongs if cache.regions else {"bucket": cache.bucket, **belongs}
    if missing := [f"`{key}`" for key, value in needed.items() if value is None]:
        message = f"cache `{cache.name}` has `endpoint` without {' and '.join(missing)}"
        yield Fault((*at, "endpoint"), message, "write them beside it: no cluster knows them of a server of your own")
    if cache.regions:
        message = f"cache `{cache.name}` has `endpoint`, which is one server, and `regions`, which are AWS's"
        yield Fault((*at, "regions"), message, "write `bucket` and `region`, and a cache for each other server")
    if cache.staging == "workflow":
        message = f"Workflows take their rights from AWS, and cache `{cache.name}` has an `endpoint`"
        yield Fault((*at, "staging"), message, "leave it out: a Job has the keys of `credentialsSecret`")
    if cache.credentials == "pod":
        message = f"`credentials: pod` is an identity of AWS, and cache `{cache.name}` has an `endpoint`"
        hint = "leave it out: the Mountpoint driver has the keys in its Secret `aws-secret`"
        yield Fault((*at, "credentials"), message, hint)


def _identity(spec: Spec, cache: S3Cache, at: Path) -> Iterator[Fault]:
    """A bucket of AWS without keys is for pods that have an identity of AWS."""
    without = [cluster for cluster in _used_on(spec, cache) if not PROVIDERS[cluster.provider].identity]
    if cache.endpoint is not None or not without:
        return
    where = f"`{without[0].name}` ({without[0].provider})"
    if cache.bucket is None and not cache.regions:
        message = f"the bucket of cache `{cache.name}` follows from annotations of EKS, which {where} does not have"
    else:
        message = f"cache `{cache.name}` is a bucket of AWS, and pods on {where} have no identity there"
    hint = (
        "add `endpoint`, `bucket`, `region` and `credentialsSecret` (AWS's own endpoint is"
        " https://s3.<region>.amazonaws.com), or take a cache of type `pvc`"
    )
    yield Fault(at, message, hint)


def _class(cache: PvcCache, at: Path) -> Iterator[Fault]:
    name, known = cache.storage_class, STORAGE_CLASSES.get(cache.storage_class)
    if cache.retain and known is None and cache.provisioner is None:
        message = f"`retain` copies StorageClass `{name}`, of which nothing is known here"
        hint = f"add `provisioner` and `parameters` as `kubectl get storageclass {name} -o yaml` shows them"
        yield Fault((*at, "retain"), message, hint)
    limit = naming.RETAINED_CLASS
    over = limit.over(name)
    if cache.retain and over > 0:
        yield Fault((*at, "storageClass"), limit.message(name), f"shorten it by {over}, or leave `retain` out")
    if not cache.retain:
        for key, value in (("provisioner", cache.provisioner), ("parameters", cache.parameters)):
            if value:
                message = f"`{key}` is for a class that `retain: true` makes; `{name}` is taken as it is"
                yield Fault((*at, key), message, "add `retain: true`, or leave it out")
    if cache.access_mode != _ONE_NODE and (cache.provisioner or (known.provisioner if known else "")) in _DISKS:
        message = f"StorageClass `{name}` makes disks, which one node mounts at a time"
        hint = "take a class of file shares (EFS, Azure Files, CephFS, NFS), or `accessMode: ReadWriteOnce`"
        yield Fault((*at, "accessMode"), message, hint)


def _by_workflow(spec: Spec) -> Iterator[Fault]:
    for i, cluster in enumerate(spec.clusters):
        if cluster.staging != "workflow":
            continue
        for cache in spec.caches:
            jobs = isinstance(cache, PvcCache) or (isinstance(cache, S3Cache) and cache.endpoint is not None)
            if jobs and cluster in _used_on(spec, cache):
                message = f"`{cluster.name}` stages by Workflow, and only Jobs fill cache `{cache.name}`"
                hint = "leave it out here, and write `staging: workflow` at the caches that are buckets of AWS"
                yield Fault(("clusters", i, "staging"), message, hint)


def _refreshed(spec: Spec) -> Iterator[Fault]:
    caches = _caches(spec)
    for i, model in enumerate(spec.models):
        cache = caches.get(model.cache)
        if model.refresh is None or not isinstance(cache, PvcCache):
            continue
        message = f"a new commit of `{model.name}` needs a new claim, and no schedule of the cluster makes one"
        hint = "leave `refresh` out; CI can look for new commits and propose them (docs/ci.md)"
        yield Fault(("models", i, "refresh"), message, hint)


def _told(spec: Spec) -> Iterator[Fault]:
    """Publishing to SNS takes an identity of AWS, which the keys of another server are not."""
    if spec.platform.notifications.sns_topic is None:
        return
    for cache in spec.caches:
        servers = isinstance(cache, S3Cache) and cache.endpoint is not None
        clusters = _used_on(spec, cache) if CACHES[cache.type].staged else []
        if any(servers or not PROVIDERS[cluster.provider].identity for cluster in clusters):
            message = f"Jobs that fill cache `{cache.name}` have no identity of AWS to publish to SNS with"
            hint = "take `webhookSecret` instead of `snsTopic`"
            yield Fault(("platform", "notifications", "snsTopic"), message, hint)
            return


def _readable(spec: Spec, service: Service, i: int) -> Iterator[Fault]:
    """Not every runtime reads every kind of cache."""
    caches, models = _caches(spec), {model.name: model for model in spec.models}
    for _, name, _, path in models_of(service, i):
        cache = caches.get(models[name].cache) if name in models else None
        if cache is None:
            continue
        if service.runtime not in CACHES[cache.type].runtimes:
            able = " or ".join(f"`{row.type}`" for row in CACHES.values() if service.runtime in row.runtimes)
            message = f"`{name}` is in a cache of type `{cache.type}`, which runtime `{service.runtime}` does not read"
            yield Fault(path, message, f"stage it in a cache of type {able}, or take another `runtime`")


def _one_node(spec: Spec) -> Iterator[Fault]:
    """A claim that one node mounts at a time has one pod that reads it, and never a second one beside it."""
    caches = _caches(spec)
    disks = [m for m in spec.models if isinstance(c := caches.get(m.cache), PvcCache) and c.access_mode == _ONE_NODE]
    for model in disks:
        yield from _read_twice(spec, model)
    names = {model.name for model in disks}
    for i, service in enumerate(spec.services):
        if any(name in names for _, name, _, _ in models_of(service, i)):
            yield from _pods(spec, service, i)
            if service.runtime == "ray" and (service.upgrade is None or service.upgrade.strategy != "none"):
                yield _second_cluster(service, i)


def _read_twice(spec: Spec, model: Model) -> Iterator[Fault]:
    taken: dict[str, str] = {}
    for i, service in enumerate(spec.services):
        path = next((path for _, name, _, path in models_of(service, i) if name == model.name), None)
        for cluster in service.clusters if path else ():
            other = taken.setdefault(cluster, service.name)
            if path and other != service.name:
                message = (
                    f"`{other}` reads `{model.name}` on {cluster} too, and one node mounts its claim ({_ONE_NODE})"
                )
                yield Fault(path, message, f"{_SHARED}, or give `{service.name}` a model of its own name")
                break


def _pods(spec: Spec, service: Service, i: int) -> Iterator[Fault]:
    """The chosen clusters may have profiles, which change how many replicas there are."""
    profiles = {cluster.name: cluster.profile for cluster in spec.clusters}
    for cluster in service.clusters:
        pods = _most_pods(applied(service, profiles.get(cluster)))
        if pods > 1:
            message = (
                f"`{service.name}` may have {pods} pods on {cluster}, and one node mounts their claim ({_ONE_NODE})"
            )
            own = "see that there is one pod: one model, `max: 1`"
            if _most_pods(service) <= 1:  # the profile's doing, whatever the service says
                own = f"take `profile: {profiles[cluster]}` out of cluster `{cluster}`"
            yield Fault(("services", i), message, f"{_SHARED}, or {own}")
            return


def _most_pods(service: Service) -> int:
    """Pods that read models: workers of Ray, replicas of KServe."""
    asked = {
        g.name: sum(a.replicas.max * len(a.models) for a in applications_on(service, g)) for g in groups_of(service)
    }
    return sum(group.max or asked[group.name] for group in groups_of(service))


def _second_cluster(service: Service, i: int) -> Fault:
    path: Path = ("services", i) if service.upgrade is None else ("services", i, "upgrade", "strategy")
    message = (
        f"a change of `{service.name}` starts a second Ray cluster beside the first, whose worker would wait for the"
        f" claim that the first one has mounted ({_ONE_NODE})"
    )
    hint = f"write `upgrade: {{strategy: none}}`: changes then wait until its RayService is made anew; or {_SHARED}"
    return Fault(path, message, hint)


def _regions(spec: Spec) -> Iterator[Fault]:
    for i, cache in enumerate(spec.caches):
        if not isinstance(cache, S3Cache):
            continue
        if cache.regions and cache.bucket is not None:
            message = f"cache `{cache.name}` has `bucket` and `regions`"
            yield Fault(("caches", i, "bucket"), message, "leave `bucket` out: each region names its own")
        for key in ("region", "bucket"):
            names = [getattr(region, key) for region in cache.regions]
            for j in repeats(names):
                yield Fault(
                    ("caches", i, "regions", j, key), f"{key} `{names[j]}` stands twice", "each region has its own"
                )
    for i, cluster in enumerate(spec.clusters):
        yield from _region_of(spec, i, cluster)


def _region_of(spec: Spec, i: int, cluster: Cluster) -> Iterator[Fault]:
    """A cluster that states its region has a bucket there, in every cache with several regions that it uses."""
    region = cluster.values.get("aws_region")
    used = {m.cache for m in spec.models if m.clusters is None or cluster.name in m.clusters}
    for cache in spec.caches:
        regions = [entry.region for entry in cache.regions] if isinstance(cache, S3Cache) else []
        if region and regions and cache.name in used and region not in regions:
            message = f"cache `{cache.name}` has no bucket in {region}, where `{cluster.name}` is"
            hint = f"add it to the cache's `regions`; there are {', '.join(regions)}"
            yield Fault(("clusters", i, "values", "aws_region"), message, hint)
