"""One bucket through botocore, boto3's core: credentials, signing and protocol are its, the rest is ours.

Its own retries are off, so that all tries are counted and timed in one place (`patience`). Payloads are not
signed: each is covered by a checksum that S3 verifies, and hashing it for the signature would cost as much as
hashing it for the Hub (docs/decisions.md D22).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from generator import __version__
from generator.prestage.faults import Exists
from generator.prestage.s3faults import explained
from generator.prestage.settings import Settings
from generator.prestage.transport import CHUNK

SEND = 60.0  # seconds for a part; botocore's connect timeout covers sending too
ANSWER = 60.0  # seconds until an answer begins


class Got(NamedTuple):
    """A small object. `version` is its ETag."""

    body: bytes
    version: str


class Stat(NamedTuple):
    """What a HEAD says. `crc32` is that of the whole object, empty where the server states none."""

    size: int
    version: str
    crc32: str
    metadata: Mapping[str, str]


class Part(NamedTuple):
    """An uploaded part; `crc32` is empty where the server states none."""

    size: int
    etag: str
    crc32: str


class Uploaded(NamedTuple):
    """A part as it is named on completion; an adopted one has no CRC-32 where the server's list has none."""

    etag: str
    crc32: int | None


class Bucket:
    """Thread-safe. Methods raise what `s3faults.explained` makes of a refusal."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name, self._aws = name, settings.endpoint_url is None
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=SEND,
            read_timeout=ANSWER,
            max_pool_connections=settings.workers + 4,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"payload_signing_enabled": False},
            tcp_keepalive=True,
            user_agent=f"modelyard/{__version__}",  # its own is put together anew for each request
        )
        with self._asked():
            session = botocore.session.get_session()
            region = os.environ.get("AWS_REGION")  # botocore itself reads AWS_DEFAULT_REGION alone
            self._client: Any = session.create_client(
                "s3", config=config, endpoint_url=settings.endpoint_url, region_name=region
            )

    @contextmanager
    def _asked(self) -> Iterator[None]:
        with explained(self.name, aws=self._aws):
            yield

    def get(self, key: str) -> Got | None:
        with self._asked():
            try:
                answer = self._client.get_object(Bucket=self.name, Key=key)
                return Got(answer["Body"].read(), answer["ETag"])
            except self._client.exceptions.NoSuchKey:
                return None

    def read(self, key: str, start: int, view: memoryview) -> int | None:
        """Fills `view` from byte `start`; fewer bytes when the line breaks, None where there is no object."""
        done = 0
        with self._asked():
            wanted = f"bytes={start}-{start + view.nbytes - 1}"
            try:
                body = self._client.get_object(Bucket=self.name, Key=key, Range=wanted)["Body"]
            except self._client.exceptions.NoSuchKey:
                return None
            with body:
                try:
                    while done < view.nbytes and (chunk := body.read(min(CHUNK, view.nbytes - done))):
                        view[done : done + len(chunk)] = chunk
                        done += len(chunk)
                except (BotoCoreError, OSError):
                    if not done:
                        raise
        return done

    def stat(self, key: str) -> Stat | None:
        with self._asked():
            try:
                answer = self._client.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
            except self._client.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise
            whole = answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
            crc = _hex(answer.get("ChecksumCRC32", "")) if whole else ""
            return Stat(answer["ContentLength"], answer["ETag"], crc, answer.get("Metadata", {}))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Bytes by key, of everything below `prefix`."""
        with self._asked():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def put(
        self,
        key: str,
        body: bytes | bytearray,
        crc32: int,
        *,
        metadata: Mapping[str, str] | None = None,
        replaces: str | None = "",
    ) -> None:
        """`replaces`: the ETag of what may be overwritten; empty for nothing (raises Exists); None for anything."""
        with self._asked():
            answer = self._client.put_object(
                Bucket=self.name,
                Key=key,
                Body=body,
                ChecksumCRC32=_base64(crc32),
                Metadata=dict(metadata or {}),
                **_condition(replaces),
            )
            _whole(answer)

    def delete(self, key: str) -> None:
        with self._asked():
            self._client.delete_object(Bucket=self.name, Key=key)

    def create(self, key: str, metadata: Mapping[str, str]) -> str:
        """Begins a multipart upload whose checksum will be one of the whole object."""
        with self._asked():
            answer = self._client.create_multipart_upload(
                Bucket=self.name,
                Key=key,
                Metadata=dict(metadata),
                ChecksumAlgorithm="CRC32",
                ChecksumType="FULL_OBJECT",
            )
            return str(answer["UploadId"])

    def part(self, key: str, upload: str, number: int, body: bytes | bytearray, crc32: int) -> str:
        """Uploads a part, numbered from 1, and returns its ETag."""
        with self._asked():
            answer = self._client.upload_part(
                Bucket=self.name,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=body,
                ChecksumCRC32=_base64(crc32),
            )
            return _whole(answer)

    def parts(self, key: str, upload: str) -> dict[int, Part]:
        with self._asked():
            pages = self._client.get_paginator("list_parts").paginate(Bucket=self.name, Key=key, UploadId=upload)
            return {
                item["PartNumber"]: Part(item["Size"], item["ETag"], _hex(item.get("ChecksumCRC32", "")))
                for page in pages
                for item in page.get("Parts", ())
            }

    def complete(
        self, key: str, upload: str, parts: Mapping[int, Uploaded], crc32: int, size: int, *, replaces: str
    ) -> None:
        """`parts`: ETag and CRC-32 by number. Raises Exists where the key holds something else than `replaces`."""
        listed = [
            {"PartNumber": number, "ETag": etag} | ({} if crc is None else {"ChecksumCRC32": _base64(crc)})
            for number, (etag, crc) in sorted(parts.items())
        ]
        with self._asked():
            answer = self._client.complete_multipart_upload(
                Bucket=self.name,
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": listed},
                ChecksumCRC32=_base64(crc32),
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=size,
                **_condition(replaces),
            )
            _whole(answer)

    def abort(self, key: str, upload: str) -> None:
        with self._asked():
            self._client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)

    def uploads(self, prefix: str) -> list[tuple[str, str]]:
        """Key and id of every multipart upload below `prefix`, oldest first."""
        with self._asked():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
            found = [item for page in pages for item in page.get("Uploads", ())]
        found.sort(key=lambda item: (item["Initiated"], item["UploadId"]))
        return [(item["Key"], item["UploadId"]) for item in found]


def _whole(answer: Mapping[str, Any]) -> str:
    """The ETag, without which an answer was cut and says nothing. Raises KeyError."""
    return str(answer["ETag"])


def _condition(replaces: str | None) -> dict[str, str]:
    if replaces is None:
        return {}
    return {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}


def _base64(crc32: int) -> str:
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


def _hex(stated: str) -> str:
    try:
        return base64.b64decode(stated).hex()
    except ValueError:
        return ""


__all__ = ["Bucket", "Exists", "Got", "Part", "Stat", "Uploaded"]
