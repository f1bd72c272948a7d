"""Notifications, sent to real HTTP servers on loopback: SNS signed by botocore, and a webhook."""

from __future__ import annotations

import json
import string
import traceback
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st

from generator.prestage import announcing, notify
from generator.prestage.outcome import AnnouncementError, Outcome
from tests.standins.receiver import Answer, Received, Receiver

DONE = Outcome(
    model="tinyllama",
    commit="fe8a4ea1ffedaf415f4da2f062534de366a451e6",
    target="s3://bucket/models/tinyllama/fe8a4ea1ffed",
    exit=0,
    seconds=12.5,
    bytes_total=3 * 2**30,
    bytes_copied=2**30,
    retries=3,
    files=9,
    already=False,
    reason="",
)
WRONG = replace(DONE, exit=65, reason="model.safetensors is sha256:ab, the plan says sha256:cd")
TOPIC = "arn:aws:sns:eu-west-1:123456789012:models"
SECRET_PATH = "/services/T000/B000/XXXXXXXXXXXX"
PUBLISHED = (
    b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1</MessageId>'
    b"</PublishResult><ResponseMetadata><RequestId>2</RequestId></ResponseMetadata></PublishResponse>"
)
DENIED = (
    b'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
    b"<Code>AuthorizationError</Code><Message>no permission</Message></Error><RequestId>2</RequestId></ErrorResponse>"
)


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """What stands where SNS would; botocore finds it by AWS_ENDPOINT_URL_SNS."""
    with Receiver(Answer(body=PUBLISHED, headers={"Content-Type": "text/xml"})) as receiver:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", receiver.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield receiver


def signature(request: Received) -> str:
    """What AWS computes over the request that it got (Signature Version 4), with the same secret."""
    signed = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: request.headers[name] for name in signed}
    asked = AWSRequest(request.method, f"http://{request.headers['host']}{request.path}", headers, request.body)
    asked.context["timestamp"] = request.headers["x-amz-date"]
    auth = SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "sns", "eu-west-1")
    return str(auth.signature(auth.string_to_sign(asked, auth.canonical_request(asked)), asked))


def published(topic: Receiver) -> dict[str, str]:
    (request,) = topic.received
    return {key: values[0] for key, values in parse_qs(request.body.decode()).items()}


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (DONE, "tinyllama at fe8a4ea1ffed is staged: 1.0 GiB copied in 12.5 s"),
        (replace(DONE, already=True), "tinyllama at fe8a4ea1ffed is already there: 3.0 GiB in 9 files"),
        (WRONG, f"tinyllama at fe8a4ea1ffed failed (integrity, exit 65): {WRONG.reason}"),
    ],
)
def test_the_sentence(outcome: Outcome, said: str) -> None:
    assert notify.sentence(outcome) == said


def test_sns_gets_a_signed_request_in_the_topics_region(topic: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    notify.sns(WRONG, TOPIC)
    sent = published(topic)
    assert (sent["Action"], sent["TopicArn"]) == ("Publish", TOPIC)
    assert (
        sent["Subject"]
        == "Modelyard: tinyllama at fe8a4ea1ffed failed (integrity, exit 65): model.safetensors is sha256:ab,..."
    )
    body = json.loads(sent["Message"])
    assert body["status"] == "integrity" and body["reason"] == WRONG.reason and body["commit"] == WRONG.commit
    names = {
        sent[f"MessageAttributes.entry.{i}.Name"]: sent[f"MessageAttributes.entry.{i}.Value.StringValue"]
        for i in (1, 2)
    }
    assert names == {"model": "tinyllama", "status": "integrity"}
    authorization = topic.received[0].headers["authorization"]
    assert "/eu-west-1/sns/aws4_request" in authorization
    assert authorization.endswith(f"Signature={signature(topic.received[0])}")


def test_a_fifo_topic_gets_a_group(topic: Receiver) -> None:
    notify.sns(DONE, TOPIC + ".fifo")
    sent = published(topic)
    assert sent["MessageGroupId"] == "tinyllama" and len(sent["MessageDeduplicationId"]) == 64


def test_what_sns_refuses_is_one_sentence(topic: Receiver) -> None:
    topic.answer = Answer(status=403, body=DENIED)
    with pytest.raises(AnnouncementError, match=r"^SNS refuses the message: AuthorizationError: no permission$"):
        notify.sns(DONE, TOPIC)
    assert len(topic.received) == 1, "a refusal is not tried again"


def test_sns_without_credentials_or_endpoint(topic: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(AnnouncementError, match="SNS was not told: Unable to locate credentials"):
        notify.sns(DONE, TOPIC)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    topic.answer = Answer(silent=True)
    with pytest.raises(AnnouncementError, match="SNS was not told: Read timeout"):
        notify.sns(DONE, TOPIC, timeout=0.2)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "models",
        "arn:aws:sqs:eu-west-1:123456789012:models",
        "arn:aws:sns:eu-west-1:1234:models",
        "arn:aws:sns:eu-west-1:123456789012:a b",
        "arn:aws:sns:evil.example/:123456789012:models",
        TOPIC + "\n",
    ],
)
def test_a_wrong_arn_is_refused(arn: str) -> None:
    with pytest.raises(AnnouncementError, match="is not the ARN of an SNS topic"):
        notify.sns(DONE, arn)


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_other_partitions(partition: str, topic: Receiver) -> None:
    notify.sns(DONE, TOPIC.replace("aws", partition))
    assert len(topic.received) == 1


@given(
    st.builds(replace, st.just(WRONG), model=st.text(min_size=1), reason=st.text(), exit=st.sampled_from([0, 65, 9]))
)
def test_the_subject_is_what_sns_takes(outcome: Outcome) -> None:
    text = notify.subject(outcome)
    assert (
        text.isascii() and text.isprintable() and 1 <= len(text) <= notify.SUBJECT and text[0] in string.ascii_letters
    )


def test_the_webhook_gets_slacks_json() -> None:
    with Receiver(Answer(body=b"ok")) as slack:
        notify.webhook(replace(WRONG, reason="a <b> & <!channel>"), slack.url + SECRET_PATH)
        (request,) = slack.received
    assert (request.method, request.path) == ("POST", SECRET_PATH)
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    said = "tinyllama at fe8a4ea1ffed failed (integrity, exit 65): a &lt;b&gt; &amp; &lt;!channel&gt;"
    assert json.loads(request.body) == {"text": f":x: {said}"}


@given(st.text())
def test_escaping_loses_nothing_and_leaves_no_markup(text: str) -> None:
    escaped = notify.escaped(text)
    assert not set("<>") & set(escaped)
    assert escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text
    assert unescape(notify.escaped("a&lt;b")) == "a&lt;b"


def unheard(url: str, *, timeout: float = 5.0) -> str:
    """Why the webhook was not told; nothing of the address may be in the error or anything it drags along."""
    with pytest.raises(AnnouncementError) as caught:
        notify.webhook(DONE, url, timeout=timeout)
    error = caught.value
    assert error.__cause__ is None and error.__context__ is None
    everything = "".join(traceback.format_exception(error, chain=True)) + repr(error)
    assert not [part for part in ("T000", "B000", "XXXX", "hooks.slack", "geheim") if part in everything]
    return str(error)


@pytest.mark.parametrize("status", [201, 204])
def test_any_success_will_do(status: int) -> None:
    with Receiver(Answer(status=status)) as slack:
        notify.webhook(DONE, slack.url)
        assert len(slack.received) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 410, 500])
def test_what_the_webhook_refuses(status: int) -> None:
    with Receiver(Answer(status=status, body=SECRET_PATH.encode())) as slack:
        assert unheard(slack.url + SECRET_PATH) == f"the webhook was not told: it answers {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_webhook_is_not_led_elsewhere(status: int) -> None:
    with Receiver() as other, Receiver(Answer(status=status, headers={"Location": other.url})) as slack:
        assert unheard(slack.url + SECRET_PATH) == f"the webhook was not told: it answers {status}"
        assert other.received == []


def test_a_webhook_that_is_silent_or_not_there() -> None:
    with Receiver(Answer(silent=True)) as slack:
        assert unheard(slack.url + SECRET_PATH, timeout=0.2) == "the webhook was not told: no answer in time"
        gone = slack.url
    assert unheard(gone + SECRET_PATH) == "the webhook was not told: Connection refused"


def test_a_webhook_whose_tls_is_none() -> None:
    with Receiver() as slack:
        said = unheard(slack.url.replace("http:", "https:") + SECRET_PATH)
    assert said == "the webhook was not told: its certificate is not valid here"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"http://hooks.slack.example{SECRET_PATH}", "is not https"),
        (f"ftp://hooks.slack.example{SECRET_PATH}", "is not https"),
        ("file:///services/T000", "is no address"),
        (SECRET_PATH, "is no address"),
        (f"https://user:geheim@hooks.slack.example{SECRET_PATH}", "is no address"),
        (f"https://hooks.slack.example:x{SECRET_PATH}", "is no address"),
        (f"https://[hooks{SECRET_PATH}", "is no address"),
        (f"https://hooks.slack.example{SECRET_PATH}\r\nHost: evil", "is no address"),
        (f"https://hooks.slack.example{SECRET_PATH} x", "is no address"),
        ("http://127.0.0.1.evil.example/T000", "is not https"),
        ("", "is no address"),
    ],
)
def test_a_wrong_address_is_refused_and_not_repeated(url: str, why: str) -> None:
    assert unheard(url) == f"the webhook {why}: check MODELYARD_WEBHOOK_URL"


def test_a_local_webhook_goes_around_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy, Receiver() as slack:
        monkeypatch.setenv("http_proxy", proxy.url)
        notify.webhook(DONE, slack.url)
        assert len(slack.received) == 1 and proxy.received == []


def test_all_are_told_and_those_that_fail_are_sentences(topic: Receiver, tmp_path: Path) -> None:
    with Receiver() as gateway, Receiver(Answer(status=500)) as slack:
        errors = announcing.announce(
            DONE, metrics_file=tmp_path / "a.prom", gateway=gateway.url, topic=TOPIC, webhook=slack.url
        )
        assert [str(error) for error in errors] == ["the webhook was not told: it answers 500"]
        assert len(gateway.received) == len(topic.received) == len(slack.received) == 1
    assert (tmp_path / "a.prom").is_file()
    assert announcing.announce(DONE) == []


def test_one_that_hangs_or_breaks_holds_up_nobody() -> None:
    def broken() -> None:
        raise NoCredentialsError(secret="geheim")

    def hangs() -> None:
        lock.closing.wait()

    with Receiver() as lock:
        errors = announcing.together({"one": hangs, "two": broken, "three": lambda: None}, 0.2)
    assert [str(error) for error in errors] == ["one did not answer in 0.2 s", "two was not told: NoCredentialsError"]
