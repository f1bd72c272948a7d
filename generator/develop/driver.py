"""Runs on the cluster as the entrypoint of a job, in the folder of the code that it serves.

    python modelyard_driver.py deploy            modelyard_serve.json says what; stays, and with it the code in Ray
    python modelyard_driver.py delete NAME...

A script and no part of the package: it needs nothing but Ray. `serve.run` leaves other applications alone, where a PUT
of a configuration would delete those that it does not name (Ray 2.60, serve/_private/application_state.py).
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CONFIG = "modelyard_serve.json"
TAKEN = "modelyard: Serve has taken the applications"


def deploy(entries: list[dict[str, Any]]) -> None:
    """All applications are built before the first is served: a fault in one leaves everything as it is."""
    import ray
    from ray.serve.api import RunTarget, run_many

    ray.init(log_to_driver=False)
    code = ray.get_runtime_context().runtime_env.get("working_dir", "")
    targets = [
        RunTarget(built(entry, code), name=entry["name"], route_prefix=entry["route_prefix"]) for entry in entries
    ]
    run_many(targets, wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
    sys.stdout.write(f"{TAKEN}\n")
    sys.stdout.flush()


def built(entry: Mapping[str, Any], code: str) -> Any:
    """The application, its deployments with the options of the entry."""
    from ray.serve._private.api import call_user_app_builder_with_args_if_necessary

    module, _, name = entry["import_path"].partition(":")
    builder = getattr(importlib.import_module(module), name)
    application = call_user_app_builder_with_args_if_necessary(builder, entry.get("args", {}))
    options = {deployment["name"]: deployment for deployment in entry.get("deployments", ())}
    shared = entry.get("runtime_env", {}).get("env_vars", {})
    for node in nodes(application, {}):
        bound = node._bound_deployment
        asked = dict(options.pop(bound.name, {}))
        # As Serve does with a configuration: all of the code's, or all of the entry's; variables are joined.
        actor = dict(asked.pop("ray_actor_options", None) or bound.ray_actor_options or {})
        own = actor.get("runtime_env", {})
        actor["runtime_env"] = {**own, "working_dir": code, "env_vars": {**shared, **own.get("env_vars", {})}}
        asked.pop("name", None)
        node._bound_deployment = bound.options(**asked, ray_actor_options=actor)
    if options:
        raise ValueError(f"application {entry['name']} has no deployment {', '.join(options)}")
    return application


def nodes(value: Any, known: dict[int, Any]) -> Iterator[Any]:
    """Every bound deployment below `value`, once."""
    from ray.serve import Application

    if isinstance(value, Application) and id(value) not in known:
        known[id(value)] = value
        yield value
        yield from nodes((value._bound_deployment.init_args, value._bound_deployment.init_kwargs), known)
    elif isinstance(value, dict):
        yield from nodes(tuple(value.values()), known)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from nodes(item, known)


def delete(names: list[str]) -> None:
    import ray
    from ray import serve

    ray.init(log_to_driver=False)
    there = serve.status().applications
    for name in names:
        if name in there:
            serve.delete(name)


def main() -> None:
    if sys.argv[1] == "deploy":
        deploy(json.loads(Path(CONFIG).read_bytes()))
        threading.Event().wait()  # Ray forgets the code when no job and no replica has it
    else:
        delete(sys.argv[2:])


if __name__ == "__main__":
    main()
