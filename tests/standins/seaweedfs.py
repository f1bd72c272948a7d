"""The rehearsal's S3 server, for boto3.

with SeaweedFS(folder) as s3:
    client = boto3.client("s3", **s3.arguments)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator.rehearse import seaweedfs
from generator.rehearse.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY

__all__ = ["ACCESS_KEY", "REGION", "SECRET_KEY", "SeaweedFS"]


class SeaweedFS(seaweedfs.SeaweedFS):
    """Whatever it takes to start is that of the rehearsal."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of boto3.client."""
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        return {"endpoint_url": self.url, "region_name": REGION, **keys}

    @property
    def pid(self) -> int:
        """Of the server itself, behind its guard."""
        assert self.guard
        children = Path(f"/proc/{self.guard.pid}/task/{self.guard.pid}/children")
        return int(children.read_text().split()[0])
