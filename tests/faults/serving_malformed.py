"""Requests that are none: bytes, JSON of any shape, almost the right bodies, and what the OpenAPI document forbids."""

from __future__ import annotations

import http.client
import json
import math
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.faults.serving_cluster import Node, fetch
from tests.faults.serving_load import HANG, OK, PROMPTS, Measured, kind_of
from tests.faults.serving_malformed_schema import documented
from tests.faults.serving_scene import MODEL, ROUTE, Scene

PATIENCE = 20.0  # seconds for an answer
SHARES = {"near": 7, "bytes as body": 4, "json": 4, "schema": 4, "bytes as request": 1}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "": {"prompt": "a", "max_tokens": 1, "temperature": 0},
    "/text/simple-gen": {"input": "a"},
    "/v1/completions": {
        "model": MODEL,
        "prompt": "a",
        "max_tokens": 1,
        "stop": ["x"],
        "stream": False,
        "seed": 1,
        "top_p": 1,
    },
    "/v1/chat/completions": {
        "model": MODEL,
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 1,
        "stream": False,
        "stream_options": None,
        "temperature": 0,
    },
}
PATHS = (*BODIES, "/v1/models", "/healthz", "/openapi.json", "/nothing", "/v1/models/%00")
METHODS = ("POST", "POST", "POST", "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
KINDS = (
    "application/json",
    "application/json",
    "text/plain",
    "application/json; charset=utf-16",
    "x",
    "multipart/form-data",
)
ODD: tuple[object, ...] = (
    math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0, 2**31, 2**63, -(2**63), 10**400, -1, 0, 1.5, True, None, "",
    "\0", "\ud800", "\u202e", "a" * 70_000, [], {}, [[]], [None], [-1], [10**9], ["", "a"], {"a": {}},
    [{"role": "user"}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/"}}]}],
)  # fmt: skip


BEGINNINGS = (
    b"",
    b"POST ",
    b"GET / HTTP/1.1\r\n",
    b"POST /tiny HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /tiny HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"PRI * HTTP/2.0\r\n\r\n",
)


@dataclass(frozen=True, slots=True)
class Case:
    """A request. With `raw` those bytes are all of it."""

    kind: str
    method: str = "POST"
    path: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


_leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(ODD))
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def _near(draw: st.DrawFn) -> Case:
    """A right body with one to three faults in it."""
    path = draw(st.sampled_from(sorted(BODIES)))
    body = dict(BODIES[path])
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*sorted(body), "n", "tools", "logprobs", "x", "max_completion_tokens", "suffix"]))
        body[name] = draw(st.sampled_from(ODD) | _values)
    return Case("near", path=path, body=_json(body), headers={"Content-Type": "application/json"})


_headers = st.fixed_dictionaries({"Content-Type": st.sampled_from(KINDS)})
_strategies: Mapping[str, st.SearchStrategy[Case]] = {
    "near": _near(),
    "bytes as body": st.builds(
        partial(Case, "bytes as body"),
        st.sampled_from(METHODS),
        st.sampled_from(PATHS),
        st.binary(max_size=300),
        _headers,
    ),
    "json": st.builds(
        lambda path, value: Case("json", "POST", path, _json(value), {"Content-Type": "application/json"}),
        st.sampled_from(sorted(BODIES)),
        _values,
    ),
    "bytes as request": st.builds(
        lambda head, rest: Case("bytes as request", raw=head + rest),
        st.sampled_from(BEGINNINGS),
        st.binary(min_size=1, max_size=200),
    ),
}  # fmt: skip


def heavy() -> Iterator[Case]:
    """Requests that are large, once each."""
    told = {"Content-Type": "application/json"}
    for path in BODIES:
        yield Case("heavy", path=path, body=b'{"prompt": "' + b"a" * 64 * 2**20 + b'"}', headers=told)
        for nest in (b"[", b'{"a":'):
            yield Case("heavy", path=path, body=nest * 100_000, headers=told)
        yield Case("heavy", path=path, body=b'{"max_tokens": ' + b"9" * 100_000 + b"}", headers=told)
        yield Case("heavy", path=path, body=_json({**BODIES[path], "prompt": "é" * 900_000}), headers=told)
        yield Case(
            "heavy", path=path, body=_json({**BODIES[path], **{f"x{n}": n for n in range(50_000)}}), headers=told
        )
        yield Case("heavy", path=path, body=_json([BODIES[path]] * 10_000), headers=told)
    yield Case(
        "heavy", path="/v1/chat/completions", body=_json({"messages": [{"role": "user", "content": "a"}] * 50_000})
    )


def malformed(scene: Scene, count: int, number: int) -> Measured:
    """`count` requests, none of which may be answered 5xx, hang, or cost a replica; `number` is the seed."""
    found = Measured()
    before = scene.replicas()
    base = f"{scene.cluster.nodes[0].proxy}{ROUTE}"
    weight = sum(SHARES.values())
    for case in heavy():
        _judge(found, case, *_sent(base, case))
    for kind, share in SHARES.items():
        part = -(-count * share // weight)
        if kind == "schema":
            documented(found, base, part, number, PATIENCE)
        else:
            _generated(found, base, _strategies[kind], part, number)
    found.wrong += _after(before, scene)
    found.figures = {"answers": dict(sorted(found.notes.items()))}
    return found


def _generated(found: Measured, base: str, strategy: st.SearchStrategy[Case], count: int, number: int) -> None:
    target = found.count + count

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(case: Case) -> None:
        if found.count < target:  # Hypothesis may try more
            _judge(found, case, *_sent(base, case))

    each()


def _judge(found: Measured, case: Case, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """`status` 0 is a connection that ended without an answer, -1 one on which nothing came."""
    kind = {0: "closed", -1: HANG}.get(status) or kind_of(status, headers)
    found.count += 1
    found.notes[f"{case.kind}: {kind}"] += 1
    shown = f"{case.method} {case.path} {case.raw or case.body[:300]!r} {dict(case.headers)}"
    allowed = (OK, "4xx", "closed") if case.kind in ("bytes as request", "heavy") else (OK, "4xx")
    if kind not in allowed or b"Traceback" in body:
        found.wrong.append(f"{kind} ({status} {body[:200]!r}) to {shown}")
    elif status >= 400 and case.raw is None and case.method not in ("HEAD", "OPTIONS") and not _typed(body):
        found.wrong.append(f"{status} without a reason in JSON ({body[:200]!r}) to {shown}")


def _typed(body: bytes) -> bool:
    """Whether a refusal is an object that says why: OpenAI's `error`, or our `detail`."""
    try:
        told = json.loads(body)
    except ValueError:
        return False
    return isinstance(told, dict) and bool(told.get("error") or told.get("detail"))


def _sent(base: str, case: Case) -> tuple[int, Mapping[str, str], bytes]:
    parts = urlsplit(base)
    assert parts.hostname and parts.port
    if case.raw is not None:
        return _sent_raw((parts.hostname, parts.port), case.raw)
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)) as line:
        try:
            # Refused while the body was sent, and the answer may be there.
            with suppress(BrokenPipeError, ConnectionResetError):
                line.request(case.method, parts.path + case.path, case.body, dict(case.headers))
            answer = line.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except TimeoutError:
            return -1, {}, b""
        except (OSError, http.client.HTTPException):
            return 0, {}, b""


def _sent_raw(address: tuple[str, int], raw: bytes) -> tuple[int, Mapping[str, str], bytes]:
    """Sends, says that nothing follows, and reads to the end."""
    answer = b""
    with socket.create_connection(address, PATIENCE) as line:
        try:
            line.sendall(raw)
            line.shutdown(socket.SHUT_WR)
            while chunk := line.recv(65536):
                answer += chunk
        except TimeoutError:
            return -1, {}, answer
        except OSError:
            return 0, {}, answer
    words = answer.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), {}, answer


def _after(before: Sequence[Any], scene: Scene) -> list[str]:
    wrong = []
    if (now := scene.replicas()) != before:
        wrong.append(f"replicas were {before}, now they are {now}")
    for node in scene.cluster.nodes:
        wrong += _answers(node)
    return wrong


def _answers(node: Node) -> list[str]:
    status, body = fetch(f"{node.proxy}{ROUTE}", {"prompt": PROMPTS[0], "max_tokens": 4})
    return [] if status == 200 else [f"after all of them: {status} {body!r}"]
