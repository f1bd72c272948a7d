"""The proxy passes signed requests on to a real S3, and each fault reaches boto3 as what it is."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.config import Config

from tests.standins.faultplan import FaultPlan
from tests.standins.s3faults import FAULTS, S3Faults, fits
from tests.standins.s3proxy import Change, S3Proxy, S3Request, operation
from tests.standins.seaweedfs import SeaweedFS

BUCKET, BODY = "proxied", random.Random(1).randbytes(300_000)
KEY = "a folder/ü+%&.txt"


class Rig:
    """A client before a proxy before SeaweedFS. `meets` is what the next request meets."""

    def __init__(self, seaweedfs: SeaweedFS, proxy: S3Proxy) -> None:
        self.asked = proxy.asked
        self.straight, self.client = _client(seaweedfs, seaweedfs.url), _client(seaweedfs, proxy.url)
        self.meets: list[Change] = []

    def put(self, key: str, body: bytes = BODY, **more: Any) -> Any:
        crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        return self.client.put_object(Bucket=BUCKET, Key=key, Body=body, ChecksumCRC32=crc, **more)

    def stored(self, key: str) -> bytes | None:
        """What really is there."""
        try:
            body: bytes = self.straight.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except exceptions.ClientError:
            return None
        return body


def _client(seaweedfs: SeaweedFS, url: str, timeout: float = 30) -> Any:
    environment = seaweedfs.environment()
    config = Config(
        retries={"total_max_attempts": 1},
        read_timeout=timeout,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": False},
    )
    keys = {name.lower(): environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **keys)


@pytest.fixture
def rig(seaweedfs: SeaweedFS) -> Iterator[Rig]:
    rigs: list[Rig] = []

    def meet(asked: S3Request, length: int) -> Change | None:
        return rigs[0].meets.pop(0) if rigs and rigs[0].meets else None

    with S3Proxy(seaweedfs.url, meet) as proxy:
        made = Rig(seaweedfs, proxy)
        if BUCKET not in [bucket["Name"] for bucket in made.straight.list_buckets()["Buckets"]]:
            made.straight.create_bucket(Bucket=BUCKET)
        rigs.append(made)
        yield made


def test_signed_requests_pass_and_are_told_apart(rig: Rig) -> None:
    client, name = rig.client, {"Bucket": BUCKET, "Key": KEY}
    rig.put(KEY)
    assert client.head_object(**name, ChecksumMode="ENABLED")["ContentLength"] == len(BODY)
    assert client.get_object(**name)["Body"].read() == BODY
    assert client.get_object(**name, Range="bytes=10-19")["Body"].read() == BODY[10:20]
    upload = client.create_multipart_upload(**name)["UploadId"]
    etag = client.upload_part(**name, UploadId=upload, PartNumber=1, Body=BODY[::-1])["ETag"]
    assert [part["ETag"] for part in client.list_parts(**name, UploadId=upload)["Parts"]] == [etag]
    assert client.list_multipart_uploads(Bucket=BUCKET)["Uploads"][0]["UploadId"] == upload
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    client.complete_multipart_upload(**name, UploadId=upload, MultipartUpload=parts)
    assert [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET, Prefix="a folder/")["Contents"]] == [KEY]
    assert rig.stored(KEY) == BODY[::-1]
    other = client.create_multipart_upload(**name)["UploadId"]
    client.abort_multipart_upload(**name, UploadId=other)
    client.delete_object(**name)
    assert rig.stored(KEY) is None
    assert [asked.operation for asked in rig.asked] == [
        *("PutObject", "HeadObject", "GetObject", "GetObject", "CreateMultipartUpload", "UploadPart", "ListParts"),
        *("ListMultipartUploads", "CompleteMultipartUpload", "ListObjectsV2", "CreateMultipartUpload"),
        *("AbortMultipartUpload", "DeleteObject"),
    ]
    assert rig.asked[5].thing == f"UploadPart {KEY} part 1"


@pytest.mark.parametrize(
    ("method", "target", "copied", "name"),
    [
        ("PUT", "/bucket/key", False, "PutObject"),
        ("PUT", "/bucket/key", True, "CopyObject"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=x", True, "UploadPartCopy"),
        ("POST", "/bucket?delete", False, "DeleteObjects"),
        ("GET", "/", False, "Other"),
        ("PUT", "/bucket", False, "Other"),
        ("HEAD", "/bucket", False, "Other"),
    ],
)
def test_other_operations(method: str, target: str, copied: bool, name: str) -> None:
    assert operation(method, target, {"x-amz-copy-source": "x"} if copied else {}) == name


def test_a_wrong_signature_is_refused_by_the_server_itself(rig: Rig, seaweedfs: SeaweedFS) -> None:
    url = rig.client.meta.endpoint_url
    keys = {"aws_access_key_id": seaweedfs.environment()["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": "another"}
    with pytest.raises(exceptions.ClientError, match="SignatureDoesNotMatch"):
        boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).list_buckets()


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("InternalError", "InternalError", 500),
        ("SlowDown", "SlowDown", 503),
        ("SlowDown with a time", "SlowDown", 503),
        ("RequestTimeout", "RequestTimeout", 400),
        ("ExpiredToken", "ExpiredToken", 400),
        ("RequestTimeTooSkewed", "RequestTimeTooSkewed", 403),
        ("AccessDenied", "AccessDenied", 403),
        ("full", "InsufficientStorage", 507),
    ],
)
def test_refusals(rig: Rig, kind: str, code: str, status: int) -> None:
    rig.meets = [FAULTS[kind](random.Random(1), len(BODY))]
    with pytest.raises(exceptions.ClientError) as caught:
        rig.put(kind)
    told = caught.value.response
    assert (told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert told["ResponseMetadata"]["HTTPHeaders"].get("retry-after") == ("1" if "time" in kind.split() else None)
    assert rig.stored(kind) is None
    rig.put(kind)  # the same connection is of use for the next request
    assert rig.stored(kind) == BODY


def test_a_refusal_of_a_head_has_no_body(rig: Rig) -> None:
    rig.meets = [FAULTS["SlowDown"](random.Random(1), 0)]
    with pytest.raises(exceptions.ClientError, match="503"):
        rig.client.head_object(Bucket=BUCKET, Key="x")
    with pytest.raises(exceptions.ClientError, match="404"):
        rig.client.head_object(Bucket=BUCKET, Key="x")


def test_a_refusal_before_the_body_was_read(rig: Rig) -> None:
    rig.meets = [FAULTS["refused early"](random.Random(1), len(BODY))]
    with pytest.raises((exceptions.ClientError, exceptions.HTTPClientError, exceptions.ConnectionError)):
        rig.put("early")
    assert rig.stored("early") is None


@pytest.mark.parametrize(("drop", "there"), [("before", False), ("after", True)])
def test_resets(rig: Rig, drop: str, there: bool) -> None:
    rig.meets = [Change(drop=drop)]
    with pytest.raises(exceptions.ConnectionClosedError):
        rig.put(f"reset {drop}", IfNoneMatch="*")
    assert (rig.stored(f"reset {drop}") == BODY) == there


def test_a_stall(rig: Rig, seaweedfs: SeaweedFS) -> None:
    rig.client = _client(seaweedfs, rig.client.meta.endpoint_url, timeout=0.5)
    rig.meets = [FAULTS["stall"](random.Random(1), len(BODY))]
    with pytest.raises(exceptions.ReadTimeoutError):
        rig.put("stalled")
    assert rig.stored("stalled") is None


def test_an_answer_that_ends_halfway(rig: Rig) -> None:
    rig.put("short")
    rig.meets = [Change(cut=True)] * 2
    with pytest.raises(exceptions.ResponseStreamingError):
        rig.client.get_object(Bucket=BUCKET, Key="short")["Body"].read()
    assert "ContentLength" not in rig.client.head_object(Bucket=BUCKET, Key="short")  # its head was cut


def test_the_server_refuses_a_bit_that_was_turned_on_the_way(rig: Rig) -> None:
    create = rig.client.create_multipart_upload
    upload = create(Bucket=BUCKET, Key="turned", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")["UploadId"]
    crc = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
    part = {"Bucket": BUCKET, "Key": "turned", "UploadId": upload, "PartNumber": 1, "Body": BODY, "ChecksumCRC32": crc}
    dice = random.Random(1)
    calls: list[Callable[[], object]] = [lambda: rig.put("turned"), lambda: rig.client.upload_part(**part)]
    for call in calls * 5:
        rig.meets = [FAULTS["bit flip"](dice, len(BODY))]
        with pytest.raises(exceptions.ClientError, match="BadDigest"):
            call()
    assert rig.stored("turned") is None
    rig.meets = [Change(flip=8)]
    rig.client.put_object(Bucket=BUCKET, Key="unguarded", Body=BODY)  # no checksum: the turned bit is stored
    assert rig.stored("unguarded") == BODY[:1] + bytes([BODY[1] ^ 1]) + BODY[2:]
    rig.client.abort_multipart_upload(Bucket=BUCKET, Key="turned", UploadId=upload)


def test_an_error_with_status_200(rig: Rig) -> None:
    name = {"Bucket": BUCKET, "Key": "completed"}
    upload = rig.client.create_multipart_upload(**name)["UploadId"]
    etag = rig.client.upload_part(**name, UploadId=upload, PartNumber=1, Body=BODY)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    for kind, code in (("200 with an error", "InternalError"), ("NoSuchUpload", "NoSuchUpload")):
        rig.meets = [FAULTS[kind](random.Random(1), 1)]
        with pytest.raises(exceptions.ClientError, match=code):
            rig.client.complete_multipart_upload(**name, UploadId=upload, MultipartUpload=parts)
    assert rig.stored("completed") is None


def test_faults_are_drawn_by_plan(seaweedfs: SeaweedFS, rig: Rig) -> None:
    plan = FaultPlan("1", 0.0, first=1, weights={kind: 0.0 for kind in FAULTS if kind != "SlowDown"})
    with S3Proxy(seaweedfs.url, S3Faults(plan)) as proxy:
        client = _client(seaweedfs, proxy.url)
        with pytest.raises(exceptions.ClientError, match="SlowDown"):
            client.list_objects_v2(Bucket=BUCKET)
        client.list_objects_v2(Bucket=BUCKET)
    assert plan.faults == {"SlowDown": 1}


def test_which_faults_fit() -> None:
    part = S3Request("UploadPart", "PUT", "/b/k?partNumber=1&uploadId=x", "k", {})
    assert {kind for kind in FAULTS if not fits(kind, part, 5)} == {"200 with an error"}
    get = S3Request("GetObject", "GET", "/b/k", "k", {})
    unfit = {"200 with an error", "NoSuchUpload", "bit flip", "refused early"}
    assert {kind for kind in FAULTS if not fits(kind, get, 0)} == unfit
    assert not fits("bit flip", S3Request("PutObject", "PUT", "/b/k", "k", {}), 0)
