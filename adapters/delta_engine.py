# SPDX-License-Identifier: Apache-2.0
"""The delta port on the engine of ``waybill.delta``: blobs come from the store onto scratch room, and only proven results go back into it.

Scratch files have no names, so that nothing of them outlives the process, however it ends. One delta is made and one is used at a time in one
process: each may take all the memory that the engine allows itself. The engine's modules are large and are imported only by who computes.
"""

import contextlib
import hashlib
import re
import tempfile
import threading
from collections.abc import Collection, Iterator
from dataclasses import replace
from io import BufferedRandom
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapters import log
from waybill.domain.deltas import Encoder
from waybill.errors import ConflictError, FormatError, UnavailableError, WaybillError
from waybill.formats.layout import blob_key, delta_key
from waybill.ports import ObjectStore, StoredFile, Watch

if TYPE_CHECKING:
    from adapters.delta_files import FileReader
    from waybill.delta.encoders import EncoderId

_PIECE_BYTES: Final = 1024 * 1024
_WAIT_SECONDS: Final = 0.2
_SLOW_TO_PROVE: Final = re.compile(r"(xz|zstd|zstd-program|bzip2|lzma):(\d+)(e?)(:|$)")
_USUAL: Final = {"xz": ("6", "9"), "zstd": ("1", "3", "19"), "zstd-program": ("3", "19"), "bzip2": ("9",), "lzma": ("6", "9")}
"""Levels that package tools use by default. To prove the others takes longer than their rare streams are worth."""


class ScratchDeltas:
    """The delta port over one object store. Threads may share it.

    Args:
        scratch: a directory of this process's user with room for the opened content of two packages; made when it is not there.
    """

    def __init__(self, objects: ObjectStore, scratch: Path) -> None:
        self._objects = objects
        self._scratch = scratch
        self._making, self._rebuilding = threading.Lock(), threading.Lock()

    def encoders(self) -> tuple[Encoder, ...]:
        """The usual encoders of this machine. Seconds of computing at the first call."""
        from adapters.delta_processes import DeltaProcesses
        from waybill.delta.encoders import identity_of

        with DeltaProcesses() as processes:
            return tuple(_shown(identity_of(one)) for one in processes.encoders if _is_usual(one.name))

    def make(self, base: StoredFile, new: StoredFile, *, encoders: Collection[Encoder], most_bytes: int, watch: Watch) -> StoredFile:
        """See ``waybill.ports.DeltaEngine``."""
        from adapters.delta_files import FileReader, workshop
        from waybill.delta.encoders import EncoderSet
        from waybill.delta.make import make

        with _turn(self._making, watch), self._files(3) as (old, fresh, out):
            for file, stored in ((old, base), (fresh, new)):
                self._fetch(file, blob_key(stored.sha256), stored, watch)
            refused: set[str] = set()
            while True:
                _empty(out)
                shown = {one.name for one in encoders} - refused
                ear = _Ear(watch)
                with _own_mistakes(ear), workshop(self._scratch, progress=ear) as tools:
                    usable = replace(tools, encoders=EncoderSet(one for one in tools.encoders if one.name in shown))
                    made = make(FileReader(old), FileReader(fresh), _Sink(out), tools=usable)
                other = {one.name for one in made.encoders if _shown(one) not in encoders}
                if not other:
                    break
                refused |= other  # the same name, but other bytes at the receiver: made again without it
            delta = _named(out)
            if delta.size_bytes <= most_bytes:
                self._objects.write(delta_key(delta.sha256), _pieces(out, watch))
            return delta

    def rebuild(self, base: StoredFile, delta: StoredFile, result: StoredFile, *, watch: Watch) -> None:
        """See ``waybill.ports.DeltaEngine``."""
        from adapters.delta_files import FileReader, workshop
        from waybill.delta.apply import apply

        with _turn(self._rebuilding, watch), self._files(3) as (old, told, out):
            self._fetch(told, delta_key(delta.sha256), delta, watch)
            _check_head(FileReader(told), base, result)
            try:
                self._fetch(old, blob_key(base.sha256), base, watch)
            except ConflictError as error:
                raise FormatError("delta.base_mismatch", "the base in the store is not what its name says", found=error.found) from error
            ear = _Ear(watch)
            with _own_mistakes(ear), workshop(self._scratch, progress=ear) as tools:
                digest = apply(FileReader(old), FileReader(told), _Sink(out), tools=tools)
            if digest.hex() != result.sha256:
                raise FormatError("delta.result_mismatch", "the delta makes another file", expected=result.sha256, found=digest.hex())
            self._objects.write(blob_key(result.sha256), _pieces(out, watch))

    def _fetch(self, file: BufferedRandom, key: str, stored: StoredFile, watch: Watch) -> None:
        """The object's bytes are in ``file``. Raises ConflictError package.hash_mismatch, when they are others."""
        digest, size = hashlib.sha256(), 0
        for piece in self._objects.read(key):
            size += len(piece)
            if size > stored.size_bytes:
                break
            digest.update(piece)
            with _own_faults():
                file.write(piece)
            _hear(watch, size)
        if (digest.hexdigest(), size) != (stored.sha256, stored.size_bytes):
            raise ConflictError(
                "package.hash_mismatch", "the object is not what its name says", expected=stored.sha256, found=digest.hexdigest()
            )
        with _own_faults():
            file.flush()

    @contextlib.contextmanager
    def _files(self, count: int) -> Iterator[tuple[BufferedRandom, ...]]:
        """Scratch files without a name, gone at the end."""
        with contextlib.ExitStack() as stack:
            with _own_faults():
                self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
                files = [stack.enter_context(tempfile.TemporaryFile(dir=self._scratch, prefix="delta-")) for _ in range(count)]
            # What the engine itself meets on the disk, it meets inside of this.
            with _own_faults():
                yield tuple(files)


class _Sink:
    """Takes what the engine makes."""

    def __init__(self, file: BufferedRandom) -> None:
        self._file = file

    def append(self, data: bytes) -> None:
        """The next bytes."""
        self._file.write(data)


def _is_usual(name: str) -> bool:
    found = _SLOW_TO_PROVE.match(name)
    return found is None or (found[2] in _USUAL[found[1]] and not found[3])


def _shown(one: "EncoderId") -> Encoder:
    """An encoder as an inventory names it (docs/formats/inventory-v1.md)."""
    return Encoder(name=one.name, sha256=hashlib.sha256(one.name.encode("ascii") + b"\0" + one.digest).hexdigest())


def _check_head(delta: "FileReader", base: StoredFile, result: StoredFile) -> None:
    """The delta says of itself that it leads from this base to this result: else nothing needs to be computed to refuse it."""
    from waybill.delta import reader
    from waybill.delta.limits import Limits

    head = reader.read(delta, Limits()).head
    if (head.base_sha256.hex(), head.base_size) != (base.sha256, base.size_bytes):
        raise FormatError("delta.base_mismatch", "the delta was made for another base", expected=base.sha256, found=head.base_sha256.hex())
    if (head.result_sha256.hex(), head.result_size) != (result.sha256, result.size_bytes):
        raise FormatError("delta.result_mismatch", "the delta makes another file", expected=result.sha256, found=head.result_sha256.hex())


@contextlib.contextmanager
def _turn(lock: threading.Lock, watch: Watch) -> Iterator[None]:
    """One at a time; who waits hears that it is cancelled."""
    while not lock.acquire(timeout=_WAIT_SECONDS):
        _hear(watch, 0)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _own_faults() -> Iterator[None]:
    """A full disk, and the like, is a fault of the engine here, never one of the bytes."""
    try:
        yield
    except OSError as error:
        raise UnavailableError("delta.tool_failed", "The scratch room failed", found=error.strerror or type(error).__name__) from error


class _Ear:
    """What the engine tells of its progress, and the error with which its listener ended it."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.ending: BaseException | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:  # noqa: ARG002 - a watch only hears how far it is
        """See ``waybill.delta.io.Progress``."""
        try:
            _hear(self._watch, done)
        except BaseException as error:
            self.ending = error
            raise


@contextlib.contextmanager
def _own_mistakes(ear: _Ear) -> Iterator[None]:
    """A mistake in the engine costs bytes: it is logged, and told as a tool that failed, so that the whole file crosses."""
    try:
        yield
    except (WaybillError, OSError):
        raise
    except Exception as error:
        if error is ear.ending:
            raise
        log.get_logger("delta").exception("delta.engine_failed")
        raise UnavailableError("delta.tool_failed", "The delta engine failed", found=type(error).__name__) from error


def _hear(watch: Watch, done: int) -> None:
    if watch.is_cancelled():
        raise UnavailableError("transfer.interrupted", "Cancelled while a delta was made or used")
    watch.on_bytes(done)


def _empty(file: BufferedRandom) -> None:
    file.seek(0)
    file.truncate()


def _named(file: BufferedRandom) -> StoredFile:
    file.flush()
    size = file.tell()
    file.seek(0)
    return StoredFile(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=size)


def _pieces(file: BufferedRandom, watch: Watch) -> Iterator[bytes]:
    file.seek(0)
    done = 0
    while piece := file.read(_PIECE_BYTES):
        yield piece
        done += len(piece)
        _hear(watch, done)
