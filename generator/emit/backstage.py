"""Backstage: the software template that adds a service to models.yaml, and catalogue entries of what runs.

Backstage evaluates `${{ }}`, `{% %}` and `{# #}` in step inputs and in skeleton files, and nowhere else (read
in plugins/scaffolder-backend: NunjucksWorkflowRunner, fetch:template); with nunjucks 3.2.4 and, since July
2026, with nunjitsu. Titles stand in the form only, and what is not ours goes through `inert`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from generator import naming, yamledit
from generator.assets import Assets
from generator.emit import sizing
from generator.plan import Backstage, Model, Plan, Service
from generator.yamlio import dump, dump_all

NAME = "ray-serve"
ITEM = "${{ values.service | dump }}"
"""The new service, behind `- `: JSON, which is YAML whatever it holds."""

EXTENSION = ".njk"
"""Suffix of skeleton files, which fetch:template takes off: no other tool takes the file for a catalogue."""

_DELIMITER = re.compile(r"\$\{\{|\{%|\{#|#\}")
# What models.yaml accepts in a text, as far as patterns of all dialects can say it.
_TEXT = (
    r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    r"\ufff0-\ufffb\ufffe\uffff]+$"
)
_NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
_ROUTE = "^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*)?$"
_MOST_REPLICAS = 1000


@dataclass(frozen=True, slots=True)
class PullRequest:
    """The action of one Git host that opens a pull request, and its output with the address."""

    action: str
    output: str


PULL_REQUESTS: Mapping[str, PullRequest] = MappingProxyType(
    {
        "github": PullRequest("publish:github:pull-request", "remoteUrl"),
        "gitlab": PullRequest("publish:gitlab:merge-request", "mergeRequestUrl"),
    }
)


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """`backstage/`, when the catalogue asks for it and has a model to offer."""
    backstage = plan.platform.backstage
    if backstage is None or not plan.models:
        return
    yield "backstage/template.yaml", dump(template(plan, backstage))
    yield f"backstage/skeleton/{backstage.catalogue}{EXTENSION}", skeleton(backstage.text).encode()
    yield "backstage/catalog-info.yaml", dump_all(entities(plan, backstage.owner))


def inert(text: str) -> str:
    """Text that the template engine gives back as it is: each delimiter becomes an expression for itself."""
    return _DELIMITER.sub(lambda match: "${{ '" + match[0] + "' }}", text)


def skeleton(text: str) -> str:
    """models.yaml as it is now, inert, with one item more at the end of `services`.

    Raises UserError where `services` is not written as a block of `- ` items.
    """
    mark = "mark-" + sha256(text.encode()).hexdigest()
    before, _, after = yamledit.append_item(text, "services", {"name": mark}).partition(f"name: {mark}")
    return inert(before) + ITEM + inert(after)


def template(plan: Plan, backstage: Backstage) -> dict[str, Any]:
    return {
        "apiVersion": "scaffolder.backstage.io/v1beta3",
        "kind": "Template",
        "metadata": {
            "name": NAME,
            "title": "Serve a language model",
            "description": "Adds a Ray service for a model of the platform to models.yaml, by pull request.",
            "tags": ["llm", "ray", "recommended"],
        },
        "spec": {
            "owner": backstage.owner,
            "type": "service",
            "parameters": [_service_page(plan), _traffic_page()],
            "steps": [*_write_steps(), _publish_step(plan, backstage)],
            "output": _output(backstage),
        },
    }


def _service_page(plan: Plan) -> dict[str, Any]:
    grouped = sizing.choices(plan.models, plan.services)
    branches = [_model_branch(choice, names) for choice, names in grouped.items()]
    return {
        "title": "Service",
        "required": ["name", "model"],
        "properties": {
            "name": {
                "title": "Name",
                "type": "string",
                "description": "Name of the service on its clusters; lower case, digits and hyphens.",
                "pattern": _NAME,
                "maxLength": naming.SERVICE_NAME.characters,
                # ajv and jsonschema refuse an empty enum.
                **({"not": {"enum": [service.name for service in plan.named]}} if plan.named else {}),
                "ui:autofocus": True,
            },
            "title": {"title": "Title", "type": "string", "pattern": _TEXT, "maxLength": 1000},
            "model": {
                "title": "Model",
                "type": "string",
                "enum": [model.name for model in plan.models],
                "enumNames": [model.title for model in plan.models],
            },
        },
        "dependencies": {"model": {"oneOf": branches}},
    }


def _model_branch(choice: sizing.Choice, names: list[str]) -> dict[str, Any]:
    devices = [option.device for option in choice.options]
    clusters: dict[str, Any] = {
        "title": "Clusters",
        "type": "array",
        "items": {"type": "string", "enum": list(choice.clusters)},
        "minItems": 1,
        "uniqueItems": True,
        "ui:widget": "checkboxes",
    }
    if len(choice.clusters) == 1:
        clusters["default"] = list(choice.clusters)
    device: dict[str, Any] = {"title": "Device", "type": "string", "enum": devices}
    if choice.preferred:
        device["default"] = choice.preferred
    return {
        "properties": {"model": {"enum": names}, "clusters": clusters, "device": device},
        "required": ["clusters", "device"],
        "dependencies": {"device": {"oneOf": [_device_branch(option) for option in choice.options]}},
    }


_FIELD_TITLES = {
    "app": "Application",
    "memory": "Memory of a replica",
    "accelerators": "Accelerators of a replica",
}


def _device_branch(option: sizing.Option) -> dict[str, Any]:
    fields = sizing.needs(option)
    properties: dict[str, Any] = {"device": {"enum": [option.device]}}
    for name, values in fields.items():
        kind = "integer" if name == "accelerators" else "string"
        properties[name] = {"title": _FIELD_TITLES[name], "type": kind, "enum": list(values)}
        if option.why != sizing.UNKNOWN or len(values) == 1:
            properties[name]["default"] = values[0]
    properties["memory"]["description"] = option.why
    return {"properties": properties, "required": list(fields)}


def _traffic_page() -> dict[str, Any]:
    replicas = {"type": "integer", "minimum": 1, "maximum": _MOST_REPLICAS, "default": 1}
    return {
        "title": "Traffic",
        "required": ["route", "minReplicas", "maxReplicas"],
        "properties": {
            "route": {
                "title": "Route",
                "type": "string",
                "description": "Path prefix under which the service answers.",
                "pattern": _ROUTE,
                "maxLength": 200,
                "default": "/",
            },
            "minReplicas": {"title": "Fewest replicas", **replicas},
            "maxReplicas": {
                "title": "Most replicas",
                **replicas,
                "description": "At least as many as the fewest; more of them means autoscaling.",
            },
        },
    }


def _write_steps() -> list[dict[str, Any]]:
    """Two steps, one of which runs: a form keeps the fields of a device that was chosen before."""
    cpu, accelerated = _service_value(), _service_value()
    accelerated["accelerator"] = "${{ parameters.device }}"
    accelerated["applications"][0]["accelerators"] = "${{ parameters.accelerators }}"
    return [
        _write_step("writeCpu", f'${{{{ parameters.device == "{sizing.CPU}" }}}}', cpu),
        _write_step("writeAccelerated", f'${{{{ parameters.device != "{sizing.CPU}" }}}}', accelerated),
    ]


def _write_step(step: str, condition: str, service: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": step,
        "name": "Add the service to models.yaml",
        "if": condition,
        "action": "fetch:template",
        "input": {
            "url": "./skeleton",
            "targetPath": ".",
            "templateFileExtension": EXTENSION,
            "values": {"service": service},
        },
    }


def _service_value() -> dict[str, Any]:
    """A service as models.yaml has it; a parameter that was left out leaves its key out."""
    application = {
        "model": "${{ parameters.model }}",
        "app": "${{ parameters.app }}",
        "route": "${{ parameters.route }}",
        "memory": "${{ parameters.memory }}",
        "replicas": {"min": "${{ parameters.minReplicas }}", "max": "${{ parameters.maxReplicas }}"},
    }
    return {
        "name": "${{ parameters.name }}",
        "title": "${{ parameters.title }}",
        "clusters": "${{ parameters.clusters }}",
        "applications": [application],
    }


def _publish_step(plan: Plan, backstage: Backstage) -> dict[str, Any]:
    return {
        "id": "publish",
        "name": "Open the pull request",
        "action": PULL_REQUESTS[backstage.scm].action,
        "input": {
            "repoUrl": inert(backstage.repo),
            "branchName": "modelyard/add-${{ parameters.name }}",
            "targetBranchName": inert(plan.platform.repo_revision),
            "title": "Serve ${{ parameters.model }} as ${{ parameters.name }}",
            "description": (
                f"Adds the service `${{{{ parameters.name }}}}` to `{inert(backstage.catalogue)}`.\n\n"
                f"Run `modelyard render` on this branch and commit `{inert(plan.platform.root)}/`, unless"
                " pre-commit or CI does: until then `modelyard check` reports the rendered tree as stale."
            ),
        },
    }


def _output(backstage: Backstage) -> dict[str, Any]:
    address = f"${{{{ steps.publish.output.{PULL_REQUESTS[backstage.scm].output} }}}}"
    return {"links": [{"title": "Pull request", "icon": "code", "url": address}]}


def entities(plan: Plan, owner: str) -> Iterator[dict[str, Any]]:
    """The Location of the template, so that this file is all to register; each model and each service."""
    yield _entity("Location", {"name": "modelyard"}, {"targets": ["./template.yaml"]})
    yield from (_resource(model, owner) for model in plan.models)
    yield from (_component(service, owner, plan.platform.namespace) for service in plan.named)


def _entity(kind: str, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _resource(model: Model, owner: str) -> dict[str, Any]:
    link = {"url": f"https://huggingface.co/{model.repo}/tree/{model.commit}", "title": "Hugging Face"}
    return _entity(
        "Resource",
        {"name": model.name, "title": model.title, "links": [link]},
        {"type": "model", "owner": owner},
    )


def _component(service: Service, owner: str, namespace: str) -> dict[str, Any]:
    models = sorted({model.name for application in service.applications for model in application.models})
    annotations = {
        "backstage.io/kubernetes-label-selector": f"{naming.SERVICE_LABEL}={service.name}",
        "backstage.io/kubernetes-namespace": namespace,
    }
    return _entity(
        "Component",
        {"name": service.name, "title": service.title, "annotations": annotations},
        {
            "type": "service",
            "lifecycle": "production",
            "owner": owner,
            "dependsOn": [f"resource:default/{name}" for name in models],
        },
    )
