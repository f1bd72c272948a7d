"""Tells people how a run ended: an SNS topic, and a webhook in Slack's format."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import asdict
from urllib.parse import urlsplit

from generator.prestage.events import amount
from generator.prestage.outcome import Outcome

TIMEOUT = 10.0  # seconds
_SUBJECT = 100  # characters that SNS takes, ASCII only (Amazon SNS API, Publish)
_LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))


class NotifyError(Exception):
    """Nobody was told; the message holds no secret."""


def sentence(outcome: Outcome) -> str:
    """How it ended, for people."""
    name = f"{outcome.model} ({outcome.commit[:12]})"
    if outcome.exit:
        return f"{name} could not be staged at {outcome.target}: {outcome.reason}"
    if outcome.already:
        return f"{name} is at {outcome.target} already"
    return f"{name} is staged at {outcome.target}: {amount(outcome.bytes_copied)} in {outcome.seconds:.0f} s"


def sns(outcome: Outcome, topic: str) -> None:
    """Publishes to the topic of this ARN, in its own region. Raises NotifyError."""
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    parts = topic.split(":")
    if len(parts) != 6 or parts[2] != "sns":
        raise NotifyError(f"{topic!r} is not the ARN of an SNS topic")
    config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"total_max_attempts": 3})
    try:
        client = botocore.session.get_session().create_client("sns", region_name=parts[3], config=config)
        ended = "failed" if outcome.exit else "done"
        subject = f"prestage {ended}: {outcome.model}"[:_SUBJECT]
        body = json.dumps({"text": sentence(outcome), **asdict(outcome)}, sort_keys=True)
        client.publish(TopicArn=topic, Subject=subject, Message=body)
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise NotifyError(f"SNS did not take the notification: {error}") from error


def webhook(outcome: Outcome, url: str) -> None:
    """POSTs `{"text": …}` as Slack's incoming webhooks take it. The address is a secret. Raises NotifyError."""
    try:
        status = _posted(url, json.dumps({"text": _escaped(sentence(outcome))}).encode())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotifyError(f"the webhook cannot be reached: {type(error).__name__}") from None
    if not 200 <= status < 300:
        raise NotifyError(f"the webhook answers {status}")


def _posted(url: str, body: bytes) -> int:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=context)
    elif parts.scheme == "http" and host in _LOCAL:
        connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
    else:
        raise ValueError("a webhook's address begins with https://")
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def _escaped(text: str) -> str:
    """Slack reads three characters as its own (Slack API, Escaping text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
