"""`rehearse`: do on this machine what the cluster would do with the rendered tree."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator import report
from generator.deployed import helm_program
from generator.errors import ExitCode, UserError, visible
from generator.prestage.events import amount

if TYPE_CHECKING:
    from generator.rehearse.flow import Asked, Outcome

_LOOK = 0.5  # seconds between two looks at whether what is kept still serves
# What the extra brings, by the name that is imported.
_NEEDED = ("botocore", "cel_expr_python", "huggingface_hub", "prometheus_client", "ray", "torch", "transformers")


def rehearse(
    tree: Path, *, helm: str | None, folders: Sequence[str], keep: bool, verbose: bool, output: str, **asked: Any
) -> ExitCode:
    """Stage, serve, ask; with `keep`, go on serving until ^C."""
    _check_packages()
    from generator.rehearse import flow
    from generator.rehearse.served import Voice

    wanted = flow.Wanted(tree=tree, helm=helm_program(helm), folders=model_folders(folders), **asked)
    said = False
    try:
        with flow.rehearsed(wanted, Voice(_say, _say if verbose else _silent)) as outcome:
            if output == "json":
                report.line(json.dumps(_data(outcome), ensure_ascii=False))
            else:
                _show(outcome, wanted.prompt)
            if keep:
                _show_how(outcome)
                said = True
                while outcome.serving():
                    time.sleep(_LOOK)
                raise UserError.of("what served has ended", hint="is there enough memory?")
    except KeyboardInterrupt:
        if not said:
            raise
        _say("stopped")
    return ExitCode.OK


def _say(text: str) -> None:
    report.line(f"rehearse: {text}", sys.stderr)


def _silent(text: str) -> None:
    """What only -v shows."""


def _check_packages() -> None:
    lost = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if lost:
        hint = "pip install 'modelyard[rehearse]'"
        raise UserError.of(f"`modelyard rehearse` needs more packages: {', '.join(lost)}", hint=hint)


def model_folders(given: Sequence[str]) -> dict[str, Path]:
    """`NAME=FOLDER` or just `FOLDER`, by name."""
    found = {}
    for text in given:
        name, equals, folder = text.partition("=")
        plain = not equals or "/" in name or Path(text).is_dir()
        found["" if plain else name] = Path(text if plain else folder).absolute()
    return found


def _show(outcome: Outcome, prompt: str) -> None:
    for asked in outcome.asked:
        # A model may say anything, also what a terminal obeys.
        text = "\n".join(map(visible, asked.answer.text.strip().split("\n")))
        report.line(f"\n{asked.name} was asked: {prompt}\n\n{text or '(an empty answer)'}\n")
    report.table(("what", "measured", ""), _rows(outcome))


def _rows(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    for staged in outcome.staged:
        speed = f"{amount(staged.bytes / max(staged.seconds, 1e-3))}/s"
        note = f"{staged.stand_in} stands in for {staged.source}" if staged.stand_in else staged.source
        yield f"staged {staged.model}", f"{amount(staged.bytes)} in {staged.seconds:.1f} s", f"{speed}; {note}"
        if staged.shown:
            yield "  shown to the pods", f"{staged.shown:.1f} s", "read back, every digest compared"
    if outcome.ray is not None:
        yield "Ray", f"{outcome.ray:.1f} s", "until its dashboard answered"
    until = "from its start until it was ready" if outcome.ray is None else "from serveConfigV2 to RUNNING"
    yield "applications", f"{outcome.running:.1f} s", until
    for name, reason in outcome.left.items():
        yield f"without {name}", "", f"it {reason}"
    for asked in outcome.asked:
        yield from _measured(asked)


def _measured(asked: Asked) -> Iterator[tuple[str, str, str]]:
    """Of one application. What its replica did before it ran goes on at the same time: it imports while it reads."""
    answer = asked.answer
    yield f"answer of {asked.name}", f"{answer.seconds:.2f} s", f"{answer.tokens} tokens" if answer.tokens else ""
    if answer.first is not None:
        yield "  first token", f"{answer.first:.2f} s", ""
    if (speed := answer.tokens_per_second) is not None:
        yield "  speed", f"{speed:.1f} tokens/s", "after the first token" if answer.first is not None else ""
    for number, (phase, seconds) in enumerate(asked.load.items()):
        note = "its replica's start; some of it at the same time" if number == 0 else ""
        yield f"  {phase.replace('_', ' ')}", f"{seconds:.1f} s", note


def _show_how(outcome: Outcome) -> None:
    """On stderr: stdout may be JSON."""
    for asked in outcome.asked:
        url = asked.url + asked.answer.path
        body = shlex.quote(json.dumps(asked.answer.body, ensure_ascii=False))
        _say(f"still serving; ask again until ^C:\n\n  curl {url} -H 'Content-Type: application/json' -d {body}\n")
        if asked.answer.path.startswith("/v1/"):
            report.line(_PYTHON.format(url=f"{asked.url}/v1", **_arguments(asked.answer.body)), sys.stderr)


_PYTHON = """\
  from openai import OpenAI
  client = OpenAI(base_url={url!r}, api_key="none")
  print(client.chat.completions.create(model={model!r}, messages={messages!r}).choices[0].message.content)
"""


def _arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("model", "messages")}


def _data(outcome: Outcome) -> dict[str, Any]:
    """One JSON object; times in seconds."""
    answers = [
        {
            "application": asked.name,
            "url": asked.url,
            "text": asked.answer.text,
            "finish_reason": asked.answer.finish_reason,
            "seconds": {"first_token": asked.answer.first, "answer": asked.answer.seconds},
            "tokens": {"prompt": asked.answer.prompt_tokens, "completion": asked.answer.tokens},
            "tokens_per_second": asked.answer.tokens_per_second,
            "load": dict(asked.load),
        }
        for asked in outcome.asked
    ]
    return {
        "service": outcome.place.service,
        "cluster": outcome.place.cluster,
        "facts": dict(outcome.facts),
        "store": outcome.store,
        "staged": [asdict(staged) for staged in outcome.staged],
        "ray": outcome.ray,
        "running": outcome.running,
        "answers": answers,
        "changes": [asdict(change) for change in outcome.changes],
        "left_out": dict(outcome.left),
    }
