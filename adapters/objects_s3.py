# SPDX-License-Identifier: Apache-2.0
"""The object store on any S3 server, by boto3.

Refused: retries (Temporal retries the activity), signature version 2, and any comparison of an ETag: it is handed back to the
store where the protocol of multipart uploads wants it, and says nothing about content. SHA-256 of what was read is the only truth.
"""

import base64
import contextlib
import hashlib
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import boto3
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from waybill.errors import ConflictError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PIECE_BYTES: Final = 1024 * 1024
PART_BYTES: Final = 8 * 1024 * 1024
_PARTS_OF_ONE_SIZE: Final = 2_000
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchUpload", "404", "NotFound"})
_TAKEN: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
"""Somebody else's object is there (412) or is just being put there (409)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """How the store is reached.

    ``endpoint`` is used by this site, ``public_url`` stands in granted URLs (the same server seen from outside; default the same).
    ``ca_file``: path of the PEM authority of its TLS; None means the system's. ``secret_key`` is never printed.
    """

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    public_url: str | None = None
    ca_file: str | None = None
    region: str = "us-east-1"
    connections: int = 32

    def __repr__(self) -> str:
        return f"S3Settings(endpoint={self.endpoint!r}, bucket={self.bucket!r})"


class S3Objects:
    """The object store port on one bucket. Threads may share it."""

    def __init__(self, settings: S3Settings) -> None:
        self._bucket = settings.bucket
        self._client = _connect(settings, settings.endpoint)
        self._public = _connect(settings, settings.public_url or settings.endpoint)  # only signs, never connects

    def exists(self, key: str) -> int | None:
        """Size in bytes, or None."""
        try:
            with _translated(key):
                return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]
        except NotFoundError:
            return None

    def read(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes ``[start, end)``, to the end of the object without ``end``, in pieces of at most 1 MiB.

        Raises:
            NotFoundError: record.absent.
            UnavailableError: store.unavailable; store.integrity when the store hands out fewer bytes than it should.
        """
        if end is not None and end <= start:
            return
        if start == 0 and end is None:
            call = partial(self._client.get_object, Bucket=self._bucket, Key=key)
        else:
            call = partial(self._client.get_object, Bucket=self._bucket, Key=key, Range=f"bytes={start}-{'' if end is None else end - 1}")
        received = 0
        with _translated(key):
            answer = call()
            expected = answer["ContentLength"] if end is None else end - start
            with contextlib.closing(answer["Body"]) as body:
                while piece := body.read(PIECE_BYTES):
                    received += len(piece)
                    yield piece
        if received != expected:
            raise UnavailableError(
                "store.integrity", "The store handed out another number of bytes", field=key, expected=expected, found=received
            )

    def hash(self, key: str, *, on_bytes: Callable[[int], None] | None = None) -> tuple[str, int]:
        """SHA-256 and size of what a full read returns; ``on_bytes`` hears the total so far after each piece."""
        digest, size = hashlib.sha256(), 0
        for piece in self.read(key):
            digest.update(piece)
            size += len(piece)
            if on_bytes is not None:
                on_bytes(size)
        return digest.hexdigest(), size

    def write(self, key: str, pieces: Iterable[bytes], *, on_bytes: Callable[[int], None] | None = None) -> tuple[str, int]:
        """The stream stored as ``key``, unless that exists; returns SHA-256 and size of what was sent, whichever object was kept.

        An error in ``pieces`` leaves nothing behind. ``on_bytes`` hears the total stored so far.
        """
        counted = _Counted()
        parts = counted.cut(pieces)
        first = next(parts, b"")
        second = next(parts, None)
        if second is None:
            self._put_whole(key, first)
        else:
            self._write_parts(key, first=first, second=second, rest=parts, on_bytes=on_bytes)
        if on_bytes is not None:
            on_bytes(counted.size)
        return counted.digest.hexdigest(), counted.size

    def delete(self, key: str) -> None:
        """The key is gone, whether it was there or not."""
        with contextlib.suppress(NotFoundError), _translated(key):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def begin_multipart(self, key: str) -> str:
        """A multipart upload opened; returns its id."""
        with _translated(key):
            return self._client.create_multipart_upload(Bucket=self._bucket, Key=key)["UploadId"]

    def confirmed_parts(self, key: str, multipart_id: str) -> dict[int, int]:
        """Part number to size, as the store lists them now. Raises NotFoundError when the upload is gone."""
        return {number: size for number, size, _ in self._list_parts(key, multipart_id)}

    def put_part(self, key: str, multipart_id: str, number: int, data: bytes) -> None:
        """One part stored, over an earlier one of that number. Raises NotFoundError when the upload is gone."""
        with _translated(key):
            self._client.upload_part(
                Bucket=self._bucket, Key=key, UploadId=multipart_id, PartNumber=number, Body=data, ContentMD5=_content_md5(data)
            )

    def complete_multipart(self, key: str, multipart_id: str) -> None:
        """All confirmed parts joined into the object. An object that is already there is kept and the parts are dropped.

        Raises:
            NotFoundError: record.absent, when neither the upload nor the object exists.
            ConflictError: upload.incomplete, when no part was put.
        """
        try:
            parts: list[CompletedPartTypeDef] = [
                {"PartNumber": number, "ETag": etag} for number, _, etag in self._list_parts(key, multipart_id)
            ]
            if not parts:
                raise ConflictError("upload.incomplete", "No part of the upload has arrived", field=key)
            with _translated(key):
                self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=multipart_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
                )
        except _Taken:
            self._keep_existing(key)
            self.abort_multipart(key, multipart_id)
        except NotFoundError:
            if self.exists(key) is None:
                raise

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """The upload and its parts are gone, whether they were there or not."""
        with contextlib.suppress(NotFoundError), _translated(key):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=multipart_id)

    def grant_get(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        """A URL that reads this one object for ``seconds``; byte ranges allowed; a browser saves it as ``filename``."""
        disposition = {} if filename is None else {"ResponseContentDisposition": _disposition(filename)}
        return self._public.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key, **disposition}, ExpiresIn=seconds
        )

    def grant_part(self, key: str, multipart_id: str, number: int, *, seconds: int) -> str:
        """A URL that puts this one part for ``seconds``."""
        return self._public.generate_presigned_url(
            "upload_part",
            Params={"Bucket": self._bucket, "Key": key, "UploadId": multipart_id, "PartNumber": number},
            ExpiresIn=seconds,
        )

    def stale_multiparts(self, *, older_than: datetime, page_size: int = 1000) -> Sequence[tuple[str, str]]:
        """(key, upload id) of uploads begun before, over all pages.

        Pages go on behind a whole key, since versitygw 1.7 refuses the upload id marker that it gives when a key has several uploads.
        A key cut by a page is listed again by itself.
        """
        found: dict[tuple[str, str], datetime] = {}
        marker = ""
        with _translated("multipart uploads"):
            while True:
                page = self._client.list_multipart_uploads(Bucket=self._bucket, MaxUploads=page_size, KeyMarker=marker)
                uploads = list(page.get("Uploads", []))
                if page["IsTruncated"] and uploads:
                    marker = uploads[-1]["Key"]
                    same_key = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=marker)
                    uploads += [upload for upload in same_key.get("Uploads", []) if upload["Key"] == marker]
                found.update({(upload["Key"], upload["UploadId"]): upload["Initiated"] for upload in uploads})
                if not page["IsTruncated"] or not uploads:
                    return [upload for upload, initiated in found.items() if initiated < older_than]

    def check(self) -> None:
        """Nothing, when the bucket answers. Raises UnavailableError store.unavailable."""
        try:
            with _translated(self._bucket):
                self._client.head_bucket(Bucket=self._bucket)
        except NotFoundError as error:
            raise UnavailableError("store.unavailable", "The bucket does not exist", field=self._bucket) from error

    def ensure_bucket(self) -> None:
        """The bucket exists. Raises UnavailableError store.unavailable."""
        try:
            self.check()
        except UnavailableError:
            with _translated(self._bucket):
                try:
                    self._client.create_bucket(Bucket=self._bucket)
                except self._client.exceptions.BucketAlreadyOwnedByYou:
                    return

    def _list_parts(self, key: str, multipart_id: str) -> list[tuple[int, int, str]]:
        """Number, size and the tag that the store wants back at completion."""
        with _translated(key):
            pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=multipart_id)
            return [(part["PartNumber"], part["Size"], part["ETag"]) for page in pages for part in page.get("Parts", [])]

    def _put_whole(self, key: str, data: bytes) -> None:
        try:
            with _translated(key):
                self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentMD5=_content_md5(data), IfNoneMatch="*")
        except _Taken:
            self._keep_existing(key)

    def _write_parts(self, key: str, *, first: bytes, second: bytes, rest: Iterator[bytes], on_bytes: Callable[[int], None] | None) -> None:
        multipart_id = self.begin_multipart(key)
        try:
            stored, number = 0, 0
            for number, data in enumerate(_chain(first, second, rest), 1):
                self.put_part(key, multipart_id, number, data)
                stored += len(data)
                if on_bytes is not None:
                    on_bytes(stored)
            self.complete_multipart(key, multipart_id)
        except BaseException:
            with contextlib.suppress(UnavailableError):
                self.abort_multipart(key, multipart_id)
            raise

    def _keep_existing(self, key: str) -> None:
        """Nothing to do when the object is there; a 409 may also mean that the other writer has failed since."""
        if self.exists(key) is None:
            raise UnavailableError("store.unavailable", "Another writer of the same object was first and failed", field=key)


def _content_md5(data: bytes) -> str:
    """Without it a store may take a body that broke off, as when this process is killed, for the whole."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode("ascii")


class _Taken(Exception):  # noqa: N818 - a signal inside this module; it never leaves it
    """The store refused because the key is taken."""


class _Counted:
    """Cuts a stream into parts and hashes it on the way. Parts grow, so that any length stays below 10,000 of them."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.size = 0

    def cut(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        buffer, number = bytearray(), 1
        for piece in pieces:
            self.digest.update(piece)
            self.size += len(piece)
            buffer += piece
            while len(buffer) >= (part := PART_BYTES << (number // _PARTS_OF_ONE_SIZE)):
                yield bytes(buffer[:part])
                del buffer[:part]
                number += 1
        if buffer:
            yield bytes(buffer)


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _connect(settings: S3Settings, endpoint: str) -> "S3Client":
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        region_name=settings.region,
        verify=settings.ca_file,
        config=Config(
            signature_version="s3v4",
            retries={"total_max_attempts": 1},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=settings.connections,
            proxies={},  # never one that happens to stand in the environment
            # Content is proved by SHA-256 of a full re-read; a second digest of each part would only cost time.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path", "payload_signing_enabled": False},
        ),
    )


@contextlib.contextmanager
def _translated(key: str) -> Iterator[None]:
    """Strangers' errors become ours; no URL and no header gets into a text."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _TAKEN:
            raise _Taken from error
        if code in _ABSENT:
            raise NotFoundError("record.absent", "The object or upload is not in the store", field=key) from error
        if code in ("InvalidRange", "416"):
            raise UnavailableError("store.integrity", "The object ends before the range that was asked for", field=key) from error
        raise UnavailableError("store.unavailable", "The object store refused", field=key, found=code) from error
    except (BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError("store.unavailable", "The object store does not answer", field=key, found=type(error).__name__) from error


def _disposition(filename: str) -> str:
    plain = "".join(letter if letter.isascii() and letter.isprintable() and letter not in '"\\%;' else "_" for letter in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{urllib.parse.quote(filename, safe='')}"
