# SPDX-License-Identifier: Apache-2.0
"""Every kind of document: round trip, the schema rules, and the tamper matrix over each member."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.vectors import world
from waybill.errors import CODES, FormatError
from waybill.formats import carrier_index, delivery, identity, inventory, need_list, peer, recall, receipt, release, revocation
from waybill.formats.identity import RevokedKey
from waybill.formats.revocation import RevocationDoc


@dataclass(frozen=True)
class Kind:
    """One kind with an example."""

    name: str
    doc: Any
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


RELEASE = world.release_doc()
REVOCATION = RevocationDoc(
    space_id=world.A.space_id,
    issued_at=world.NOW,
    revoked=RevokedKey(key_sha256=world.digest("k"), revoked_at=world.NOW, compromised_since=None, reason="lost"),
)
KINDS = [
    Kind("release", RELEASE, release.encode, release.decode),
    Kind("delivery", world.with_values(world.delivery_doc(RELEASE)), delivery.encode, delivery.decode),
    Kind("receipt", world.receipt_doc(), receipt.encode, receipt.decode),
    Kind("identity", replace(world.A.identity.doc, revoked=(REVOCATION.revoked,)), identity.encode, identity.decode),
    Kind("inventory", world.inventory_doc(), inventory.encode, inventory.decode),
    Kind("need_list", world.need_list_doc(), need_list.encode, need_list.decode),
    Kind("recall", world.recall_doc(), recall.encode, recall.decode),
    Kind("revocation", REVOCATION, revocation.encode, revocation.decode),
    Kind("carrier_index", world.carrier_index_doc((("recall", b"x"),), (b"y", b"z")), carrier_index.encode, carrier_index.decode),
    Kind("peer_request", world.peer_request_doc(), peer.encode_request, peer.decode_request),
    Kind("peer_answer", world.peer_answer_doc(b"x"), peer.encode_answer, peer.decode_answer),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
OPEN_MEMBERS = ("body", "inputs")
"""Objects of any content: what is inside them is not the format's business."""


def schema_holder(value: dict[str, Any]) -> dict[str, Any]:
    """The object in which ``schema`` stands."""
    holder: dict[str, Any] = value.get("predicate", value)
    return holder


def code_of(kind: Kind, value: object) -> str:
    """The code with which a changed document is refused."""
    with pytest.raises(FormatError) as caught:
        kind.decode(json.dumps(value).encode())
    return caught.value.code


@each_kind
def test_round_trip(kind: Kind) -> None:
    """What is written is read again, and written again to the same bytes."""
    payload = kind.encode(kind.doc)
    assert kind.decode(payload) == kind.doc
    assert kind.encode(kind.decode(payload)) == payload


@each_kind
@pytest.mark.parametrize(
    "version",
    [{"major": 2, "minor": 0}, {"major": 0, "minor": 0}, {"major": 1, "minor": -1}, {"major": True, "minor": 0}, "1.0", 1, None, {}],
)
def test_other_major_versions_are_refused(kind: Kind, version: object) -> None:
    """Only major version 1, written as two whole numbers, is read."""
    value = json.loads(kind.encode(kind.doc))
    schema_holder(value)["schema"] = version
    assert code_of(kind, value) == "bundle.schema_unsupported"


@each_kind
def test_later_minor_versions_are_read_and_critical_features_are_not(kind: Kind) -> None:
    """Version 1.1 may add members, which are ignored; what must not be ignored is named in ``critical`` and refused."""
    value = json.loads(kind.encode(kind.doc))
    holder = schema_holder(value)
    holder["later"] = {"a": 1}
    assert code_of(kind, value) == "payload.invalid"
    holder["schema"] = {"major": 1, "minor": 1}
    assert replace(kind.decode(json.dumps(value).encode()), minor=0) == kind.doc
    holder["critical"] = ["later"]
    assert code_of(kind, value) == "bundle.schema_unsupported"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member of every object in ``value``."""
    if isinstance(value, dict) and (not path or path[-1] not in OPEN_MEMBERS):
        for name, child in value.items():
            yield (*path, name)
            yield from places(child, (*path, name))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from places(child, (*path, number))


def holder_of(value: Any, path: tuple[Any, ...]) -> Any:
    """The object that holds the member at ``path``."""
    for step in path[:-1]:
        value = value[step]
    return value


@each_kind
def test_every_member_is_required_typed_and_known(kind: Kind) -> None:
    """Dropping, retyping or doubling any member of any object is refused with a code of ours."""
    payload = kind.encode(kind.doc)
    seen = 0
    for path in places(json.loads(payload)):
        for change in ("drop", "retype", "rename"):
            value = json.loads(payload)
            holder = holder_of(value, path)
            old = holder.pop(path[-1])
            if change == "retype":
                holder[path[-1]] = 1.0 if isinstance(old, dict | list) else [[old]]
            elif change == "rename":
                holder[f"{path[-1]}x"] = old
            code = code_of(kind, value)
            assert code in CODES, path
            seen += 1
    assert seen >= 20


@each_kind
def test_strangers_never_escape(kind: Kind) -> None:
    """Whatever JSON comes, only a FormatError leaves the decoder."""
    for data in (b"", b"null", b"[]", b"{}", b'"x"', b"[[[[", b'{"schema":null}', b'{"_type":7}', b"\xff\xfe"):
        with pytest.raises(FormatError):
            kind.decode(data)
