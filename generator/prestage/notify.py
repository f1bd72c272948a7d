"""Messages to people when a run ended, well or not: an SNS topic, and a webhook that Slack accepts."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any, NoReturn
from urllib.parse import urlsplit

from generator.prestage.events import amount
from generator.prestage.exits import PrestageExit
from generator.prestage.outcome import AnnouncementError, Outcome

TIMEOUT = 5.0  # seconds
SUBJECT = 100  # characters (Amazon SNS API, Publish)
REASON = 2_000  # characters; SNS takes 256 KiB, Slack shows 4,000 characters

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:([a-z]{2}[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def sentence(outcome: Outcome) -> str:
    """`tinyllama at fe8a4ea1ffed is staged: 2.0 GiB in 12.3 s`"""
    if outcome.text:
        return outcome.text[:REASON]
    what = f"{outcome.model} at {outcome.commit[:12]}"
    if outcome.exit != PrestageExit.DONE:
        return f"{what} failed ({_code(outcome.exit)}, exit {outcome.exit}): {outcome.reason[:REASON]}"
    if outcome.already:
        return f"{what} is already there: {amount(outcome.bytes_total)} in {outcome.files} files"
    return f"{what} is staged: {amount(outcome.bytes_copied)} copied in {outcome.seconds:.1f} s"


def _code(exit: int) -> str:
    return PrestageExit(exit).name.lower() if exit in list(PrestageExit) else "unknown"


def sns(outcome: Outcome, arn: str, *, client: Any = None, timeout: float = TIMEOUT) -> None:
    """Publishes to the topic `arn`, in the region that it names. Raises AnnouncementError.

    The message is a JSON object; the attributes `model` and `status` (done, held, tested, newer, integrity, …) are for
    filter policies.
    A FIFO topic keeps the order of each model and drops a repeated message.
    """
    found = _TOPIC.fullmatch(arn)
    if not found:
        raise AnnouncementError(f"{arn!r} is not the ARN of an SNS topic")
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        hint = "pip install 'modelyard[prestage]'"
        raise AnnouncementError(f"SNS needs the package {error.name}: {hint}") from error
    try:
        client = client or _client(found[1], timeout)
        client.publish(TopicArn=arn, **message(outcome, fifo=bool(found[2])))
    except ClientError as error:
        facts = error.response.get("Error", {})
        said = f"{facts.get('Code', '')}: {facts.get('Message', '')}".strip(": ")
        raise AnnouncementError(f"SNS refuses the message: {said}") from error
    except (BotoCoreError, OSError, ValueError) as error:
        raise AnnouncementError(f"SNS was not told: {error}") from error


def message(outcome: Outcome, *, fifo: bool = False) -> dict[str, Any]:
    """What SNS publishes, as arguments of `Publish`."""
    status = outcome.status or _code(outcome.exit)
    facts = asdict(outcome) | {"reason": outcome.reason[:REASON], "status": status, "text": sentence(outcome)}
    body = json.dumps(facts, sort_keys=True)
    kept = {"model": outcome.model, "status": status}
    attributes = {key: {"DataType": "String", "StringValue": value} for key, value in kept.items()}
    sent = {"Subject": subject(outcome), "Message": body, "MessageAttributes": attributes}
    if fifo:
        sent |= {"MessageGroupId": outcome.model, "MessageDeduplicationId": sha256(body.encode()).hexdigest()}
    return sent


def subject(outcome: Outcome) -> str:
    """ASCII, one line, at most SUBJECT characters, begins with a letter: SNS refuses anything else."""
    text = " ".join(f"Modelyard: {sentence(outcome)}".split()).encode("ascii", "replace").decode()
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= SUBJECT else f"{text[: SUBJECT - 3]}..."


def _client(region: str, timeout: float) -> Any:
    import botocore.session
    from botocore.config import Config

    config = Config(connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 2})
    return botocore.session.get_session().create_client("sns", region_name=region, config=config)


def webhook(outcome: Outcome, url: str, *, timeout: float = TIMEOUT) -> None:
    """Posts `{"text": …}` in Slack's mrkdwn. Raises AnnouncementError, in which nothing of `url` stands.

    Only https, or http to this machine; a redirect is not followed, as it would hand the message to somebody else.
    """
    local = _checked(url)
    mark = ":white_check_mark:" if outcome.exit == PrestageExit.DONE else ":x:"
    body = json.dumps({"text": f"{mark} {escaped(sentence(outcome))}"}).encode()
    reason = _post(url, body, {"Content-Type": "application/json; charset=utf-8"}, timeout, local=local)
    if reason:  # raised here, where no exception is under way that knows the address
        raise AnnouncementError(f"the webhook was not told: {reason}")


def escaped(text: str) -> str:
    """Slack reads <…> as links and mentions, & as the start of an entity (docs.slack.dev, "Escaping text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _checked(url: str) -> bool:
    """Whether `url` is of this machine. Raises AnnouncementError unless it is https or that."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or not url.isascii() or not url.isprintable() or " " in url or "@" in parts.netloc:
        _refused("is no address")
    local = host in _LOOPBACK
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        _refused("is not https")
    return local


def _refused(why: str) -> NoReturn:
    raise AnnouncementError(f"the webhook {why}: check MODELYARD_WEBHOOK_URL")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, body: bytes, headers: Mapping[str, str], timeout: float, *, local: bool) -> str:
    """Why it failed, in words that hold no part of the address; empty when it did not."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if local:
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 - checked: https, or local
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as answer:
            return "" if answer.status < 300 else f"it answers {answer.status}"
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answers {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _why(error.reason if isinstance(error, urllib.error.URLError) else error)


def _why(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return "its certificate is not valid here"
    said = error.strerror if isinstance(error, OSError) else None
    return said or type(error).__name__
