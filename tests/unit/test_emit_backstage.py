"""The form offers what fits, and the pull request changes one line, whatever texts hold."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from generator import yamlio
from generator.assets import find
from generator.catalog import ACCELERATORS, GIB
from generator.emit import backstage, sizing
from generator.errors import UserError
from generator.plan import Model, Plan
from tests.standins import scaffolder
from tests.unit import plans

ROOT = Path(__file__).parents[2]
HOST = "https://git.example.com"
Run = Callable[[list[dict[str, Any]]], list[Any]]


@pytest.fixture(params=sorted(scaffolder.PACKAGES))
def scaffold(request: pytest.FixtureRequest) -> Run:
    """Runs jobs with one engine."""
    return partial(scaffolder.run, request.param)


def with_text(text: str, **changes: Any) -> Plan:
    return example(backstage=replace(plans.BACKSTAGE, text=text), **changes)


def example(backstage: Any = plans.BACKSTAGE, **changes: Any) -> Plan:
    return plans.example_plan(platform=replace(plans.PLATFORM, backstage=backstage), **changes)


def tree(plan: Plan) -> dict[str, bytes]:
    return dict(backstage.emit(plan, find()))


def template(plan: Plan) -> dict[str, Any]:
    return dict(yamlio.load(tree(plan)["backstage/template.yaml"], "template.yaml").data)


def job(plan: Plan, parameters: dict[str, Any]) -> dict[str, Any]:
    prefix = "backstage/skeleton/"
    found = {path: data.decode() for path, data in tree(plan).items() if path.startswith(prefix)}
    files = {path.removeprefix(prefix): text for path, text in found.items()}
    spec = template(plan)["spec"]
    published = {"remoteUrl": f"{HOST}/pull/1", "mergeRequestUrl": f"{HOST}/mr/1"}
    return {**spec, "parameters": parameters, "files": files, "published": published}


CPU_FORM = {
    "name": "tiny",
    "model": "tinyllama",
    "clusters": ["peeks-hub"],
    "device": "cpu",
    "app": "text-generation",
    "memory": "8Gi",
    "route": "/generate",
    "minReplicas": 1,
    "maxReplicas": 3,
}
GPU_FORM = {
    "name": "big",
    "title": "Big one",
    "model": "mistral-7b",
    "clusters": ["peeks-hub"],
    "device": "nvidia-a10g",
    "app": "vllm",
    "accelerators": 1,
    "memory": "24Gi",
    "route": "/",
    "minReplicas": 2,
    "maxReplicas": 2,
}
CPU_SERVICE = {
    "name": "tiny",
    "clusters": ["peeks-hub"],
    "applications": [
        {
            "model": "tinyllama",
            "app": "text-generation",
            "route": "/generate",
            "memory": "8Gi",
            "replicas": {"min": 1, "max": 3},
        }
    ],
}
GPU_SERVICE = {
    "name": "big",
    "title": "Big one",
    "clusters": ["peeks-hub"],
    "accelerator": "nvidia-a10g",
    "applications": [
        {
            "model": "mistral-7b",
            "app": "vllm",
            "route": "/",
            "memory": "24Gi",
            "accelerators": 1,
            "replicas": {"min": 2, "max": 2},
        }
    ],
}


def accepted(plan: Plan, parameters: dict[str, Any]) -> bool:
    pages = template(plan)["spec"]["parameters"]
    return all(jsonschema.Draft7Validator(page).is_valid(parameters) for page in pages)


@pytest.mark.parametrize("form", [CPU_FORM, GPU_FORM, {**GPU_FORM, "accelerator": "left by another choice"}])
def test_form_accepts(form: dict[str, Any]) -> None:
    assert accepted(example(), form)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "9lives"},
        {"name": "Upper"},
        {"name": "a-"},
        {"name": "a" * 48},
        {"name": "chat"},  # taken
        {"name": None},
        {"title": "bell \u0007"},
        {"title": "next\u0085line"},
        {"model": "other"},
        {"clusters": []},
        {"clusters": ["elsewhere"]},
        {"clusters": ["peeks-hub", "peeks-hub"]},
        {"device": "nvidia-t4"},  # no accelerators
        {"device": "tpu"},
        {"app": "vllm"},  # not on CPUs
        {"memory": "1Gi"},
        {"memory": None},
        {"route": "generate"},
        {"route": "/a/"},
        {"route": "/${{ 7 }}"},
        {"minReplicas": 0},
        {"maxReplicas": 1001},
        {"maxReplicas": "3"},
    ],
    ids=str,
)
def test_form_refuses(change: dict[str, Any]) -> None:
    form = {key: value for key, value in {**CPU_FORM, **change}.items() if value is not None}
    assert not accepted(example(), form)


@pytest.mark.parametrize(("form", "service"), [(CPU_FORM, CPU_SERVICE), (GPU_FORM, GPU_SERVICE)])
def test_pull_request_adds_one_line(scaffold: Run, form: dict[str, Any], service: dict[str, Any]) -> None:
    (done,) = scaffold([job(example(), form)])
    (written,) = done["written"]
    assert list(written) == ["models.yaml"]
    assert yaml.safe_load(written["models.yaml"])["services"][-1] == service
    added, removed = changed_lines(plans.TEXT, written["models.yaml"])
    assert (len(added), removed) == (1, [])


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return [s[2:] for s in lines if s.startswith("+ ")], [s[2:] for s in lines if s.startswith("- ")]


def test_fields_left_by_another_device_are_dropped(scaffold: Run) -> None:
    form = {**CPU_FORM, "accelerators": 4}
    (done,) = scaffold([job(example(), form)])
    assert yaml.safe_load(done["written"][0]["models.yaml"])["services"][-1] == CPU_SERVICE


HOSTILE = [
    "${{ 7*7 }}",
    "${{ parameters.name }}",
    "{% raw %}",
    "{% endraw %}{{ 7*7 }}",
    "{# comment #}",
    "#} }} %}",
    '"}], x: [{a: "b',
    "a: b # c",
    "- x",
    "'; rm -rf /",
    "{{ .Values.x }} ${x} $(x) `x`",
    "\\n \\u0041 \\",
    "日本語 🙂 é",
    "yes",
    "0x10",
]


def test_title_of_the_new_service_is_data(scaffold: Run) -> None:
    forms = [{**CPU_FORM, "title": title} for title in HOSTILE]
    assert all(accepted(example(), form) for form in forms)
    done = scaffold([job(example(), form) for form in forms])
    for form, result in zip(forms, done, strict=True):
        text = result["written"][0]["models.yaml"]
        assert yaml.safe_load(text)["services"][-1] == {**CPU_SERVICE, "title": form["title"]}
        assert len(changed_lines(plans.TEXT, text)[0]) == 1


def test_texts_of_the_catalogue_are_data(scaffold: Run) -> None:
    orders = (HOSTILE, HOSTILE[::-1])
    texts = [plans.TEXT + "".join(f"# {hostile}\n" for hostile in order) for order in orders]
    done = scaffold([job(with_text(text), CPU_FORM) for text in texts])
    for text, result in zip(texts, done, strict=True):
        after = result["written"][0]["models.yaml"]
        assert changed_lines(text, after)[1] == []
        assert yaml.safe_load(after)["services"][-1] == CPU_SERVICE
    titled = tuple(replace(plans.TINYLLAMA, title=title) for title in HOSTILE)
    spec = template(example(models=titled))["spec"]
    assert spec["parameters"][0]["properties"]["model"]["enumNames"] == HOSTILE
    assert spec["steps"] == template(example())["spec"]["steps"]


DELIMITERS = ("${{", "{%", "{#", "#}", "}}", "%}", "{%-", "-%}", "{{", "${", "raw", "endraw", "| dump")
FRAGMENTS = (*DELIMITERS, *"${}#%- \n'\"\\é\u2028", "\r\n")


def test_any_text_comes_out_as_it_went_in(scaffold: Run) -> None:
    texts = ["".join(parts) for parts in itertools.product(FRAGMENTS, repeat=3)]
    assert len(texts) == len(FRAGMENTS) ** 3 > 15_000
    assert scaffold([{"text": backstage.inert(text)} for text in texts]) == texts


HEAD = "apiVersion: modelyard.dev/v1alpha1\nkind: ModelCatalog\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        HEAD + "services: []\n",
        HEAD + "services: [] # none yet\n",
        HEAD + "services:\n",
        HEAD + "services:\n- name: a\n  clusters: [b]",
        HEAD + "services:\n  - name: a\n# the end\n",
        HEAD + "services:\n  - name: a\n    title: |\n      - name: b\n\nmodels:\n  - name: c\n",
        HEAD.replace("\n", "\r\n") + "services:\r\n  - name: a\r\n",
    ],
    ids=str,
)
def test_the_item_goes_to_the_end_of_services(scaffold: Run, text: str) -> None:
    (done,) = scaffold([job(with_text(text), CPU_FORM)])
    after = yaml.safe_load(done["written"][0]["models.yaml"])
    before = yaml.safe_load(text)
    assert after == {**before, "services": [*(before.get("services") or []), CPU_SERVICE]}


def test_services_in_brackets_are_refused_with_a_way_out() -> None:
    with pytest.raises(UserError) as caught:
        tree(with_text(HEAD + "services: [{name: a}]\n"))
    (fault,) = caught.value.diagnostics
    assert (fault.line, fault.path) == (3, "services")
    assert "block style" in fault.hint


def test_catalogue_in_a_folder(scaffold: Run) -> None:
    plan = example(backstage=replace(plans.BACKSTAGE, catalogue="platform/models.yaml"))
    assert "backstage/skeleton/platform/models.yaml.njk" in tree(plan)
    (done,) = scaffold([job(plan, CPU_FORM)])
    assert list(done["written"][0]) == ["platform/models.yaml"]


@pytest.mark.parametrize(
    ("scm", "action", "url"),
    [
        ("github", "publish:github:pull-request", f"{HOST}/pull/1"),
        ("gitlab", "publish:gitlab:merge-request", f"{HOST}/mr/1"),
    ],
)
def test_pull_request(scaffold: Run, scm: str, action: str, url: str) -> None:
    (done,) = scaffold([job(example(backstage=replace(plans.BACKSTAGE, scm=scm)), CPU_FORM)])
    step = done["steps"][-1]
    assert step["action"] == action
    assert (
        step["input"].items()
        >= {
            "repoUrl": "git.example.com?owner=platform&repo=gitops",
            "branchName": "modelyard/add-tiny",
            "targetBranchName": "main",
            "title": "Serve tinyllama as tiny",
        }.items()
    )
    assert "`tiny` to `models.yaml`" in step["input"]["description"]
    assert "modelyard render" in step["input"]["description"]
    assert done["output"]["links"][0]["url"] == url


def test_only_known_actions_run() -> None:
    actions = [step["action"] for step in template(example())["spec"]["steps"]]
    assert actions == ["fetch:template", "fetch:template", "publish:github:pull-request"]


Counts = tuple[int, ...] | None


def devices(weights: int | None) -> dict[str, sizing.Option]:
    model = replace(plans.TINYLLAMA, weights=weights)
    return {option.device: option for option in sizing.choice(model, ()).options}


@pytest.mark.parametrize(
    ("weights", "cpu", "t4", "h200"),
    [
        (1, "3Gi", (1, 2, 4, 8, 16), (1, 2, 4, 8, 16)),
        (2_200_119_864, "5Gi", (1, 2, 4, 8, 16), (1, 2, 4, 8, 16)),
        (14_483_000_000, "19Gi", (2, 4, 8, 16), (1, 2, 4, 8, 16)),
        (141_000_000_000, "160Gi", (16,), (2, 4, 8, 16)),
        (700_000_000_000, "785Gi", None, (8, 16)),
        (5_000_000_000_000, "5590Gi", None, None),
    ],
)
def test_sizes_from_weights(weights: int, cpu: str, t4: Counts, h200: Counts) -> None:
    found = devices(weights)
    assert found["cpu"].memory[0] == cpu
    for name, counts in (("nvidia-t4", t4), ("nvidia-h200-141gb", h200)):
        assert (found[name].counts if name in found else None) == counts


@pytest.mark.parametrize("weights", [GIB, 14 * GIB, 70 * GIB, 400 * GIB])
def test_the_first_count_is_the_smallest_that_holds_the_weights(weights: int) -> None:
    for name, option in devices(weights).items():
        if name != sizing.CPU:
            usable = ACCELERATORS[name].memory * 0.9
            assert option.counts[0] * usable >= weights * 1.1
            assert option.counts[0] == 1 or option.counts[0] // 2 * usable < weights * 1.1


def test_unknown_weights_leave_the_choice_open() -> None:
    found = devices(None)
    assert found.keys() == {sizing.CPU, *(name for name, row in ACCELERATORS.items() if not row.compiled)}
    assert {option.why for option in found.values()} == {sizing.UNKNOWN}
    assert len(found["cpu"].memory) > 3


@pytest.mark.parametrize(
    ("weights", "inferentia2", "trainium1"),
    [(None, (1, 2, 4, 8, 16), (1, 2, 8, 16)), (14 * GIB, (2, 4, 8, 16), (2, 8, 16)), (900 * GIB, (16,), (16,))],
)
def test_a_compiled_model_is_for_its_own_devices(weights: int | None, inferentia2: Counts, trainium1: Counts) -> None:
    model = replace(plans.TINYLLAMA, weights=weights, compiled_for=("aws-inferentia2", "aws-trainium1"))
    found = {option.device: option for option in sizing.choice(model, ()).options}
    assert {name: option.counts for name, option in found.items()} == {
        "aws-inferentia2": inferentia2,
        "aws-trainium1": trainium1,
    }
    assert {option.apps for option in found.values()} == {("vllm",)}


def test_a_served_model_keeps_the_size_it_is_served_with() -> None:
    grouped = sizing.choices((plans.MISTRAL, plans.TINYLLAMA), (plans.CHAT, plans.MISTRAL_SERVICE))
    mistral, tinyllama = grouped
    assert (mistral.preferred, tinyllama.preferred) == ("nvidia-a10g", "cpu")
    (a10g,) = (option for option in mistral.options if option.device == "nvidia-a10g")
    assert (a10g.apps, a10g.counts, a10g.memory, a10g.why) == (("vllm",), (1,), ("24Gi",), sizing.SERVED)
    assert tinyllama.options[0].memory == ("8Gi",)


def test_two_services_of_a_model_offer_both_sizes() -> None:
    larger = replace(plans.CHAT, name="more", groups=(plans.workers({"memory": "16Gi"}),))
    (choice,) = sizing.choices((plans.TINYLLAMA,), (plans.CHAT, larger))
    assert choice.options[0].memory == ("8Gi", "16Gi")


def test_models_alike_share_a_branch() -> None:
    many = tuple(replace(plans.MISTRAL, name=f"m{i}", title=f"M {i}") for i in range(1000))
    page = template(example(models=many, services=()))["spec"]["parameters"][0]
    assert len(page["properties"]["model"]["enum"]) == 1000
    (branch,) = page["dependencies"]["model"]["oneOf"]
    assert branch["properties"]["model"]["enum"] == page["properties"]["model"]["enum"]
    assert "not" not in page["properties"]["name"]


def test_clusters_are_those_that_hold_the_model() -> None:
    elsewhere: Model = replace(plans.TINYLLAMA, clusters=("east", "west"))
    plan = example(models=(elsewhere, plans.MISTRAL))
    assert accepted(plan, {**CPU_FORM, "clusters": ["west"]})
    assert not accepted(plan, CPU_FORM)
    assert not accepted(plan, {**GPU_FORM, "clusters": ["west"]})


def test_entities() -> None:
    documents = list(yaml.safe_load_all(tree(example())["backstage/catalog-info.yaml"]))
    assert [(d["kind"], d["metadata"]["name"]) for d in documents] == [
        ("Location", "modelyard"),
        ("Resource", "mistral-7b"),
        ("Resource", "tinyllama"),
        ("Component", "chat"),
        ("Component", "mistral"),
    ]
    chat = documents[3]
    annotations = chat["metadata"]["annotations"]
    assert annotations["backstage.io/kubernetes-label-selector"] == "modelyard.dev/service=chat"
    assert chat["spec"]["dependsOn"] == ["resource:default/tinyllama"]
    assert all(d["spec"]["owner"] == "group:default/platform" for d in documents[1:])
    assert documents[0]["spec"]["targets"] == ["./template.yaml"]


def test_nothing_unless_asked_for_and_never_without_models() -> None:
    assert tree(example(backstage=None)) == {}
    assert tree(example(models=(), services=())) == {}
    assert set(tree(example())) == {
        "backstage/template.yaml",
        "backstage/skeleton/models.yaml.njk",
        "backstage/catalog-info.yaml",
    }


@pytest.mark.parametrize(
    ("app", "offered"),
    [
        ("text-generation", ("text-generation",)),
        ("translation", ("translation",)),
        ("router", ("text-generation",)),
        ("composition", ("text-generation",)),
    ],
)
def test_the_form_offers_what_it_can_ask_for(app: str, offered: tuple[str, ...]) -> None:
    """A router's models each have a size; its weights, or a prompt, are for people who edit models.yaml."""
    (served,) = plans.CHAT.applications
    both = replace(served, app=app, models=(plans.TINYLLAMA, plans.MISTRAL))
    service = replace(plans.CHAT, applications=(both,))
    for model in both.models:
        (choice,) = sizing.choices([model], [service])
        (cpu,) = (option for option in choice.options if option.device == sizing.CPU)
        assert (cpu.apps, cpu.why) == (offered, sizing.SERVED)
