# SPDX-License-Identifier: Apache-2.0
"""Protocols for everything outside: the ledger, the object store, keys, the workflow engine, the peer, the clock.

Use cases take a ``Ports``. Adapters implement these; fakes for tests implement them too (tests/simulators).
Adapters wrap strangers' errors in ``waybill.errors`` and never retry: Temporal does.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from waybill.domain.access import AuditEntry
from waybill.domain.deltas import Encoder
from waybill.domain.ids import JsonValue
from waybill.domain.tasks import LogLine

SITE = ""
"""The ``space_id`` of a unit of work over what belongs to the site: Space, Account, ApiKey, Session, Blob, IdempotentAnswer."""


class Row(Protocol):
    """A frozen dataclass of ``waybill.domain`` with an ``id`` and a ``revision``."""

    @property
    def id(self) -> str: ...
    @property
    def revision(self) -> int: ...


R = TypeVar("R", bound=Row)
Scalar = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a list, and the cursor of the next one."""

    items: tuple[Any, ...]
    next_cursor: str | None


class Records(Protocol[R]):
    """The rows of one kind in one Space. Rows of another Space are absent, never forbidden."""

    def get(self, key: str) -> R:
        """The row ``key``. Raises NotFoundError record.absent."""

    def find(self, key: str) -> R | None:
        """The row ``key``, or None."""

    def first(self, **equals: Scalar) -> R | None:
        """The oldest row whose columns equal these, or None."""

    def where(self, *, newest_first: bool = False, limit: int | None = None, **equals: Scalar) -> Sequence[R]:
        """Rows whose columns equal these, ordered by id (time)."""

    def among(self, column: str, values: Iterable[str]) -> Sequence[R]:
        """Rows whose ``column`` is one of ``values``, ordered by id. One query."""

    def newest_by(self, *columns: str, **equals: Scalar) -> Sequence[R]:
        """The newest row (by id) of each combination of ``columns`` among the rows that equal these, ordered by id. One query."""

    def page(self, *, limit: int, cursor: str | None = None, newest_first: bool = True, **equals: Scalar) -> Page:
        """Up to ``limit`` (1 to 200) rows by keyset. Raises FormatError cursor.invalid."""

    def count(self, **equals: Scalar) -> int:
        """How many rows equal these."""

    def add(self, row: R) -> R:
        """``row`` stored. Raises ConflictError record.conflict (``field`` names it) when its id or a unique column is taken;
        NotFoundError record.absent when it belongs to a row that does not exist; FormatError request.invalid for text with U+0000."""

    def replace(self, row: R) -> R:
        """``row`` stored over the revision that it names; returns it with the next revision.
        Raises ConflictError record.stale, and all that ``add`` raises."""

    def remove(self, row: R) -> None:
        """The row deleted at exactly this revision. Raises ConflictError record.stale; record.in_use when other rows belong to it."""


class Work(Protocol):
    """A unit of work in one Space: all of it is committed, or none. Leaving the block with an error rolls back.

    A ``write`` is serialised against every other writer of the same rows, so read-then-write inside it is safe.
    Site-level kinds are within reach of every unit of work; a Space's rows only of its own.
    An error of ``add``, ``replace`` or ``remove`` leaves the unit usable. Writes do not nest, and end before the engine or a peer is called.
    """

    @property
    def space_id(self) -> str: ...

    def of(self, kind: type[R]) -> Records[R]:
        """The rows of ``kind``; each kind is a dataclass of ``waybill.domain``."""

    def audit(self, *, at: datetime, actor: str, action: str, subject: str, detail: str = "") -> AuditEntry:
        """One entry appended to the Space's hash-linked audit log."""

    def audit_checkpoint(self) -> tuple[int, str]:
        """Size and Merkle root of the Space's audit log as it stands, this unit's own entries included; O(log n)."""

    def audit_page(self, *, limit: int, cursor: str | None = None) -> Page:
        """Audit entries, newest first."""

    def audit_entries(self) -> Iterator[AuditEntry]:
        """All audit entries, oldest first, streamed."""

    def append_log(self, task_id: str, lines: Sequence[LogLine]) -> int:
        """Lines appended with the next sequence numbers (their own ``seq`` is ignored); returns the last number."""

    def read_log(self, task_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[LogLine]:
        """Lines with ``seq > after``, in order."""


class Ledger(Protocol):
    """The database of a site."""

    def read(self, space_id: str) -> AbstractContextManager[Work]:
        """A unit of work that only reads."""

    def write(self, space_id: str) -> AbstractContextManager[Work]:
        """A unit of work that may write."""

    def check(self) -> None:
        """Nothing, when the database answers and is at this program's revision. Raises UnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartGrant:
    """Permission to put one part, by a URL that lapses. ``number`` from 1; ``offset`` and ``size_bytes`` in the whole file."""

    number: int
    offset: int
    size_bytes: int
    url: str


class ObjectStore(Protocol):
    """Content-addressed bytes. Keys are ``waybill.formats.layout``'s; memory never grows with the size of an object."""

    def exists(self, key: str) -> int | None:
        """Size in bytes, or None."""

    def read(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes ``[start, end)`` in pieces of at most 1 MiB. Raises UnavailableError; NotFoundError record.absent."""

    def hash(self, key: str, *, on_bytes: Callable[[int], None] | None = None) -> tuple[str, int]:
        """SHA-256 and size of what a full read returns: the only truth about an object."""

    def write(self, key: str, pieces: Iterable[bytes], *, on_bytes: Callable[[int], None] | None = None) -> tuple[str, int]:
        """A whole object from a stream, by multipart above one part; returns SHA-256 and size of what was sent. Existing keys are kept."""

    def delete(self, key: str) -> None:
        """The key is gone, whether it was there or not."""

    def begin_multipart(self, key: str) -> str:
        """A multipart upload opened; returns its id."""

    def confirmed_parts(self, key: str, multipart_id: str) -> dict[int, int]:
        """Part number to size, as the store lists them. Raises NotFoundError when the upload is gone."""

    def put_part(self, key: str, multipart_id: str, number: int, data: bytes) -> None:
        """One part stored by this site itself."""

    def complete_multipart(self, key: str, multipart_id: str) -> None:
        """All confirmed parts joined into the object. An object that is already there is kept."""

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """The upload and its parts are gone."""

    def grant_get(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        """A URL that reads this one object for ``seconds``; byte ranges allowed."""

    def grant_part(self, key: str, multipart_id: str, number: int, *, seconds: int) -> str:
        """A URL that puts this one part for ``seconds``."""

    def stale_multiparts(self, *, older_than: datetime) -> Sequence[tuple[str, str]]:
        """(key, upload id) of uploads begun before."""

    def check(self) -> None:
        """Nothing, when the bucket answers. Raises UnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """Bytes of the object store by their digest: a blob, or where it is said a delta."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who follows long work. ``on_bytes`` hears how far its present stage is; True from ``is_cancelled`` ends it with transfer.interrupted."""

    on_bytes: Callable[[int], None] = lambda _done: None
    is_cancelled: Callable[[], bool] = lambda: False


class DeltaEngine(Protocol):
    """Deltas between blobs of this site's store, made and used on scratch room that is gone afterwards. Memory never grows with the size of a blob.

    For workers of the ``transfer`` role only: the work takes a processor for seconds to minutes.
    What it reads is hashed, whoever wrote it. UnavailableError delta.tool_failed: scratch room or a helper program failed here.
    """

    def encoders(self) -> tuple[Encoder, ...]:
        """What can make compressed streams again here, proven by its output, the most usual first. Seconds of computing at the first call."""

    def make(self, base: StoredFile, new: StoredFile, *, encoders: Collection[Encoder], most_bytes: int, watch: Watch) -> StoredFile:
        """The delta from ``base`` to ``new``, proven; it lies at ``layout.delta_key``, but for one above ``most_bytes``, whose size is only told.

        Args:
            encoders: those of the receiver; no other is relied on.
        Raises:
            ConflictError: package.hash_mismatch, when an object is not what its name says. NotFoundError: record.absent.
        """

    def rebuild(self, base: StoredFile, delta: StoredFile, result: StoredFile, *, watch: Watch) -> None:
        """``result`` lies at ``layout.blob_key``, with exactly its digest and size; nothing appears there before both were right.

        Args:
            delta: lies at ``layout.delta_key``; a stranger may have made it.
        Raises:
            FormatError: delta.malformed, delta.unsupported, delta.base_mismatch, delta.result_mismatch, delta.output_exceeded,
                delta.expansion_exceeded, delta.encoder_unavailable. NotFoundError: record.absent.
        """


class KeyStore(Protocol):
    """The key file (or KMS) outside the database: wraps what the database holds."""

    def wrap(self, plaintext: bytes, *, context: str) -> bytes:
        """``plaintext`` under the newest key, bound to ``context`` (``table|column|row id|space id``)."""

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        """The plaintext. Raises UnavailableError keystore.unavailable when the key is absent or the context is another."""


class Clock(Protocol):
    """Aware UTC time, whole seconds not required."""

    def now(self) -> datetime: ...


class Entropy(Protocol):
    """Randomness, a port so that vectors can be reproduced."""

    def take(self, size: int) -> bytes: ...


class Passwords(Protocol):
    """A slow password hash (argon2id)."""

    def hash(self, password: str) -> str:
        """A salted hash, with its parameters inside."""

    def matches(self, stored: str, password: str) -> bool:
        """True when ``password`` made ``stored``; takes as long when it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """One thing that happened or happens in a workflow. Times are ISO 8601 UTC; ``lane``: workflow, activity, timer, child, signal, update."""

    id: int
    lane: str
    name: str
    status: str
    started_at: str
    ended_at: str | None
    attempt: int
    summary: str | None
    failure: str | None


class Engine(Protocol):
    """The workflow engine. Starting is idempotent by ``workflow_id``: a running or finished one of that id is left alone."""

    def start(self, *, story: str, workflow_id: str, story_input: Mapping[str, JsonValue], summary: str) -> None:
        """The workflow runs. Raises UnavailableError engine.unavailable."""

    def signal(self, workflow_id: str, name: str, argument: object) -> bool:
        """The signal is delivered (True), or there is no such running workflow (False)."""

    def update(self, workflow_id: str, name: str, argument: object, *, update_id: str) -> str:
        """The workflow's answer. Raises a WaybillError with the validator's code; UnavailableError."""

    def cancel(self, workflow_id: str) -> bool:
        """Cancellation is requested (True), or there is nothing to cancel (False)."""

    def describe(self, workflow_id: str) -> str | None:
        """The workflow's current details in words, or None when it does not run."""

    def timeline(self, workflow_id: str) -> Sequence[TimelineRow]:
        """What happened in the workflow so far; empty when the engine no longer knows it."""

    def check(self) -> None:
        """Nothing, when the engine answers. Raises UnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAddress:
    """Where a peer's API listens and which certificate authority (PEM) its TLS must come from; both from its signed identity."""

    base_url: str
    ca_pem: str


class Peer(Protocol):
    """HTTPS to another site. Bodies are signed envelopes; verified TLS only; redirects refused; no shared password."""

    def post(self, address: PeerAddress, path: str, body: bytes, *, timeout_seconds: float = 30.0) -> bytes:
        """The answer's body. Raises UnavailableError peer.unavailable; a WaybillError with the peer's code when it refuses."""

    def get_range(self, url: str, *, ca_pem: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes ``[start, end)`` of a granted URL. Raises UnavailableError."""

    def put_part(self, url: str, *, ca_pem: str, pieces: Iterable[bytes], size_bytes: int, md5: bytes | None = None) -> None:
        """One part put to a granted URL; with ``md5`` the store keeps no other bytes. Raises UnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """What use cases may know of the installation. ``outbound_peers``: ``any`` or ``none``. Sizes in bytes."""

    name: str
    api_url: str | None
    objects_url: str | None
    ca_pem: str | None
    outbound_peers: str
    part_size_bytes: int = 8 * 1024 * 1024
    max_package_bytes: int = 50 * 1024**3
    courier_poll_seconds: float = 15.0
    version: str = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a use case may reach."""

    ledger: Ledger
    objects: ObjectStore
    deltas: DeltaEngine
    keys: KeyStore
    engine: Engine
    peer: Peer
    passwords: Passwords
    clock: Clock
    entropy: Entropy
    site: SiteFacts
