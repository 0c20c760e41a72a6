# SPDX-License-Identifier: Apache-2.0
"""One suite for the object store port: in memory, and on the real S3 server with and without TLS."""

import hashlib
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx2
import pytest

from adapters.objects_s3 import S3Objects, S3Settings
from adapters.tls import client_context
from tests.servers import S3Server, free_port, throw_away_tls
from tests.simulators.objects_memory import MemoryObjects
from tests.simulators.peer_memory import MemoryPeer
from waybill.errors import ConflictError, NotFoundError, PolicyError, UnavailableError, WaybillError
from waybill.ports import ObjectStore

_PART = 5 * 1024 * 1024
_KEY = "blobs/sha256/ab/" + "ab" * 32


class Store:
    """One store under test, and a stranger who holds nothing but granted URLs."""

    def __init__(self, objects: ObjectStore, *, server: S3Server | None) -> None:
        self.objects = objects
        self.server = server
        self._memory = MemoryPeer(stores=[objects]) if isinstance(objects, MemoryObjects) else None
        verify = client_context(server.ca_pem) if server is not None and server.ca_pem is not None else False
        self.web = httpx2.Client(verify=verify, trust_env=False)

    def get(self, url: str, start: int, end: int) -> bytes | None:
        """The bytes of the URL, or None when it is refused."""
        try:
            if self._memory is not None:
                return b"".join(self._memory.get_range(url, ca_pem="", start=start, end=end))
        except PolicyError:
            return None
        answer = self.web.get(url, headers={"range": f"bytes={start}-{end - 1}"})
        return answer.content if answer.is_success else None

    def put(self, url: str, data: bytes) -> bool:
        """Whether the part was taken."""
        try:
            if self._memory is not None:
                self._memory.put_part(url, ca_pem="", pieces=[data], size_bytes=len(data))
                return True
        except PolicyError:
            return False
        return self.web.put(url, content=data).is_success


@pytest.fixture(params=["memory", "versitygw", "versitygw-tls"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    server: S3Server | None = None
    objects: ObjectStore = MemoryObjects()
    if request.param != "memory":
        server = request.getfixturevalue("s3_server" if request.param == "versitygw" else "s3_server_tls")
        objects = server.objects(bucket=f"test-{secrets.token_hex(6)}")
    made = Store(objects, server=server)
    yield made
    made.web.close()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024, 17 * 1024 * 1024 + 3], ids=["empty", "byte", "one-part", "parts"])
def test_what_was_written_is_read(store: Store, size: int) -> None:
    """A stream of any length comes back byte for byte, with its digest, and progress ends at its size."""
    data = secrets.token_bytes(size)
    heard: list[int] = []
    pieces = (data[offset : offset + 700_001] for offset in range(0, size, 700_001))
    assert store.objects.write(_KEY, pieces, on_bytes=heard.append) == (_digest(data), size)
    assert store.objects.exists(_KEY) == size
    read = list(store.objects.read(_KEY))
    assert b"".join(read) == data
    assert max(map(len, read), default=0) <= 1024 * 1024
    assert store.objects.hash(_KEY, on_bytes=heard.append) == (_digest(data), size)
    assert not size or heard[-1] == size


@pytest.mark.parametrize(("start", "end"), [(0, 1), (5, 5), (7, 900_000), (1_500_000, 3_000_000), (2_999_999, 3_000_000), (42, None)])
def test_ranges_are_exact(store: Store, start: int, end: int | None) -> None:
    """A range gives exactly the bytes from start up to, and without, end."""
    data = secrets.token_bytes(3_000_000)
    store.objects.write(_KEY, [data])
    assert b"".join(store.objects.read(_KEY, start=start, end=end)) == data[start:end]


@pytest.mark.parametrize(("start", "end"), [(50, 101), (100, 101), (200, 300), (200, None)])
def test_a_range_past_the_end_is_an_error(store: Store, start: int, end: int | None) -> None:
    """A store that hands out fewer bytes than asked for is not believed."""
    store.objects.write(_KEY, [bytes(100)])
    with pytest.raises(UnavailableError) as caught:
        list(store.objects.read(_KEY, start=start, end=end))
    assert caught.value.code == "store.integrity"


def test_absent_things_are_absent(store: Store) -> None:
    """Reading what is not there says so; deleting and aborting it is no error."""
    assert store.objects.exists(_KEY) is None
    for attempt in (
        lambda: list(store.objects.read(_KEY)),
        lambda: store.objects.hash(_KEY),
        lambda: store.objects.confirmed_parts(_KEY, "no-such-upload"),
        lambda: store.objects.put_part(_KEY, "no-such-upload", 1, b"x"),
        lambda: store.objects.complete_multipart(_KEY, "no-such-upload"),
    ):
        with pytest.raises(NotFoundError) as caught:
            attempt()
        assert caught.value.code == "record.absent"
    store.objects.delete(_KEY)
    store.objects.abort_multipart(_KEY, "no-such-upload")
    store.objects.check()


def test_an_existing_object_is_kept(store: Store) -> None:
    """A second writer of a key changes nothing and is told the digest of what it sent."""
    store.objects.write(_KEY, [b"first"])
    assert store.objects.write(_KEY, [b"second"]) == (_digest(b"second"), 6)
    large = [bytes(6 * 1024 * 1024)] * 3
    store.objects.write(_KEY, large)
    upload = store.objects.begin_multipart(_KEY)
    store.objects.put_part(_KEY, upload, 1, b"third")
    store.objects.complete_multipart(_KEY, upload)
    assert b"".join(store.objects.read(_KEY)) == b"first"
    assert not store.objects.stale_multiparts(older_than=datetime.now(UTC) + timedelta(hours=1))


def test_a_broken_stream_leaves_nothing(store: Store) -> None:
    """When the source of a write breaks off, there is neither an object nor an open upload, and the error is the source's own."""

    def breaking() -> Iterator[bytes]:
        yield from [bytes(6 * 1024 * 1024)] * 3
        raise ConflictError("package.size_exceeded", "too much")

    with pytest.raises(ConflictError):
        store.objects.write(_KEY, breaking())
    assert store.objects.exists(_KEY) is None
    assert not store.objects.stale_multiparts(older_than=datetime.now(UTC) + timedelta(hours=1))


def test_a_multipart_upload_resumes_from_what_the_store_lists(store: Store) -> None:
    """Parts put in any order, one of them twice, are listed with their sizes and joined by number; completing again is no error."""
    parts = {number: secrets.token_bytes(_PART) for number in (1, 2)} | {3: b"end"}
    upload = store.objects.begin_multipart(_KEY)
    store.objects.put_part(_KEY, upload, 3, parts[3])
    store.objects.put_part(_KEY, upload, 1, bytes(_PART))
    assert store.objects.confirmed_parts(_KEY, upload) == {1: _PART, 3: 3}
    store.objects.put_part(_KEY, upload, 1, parts[1])
    store.objects.put_part(_KEY, upload, 2, parts[2])
    store.objects.complete_multipart(_KEY, upload)
    store.objects.complete_multipart(_KEY, upload)
    assert store.objects.hash(_KEY) == (_digest(b"".join(parts.values())), 2 * _PART + 3)


def test_more_parts_than_a_page_are_listed(store: Store) -> None:
    """ListParts is read to its last page."""
    upload = store.objects.begin_multipart(_KEY)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.objects.put_part(_KEY, upload, number, b"x"), range(1, 1004)))
    assert store.objects.confirmed_parts(_KEY, upload) == dict.fromkeys(range(1, 1004), 1)
    store.objects.abort_multipart(_KEY, upload)


def test_an_upload_without_parts_cannot_be_completed(store: Store) -> None:
    """Completion of nothing is refused, and an empty file is one empty part."""
    upload = store.objects.begin_multipart(_KEY)
    with pytest.raises(ConflictError) as caught:
        store.objects.complete_multipart(_KEY, upload)
    assert caught.value.code == "upload.incomplete"
    store.objects.put_part(_KEY, upload, 1, b"")
    store.objects.complete_multipart(_KEY, upload)
    assert store.objects.exists(_KEY) == 0


def test_eight_writers_of_one_object(store: Store) -> None:
    """Eight uploads of the same bytes completed at once: one object, right bytes, no upload left."""
    data = secrets.token_bytes(_PART)

    def write() -> None:
        upload = store.objects.begin_multipart(_KEY)
        store.objects.put_part(_KEY, upload, 1, data)
        store.objects.put_part(_KEY, upload, 2, b"end")
        store.objects.complete_multipart(_KEY, upload)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(write) for _ in range(8)]:
            future.result()
    assert store.objects.hash(_KEY) == (_digest(data + b"end"), _PART + 3)
    assert not store.objects.stale_multiparts(older_than=datetime.now(UTC) + timedelta(hours=1))


def test_grants_allow_exactly_one_thing(store: Store) -> None:
    """A granted URL reads ranges of its object or puts its part; it does not do the other's work."""
    data = secrets.token_bytes(100_000)
    store.objects.write(_KEY, [data])
    read = store.objects.grant_get(_KEY, seconds=60)
    assert store.get(read, 0, 100_000) == data
    assert store.get(read, 10, 20) == data[10:20]
    assert store.get(read, 99_990, 200_000) == data[99_990:]
    assert not store.put(read, b"x")
    upload = store.objects.begin_multipart(_KEY + "0")
    put = store.objects.grant_part(_KEY + "0", upload, 2, seconds=60)
    assert store.put(put, b"second part")
    assert store.get(put, 0, 5) is None
    assert store.objects.confirmed_parts(_KEY + "0", upload) == {2: 11}
    store.objects.abort_multipart(_KEY + "0", upload)


def test_grants_lapse(store: Store) -> None:
    """After its seconds a URL is refused, for reading and for putting."""
    store.objects.write(_KEY, [b"data"])
    upload = store.objects.begin_multipart(_KEY + "0")
    read = store.objects.grant_get(_KEY, seconds=1)
    put = store.objects.grant_part(_KEY + "0", upload, 1, seconds=1)
    deadline = time.monotonic() + 10
    while store.get(read, 0, 4) is not None or store.put(put, b"x"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    store.objects.abort_multipart(_KEY + "0", upload)


def test_stale_uploads_are_found(store: Store) -> None:
    """Uploads begun before a time are named with their keys, and only those."""
    uploads = {(f"key/{number % 2}", store.objects.begin_multipart(f"key/{number % 2}")) for number in range(5)}
    assert set(store.objects.stale_multiparts(older_than=datetime.now(UTC) + timedelta(hours=1))) == uploads
    assert not store.objects.stale_multiparts(older_than=datetime.now(UTC) - timedelta(hours=1))
    for key, upload in uploads:
        store.objects.abort_multipart(key, upload)


def test_stale_uploads_over_pages(s3_server: S3Server) -> None:
    """Every page is read, also where a page ends between two uploads of one key."""
    objects = s3_server.objects(bucket=f"test-{secrets.token_hex(6)}")
    uploads = sorted((f"key/{number % 3}", objects.begin_multipart(f"key/{number % 3}")) for number in range(9))
    for page_size in (1, 2, 4, 9):
        found = sorted(objects.stale_multiparts(older_than=datetime.now(UTC) + timedelta(hours=1), page_size=page_size))
        assert found == uploads
    assert all(before < after for before, after in pairwise(uploads))


def test_a_granted_download_has_its_filename(s3_server: S3Server) -> None:
    """A browser saves the object under the given name, whatever letters are in it; nothing breaks out of the header."""
    objects = s3_server.objects(bucket=f"test-{secrets.token_hex(6)}")
    objects.write(_KEY, [b"data"])
    url = objects.grant_get(_KEY, seconds=60, filename='Wärme "2"\r\nx: y.zip')
    with httpx2.Client(trust_env=False) as web:
        disposition = web.get(url).headers["content-disposition"]
    assert disposition.startswith("attachment; filename=\"W_rme _2___x: y.zip\"; filename*=UTF-8''W%C3%A4rme")


def test_trouble_with_the_store_is_ours(s3_server: S3Server, s3_server_tls: S3Server) -> None:
    """No server, a missing bucket, wrong credentials and a foreign certificate are store.unavailable, and no secret is in the text."""
    stranger, _ = throw_away_tls()
    strange_file = s3_server_tls.directory.parent / "stranger.pem"
    strange_file.write_text(stranger.certificate_pem)
    good = s3_server.settings(bucket="absent-bucket")

    def settings(endpoint: str, secret_key: str, ca_file: str | None) -> S3Settings:
        return S3Settings(endpoint=endpoint, access_key=good.access_key, secret_key=secret_key, bucket="absent-bucket", ca_file=ca_file)

    for broken in (
        settings(f"http://127.0.0.1:{free_port()}", good.secret_key, None),
        settings(good.endpoint, "wrong", None),
        settings(s3_server_tls.endpoint, s3_server_tls.secret_key, str(strange_file)),
        good,
    ):
        assert good.secret_key not in repr(broken)
        objects = S3Objects(broken)
        for attempt in (objects.check, lambda objects=objects: objects.begin_multipart(_KEY)):
            with pytest.raises(WaybillError) as caught:
                attempt()
            assert caught.value.code == "store.unavailable"
            assert good.secret_key not in str(caught.value)
