"""The developer's loop: a service from the working tree, here or on a running cluster, live while files change.

models.yaml, serving/ ─version─► Version ─┬─local──► a Ray of its own, by serveConfigV2
        ▲                                 └─cluster─► a job of the cluster's Ray, under the developer's name
        └───────────── watching ──────────┘
"""
