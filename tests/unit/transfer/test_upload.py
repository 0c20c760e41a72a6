# SPDX-License-Identifier: Apache-2.0
"""Sending a blob to granted part URLs: only what is missing, with fresh URLs when they lapse or when the upload vanished."""

import hashlib
import secrets
from dataclasses import dataclass

import pytest

from tests.simulators.objects_memory import MemoryObjects
from tests.simulators.peer_memory import MemoryPeer
from tests.unit.transfer.ports import make_ports
from waybill.app.transfer import Moved, upload_blob
from waybill.errors import NotFoundError, UnavailableError
from waybill.formats.layout import blob_key, part_ranges
from waybill.ports import PartGrant

_PART = 1000
_SIZE = 20 * _PART + 7


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What the receiving side of these tests grants."""

    have: bool
    part_size_bytes: int
    parts: tuple[PartGrant, ...]
    confirmed: tuple[int, ...]


class Receiver:
    """The other side: it grants the missing parts, ``batch`` at a time, and knows what arrived."""

    def __init__(self, *, batch: int = 10_000, size: int = _SIZE) -> None:
        self.data = secrets.token_bytes(size)
        self.key = blob_key(hashlib.sha256(self.data).hexdigest())
        self.here = MemoryObjects(name="here")
        self.here.write(self.key, [self.data])
        self.there = MemoryObjects(name="there")
        self.peer = MemoryPeer(stores=[self.there], piece_bytes=100)
        self.ports = make_ports(objects=self.here, peer=self.peer)
        self.multipart_id = self.there.begin_multipart(self.key)
        self.batch = batch
        self.offers = 0
        self.seconds = 3600
        self.cancelled = False
        self.heard: list[int] = []

    def offer(self) -> Offer:
        """A fresh offer; an upload that vanished is begun anew."""
        self.offers += 1
        try:
            confirmed = tuple(self.there.confirmed_parts(self.key, self.multipart_id))
        except NotFoundError:
            confirmed, self.multipart_id = (), self.there.begin_multipart(self.key)
        missing = [part for part in part_ranges(len(self.data), part_size=_PART) if part.number not in confirmed]
        grants = tuple(
            PartGrant(
                number=part.number,
                offset=part.offset,
                size_bytes=part.size_bytes,
                url=self.there.grant_part(self.key, self.multipart_id, part.number, seconds=self.seconds),
            )
            for part in missing[: self.batch]
        )
        return Offer(have=self.key in self.there.stored, part_size_bytes=_PART, parts=grants, confirmed=confirmed)

    def upload(self, offer: Offer | None = None) -> Moved:
        """One call, as an activity makes it."""
        return upload_blob(
            self.ports,
            key=self.key,
            size_bytes=len(self.data),
            offer=offer or self.offer(),
            renew=self.offer,
            ca_pem="",
            on_bytes=self.heard.append,
            is_cancelled=lambda: self.cancelled,
        )

    def complete(self) -> bytes:
        """The object as the other side would have it."""
        self.there.complete_multipart(self.key, self.multipart_id)
        return self.there.stored[self.key]


@pytest.mark.parametrize("size", [0, 1, _PART, _SIZE])
def test_every_part_arrives(size: int) -> None:
    """A blob of any size lies at the other side, byte for byte, after one offer."""
    receiver = Receiver(size=size)
    moved = receiver.upload()
    assert (moved.bytes_moved, moved.bytes_resumed) == (size, 0)
    assert receiver.complete() == receiver.data
    assert receiver.offers == 1
    assert receiver.heard[-1] == size


def test_an_offer_in_batches_is_asked_for_again() -> None:
    """When only some of the parts are granted at a time, further offers bring the others."""
    receiver = Receiver(batch=6)
    assert receiver.upload().bytes_moved == _SIZE
    assert receiver.complete() == receiver.data
    assert receiver.offers == 4


def test_a_broken_upload_resumes_with_the_rest() -> None:
    """The second call sends only the parts that the other side has not confirmed."""
    receiver = Receiver()

    def break_line(total: int) -> None:
        if total >= _SIZE // 2:
            raise UnavailableError("peer.unavailable", "cut")

    receiver.peer.on_piece = break_line
    with pytest.raises(UnavailableError):
        receiver.upload()
    confirmed = sum(receiver.there.confirmed_parts(receiver.key, receiver.multipart_id).values())
    assert confirmed >= 6 * _PART
    receiver.peer.on_piece = lambda _total: None
    before = receiver.peer.bytes_put
    moved = receiver.upload()
    assert moved.bytes_moved == _SIZE - confirmed == receiver.peer.bytes_put - before
    assert moved.bytes_resumed == confirmed
    assert receiver.complete() == receiver.data


def test_lapsed_urls_are_renewed() -> None:
    """URLs that lapsed on the way are replaced by fresh ones; when those are refused as well the call is interrupted."""
    receiver = Receiver()
    receiver.seconds = 0
    stale = receiver.offer()
    with pytest.raises(UnavailableError) as caught:
        receiver.upload(stale)
    assert caught.value.code == "transfer.interrupted"
    receiver.seconds = 3600
    assert receiver.upload(stale).bytes_moved == _SIZE
    assert receiver.complete() == receiver.data


def test_an_upload_that_vanished_there_is_sent_again() -> None:
    """When the other side swept the upload, a fresh offer starts it anew."""
    receiver = Receiver()
    offer = receiver.offer()
    receiver.there.abort_multipart(receiver.key, receiver.multipart_id)
    receiver.upload(offer)
    assert receiver.complete() == receiver.data


def test_nothing_is_sent_to_who_has_it() -> None:
    """An offer that says it is there already moves nothing."""
    receiver = Receiver()
    receiver.there.stored[receiver.key] = receiver.data
    assert receiver.upload().bytes_moved == 0
    assert receiver.peer.bytes_put == 0


def test_cancel_stops() -> None:
    """A cancelled upload stops within a moment and says so."""
    receiver = Receiver()
    receiver.cancelled = True
    with pytest.raises(UnavailableError) as caught:
        receiver.upload()
    assert caught.value.code == "transfer.interrupted"


def test_what_is_not_here_cannot_be_sent() -> None:
    """Without the object there is nothing to offer parts of."""
    receiver = Receiver()
    receiver.here.delete(receiver.key)
    with pytest.raises(NotFoundError):
        receiver.upload()
