# SPDX-License-Identifier: Apache-2.0
"""Properties: every document that can be written is read as it was; no bytes make a decoder leave its errors."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vectors import world
from waybill.domain.projects import Action, ActionScopes
from waybill.domain.variables import Scope, Template, ValueType
from waybill.errors import WaybillError
from waybill.formats import (
    base64_strict,
    canonical,
    carrier,
    delivery,
    envelope,
    identity,
    inventory,
    need_list,
    peer,
    receipt,
    release,
    tar,
)
from waybill.formats.carrier import Member
from waybill.formats.delivery import DeliveryValue, HistoryEntry
from waybill.formats.envelope import Envelope, Signature
from waybill.formats.inventory import InventoryDoc, InventoryPackage
from waybill.formats.receipt import ReceiptDoc
from waybill.formats.release import ReleaseDoc, ReleaseVariable
from waybill.trust import seal

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)
LINE = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
NAME = LINE.filter(lambda text: text.strip() == text)
DIGEST = st.binary(min_size=32, max_size=32).map(bytes.hex)
TIME = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)).map(lambda one: one.replace(microsecond=0, tzinfo=UTC))  # noqa: DTZ001 - hypothesis asks for naive bounds
INTEGER = st.integers(min_value=-canonical.MAX_INTEGER, max_value=canonical.MAX_INTEGER)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
TEXTS = st.lists(NAME, max_size=3, unique=True).map(tuple)


def ids(prefix: str) -> st.SearchStrategy[str]:
    """Ids of a noun."""
    return st.binary(min_size=16, max_size=16).map(lambda raw: f"{prefix}_{raw.hex()}")


def scopes() -> st.SearchStrategy[Scope]:
    """Scopes that may cross."""
    environments = st.lists(ids("env"), max_size=3, unique=True).map(tuple)
    return st.builds(Scope, environments=environments, tenant_tags=TEXTS, channels=TEXTS, actions=TEXTS)


TEMPLATES = st.builds(
    Template,
    label=NAME,
    help=TEXT,
    mandatory=st.booleans(),
    default=st.none() | TEXT,
    choices=TEXTS,
    per=st.sampled_from(["environment", "tenant_environment"]),
)
CLEAR = st.sampled_from([kind for kind in ValueType if kind is not ValueType.SECRET])
VARIABLES = st.one_of(
    st.builds(ReleaseVariable, id=ids("var"), name=NAME, type=CLEAR, scope=scopes(), value=TEXT),
    st.builds(ReleaseVariable, id=ids("var"), name=NAME, type=st.sampled_from(ValueType), scope=scopes(), sensitive=st.just(True)),
    st.builds(ReleaseVariable, id=ids("var"), name=NAME, type=CLEAR, scope=scopes(), template=TEMPLATES),
)
STEP = world.release_doc().actions[0].step
ACTIONS = st.builds(
    Action,
    id=ids("act"),
    name=NAME,
    step=st.just(STEP),
    inputs=st.dictionaries(TEXT, JSON, max_size=3),
    start=st.sampled_from(["after_previous", "with_previous"]),
    condition=st.sampled_from(["success", "failure", "always"]),
    required=st.booleans(),
    roles=TEXTS,
    pool=st.none() | NAME,
    window=st.none() | st.integers(1, 1000),
    scopes=st.builds(ActionScopes, tenant_tags=TEXTS, channels=TEXTS),
    retries=st.integers(0, 10),
    timeout_s=st.integers(1, 86400),
    notes=TEXT,
)
RELEASES = st.builds(
    lambda doc, actions, variables, notes, version, group: replace(
        doc, actions=tuple(actions), variables=tuple(variables), notes=notes, version=version, project=replace(doc.project, group=group)
    ),
    st.just(replace(world.release_doc(), prompted=())),
    st.lists(ACTIONS, max_size=3, unique_by=(lambda one: one.id, lambda one: one.name)),
    st.lists(VARIABLES, max_size=4, unique_by=lambda one: one.id),
    TEXT,
    st.from_regex(r"[0-9a-zA-Z][0-9a-zA-Z.+~:!-]{0,20}", fullmatch=True).filter(lambda text: text != ".."),
    TEXT,
)


@RELAXED
@given(JSON)
def test_json_round_trip(value: Any) -> None:
    """Written, read and written again: the same value, the same bytes, and the same as the library reads."""
    data = canonical.encode(value)
    assert canonical.decode(data) == value == json.loads(data)
    assert canonical.encode(canonical.decode(data)) == data


@RELAXED
@given(RELEASES)
def test_release_round_trip(doc: ReleaseDoc) -> None:
    """Any release that can be written is read as it was."""
    assert release.decode(release.encode(doc)) == doc


VALUES = st.one_of(
    st.builds(DeliveryValue, variable_id=ids("var"), name=NAME, type=CLEAR, scope=scopes(), value=TEXT),
    st.builds(
        DeliveryValue,
        variable_id=ids("var"),
        name=NAME,
        type=st.just(ValueType.SECRET),
        scope=scopes(),
        sealed=st.binary(min_size=1, max_size=200),
    ),
    st.builds(DeliveryValue, variable_id=ids("var"), name=NAME, type=CLEAR, scope=scopes(), template=TEMPLATES),
)
HISTORY = st.builds(
    HistoryEntry,
    space=NAME,
    environment=NAME,
    state=st.sampled_from(["succeeded", "failed"]),
    finished_at=st.none() | TIME,
    receipt_sha256=st.none() | DIGEST,
)


@RELAXED
@given(
    created=TIME,
    days=st.integers(1, 366),
    epoch=st.integers(1, 2**53 - 1),
    seq=st.integers(1, 2**53 - 1),
    values=st.lists(VALUES, max_size=4, unique_by=lambda one: one.variable_id),
    history=st.lists(HISTORY, max_size=3),
    envelopes=st.lists(st.binary(min_size=1, max_size=50), max_size=3),
)
def test_delivery_round_trip(
    created: datetime, days: int, epoch: int, seq: int, values: list[DeliveryValue], history: list[HistoryEntry], envelopes: list[bytes]
) -> None:
    """Any delivery that can be written is read as it was."""
    doc = replace(
        world.delivery_doc(world.release_doc()),
        created_at=created,
        not_before=created,
        expires_at=created + timedelta(days=days),
        epoch=epoch,
        seq=seq,
        values=tuple(values),
        history=tuple(history),
        identities=tuple(envelopes),
        onward=tuple(reversed(envelopes)),
    )
    assert delivery.decode(delivery.encode(doc)) == doc


@RELAXED
@given(st.sampled_from(receipt.EVENTS), TIME, st.none() | DIGEST, TEXTS, TEXTS, st.integers(0, 2**53 - 1))
def test_receipt_round_trip(
    event: str, happened: datetime, previous: str | None, given_: tuple[str, ...], missing: tuple[str, ...], number: int
) -> None:
    """Any receipt that can be written is read as it was."""
    doc: ReceiptDoc = replace(
        world.receipt_doc(),
        event=event,
        happened_at=happened,
        prev_receipt_sha256=previous,
        variables_set=given_,
        variables_missing=missing,
        event_no=number,
    )
    assert receipt.decode(receipt.encode(doc)) == doc


@RELAXED
@given(
    st.lists(st.builds(InventoryPackage, sha256=DIGEST, size_bytes=st.integers(0, 2**50)), max_size=5, unique_by=lambda one: one.sha256),
    st.booleans(),
)
def test_inventory_round_trip(packages: list[InventoryPackage], complete: bool) -> None:
    """Any inventory that can be written is read as it was."""
    doc: InventoryDoc = replace(world.inventory_doc(), packages=tuple(packages), complete=complete)
    assert inventory.decode(inventory.encode(doc)) == doc


@RELAXED
@given(
    st.binary(max_size=2000),
    st.text(max_size=50).filter(lambda text: text.isprintable()),
    st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=8),
)
def test_envelope_round_trip(payload: bytes, kind: str, signatures: list[bytes]) -> None:
    """Any envelope is read as it was written."""
    env = Envelope(payload_type=kind, payload=payload, signatures=tuple(Signature(keyid="k", sig=one) for one in signatures))
    assert envelope.decode(envelope.encode(env)) == env


@RELAXED
@given(st.binary(max_size=200), st.sampled_from([b"+/", b"-_"]))
def test_base64_has_one_form_per_alphabet(data: bytes, alphabet: bytes) -> None:
    """What is written is read; any other text for the same bytes in that alphabet is refused."""
    text = base64_strict.encode(data).translate(str.maketrans("+/", alphabet.decode()))
    assert base64_strict.decode(text, code="payload.invalid", field="x") == data


@RELAXED
@given(st.text(alphabet="AQZz09+/-_= \n", max_size=12))
def test_base64_is_read_only_if_it_writes_back(text: str) -> None:
    """Decoding succeeds exactly for texts that encoding would make."""
    try:
        data = base64_strict.decode(text, code="payload.invalid", field="x")
    except WaybillError:
        return
    assert base64_strict.encode(data) in (text, text.replace("-", "+").replace("_", "/"))


@RELAXED
@given(st.binary(max_size=300) | TEXT.map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_decoder_lets_a_stranger_out(data: bytes) -> None:
    """Whatever comes, only errors of ours leave."""
    readers: list[Callable[[bytes], object]] = [
        canonical.decode, envelope.decode, release.decode, delivery.decode, receipt.decode, identity.decode, inventory.decode, need_list.decode,
        peer.decode_request, peer.decode_answer, lambda one: list(carrier.read([one]).members(world.carrier_index_doc((), ()))),
    ]  # fmt: skip
    for read in readers:
        try:
            read(data)
        except WaybillError:
            continue


GOOD_RELEASE = release.encode(world.release_doc())


@RELAXED
@given(st.integers(0, len(GOOD_RELEASE) - 1), st.integers(1, 255), st.integers(0, 3))
def test_damaged_documents_are_read_otherwise_or_refused(at: int, change: int, cut: int) -> None:
    """Any changed byte in a payload gives another document or an error of ours, never the same document."""
    data = GOOD_RELEASE[:at] + bytes([GOOD_RELEASE[at] ^ change]) + GOOD_RELEASE[at + 1 + cut :]
    try:
        read = release.decode(data)
    except WaybillError:
        return
    assert read != world.release_doc()


@RELAXED
@given(st.lists(st.binary(max_size=1500), max_size=5, unique=True), st.integers(1, 700))
def test_carriers_round_trip_in_any_pieces(blobs: list[bytes], piece: int) -> None:
    """Whatever the blobs and however the stream is cut, the same bytes come out."""
    index = world.carrier_index_doc((), tuple(blobs))
    entries = zip(index.blobs, blobs, strict=True)
    members = [Member(folder=carrier.BLOBS, sha256=entry.sha256, size_bytes=len(data), pieces=[data]) for entry, data in entries]
    signed = world.signed_index(index)
    data = b"".join(carrier.write(signed, members))
    assert len(data) == carrier.size_of(len(signed), [len(blob) for blob in blobs])
    reader = carrier.read(data[start : start + piece] for start in range(0, len(data), piece))
    assert [b"".join(member.pieces) for member in reader.members(index)] == blobs


@RELAXED
@given(st.integers(0, 2**50))
def test_headers_round_trip(size: int) -> None:
    """Any size up to the limit has one form."""
    header = tar.Header(f"blobs/sha256/{'a' * 64}", size)
    assert tar.read_header(tar.write_header(header)) == header


@RELAXED
@given(st.binary(max_size=3000))
def test_padding_round_trip(plaintext: bytes) -> None:
    """Padded values have one of six sizes and give their plaintext back."""
    padded = seal.pad(plaintext)
    assert len(padded) - 5 in seal.BUCKETS
    assert seal.unpad(padded) == plaintext
