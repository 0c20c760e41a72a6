# SPDX-License-Identifier: Apache-2.0
"""The delta port in memory: what two files have in common at both ends is left out, the rest travels as it is.

A test chooses the encoders, spoils what is made, or makes the next call fail; ``made`` and ``rebuilt`` say what was asked.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field

from tests.simulators.objects_memory import MemoryObjects
from waybill.domain.deltas import Encoder
from waybill.errors import ConflictError, FormatError, UnavailableError, WaybillError
from waybill.formats.layout import blob_key, delta_key
from waybill.ports import ObjectStore, StoredFile, Watch

ENCODERS = (Encoder(name="zlib:6:8", sha256="6" * 64), Encoder(name="zlib:9:8", sha256="9" * 64))


@dataclass(slots=True, kw_only=True)
class MemoryDeltas:
    """Deltas over one memory store. ``refusals`` are raised once each, the oldest first."""

    objects: ObjectStore = field(default_factory=MemoryObjects)
    running: tuple[Encoder, ...] = ENCODERS
    refusals: list[WaybillError] = field(default_factory=list)
    made: list[tuple[str, str, tuple[Encoder, ...]]] = field(default_factory=list)
    rebuilt: list[tuple[str, str]] = field(default_factory=list)

    def encoders(self) -> tuple[Encoder, ...]:
        """The chosen ones."""
        return self.running

    def make(self, base: StoredFile, new: StoredFile, *, encoders: Collection[Encoder], most_bytes: int, watch: Watch) -> StoredFile:
        """A head, a line feed, and the middle of ``new``."""
        self._refuse(watch)
        self.made.append((base.sha256, new.sha256, tuple(encoders)))
        old, fresh = self._blob(base), self._blob(new)
        start = _common(old, fresh)
        end = min(_common(old[::-1], fresh[::-1]), min(len(old), len(fresh)) - start)
        head = {"base": base.sha256, "new": new.sha256, "start": start, "end": end}
        data = json.dumps(head).encode() + b"\n" + fresh[start : len(fresh) - end]
        made = StoredFile(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        if made.size_bytes <= most_bytes:
            self.objects.write(delta_key(made.sha256), [data])
        watch.on_bytes(new.size_bytes)
        return made

    def rebuild(self, base: StoredFile, delta: StoredFile, result: StoredFile, *, watch: Watch) -> None:
        """The head's ends of ``base`` around the rest of the delta."""
        self._refuse(watch)
        self.rebuilt.append((base.sha256, result.sha256))
        told = b"".join(self.objects.read(delta_key(delta.sha256)))
        line, _, middle = told.partition(b"\n")
        try:
            head = json.loads(line)
        except ValueError:
            raise FormatError("delta.malformed", "the delta cannot be read") from None
        old = self._blob(base)
        if head["base"] != base.sha256:
            raise FormatError("delta.base_mismatch", "the delta was made for another base")
        data = old[: head["start"]] + middle + old[len(old) - head["end"] :]
        if hashlib.sha256(data).hexdigest() != result.sha256:
            raise FormatError("delta.result_mismatch", "the rebuilt file is another one")
        self.objects.write(blob_key(result.sha256), [data])
        watch.on_bytes(len(data))

    def _refuse(self, watch: Watch) -> None:
        if watch.is_cancelled():
            raise UnavailableError("transfer.interrupted", "cancelled")
        if self.refusals:
            raise self.refusals.pop(0)

    def _blob(self, file: StoredFile) -> bytes:
        data = b"".join(self.objects.read(blob_key(file.sha256)))
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise ConflictError("package.hash_mismatch", "the object is not what its name says", field=file.sha256)
        return data


def _common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    return next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), min(len(one), len(other)))
