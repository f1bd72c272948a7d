"""What `modelyard gc` asks of a bucket: listings with dates, and deletion. No Job has the right to it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any


class Listing:
    """Methods raise what botocore raises; its own retries are on, as a person waits."""

    def __init__(self, session: Any, bucket: str, endpoint_url: str | None) -> None:
        self._bucket = bucket
        region = os.environ.get("AWS_REGION")  # botocore itself reads AWS_DEFAULT_REGION alone
        self._client = session.create_client("s3", endpoint_url=endpoint_url, region_name=region)

    def objects(self, prefix: str) -> Iterator[tuple[str, int, datetime]]:
        """Key, bytes and time of the last change."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            for item in page.get("Contents", ()):
                yield item["Key"], item["Size"], item["LastModified"]

    def delete(self, keys: Sequence[str]) -> list[str]:
        """At most 1,000 keys; returns what was refused, and why."""
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = self._client.delete_objects(Bucket=self._bucket, Delete=wanted)
        return [f"{fault['Key']}: {fault.get('Code', '')}" for fault in answer.get("Errors", ())]

    def abort_uploads(self, prefix: str) -> None:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=prefix)
        for upload in [upload for page in pages for upload in page.get("Uploads", ())]:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"])
