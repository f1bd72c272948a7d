"""Metrics and notifications, against real receivers on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from prometheus_client.parser import text_string_to_metric_families

from generator.prestage import metrics, notify
from generator.prestage.notify import NotifyError
from generator.prestage.outcome import Outcome
from tests.receiver import Receiver

DONE = Outcome("tiny", "c" * 40, "s3://bucket/models/tiny/cccccccccccc", 0, 12.5, 3_000_000, 2_000_000, 3, 9, False, "")
FAILED = Outcome("tiny", "c" * 40, "s3://b/x", 77, 1.0, 0, 0, 0, 0, False, "o/n is gated & <closed>")
TOPIC = "arn:aws:sns:eu-central-1:012345678901:models"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


def values(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.labels == {"model": "tiny", "commit": "c" * 12} for sample in samples)
    return {sample.name.removeprefix("modelyard_prestage_"): sample.value for sample in samples}


def test_the_textfile_says_what_happened(tmp_path: Path) -> None:
    metrics.write_textfile(DONE, tmp_path / "run.prom")
    found = values((tmp_path / "run.prom").read_text())
    assert found.pop("completion_timestamp_seconds") > 1_700_000_000
    assert found == {
        "duration_seconds": 12.5,
        "model_bytes": 3e6,
        "copied_bytes": 2e6,
        "model_files": 9,
        "retries": 3,
        "cache_hit": 0,
        "exit_code": 0,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["run.prom"]


def test_the_gateway_gets_the_same(receiver: Receiver) -> None:
    metrics.push(FAILED, receiver.url)
    (got,) = receiver.got
    assert (got.method, got.path) == ("PUT", "/metrics/job/modelyard_prestage/model/tiny")
    assert values(got.body.decode())["exit_code"] == 77


def test_the_webhook_takes_it_as_slack_does(receiver: Receiver) -> None:
    notify.webhook(FAILED, f"{receiver.url}/services/T0/secret?x=1")
    (got,) = receiver.got
    assert (got.method, got.path) == ("POST", "/services/T0/secret?x=1")
    text = json.loads(got.body)["text"]
    assert text == "tiny (cccccccccccc) could not be staged at s3://b/x: o/n is gated &amp; &lt;closed&gt;"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refusing_webhook_is_named_without_its_address(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(NotifyError) as raised:
        notify.webhook(DONE, f"{receiver.url}/services/secret")
    assert str(status) in str(raised.value) and "secret" not in str(raised.value)
    assert len(receiver.got) == 1


@pytest.mark.parametrize("url", ["http://example.com/secret", "ftp://x/secret", "secret", "http://127.0.0.1:9/secret"])
def test_an_address_that_is_none_is_not_shown(url: str) -> None:
    with pytest.raises(NotifyError) as raised:
        notify.webhook(DONE, url)
    assert "secret" not in str(raised.value)


@pytest.fixture
def aws(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "word", "ENDPOINT_URL_SNS": receiver.url}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    receiver.body = b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
    return receiver


def test_sns_gets_subject_and_facts_in_the_region_of_the_topic(aws: Receiver) -> None:
    notify.sns(FAILED, TOPIC)
    (got,) = aws.got
    sent = {key: value[0] for key, value in parse_qs(got.body.decode()).items()}
    assert (sent["Action"], sent["TopicArn"], sent["Subject"]) == ("Publish", TOPIC, "prestage failed: tiny")
    assert json.loads(sent["Message"])["exit"] == 77
    assert "/eu-central-1/sns/aws4_request" in got.headers["authorization"]


@pytest.mark.parametrize("spoil", [lambda r: setattr(r, "status", 403)])
def test_sns_that_refuses_is_a_fault_of_its_own(aws: Receiver, spoil: Callable[[Receiver], None]) -> None:
    spoil(aws)
    with pytest.raises(NotifyError, match="SNS did not take"):
        notify.sns(DONE, TOPIC)


def test_an_arn_that_is_none() -> None:
    with pytest.raises(NotifyError, match="ARN"):
        notify.sns(DONE, "arn:aws:s3:::bucket")
