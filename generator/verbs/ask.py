"""`ask`: one request to an application of a service, its answer as it comes, and how long it took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from generator import report
from generator.develop import asked, forwarding, own
from generator.develop import version as versions
from generator.develop.version import Version
from generator.errors import ExitCode, visible
from generator.rehearse import asking, processes
from generator.rehearse.asking import Answer, Question
from generator.runtimes import RUNTIMES


def ask(
    service: str,
    prompt: str,
    catalogue: Path,
    *,
    url: str,
    application: str | None,
    max_tokens: int,
    who: str | None,
    output: str,
    context: str | None,
    namespace: str | None,
    kubectl: str,
    entry: str | None,
) -> ExitCode:
    """Ask; print the answer and its timings, or one JSON object."""
    found = versions.read(catalogue, service, entry)
    chosen = asked.chosen(found.applications, application, service)
    if who is not None:
        (chosen,) = own.applications([chosen], own.name(who))
    heard: list[str] = []

    def hear(text: str) -> None:
        if output == "text":
            heard.append(text)
            report.piece(safe(text))

    with processes.interruptible(), ExitStack() as stack:
        hint = f"`modelyard serve {service}` serves it here; another address: --url, a cluster: --cluster CONTEXT"
        address = asked.base(url)
        if context:
            target, port = _target(found, context, namespace or found.namespace, kubectl)
            forward = stack.enter_context(forwarding.forwarded(target, lambda text: None))
            address = forward.address(port)
            hint = f"does the service run? kubectl --context {context} --namespace {target.namespace} get pods"
        place = asked.check(address, chosen, hint)
        answer = asking.ask(
            str(chosen["name"]), str(chosen["import_path"]), Question(place, prompt, max_tokens, hear), hint
        )
    if output == "json":
        report.line(json.dumps(data(service, chosen["name"], place, answer), ensure_ascii=False))
    else:
        report.line("\n" if heard else f"{safe(answer.text.strip()) or '(an empty answer)'}\n")
        report.table(("what", "measured", ""), rows(answer))
    return ExitCode.OK


def _target(found: Version, context: str, namespace: str, kubectl: str) -> tuple[forwarding.Target, int]:
    """The Service that answers for the runtime, and its port."""
    url = urlsplit(RUNTIMES[found.service.runtime].url(found.service, namespace, "/"))
    port = url.port or 80
    name = str(url.hostname).partition(".")[0]
    return forwarding.Target(kubectl, context, namespace, name, {port: 0}), port


def safe(text: str) -> str:
    """A model may say anything, also what a terminal obeys."""
    return "\n".join(map(visible, text.split("\n")))


def rows(answer: Answer) -> Iterator[tuple[str, str, str]]:
    """The timings, for people."""
    if answer.first is not None:
        yield "first token", f"{answer.first:.2f} s", ""
    yield "answer", f"{answer.seconds:.2f} s", f"{answer.tokens} tokens" if answer.tokens else ""
    if (speed := answer.tokens_per_second) is not None:
        yield "speed", f"{speed:.1f} tokens/s", "after the first token" if answer.first is not None else ""


def data(service: str, application: str, url: str, answer: Answer) -> dict[str, Any]:
    """One JSON object; times in seconds."""
    return {
        "service": service,
        "application": application,
        "url": url,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "seconds": {"first_token": answer.first, "answer": answer.seconds},
        "tokens": {"prompt": answer.prompt_tokens, "completion": answer.tokens},
        "tokens_per_second": answer.tokens_per_second,
    }
