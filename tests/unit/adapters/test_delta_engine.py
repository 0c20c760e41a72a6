# SPDX-License-Identifier: Apache-2.0
"""The delta port on the real engine, over a store in memory: made, used, refused, cancelled, and no scratch left."""

import hashlib
import io
import random
import zipfile
from pathlib import Path

import pytest

from adapters.delta_engine import ScratchDeltas
from tests.simulators.objects_memory import MemoryObjects
from waybill.domain.deltas import Encoder
from waybill.errors import ConflictError, FormatError, NotFoundError, UnavailableError, WaybillError
from waybill.formats.layout import blob_key, delta_key
from waybill.ports import StoredFile, Watch

MOST = 1 << 30


def package(*, changed: bool) -> bytes:
    """A zip of a few texts, one of which differs between the two versions."""
    words = random.Random(7)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            lines = [f"line {at} {words.randrange(10**9)}" for at in range(4000)]
            if changed and number == 2:
                lines[1000] = "a line of the new version"
            archive.writestr(zipfile.ZipInfo(f"file{number}.txt", date_time=(2026, 1, 1, 0, 0, 0)), "\n".join(lines), zipfile.ZIP_DEFLATED)
    return out.getvalue()


OLD, NEW = package(changed=False), package(changed=True)


class Store:
    """A store with both versions, and the port over it."""

    def __init__(self, scratch: Path) -> None:
        self.objects = MemoryObjects()
        self.scratch = scratch / "deltas"
        self.port = ScratchDeltas(self.objects, self.scratch)
        self.old, self.new = self.put(OLD), self.put(NEW)

    def put(self, data: bytes) -> StoredFile:
        """``data`` as a blob."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.objects.stored[blob_key(sha256)] = data
        return StoredFile(sha256=sha256, size_bytes=len(data))

    def put_delta(self, data: bytes) -> StoredFile:
        """``data`` where deltas lie."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.objects.stored[delta_key(sha256)] = data
        return StoredFile(sha256=sha256, size_bytes=len(data))

    def make(self, *, most_bytes: int = MOST, watch: Watch = Watch(), encoders: tuple[Encoder, ...] | None = None) -> StoredFile:
        """The delta between both."""
        shown = self.port.encoders() if encoders is None else encoders
        return self.port.make(self.old, self.new, encoders=shown, most_bytes=most_bytes, watch=watch)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """See ``Store``."""
    return Store(tmp_path)


def refusal(store: Store, delta: StoredFile, **changed: StoredFile) -> str:
    """The code with which the delta is refused; no blob of the result appeared, no scratch is left."""
    files = {"base": store.old, "delta": delta, "result": store.new} | changed
    store.objects.stored.pop(blob_key(files["result"].sha256), None)
    with pytest.raises(WaybillError) as caught:
        store.port.rebuild(files["base"], files["delta"], files["result"], watch=Watch())
    assert blob_key(files["result"].sha256) not in store.objects.stored
    assert list(store.scratch.iterdir()) == []
    return caught.value.code


def test_a_changed_zip_is_told_in_a_few_bytes_and_rebuilt(store: Store) -> None:
    """The delta is a fraction of the file, lies at its own key, and makes the very bytes; scratch is empty."""
    heard: list[int] = []
    delta = store.make(watch=Watch(on_bytes=heard.append))
    assert delta.size_bytes < len(NEW) / 50
    assert hashlib.sha256(store.objects.stored[delta_key(delta.sha256)]).hexdigest() == delta.sha256
    del store.objects.stored[blob_key(store.new.sha256)]
    store.port.rebuild(store.old, delta, store.new, watch=Watch(on_bytes=heard.append))
    assert store.objects.stored[blob_key(store.new.sha256)] == NEW
    assert list(store.scratch.iterdir()) == []
    assert max(heard) >= len(NEW)


def test_what_is_too_large_is_told_and_not_kept(store: Store) -> None:
    """Only its size is of interest."""
    delta = store.make(most_bytes=10)
    assert delta.size_bytes > 10
    assert delta_key(delta.sha256) not in store.objects.stored


def test_only_what_the_receiver_has_shown_is_relied_on(store: Store) -> None:
    """Without encoders, and with encoders of the same names but other bytes, the delta is larger and needs none."""
    usual = store.make()
    plain = store.make(encoders=())
    other = tuple(Encoder(name=one.name, sha256="0" * 64) for one in store.port.encoders())
    skewed = store.make(encoders=other)
    assert plain.size_bytes == skewed.size_bytes > usual.size_bytes
    del store.objects.stored[blob_key(store.new.sha256)]
    store.port.rebuild(store.old, skewed, store.new, watch=Watch())
    assert store.objects.stored[blob_key(store.new.sha256)] == NEW


def test_the_shown_encoders_fit_into_an_inventory(store: Store) -> None:
    """Their names are different, short, and the most usual ones are among them."""
    names = [one.name for one in store.port.encoders()]
    assert len(set(names)) == len(names)
    assert {"zlib:6:8", "zlib:9:8", "xz:6:mt", "zstd:19:mt"} <= set(names)
    assert "xz:9e:mt" not in names


def test_wrong_deltas_are_refused_with_codes(store: Store) -> None:
    """Another base, another result, damage, garbage: each has its code and leaves nothing."""
    delta = store.make()
    data = store.objects.stored[delta_key(delta.sha256)]
    stranger = store.put(b"some other file" * 100)
    assert refusal(store, delta, base=stranger) == "delta.base_mismatch"
    assert refusal(store, delta, result=stranger) == "delta.result_mismatch"
    assert refusal(store, store.put_delta(data[: len(data) // 2])) == "delta.malformed"
    assert refusal(store, store.put_delta(b"no delta at all")) == "delta.malformed"
    assert refusal(store, store.put_delta(data[:-3] + bytes(3))).startswith("delta.")


def test_objects_that_are_not_what_their_names_say(store: Store) -> None:
    """A base that rotted in the store, and a delta that is not the one announced."""
    delta = store.make()
    store.objects.stored[delta_key(delta.sha256)] += b"x"
    assert refusal(store, delta) == "package.hash_mismatch"
    delta = store.put_delta(store.objects.stored[delta_key(delta.sha256)][:-1])
    store.objects.stored[blob_key(store.old.sha256)] = OLD[:-1] + b"x"
    assert refusal(store, delta) == "delta.base_mismatch"
    with pytest.raises(ConflictError):
        store.make()
    del store.objects.stored[blob_key(store.old.sha256)]
    with pytest.raises(NotFoundError):
        store.make()


def test_work_ends_when_it_is_cancelled(store: Store) -> None:
    """Making and using both hear it, while they wait for their turn as well; scratch is gone."""
    cancelled = Watch(is_cancelled=lambda: True)
    with pytest.raises(UnavailableError) as caught:
        store.make(watch=cancelled)
    assert caught.value.code == "transfer.interrupted"
    delta = store.make()
    calls = iter([False, False, False, True])
    with pytest.raises(UnavailableError) as caught:
        store.port.rebuild(store.old, delta, store.new, watch=Watch(is_cancelled=lambda: next(calls, True)))
    assert caught.value.code == "transfer.interrupted"
    with store.port._making, pytest.raises(UnavailableError):
        store.make(watch=cancelled)
    assert list(store.scratch.iterdir()) == []


class LoudError(Exception):
    """What a listener raises."""


def test_what_the_listener_raises_comes_through_and_the_engines_own_mistakes_do_not(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat that ends the work ends it as itself; a fault in the engine is a tool that failed, so that the file crosses whole."""
    encoders = store.port.encoders()
    seen: list[int] = []

    def loud(done: int) -> None:
        seen.append(done)
        if len(seen) > 3:
            raise LoudError

    with pytest.raises(LoudError):
        store.make(watch=Watch(on_bytes=loud), encoders=encoders)
    monkeypatch.setattr("waybill.delta.make.make", lambda *_given, **_named: 1 / 0)
    with pytest.raises(UnavailableError) as caught:
        store.make(encoders=encoders)
    assert (caught.value.code, caught.value.found) == ("delta.tool_failed", "ZeroDivisionError")


def test_scratch_room_that_fails_is_told_as_such(store: Store, tmp_path: Path) -> None:
    """A scratch directory that cannot be made is no fault of the bytes."""
    (tmp_path / "file").write_bytes(b"")
    port = ScratchDeltas(store.objects, tmp_path / "file" / "deltas")
    with pytest.raises(UnavailableError) as caught:
        port.make(store.old, store.new, encoders=(), most_bytes=MOST, watch=Watch())
    assert caught.value.code == "delta.tool_failed"
    assert not isinstance(caught.value, FormatError)
