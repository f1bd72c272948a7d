"""The catalogue page shows what the Plan holds, and texts stay texts."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from generator.apps import APPS
from generator.assets import find
from generator.emit import catalogue, terraform
from generator.emit.catalogue import markdown, services
from generator.plan import Ingress, Plan, S3Server
from tests.unit import plans

MARKDOWN = MarkdownIt("commonmark").enable("table")
HOSTILE = (
    "a | b",
    "`code` ``more``",
    "<script>alert(1)</script>",
    "<!-- comment -->",
    "[text](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "https://evil.example www.evil.example me@evil.example",
    "two\nlines\n\n# heading",
    "*bold* _em_ **x** ~~gone~~ $x^2$",
    "\\| \\` &lt; &#124;",
    "${{ 7 }} {{ 7 }} {% x %}",
    "[^1]: note @someone #12 !5",
)


def page(plan: Plan) -> str:
    ((path, content),) = catalogue.emit(plan, find())
    assert path == "README.md"
    return content.decode()


def tables(text: str) -> list[list[list[Token]]]:
    """Rows of each table; a cell is its inline token."""
    found: list[list[list[Token]]] = []
    inside = False
    for token in MARKDOWN.parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
            inside = True
        elif token.type == "tr_close":
            inside = False
        elif token.type == "inline" and inside:
            found[-1][-1].append(token)
    return found


def shown(token: Token) -> str:
    return "".join(child.content for child in token.children or ())


def kinds(token: Token) -> set[str]:
    return {child.type for child in token.children or ()}


def row(text: str, name: str) -> dict[str, str]:
    """The row that starts with `name`, by column."""
    for table in tables(text):
        for cells in table[1:]:
            if shown(cells[0]) == name:
                return {shown(head): shown(cell) for head, cell in zip(table[0], cells, strict=True)}
    raise AssertionError(name)


def test_models() -> None:
    text = page(plans.example_plan())
    assert row(text, "tinyllama") == {
        "Name": "tinyllama",
        "Title": "TinyLlama 1.1B Chat",
        "Source": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        "Commit": "fe8a4ea1ffed",
        "Licence": "apache-2.0",
        "Gated": "no",
        "Parameters": "1.1 B",
        "Size": "2.2 GB",
        "Context": "2,048 tokens",
        "Staged at": "s3://peeks-ray-models-<account>/models/tinyllama/fe8a4ea1ffed/",
        "Clusters": "peeks-hub",
        "Labels": "",
    }
    unknown = row(text, "mistral-7b")
    columns = ("Licence", "Gated", "Parameters", "Size", "Context")
    assert {unknown[column] for column in columns} == {"unknown (not in the lock)"}
    assert f"(https://huggingface.co/{plans.TINYLLAMA.repo}/tree/{plans.TINYLLAMA.commit})" in text


def test_a_named_bucket_is_shown() -> None:
    named = replace(plans.TINYLLAMA, cache=replace(plans.S3, bucket="own-models"))
    text = page(plans.example_plan(models=(named,), services=()))
    assert row(text, "tinyllama")["Staged at"] == "s3://own-models/models/tinyllama/fe8a4ea1ffed/"


def test_services() -> None:
    text = page(plans.example_plan())
    assert row(text, "mistral") == {
        "Name": "mistral",
        "Title": "mistral",
        "Clusters": "peeks-hub",
        "Models and routes": "mistral-7b at /",
        "Engine": "vllm",
        "Accelerator": "1 x nvidia-a10g a replica",
        "Replicas": "1 to 3",
        "Address in the cluster": "http://mistral-serve-svc.ray-system.svc:8000",
    }
    assert row(text, "chat")["Accelerator"] == "none"


def test_a_router_shows_its_shares() -> None:
    (served,) = plans.CHAT.applications
    both = replace(served, app="router", models=(plans.TINYLLAMA, plans.MISTRAL), weights=(2, 1))
    shown_row = row(page(plans.example_plan(services=(replace(plans.CHAT, applications=(both,)),))), "chat")
    assert shown_row["Models and routes"] == "tinyllama 66.67 % / mistral-7b 33.33 % at /generate"
    assert shown_row["Replicas"] == "2 x 1 to 3"


def commands(text: str) -> list[list[str]]:
    fences = [token for token in MARKDOWN.parse(text) if token.type == "fence"]
    return [shlex.split(line) for token in fences for line in token.content.splitlines()]


def test_examples_fit_the_application() -> None:
    chat, mistral = (c for c in commands(page(plans.example_plan())) if c[0] == "curl")
    assert chat[2] == "http://chat-serve-svc.ray-system.svc:8000/generate"
    assert chat[-1] == '{"prompt": "What is Kubernetes?", "max_tokens": 64}'
    assert mistral[2] == "http://mistral-serve-svc.ray-system.svc:8000/v1/chat/completions"
    assert '"model": "mistral-7b", "messages": [{"role": "user"' in mistral[-1]


def test_every_application_has_an_example() -> None:
    assert services.ASK.keys() == APPS.keys()


def test_what_to_apply() -> None:
    text = page(plans.example_plan())
    assert [c for c in commands(text) if c[0] == "kubectl"] == [
        shlex.split("kubectl -n argocd patch configmap argocd-cm --patch-file bootstrap/argocd-cm.yaml"),
        shlex.split("kubectl -n argocd apply -f bootstrap/root.yaml"),
    ]
    assert "terraform/README.md" in text
    assert "terraform" not in page(plans.example_plan(models=(), services=()))


def test_secrets_are_named() -> None:
    ingress = Ingress("chat.example.com", "nginx", "chat-tls", {})
    text = page(plans.example_plan(services=(replace(plans.CHAT, ingress=ingress),)))
    (secrets,) = [t for t in tables(text) if [shown(c) for c in t[0]][2:3] == ["Secret"]]
    assert [[shown(cell) for cell in cells] for cells in secrets[1:]] == [
        ["peeks-hub", "ray-system", "chat-tls", "tls.crt, tls.key", "Certificate of chat.example.com"],
        ["peeks-hub", "ray-system", "hf-token", "token", "Hugging Face token"],
    ]
    without = page(plans.example_plan(models=(plans.TINYLLAMA,), services=()))
    assert "## Secrets that must exist\n\nNone." in without


def test_what_nobody_here_makes_is_named() -> None:
    """Without Argo CD nobody installs the operator, and a server's keys are the driver's too."""
    server = S3Server("https://s3.example.com", "us-east-1", "s3")
    cache = replace(plans.S3, bucket="models", server=server)
    chat = replace(plans.CHAT, priority_class="serving", queue="team-a", cache=cache)
    text = page(plans.example_plan(clusters=(replace(plans.CLUSTER, gitops="kubectl"),), services=(chat,)))
    assert "On `peeks-hub`: the KubeRay operator 1.7.0 in namespace `kuberay-system`" in text
    assert "What services name, on their clusters: LocalQueue `team-a`, PriorityClass `serving`." in text
    assert "| `peeks-hub` | `kube-system` | `aws-secret` | `key_id`, `access_key` |" in text
    assert "KubeRay operator" not in page(plans.example_plan())


def test_terraform_is_named_where_it_is_rendered() -> None:
    assert "terraform/README.md" in page(plans.example_plan())
    cache = replace(plans.S3, bucket="models", server=S3Server("https://s3.example.com", "us-east-1", "s3"))
    models = tuple(replace(model, cache=cache) for model in plans.example_plan().models)
    elsewhere = plans.example_plan(models=models, prestages=(), services=(replace(plans.CHAT, cache=cache),))
    assert not list(terraform.emit(elsewhere, find()))
    assert "terraform/" not in page(elsewhere)


def test_images() -> None:
    text = page(plans.example_plan())
    assert row(text, plans.CPU_IMAGE)["Pinned by digest"] == "yes"
    assert row(text, plans.VLLM_IMAGE)["Pinned by digest"].startswith("no")
    assert row(text, plans.PRESTAGE_IMAGE)["Used by"] == "prestage"


def test_it_says_that_it_is_generated() -> None:
    top = " ".join(page(plans.example_plan()).splitlines()[:5])
    assert "Generated by modelyard 0.1.0" in top and "Do not edit" in top


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_stay_inside_their_cell(text: str) -> None:
    plan = plans.example_plan(
        models=(replace(plans.TINYLLAMA, title=text, license=text),),
        services=(replace(plans.CHAT, title=text),),
    )
    flat = " ".join(text.split())
    rendered = page(plan)
    model, service = row(rendered, "tinyllama"), row(rendered, "chat")
    assert (model["Title"], model["Licence"], service["Title"]) == (flat, flat, flat)
    harmless = page(replace(plan, models=(plans.TINYLLAMA,), services=(plans.CHAT,)))
    assert shape(rendered) == shape(harmless)


def shape(text: str) -> list[list[int]]:
    return [[len(cells) for cells in table] for table in tables(text)]


@given(st.text())
@example("".join(HOSTILE))
def test_escaped_text_is_only_text(text: str) -> None:
    escaped = markdown.escape(text)
    (inline,) = (t for t in MARKDOWN.parse("x" + escaped) if t.type == "inline")
    assert kinds(inline) <= {"text", "text_special"}
    # Markdown itself replaces NUL.
    assert shown(inline) == "x" + " ".join(text.split()).replace("\0", "\ufffd")
    assert not re.search(r"(?i)www\.|[a-z]:[^\s&]|@|\$|~", escaped)


@given(st.text(st.characters(exclude_characters="\0|")))
@example("a`b``c")
@example("`")
def test_code_is_shown_as_it_is(text: str) -> None:
    flat = " ".join(text.split())
    if not flat:
        return
    (inline,) = (t for t in MARKDOWN.parse(markdown.code(text)) if t.type == "inline")
    assert [(child.type, child.content) for child in inline.children or ()] == [("code_inline", flat)]


def lines(plan: Plan) -> int:
    return page(plan).count("\n")


def test_each_model_is_a_row_even_when_there_are_10_000() -> None:
    many: Any = tuple(replace(plans.TINYLLAMA, name=f"m{i}", title=f"M | {i}") for i in range(10_000))
    one = lines(plans.example_plan(models=many[:1]))
    assert lines(plans.example_plan(models=many)) == one + 9_999


def test_an_empty_catalogue_says_how_to_begin() -> None:
    text = page(plans.example_plan(models=(), services=(), images={}))
    assert "`modelyard add model HF_ID`" in text and "`modelyard add service NAME`" in text
