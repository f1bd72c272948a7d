"""Facts of the whole repository."""

from __future__ import annotations

from generator import naming, plan
from generator.lock import Lock
from generator.spec import (
    Notifications,
    Platform,
)


def platform(platform: Platform, text: str) -> plan.Platform:
    repository = platform.repository
    return plan.Platform(
        prefix=platform.prefix,
        repo_url=repository.url,
        repo_revision=repository.revision,
        root=repository.path,
        namespace=platform.namespace,
        argocd_namespace=platform.argocd.namespace,
        project=platform.argocd.project,
        notify=notify(platform.notifications),
        backstage=_backstage(platform, text),
        monitoring=_monitoring(platform),
        parallel=platform.staging.parallel,
    )


def notify(asked: Notifications) -> plan.Notify:
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


def digested(reference: str, lock: Lock) -> str:
    """The image by digest where the lock has it; the tag stays beside it, for people."""
    digest = lock.images.get(reference)
    return f"{reference}@{digest}" if digest and "@" not in reference else reference
