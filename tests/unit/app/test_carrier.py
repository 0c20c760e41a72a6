# SPDX-License-Identifier: Apache-2.0
"""Carrier files: what is refused whole, what is refused alone, and that nothing is lost or doubled."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.simulators.site import make_site
from tests.simulators.spaces import ACCEPT, make_home
from tests.unit.app.world import APP, World, bring_file, carry_file, deploy_all, events, make_world, told, upload_carrier
from waybill.app import carrier, receive
from waybill.app.access import SYSTEM
from waybill.domain.bundles import InboxBundle
from waybill.domain.ids import JsonValue
from waybill.domain.packages import Blob
from waybill.domain.tasks import Task, TaskState
from waybill.domain.trusts import OutboxMessage, Trust
from waybill.errors import ConflictError, NotFoundError, TrustError, WaybillError
from waybill.formats.layout import carrier_key


@pytest.fixture
def world() -> World:
    """Two Spaces joined by carriers only; a bundle of 1.0.0 waits on the outbox."""
    made = make_world()
    release = made.release()
    deploy_all(made.source, release, "Test")
    made.promote(release)
    return made


def write(world: World, *, repeat: bool = False) -> bytes:
    """The carrier file with everything that waits at the source."""
    ports, space_id = world.source.ports, world.source.space_id
    made, _ = carrier.start_export(ports, SYSTEM, space_id=space_id, trust=world.to_target.id, repeat=repeat)
    carrier.export(ports, space_id=space_id, carrier_id=made.id, on_bytes=lambda _total: None)
    return b"".join(world.source.site.objects.read(carrier_key(made.id)))


def blobs_in(summary: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What became of the blobs."""
    found = summary["blobs"]
    assert isinstance(found, dict)
    return found


def refused(world: World, data: bytes) -> str:
    """The code with which a file is refused whole; no bundle came of it."""
    with pytest.raises(WaybillError) as caught:
        bring_file(world.target, data)
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert work.of(InboxBundle).count() == 0
        newest = work.of(Task).where(kind="carrier_import", newest_first=True, limit=1)[0]
    assert (newest.state, newest.code) == (TaskState.REFUSED, caught.value.code)
    return caught.value.code


def test_an_export_hands_over_what_waited_and_repeats_only_when_asked(world: World) -> None:
    """Nothing waits afterwards; a lost medium is written again on demand."""
    first = write(world)
    with world.source.ports.ledger.read(world.source.space_id) as work:
        assert [row.state for row in work.of(OutboxMessage).where()] == ["handed_over"]
    with pytest.raises(NotFoundError):
        carrier.start_export(world.source.ports, SYSTEM, space_id=world.source.space_id, trust=world.to_target.id)
    again = write(world, repeat=True)
    assert len(again) == len(first)


def test_an_export_is_made_once(world: World) -> None:
    """The activity repeated after its end gives the same finished file."""
    ports, space_id = world.source.ports, world.source.space_id
    made, task = carrier.start_export(ports, SYSTEM, space_id=space_id, trust=world.to_target.id)
    with pytest.raises(ConflictError):
        carrier.download_url(ports, SYSTEM, space_id=space_id, carrier=made.id)
    seen: list[int] = []
    one = carrier.export(ports, space_id=space_id, carrier_id=made.id, on_bytes=seen.append)
    assert one == carrier.export(ports, space_id=space_id, carrier_id=made.id, on_bytes=seen.append)
    assert seen[-1] == one.size_bytes
    assert carrier.download_url(ports, SYSTEM, space_id=space_id, carrier=made.id)
    assert world.source.site.engine.started[task.workflow_id].story == "ExportCarrier"


def test_the_same_file_twice_is_one_bundle(world: World) -> None:
    """Uploaded again it is the carrier that it was; written again, every message is known already."""
    data = write(world)
    assert told(bring_file(world.target, data)) == [("delivery", "accepted", None)]
    assert told(bring_file(world.target, data)) == [("delivery", "accepted", None)]
    summary = bring_file(world.target, write(world, repeat=True))
    assert told(summary) == [("delivery", "already", None)]
    assert blobs_in(summary)["stored"] == []
    assert events(world.target, "out") == ["received"]


def test_one_flipped_bit_in_a_package_refuses_that_package_alone(world: World) -> None:
    """The bundle and the other blobs come in; the bad one is named, and the bundle waits for it."""
    data = write(world)
    summary = bring_file(world.target, data[: data.index(APP[:500]) + 7] + b"\x00" + data[data.index(APP[:500]) + 8 :])
    listed = blobs_in(summary)
    assert [one["code"] for one in listed["refused"]] == ["package.hash_mismatch"]  # type: ignore[union-attr, index, call-overload]
    assert told(summary) == [("delivery", "accepted", None)]
    page = receive.list_inbox(world.target.ports, SYSTEM, space_id=world.target.space_id)
    missing = receive.needs_now(world.target.ports, space_id=world.target.space_id, inbox_id=page.items[0].id)
    assert [need.name for need in missing] == ["app 1.0.0"]
    bring_file(world.target, write(world, repeat=True))
    assert receive.needs_now(world.target.ports, space_id=world.target.space_id, inbox_id=page.items[0].id) == ()


def test_a_truncated_file_is_refused_and_its_good_blobs_stay(world: World) -> None:
    """What is missing is found at the end; nothing is accepted, and nothing of it needs to be read again."""
    data = write(world)
    assert refused(world, data[: len(data) - 1024]) == "carrier.truncated"
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert {blob.size_bytes for blob in work.of(Blob).where()} >= {len(APP)}


def test_a_spoiled_index_is_refused_before_anything_is_stored(world: World) -> None:
    """The index stands first and is verified first."""
    data = bytearray(write(world))
    at = data.index(b'"payload":"') + 300
    data[at] = ord("A") if data[at] != ord("A") else ord("B")
    with world.target.ports.ledger.read(world.target.space_id) as work:
        before = {blob.id for blob in work.of(Blob).where()}
    assert refused(world, bytes(data)) == "signature.invalid"
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert len({blob.id for blob in work.of(Blob).where()} - before) == 1  # the uploaded file itself


def test_something_else_is_no_carrier(world: World) -> None:
    """A file of another kind is refused with a code."""
    assert refused(world, b"PK\x03\x04" + bytes(4000)) in ("carrier.malformed", "carrier.member_forbidden")


def test_a_carrier_of_an_unknown_space_shows_its_key(world: World) -> None:
    """A site without a trust with the sender learns whom it would have to trust."""
    stranger = make_home("Vault", site=make_site("vault", clock=world.source.site.clock))
    with pytest.raises(TrustError) as caught:
        bring_file(stranger, write(world))
    assert caught.value.code == "trust.unknown"
    assert world.source.space_id in str(caught.value.found)


def test_a_carrier_for_another_space_is_refused(world: World) -> None:
    """Its index names for whom it was made."""
    other = make_home("Vault", site=make_site("vault", clock=world.source.site.clock))
    other.trust(world.source, grants=ACCEPT)
    with pytest.raises(TrustError) as caught:
        bring_file(other, write(world))
    assert caught.value.code == "bundle.wrong_recipient"


def test_blobs_that_no_bundle_names_are_not_stored(world: World) -> None:
    """When its bundle is refused, what travels with it does not fill the store."""
    with world.target.ports.ledger.write(world.target.space_id) as work:
        trust = work.of(Trust).get(world.to_source.id)
        work.of(Trust).replace(replace(trust, grants=replace(trust.grants, accept_releases=False)))
    summary = bring_file(world.target, write(world))
    assert told(summary) == [("delivery", "refused", "trust.direction_denied")]
    listed = blobs_in(summary)
    assert (listed["stored"], listed["skipped"]) == ([], 2)


def test_only_a_completed_carrier_upload_is_imported(world: World) -> None:
    """A package is no carrier, and half a file is none yet."""
    data = write(world)
    upload = upload_carrier(world.target, data)
    taken, task = carrier.start_import(world.target.ports, SYSTEM, space_id=world.target.space_id, upload_id=upload.id)
    assert carrier.start_import(world.target.ports, SYSTEM, space_id=world.target.space_id, upload_id=upload.id) == (taken, task)
    with pytest.raises(NotFoundError):
        carrier.start_import(world.target.ports, SYSTEM, space_id=world.target.space_id, upload_id="upl_" + "0" * 32)


def test_receipts_go_home_in_any_order_and_any_number_of_times(world: World) -> None:
    """A receipt file read twice ends as it did once (A86)."""
    carry_file(world.source, world.to_target, world.target)
    inbox = receive.list_inbox(world.target.ports, SYSTEM, space_id=world.target.space_id).items[0]
    receive.mark_ready(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)
    ports, space_id = world.target.ports, world.target.space_id
    made, _ = carrier.start_export(ports, SYSTEM, space_id=space_id, trust=world.to_source.id)
    carrier.export(ports, space_id=space_id, carrier_id=made.id, on_bytes=lambda _total: None)
    data = b"".join(world.target.site.objects.read(carrier_key(made.id)))
    home = [("receipt", "accepted", None), ("inventory", "accepted", None), ("receipt", "accepted", None)]
    assert told(bring_file(world.source, data)) == home
    again, _ = carrier.start_export(ports, SYSTEM, space_id=space_id, trust=world.to_source.id, repeat=True)
    carrier.export(ports, space_id=space_id, carrier_id=again.id, on_bytes=lambda _total: None)
    data = b"".join(world.target.site.objects.read(carrier_key(again.id)))
    assert told(bring_file(world.source, data)) == [(kind, "already", None) for kind, _, _ in home]
    with world.source.ports.ledger.read(world.source.space_id) as work:
        assert [row.state for row in work.of(OutboxMessage).where()] == ["acknowledged"]
