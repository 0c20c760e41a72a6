# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the audit log: the tree is that of RFC 6962, and no field of an entry can be changed unseen."""

import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.domain.audit import GENESIS, entry_sha256, frontier_append, is_linked, leaf_hash, next_entry, node_hash, root_of

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The reference tree of certificate-transparency, sizes 0 to 8."""


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    """The published roots of the reference tree come out."""
    assert root_of(LEAVES[:size]) == (size, ROOTS[size])


def _root(leaves: list[str]) -> str:
    """RFC 6962, section 2.1, as it is written there."""
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(_root(leaves[:split]), _root(leaves[split:]))


@given(size=st.integers(1, 200))
def test_appending_equals_the_definition(size: int) -> None:
    """Leaf by leaf or all at once: the same root for every size."""
    leaves = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(size)]
    assert root_of(leaves) == (size, _root(leaves))


def test_a_frontier_of_another_size_is_refused() -> None:
    """A frontier has one node for each bit of its size."""
    with pytest.raises(ValueError, match="does not belong"):
        frontier_append(("00",), size=3, leaf="00")


def test_every_field_is_covered() -> None:
    """Changing any field of an entry, its place or its link breaks it; the same moment in another zone does not."""
    entry = next_entry(space_id="spc_1", last_seq=0, last_sha256=GENESIS, at=NOW, actor="a", action="b", subject="c", detail="d")
    assert is_linked(entry, last_seq=0, last_sha256=GENESIS)
    for field in ("space_id", "actor", "action", "subject", "detail", "sha256", "prev_sha256"):
        assert not is_linked(dataclasses.replace(entry, **cast(dict[str, Any], {field: "e" * 64})), last_seq=0, last_sha256=GENESIS)
    assert not is_linked(dataclasses.replace(entry, at=NOW + timedelta(microseconds=1)), last_seq=0, last_sha256=GENESIS)
    assert not is_linked(entry, last_seq=1, last_sha256=GENESIS)
    assert not is_linked(entry, last_seq=0, last_sha256="f" * 64)
    east = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert is_linked(dataclasses.replace(entry, at=east), last_seq=0, last_sha256=GENESIS)


def test_the_digest_is_the_documented_one() -> None:
    """A digest that anybody can compute by hand from the description."""
    text = f'["waybill.audit-entry.v1","spc_1",1,"2026-03-01T12:30:15.123456Z","a\\"","é","c","","{GENESIS}"]'
    found = entry_sha256(space_id="spc_1", seq=1, at=NOW, actor='a"', action="é", subject="c", detail="", prev_sha256=GENESIS)
    assert found == hashlib.sha256(text.encode()).hexdigest()


def test_neighbouring_fields_do_not_run_together() -> None:
    """Text moved from one field into the next gives another digest."""
    first = entry_sha256(space_id="s", seq=1, at=NOW, actor='a","b', action="c", subject="", detail="", prev_sha256=GENESIS)
    second = entry_sha256(space_id="s", seq=1, at=NOW, actor="a", action='b","c', subject="", detail="", prev_sha256=GENESIS)
    assert first != second
