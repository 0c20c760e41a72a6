# SPDX-License-Identifier: Apache-2.0
"""The golden vectors: made again byte for byte, and each judged as its case says."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.vectors import generate
from waybill.domain.trusts import Grants
from waybill.errors import CODES, ConflictError, WaybillError
from waybill.formats import base64_strict, canonical, carrier, envelope, release
from waybill.trust import checks, seal, verify
from waybill.trust.seal import SealContext
from waybill.trust.verify import TrustedPeer, Us

HERE = Path(generate.__file__).parent
WORLD = json.loads((HERE / "world.json").read_bytes())
NOW = datetime.fromisoformat(WORLD["now"].replace("Z", "+00:00")).astimezone(UTC)
GRANTS = Grants(send_releases=True, accept_releases=True, send_receipts=True, accept_receipts=True)
KINDS = [
    "encoding", "envelope", "sealing", "identity", "release", "delivery", "receipt", "inventory", "need-list", "recall", "revocation", "peer", "carrier",
]  # fmt: skip


def identity_of(letter: str) -> verify.VerifiedIdentity:
    """The identity of a Space of the world, from its file."""
    return verify.verify_identity(
        base64_strict.decode(WORLD["parties"][letter]["identity"], code="payload.invalid", field="identity"), now=NOW
    )


def trusted(letter: str, grants: Grants = GRANTS) -> TrustedPeer:
    """A confirmed trust in a Space of the world."""
    return TrustedPeer(trust_id=letter, identity=identity_of(letter), grants=grants, confirmed=True)


def us(letter: str) -> Us:
    """A Space of the world as judge."""
    identity = identity_of(letter)
    return Us(space_id=identity.doc.space_id, encryption_key_sha256s=(identity.encryption[0].spki_sha256,))


def judge(kind: str, case: dict[str, Any], data: bytes, beside: bytes | None) -> None:
    """Nothing, when ``data`` is accepted and what it gives is what the case says; else the refusal."""
    if kind == "encoding":
        value = canonical.decode(data)
        assert (canonical.encode(value) == data) is case["canonical"]
    elif kind == "sealing":
        private = bytes.fromhex(WORLD["parties"]["B"]["encryption_key"])
        context = SealContext(**case["context"])
        assert context.info().hex() == case["info"]
        assert seal.open_value(data, private_key=private, context=context).hex() == case["plaintext"]
    elif kind == "identity":
        if beside is None:
            assert case.get("fingerprint") in (None, verify.verify_identity(data, now=NOW).fingerprint)
        else:
            verify.verify_identity_update(verify.verify_identity(beside, now=NOW), data, now=NOW)
    elif kind == "release":
        verify.verify_release_own(data, identity=identity_of("A"), release_sha256=case["release_sha256"])
    elif kind == "delivery":
        judge_delivery(case, data, beside)
    elif kind == "carrier":
        judge_carrier(case, data)
    else:
        judge_message(kind, case, data, beside)


def judge_delivery(case: dict[str, Any], data: bytes, beside: bytes | None) -> None:
    """At B from A, or at C from B."""
    assert beside is not None
    at = case.get("at", "B")
    peers = (trusted("B", replace(GRANTS, relay=case.get("relay", False))),) if at == "C" else (trusted("A"), trusted("C"))
    bundle = verify.verify_bundle(data, beside, us=us(at), peers=peers, now=NOW)
    assert bundle.owner.doc.space_id == identity_of("A").doc.space_id
    assert case.get("bundle_sha256") in (None, bundle.bundle_sha256)
    sealed = bundle.delivery.values[0]
    assert sealed.sealed is not None
    context = seal.context_of(bundle.delivery, variable_id=sealed.variable_id, name=sealed.name, scope=sealed.scope)
    private = bytes.fromhex(WORLD["parties"][at]["encryption_key"])
    assert seal.open_value(sealed.sealed, private_key=private, context=context).decode() == WORLD["secret"]


def judge_carrier(case: dict[str, Any], data: bytes) -> None:
    """At B from A; what is refused alone is named by the case."""
    reader = carrier.read([data])
    index = verify.verify_carrier_index(reader.index_envelope, us=us("B"), peers=(trusted("A"),), now=NOW)
    refused = {}
    for member in reader.members(index.doc):
        try:
            for _ in member.pieces:
                pass
        except ConflictError as error:
            refused[member.sha256] = error.code
    assert refused == case.get("refused", {})


def judge_message(kind: str, case: dict[str, Any], data: bytes, beside: bytes | None) -> None:
    """From A at B, or from B at A."""
    name = {"envelope": "recall", "need-list": "need_list", "peer": "peer_request"}.get(kind, kind)
    if kind == "peer" and beside is not None:
        verify.verify_peer_answer(data, us=us("B"), peers=(trusted("A"),), now=NOW, nonce="nonce-1")
        return
    at, sender = ("B", "A") if name in ("recall", "revocation") else ("A", "B")
    found = verify.verify_message(name, data, us=us(at), peers=(trusted(sender), trusted("C")), now=NOW)
    if "pae" in case:
        env = envelope.decode(data)
        assert envelope.pae(env.payload_type, env.payload).hex() == case["pae"]
    assert found.peer.trust_id == sender


def cases(kind: str) -> list[dict[str, Any]]:
    """The cases of one folder."""
    listed: list[dict[str, Any]] = json.loads((HERE / f"{kind}-v1" / "cases.json").read_bytes())
    return listed


@pytest.mark.parametrize("kind", KINDS)
def test_every_vector_is_judged_as_its_case_says(kind: str) -> None:
    """Good ones are accepted, broken twins refused with exactly their code."""
    listed = cases(kind)
    for case in listed:
        folder = HERE / f"{kind}-v1"
        beside = (folder / case["beside"]).read_bytes() if case["beside"] else None
        found: str | None = None
        try:
            judge(kind, case, (folder / case["file"]).read_bytes(), beside)
        except WaybillError as error:
            found = error.code
        assert found == case["expected"], case
        assert ("_fail" in case["file"]) is (case["expected"] is not None)
        assert case["expected"] is None or case["expected"] in CODES
    assert {case["expected"] is None for case in listed} == {True, False}


def test_the_generator_makes_exactly_these_files() -> None:
    """From fixed keys, times and randomness: byte for byte, no file missing, none too many."""
    made = generate.vectors()
    for path, data in made.items():
        assert (HERE / path).read_bytes() == data, path
    folders = {path.split("/")[0] for path in made if "/" in path}
    found = {path.relative_to(HERE).as_posix() for folder in folders for path in (HERE / folder).rglob("*") if path.is_file()}
    assert found == {path for path in made if "/" in path}


def test_broken_twins_outnumber_the_good_ones() -> None:
    """A conformance set is worth what it refuses."""
    expected = [case["expected"] for kind in KINDS for case in cases(kind)]
    assert len([code for code in expected if code]) > 2 * len([code for code in expected if not code])


def test_the_release_is_the_same_bytes_on_every_road() -> None:
    """The release beside the relayed delivery is the one of the release vectors."""
    data = (HERE / "delivery-v1" / "release.json").read_bytes()
    assert data == (HERE / "release-v1" / "good.json").read_bytes()
    assert checks.check_type(data, release.PAYLOAD_TYPE).payload
