"""What `modelyard gc` asks of S3: listings with dates, and deletion. No Job has the right to it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from generator.errors import UserError
from generator.gc.prefixes import Item, Upload

BATCH = 1000  # keys of one DeleteObjects request (Amazon S3 API)
TRIES = 5
_RIGHTS = "s3:ListBucket and s3:ListBucketMultipartUploads; to delete, s3:DeleteObject and s3:AbortMultipartUpload"
_HINTS = {
    "NoSuchBucket": "check --bucket",
    "AccessDenied": f"these credentials need {_RIGHTS}",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "SignatureDoesNotMatch": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "PermanentRedirect": "the bucket is in another region: check AWS_REGION",
}


class Bucket:
    """Methods raise UserError where S3 refuses or does not answer, after botocore's own retries."""

    def __init__(self, name: str, endpoint_url: str | None = None) -> None:
        try:
            import botocore.session
            from botocore.config import Config
        except ModuleNotFoundError as error:
            hint = "pip install 'modelyard[prestage]'"
            raise UserError.of(f"`modelyard gc` needs the package {error.name}", hint=hint) from error
        self.name = name
        config = Config(retries={"mode": "standard", "total_max_attempts": TRIES})
        region = os.environ.get("AWS_REGION")  # botocore itself reads AWS_DEFAULT_REGION alone
        with self._explained():
            session = botocore.session.get_session()
            self._client: Any = session.create_client("s3", region, endpoint_url=endpoint_url, config=config)

    def objects(self, prefix: str) -> Iterator[Item]:
        for item in self._listed("list_objects_v2", "Contents", prefix):
            yield Item(item["Key"], item["Size"], item["LastModified"])

    def uploads(self, prefix: str) -> Iterator[Upload]:
        for item in self._listed("list_multipart_uploads", "Uploads", prefix):
            yield Upload(item["Key"], item["UploadId"], item["Initiated"])

    def delete(self, keys: Sequence[str]) -> dict[str, str]:
        """At most BATCH keys; returns why, by key that stays."""
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        with self._explained():
            answer = self._client.delete_objects(Bucket=self.name, Delete=wanted)
        return {fault["Key"]: fault.get("Message") or fault.get("Code", "") for fault in answer.get("Errors", ())}

    def abort(self, upload: Upload) -> None:
        """One that ended meanwhile is no fault."""
        with self._explained(), suppress(self._client.exceptions.NoSuchUpload):
            self._client.abort_multipart_upload(Bucket=self.name, Key=upload.key, UploadId=upload.id)

    def _listed(self, operation: str, what: str, prefix: str) -> Iterator[dict[str, Any]]:
        with self._explained():
            for page in self._client.get_paginator(operation).paginate(Bucket=self.name, Prefix=prefix):
                yield from page.get(what, ())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        place = f"s3://{self.name}"
        try:
            yield
        except ClientError as error:
            facts = error.response.get("Error", {})
            said = f"answers {facts.get('Code', '')} to {error.operation_name}: {facts.get('Message', '')}"
            raise UserError.of(said.rstrip(": "), file=place, hint=_HINTS.get(facts.get("Code", ""), "")) from error
        except (BotoCoreError, OSError, ValueError) as error:
            hint = "check the credentials, AWS_REGION and AWS_ENDPOINT_URL"
            raise UserError.of(f"cannot be asked: {error}", file=place, hint=hint) from error
