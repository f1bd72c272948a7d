"""An S3 that reads and drops what it is sent, and remembers what was said of it: `python -m benchmarks.servers.sink`.

Objects up to 1 MiB are kept, so that a manifest can be read. Nothing is verified: it measures clients, it judges none.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from benchmarks.servers.common import Handler, Server, serve

KEPT = 2**20
_DATE = "Sat, 21 Nov 2026 00:00:00 GMT"


@dataclass(slots=True)
class Stored:
    """An object: its size, what was stated with it, and its bytes if they are few."""

    size: int
    etag: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(slots=True)
class Begun:
    """A multipart upload."""

    key: str
    headers: Mapping[str, str]
    sizes: dict[int, int] = field(default_factory=dict)


OBJECTS: dict[str, Stored] = {}
UPLOADS: dict[str, Begun] = {}
LOCK = threading.Lock()


class Sink(Handler):
    """The operations that awscli, s5cmd, rclone and botocore use to upload."""

    def do_PUT(self) -> None:
        size, body = self._dropped()
        query = self.query
        if "uploadId" in query:
            begun = UPLOADS.get(query["uploadId"])
            if begun is None:
                self._refuse(404, "NoSuchUpload")
                return
            begun.sizes[int(query["partNumber"])] = size
            self.answer(200, ETag=f'"{os.urandom(16).hex()}"')
        elif "/" not in self.path_only.strip("/"):
            self.answer(200)  # a bucket
        else:
            # One with a hyphen is no MD5 (Amazon S3, Object), and clients compare nothing with it.
            etag = hashlib.md5(body, usedforsecurity=False).hexdigest() if body is not None else "dropped-1"
            self._store(Stored(size, f'"{etag}"', self._said(), body))

    def do_POST(self) -> None:
        _, body = self._dropped()
        query = self.query
        if "uploads" in query:
            identity = os.urandom(16).hex()
            UPLOADS[identity] = Begun(self.path_only, self._said())
            self._xml("InitiateMultipartUploadResult", f"<UploadId>{identity}</UploadId>")
        elif begun := UPLOADS.get(query.get("uploadId", "")):
            named = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body or b"")]
            stored = Stored(sum(begun.sizes[n] for n in named), '"sink-1"', {**begun.headers, **self._said()})
            if self._store(stored, answer=False):
                del UPLOADS[query["uploadId"]]
                self._xml("CompleteMultipartUploadResult", f"<ETag>{escape(stored.etag)}</ETag>")
        else:
            self._refuse(404, "NoSuchUpload")

    def do_DELETE(self) -> None:
        OBJECTS.pop(self.path_only, None)
        UPLOADS.pop(self.query.get("uploadId", ""), None)
        self.answer(204)

    def do_GET(self) -> None:
        query = self.query
        if "uploads" in query:
            self._xml("ListMultipartUploadsResult", self._begun(query.get("prefix", "")))
        elif "location" in query:
            self._xml("LocationConstraint", "")
        elif "/" not in self.path_only.strip("/"):  # a bucket; either version of the listing
            self._xml("ListBucketResult", self._listing(query.get("prefix", "")))
        elif (stored := OBJECTS.get(self.path_only)) is None:
            self._refuse(404, "NoSuchKey")
        elif stored.body is None and self.command == "GET":
            self._refuse(405, "MethodNotAllowed")
        else:
            length = {"Content_Length": str(stored.size)}
            facts = {"ETag": stored.etag, "Last_Modified": _DATE, **stored.headers, **length}
            self.answer(200, stored.body or b"", **facts)

    do_HEAD = do_GET

    def _listing(self, prefix: str) -> str:
        start = self.path_only.rstrip("/") + "/"
        with LOCK:
            objects = sorted(OBJECTS.items())
        found = ((key.removeprefix(start), stored) for key, stored in objects if key.startswith(start))
        rows = (
            f"<Contents><Key>{escape(key)}</Key><Size>{stored.size}</Size><ETag>{escape(stored.etag)}</ETag>"
            "<LastModified>2026-11-21T00:00:00Z</LastModified></Contents>"
            for key, stored in found
            if key.startswith(prefix)
        )
        return "<IsTruncated>false</IsTruncated>" + "".join(rows)

    def _begun(self, prefix: str) -> str:
        start = f"{self.path_only.rstrip('/')}/"
        rows = (
            f"<Upload><Key>{escape(begun.key.removeprefix(start))}</Key><UploadId>{identity}</UploadId></Upload>"
            for identity, begun in list(UPLOADS.items())
            if begun.key.startswith(start + prefix)
        )
        return "<IsTruncated>false</IsTruncated>" + "".join(rows)

    def _store(self, stored: Stored, *, answer: bool = True) -> bool:
        """False, and 412, where the condition of the request does not hold."""
        with LOCK:
            if self.headers.get("If-None-Match") == "*" and self.path_only in OBJECTS:
                self._refuse(412, "PreconditionFailed")
                return False
            OBJECTS[self.path_only] = stored
        if answer:
            self.answer(200, ETag=stored.etag)
        return True

    def _said(self) -> dict[str, str]:
        names = [n for n in self.headers if re.fullmatch("x-amz-(meta-.*|checksum-(crc32|type))", n.lower())]
        return {name.replace("-", "_"): self.headers[name] for name in names}

    def _dropped(self) -> tuple[int, bytes | None]:
        """Size of the body, and the body where it is short."""
        length = int(self.headers.get("Content-Length", "0"))
        size = int(self.headers.get("x-amz-decoded-content-length", length))
        if length <= KEPT:
            return size, self.rfile.read(length)
        buffer = memoryview(bytearray(KEPT))
        while length:
            length -= self.rfile.readinto(buffer[: min(length, KEPT)]) or length
        return size, None

    def _xml(self, name: str, inner: str) -> None:
        namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{namespace}">{inner}</{name}>'
        self.answer(200, body.encode(), Content_Type="application/xml")

    def _refuse(self, status: int, code: str) -> None:
        self.answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())


if __name__ == "__main__":
    serve({"s3": Server(("127.0.0.1", 0), Sink)})
