"""What Argo CD makes of a rendered tree for one cluster, without Argo CD.

    ApplicationSets ─of_cluster─► Applications ─expanded─► objects ─written─► clusters/<cluster>/manifests/

`emit` does it for clusters that people serve with kubectl; rehearsals do it for one service.
"""

from __future__ import annotations

from generator.deployed.applications import Application, entries, filled, of_cluster, root_of
from generator.deployed.documents import RENDERED, Object, documents
from generator.deployed.folder import KUSTOMIZATION, MANIFESTS, by_hand, emit
from generator.deployed.sources import expanded, helm_program, laid_out

__all__ = [
    "KUSTOMIZATION",
    "MANIFESTS",
    "RENDERED",
    "Application",
    "Object",
    "by_hand",
    "documents",
    "emit",
    "entries",
    "expanded",
    "filled",
    "helm_program",
    "laid_out",
    "of_cluster",
    "root_of",
]
