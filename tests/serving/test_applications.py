"""Router, translation and composition as KubeRay deploys them: a zip, a Serve config, and real requests."""

from __future__ import annotations

import copy
import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from router.choice import choose

from generator.apps import APPS, Deployment, Served
from tests.faults.serving_cluster import resident, wait_for
from tests.faults.serving_models import make
from tests.serving import cluster, tiny

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("ray.serve")

pytestmark = [pytest.mark.serving, pytest.mark.alone]

USERS = [f"user-{number}" for number in range(12)]
EVEN = {"one": 50, "two": 50}
CONTEXT = {"one": 2048, "two": 2048}
PROMPT = "Summarise: {input} Summary:"
LONGEST = 32  # tokens of a text to translate
ROOM = 64  # texts


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Scene:
    """The cluster, the folders of the models, and what is deployed."""

    cluster: cluster.Cluster
    folders: dict[str, Path]
    config: list[dict[str, Any]]

    def ask(self, path: str, body: object = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.port, timeout=60)
        try:
            sent = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
            data = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, data, sent)
            response = connection.getresponse()
            text = response.read()
            found = {name.lower(): value for name, value in response.getheaders()}
            is_json = found.get("content-type", "").startswith("application/json")
            return Answer(response.status, found, json.loads(text) if is_json else text.decode())
        finally:
            connection.close()

    def redeploy(self, **user_configs: Any) -> None:
        """The same config but for the user_config of these deployments."""
        self.config = copy.deepcopy(self.config)
        for application in self.config:
            for deployment in application["deployments"]:
                deployment["user_config"] = user_configs.get(deployment["name"], deployment.get("user_config"))
        self.cluster.deploy(self.config)


def deployment(name: str, models: dict[str, Path], code: str, **changes: Any) -> Deployment:
    known: dict[str, Any] = {
        "name": name,
        "route": f"/{name}",
        "models": tuple(
            Served(model, str(folder), CONTEXT.get(model), EVEN.get(model, 0)) for model, folder in models.items()
        ),
        "working_dir": code,
        "min_replicas": 1,
        "max_replicas": 1,
        "cpus": 1,
        "accelerators": 0,
        "max_tokens": 1024,
        "concurrency": 4,
        "memory": 2**30,
    }
    return Deployment(**(known | changes))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("models")
    folders = {name: make(folder / name, seed) for name, seed in (("one", 1), ("two", 2))}
    folders["t5"] = tiny.t5(folder / "t5")
    code = cluster.code(tmp_path_factory.mktemp("code"), "router", "translation", "composition")
    both = {name: folders[name] for name in EVEN}
    translation = APPS["translation"].serve(deployment("translate", {"t5": folders["t5"]}, code, max_tokens=12))
    translation["runtime_env"]["env_vars"] |= {"CONTEXT_LENGTH": str(LONGEST), "QUEUE": "8"}
    config = [
        APPS["router"].serve(deployment("ab", both, code, sticky="X-User")),
        translation,
        APPS["composition"].serve(deployment("summary", {"one": folders["one"]}, code, prompt=PROMPT)),
    ]
    with cluster.cluster(cores=16) as started:
        started.deploy(config)
        yield Scene(started, folders, config)


def alone(folder: Path, prompt: str, tokens: int) -> str:
    """What the model says by itself."""
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    encoded = tokenizer(prompt, return_tensors="pt")
    output = model.generate(**encoded, max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    said: str = tokenizer.decode(output[0, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    return said


def test_a_user_stays_with_the_model_that_the_header_chooses(scene: Scene) -> None:
    body = {"prompt": "one two", "max_tokens": 8}
    said = {name: alone(scene.folders[name], "one two", 8) for name in EVEN}
    assert said["one"] != said["two"]
    for user in USERS:
        model = choose(user.encode(), EVEN)
        answer = scene.ask("/ab", body, X_User=user)
        assert (answer.status, answer.headers["x-model"], answer.body["text"]) == (200, model, said[model])


def test_models_by_name(scene: Scene) -> None:
    listed = scene.ask("/ab/v1/models").body["data"]
    assert [card["id"] for card in listed] == ["ab", "one", "two"]
    for name in ("one", "two"):
        answer = scene.ask("/ab/v1/completions", {"model": name, "prompt": "one", "max_tokens": 2}, X_User=USERS[0])
        assert (answer.status, answer.body["model"], answer.headers["x-model"]) == (200, name, name)
    unknown = scene.ask("/ab/v1/completions", {"model": "three", "prompt": "one", "max_tokens": 2})
    assert unknown.status == 404


def test_a_refusal_says_why_through_the_handle(scene: Scene) -> None:
    answer = scene.ask("/ab", {"prompt": "one", "max_tokens": 1025})
    assert answer.status == 422
    assert answer.body["detail"] == [{"loc": ["body"], "msg": "max_tokens is 1025, at most 1024 are allowed"}]


def test_streams_come_through_the_handle(scene: Scene) -> None:
    body = {
        "model": "ab",
        "messages": [{"role": "user", "content": "one"}],
        "max_tokens": 40,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    model = choose(USERS[0].encode(), EVEN)
    answer = scene.ask("/ab/v1/chat/completions", body, X_User=USERS[0])
    assert (answer.status, answer.headers["x-model"]) == (200, model)
    *events, last = [line.removeprefix("data: ") for line in answer.body.splitlines() if line]
    chunks = [json.loads(event) for event in events]
    assert last == "[DONE]" and {chunk["model"] for chunk in chunks} == {model}
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == alone(scene.folders[model], "<user> one\n<assistant>", 40)
    assert chunks[-1]["usage"]["completion_tokens"] == 40


def test_who_leaves_frees_the_slot_behind_the_router(scene: Scene) -> None:
    body = {"model": "one", "prompt": "one", "max_tokens": 1000, "stream": True}
    connection = http.client.HTTPConnection("127.0.0.1", scene.cluster.port, timeout=60)
    connection.request("POST", "/ab/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200 and response.read(40)
    assert scene.ask("/ab/healthz").body["running"] == 1
    connection.sock.close()
    response.close()
    wait_for(lambda: scene.ask("/ab/healthz").body["running"] == 0, "a free slot", patience=20)


def test_a_full_model_is_told_with_the_time_to_come_back(scene: Scene) -> None:
    """More requests than replica and queues take: each is answered, or told at once that there is no room."""
    body = {"model": "one", "prompt": "one", "max_tokens": 60}
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: scene.ask("/ab/v1/completions", body), range(100)))
    assert {answer.status for answer in answers} == {200, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status == 503)
    assert scene.ask("/ab/v1/completions", {**body, "model": "two"}).status == 200


def test_new_weights_restart_nothing(scene: Scene) -> None:
    before = scene.cluster.pids("ab")
    assert {name: len(pids) for name, pids in before.items()} == {
        "Router": 2,
        "TextGeneration-one": 1,
        "TextGeneration-two": 1,
    }
    try:
        scene.redeploy(Router={"weights": {"one": 0, "two": 7}, "sticky": "X-User"})
        answers = [scene.ask("/ab", {"prompt": "one", "max_tokens": 1}, X_User=user) for user in USERS]
        assert {answer.headers["x-model"] for answer in answers} == {"two"}
        drained = scene.ask("/ab/v1/completions", {"model": "one", "prompt": "one", "max_tokens": 1})
        assert drained.headers["x-model"] == "one"
    finally:
        scene.redeploy(Router={"weights": EVEN, "sticky": "X-User"})
    assert scene.cluster.pids("ab") == before


def test_texts_are_translated_in_batches(scene: Scene) -> None:
    """Sixteen requests at a time, each told what its text gives alone."""
    torch.set_num_threads(1)
    texts = [f"{word} {number}" for number in range(4) for word in ("one", "two", "model", "a replica loads")]
    tokenizer = transformers.AutoTokenizer.from_pretrained(scene.folders["t5"])
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(scene.folders["t5"])
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: scene.ask("/translate", {"text": text}), texts))
    for text, answer in zip(texts, answers, strict=True):
        output = model.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=12)
        (translation,) = answer.body["translations"]
        assert (answer.status, translation["text"]) == (200, tokenizer.decode(output[0], skip_special_tokens=True))
    assert answers[0].body["model"] == answers[0].headers["x-model"] == "t5"


def test_a_list_is_translated_in_its_order(scene: Scene) -> None:
    texts = ["one", "two three", "a replica"]
    answer = scene.ask("/translate", {"text": texts})
    each = [scene.ask("/translate/", {"text": text}).body for text in texts]
    assert answer.body["translations"] == [body["translations"][0] for body in each]
    assert answer.body["usage"] == {
        kind: sum(body["usage"][kind] for body in each) for kind in ("prompt_tokens", "completion_tokens")
    }


@pytest.mark.parametrize(
    ("body", "loc", "reason"),
    [
        ({"text": ["one", "é" * LONGEST]}, ["body", "text", 1], f"at most {LONGEST} are allowed"),
        ({"text": "one", "target": "fr"}, ["body", "text"], "takes no `source` and `target`"),
        ({"text": "one", "target": "</s>"}, ["body", "target"], "should match pattern"),
        ({"text": "one", "max_tokens": 4}, ["body", "max_tokens"], "Extra inputs"),
        ({"text": []}, ["body", "text"], "at least 1 item"),
        ({"text": ["one"] * 65}, ["body", "text"], "at most 64 items"),
        ({"text": 5}, ["body", "text"], "valid string"),
        ({}, ["body", "text"], "Field required"),
    ],
    ids=range(8),
)
def test_bad_texts_are_told_why(scene: Scene, body: object, loc: list[object], reason: str) -> None:
    answer = scene.ask("/translate", body)
    assert answer.status == 422
    assert any(d["loc"][: len(loc)] == loc and reason in d["msg"] for d in answer.body["detail"]), answer.body


def test_too_many_texts_are_told_to_come_back(scene: Scene) -> None:
    """Four requests of as many texts as there is room for: one is translated, and after it the next."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: scene.ask("/translate", {"text": ["one two three"] * ROOM}), range(4)))
    assert {answer.status for answer in answers} == {200, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status == 503)
    wait_for(lambda: scene.ask("/translate/healthz").body["pending"] == 0, "an empty desk", patience=20)


def test_the_text_goes_into_the_prompt(scene: Scene) -> None:
    answer = scene.ask("/summary", {"input": "  one\r\n\ttwo ", "max_tokens": 12})
    said = alone(scene.folders["one"], "Summarise: one\n two Summary:", 12)
    assert (answer.status, answer.body["text"], answer.headers["x-model"]) == (200, said, "one")
    simple = scene.ask("/summary/text/simple-gen", {"input": "one two"})
    assert (simple.status, simple.body["usage"]["completion_tokens"]) == (200, 128)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"input": " \n "}, "is empty"),
        ({"input": "x" * 100_001}, "at most 100000 characters"),
        ({"input": "é" * 2048}, "exceed the context of 2048"),
        ({"input": "x", "prompt": "y"}, "Extra inputs"),
    ],
    ids=range(4),
)
def test_inputs_that_are_refused(scene: Scene, body: object, reason: str) -> None:
    answer = scene.ask("/summary", body)
    assert answer.status == 422
    assert reason in answer.body["detail"][0]["msg"]


def test_a_new_prompt_restarts_nothing(scene: Scene) -> None:
    before = scene.cluster.pids("summary")
    try:
        scene.redeploy(Preprocessor={"prompt": "{input}!"})
        answer = scene.ask("/summary", {"input": "one", "max_tokens": 6})
        assert answer.body["text"] == alone(scene.folders["one"], "one!", 6)
    finally:
        scene.redeploy(Preprocessor={"prompt": PROMPT})
    assert scene.cluster.pids("summary") == before


@pytest.mark.parametrize("route", ["/ab", "/translate", "/summary"])
def test_each_says_that_it_is_ready(scene: Scene, route: str) -> None:
    answer = scene.ask(f"{route}/healthz")
    assert (answer.status, answer.body["ready"]) == (200, True)
    document = scene.ask(f"{route}/openapi.json").body
    assert document["servers"] == [{"url": route}] and "/healthz" in document["paths"]


@pytest.mark.parametrize(("application", "name"), [("ab", "Router"), ("summary", "Preprocessor")])
def test_who_stands_in_front_needs_no_more_memory_than_it_asks_for(scene: Scene, application: str, name: str) -> None:
    """After all of the above; a pod has room for that much beside the models."""
    (helper,) = APPS[{"ab": "router", "summary": "composition"}[application]].helpers
    for pid in scene.cluster.pids(application)[name]:
        assert resident([pid]) < helper.memory
