# SPDX-License-Identifier: Apache-2.0
"""The envelope: one form, read once; the rest of its promises are in tests/unit/trust."""

import json
import time

import pytest

from tests.vectors import world
from waybill.errors import FormatError, TrustError, WaybillError
from waybill.formats import base64_strict, envelope
from waybill.formats.envelope import Envelope, Signature

GOOD = world.signed_recall()


def changed(**members: object) -> bytes:
    """The good envelope with members replaced; None removes one."""
    value = {**json.loads(GOOD), **members}
    return json.dumps({name: one for name, one in value.items() if one is not Ellipsis}).encode()


def code_of(data: bytes) -> str:
    """The code with which ``data`` is refused."""
    with pytest.raises(WaybillError) as caught:
        envelope.decode(data)
    return caught.value.code


def test_dsse_vector() -> None:
    """The pre-authentication encoding is that of the DSSE specification."""
    assert envelope.pae("http://example.com/HelloWorld", b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_round_trip() -> None:
    """What is written is read again, byte for byte."""
    env = Envelope(payload_type="a/b", payload=b"\x00\xff", signatures=(Signature(keyid="k", sig=b"s" * 64),))
    assert envelope.decode(envelope.encode(env)) == env
    assert envelope.encode(envelope.decode(GOOD)) == GOOD


@pytest.mark.parametrize("signatures", [[], None, Ellipsis, [{}], [{"keyid": "x"}], [{"keyid": "x", "sig": ""}]])
def test_unsigned_is_refused(signatures: object) -> None:
    """Absent, null, empty and hollow signatures are all no signature."""
    with pytest.raises(TrustError) as caught:
        envelope.decode(changed(signatures=signatures))
    assert caught.value.code == "signature.missing"


@pytest.mark.parametrize(
    "payload",
    [
        "aGVsbG8gd29ybGR=",
        "aGVsbG8gd29ybGQ",
        "aGVsbG8gd29ybGQ=\n",
        " aGVsbG8gd29ybGQ=",
        "aGVsbG8gd29ybGQ==",
        "aGVs\nbG8gd29ybGQ=",
        "aGVs-G8gd+9ybGQ=",
        "aGVs_G8gd/9ybGQ=",
        "=",
        "aGVsbG8gd29ybGQ=aGVs",
        "äGVs",
        7,
        None,
        ["aGVs"],
        Ellipsis,
    ],
)
def test_lax_base64_is_refused(payload: object) -> None:
    """White space, missing or superfluous padding, trailing bits and mixed alphabets are malformed."""
    assert code_of(changed(payload=payload)) == "envelope.malformed"


def test_both_alphabets_are_read() -> None:
    """DSSE allows the standard and the URL alphabet."""
    raw = bytes(range(248, 256)) * 3
    text = base64_strict.encode(raw)
    url = text.replace("+", "-").replace("/", "_")
    assert url != text
    assert envelope.decode(changed(payload=text)).payload == envelope.decode(changed(payload=url)).payload == raw


def test_duplicate_members_are_refused_in_both_orders() -> None:
    """A second payload can never hide behind the verified one."""
    other = b'"payload": "aGVs",'
    assert code_of(b"{" + other + GOOD[1:]) == "envelope.malformed"
    assert code_of(GOOD[:-1] + b"," + other[:-1] + b"}") == "envelope.malformed"
    assert code_of(GOOD.replace(b'"sig":', b'"sig":"aGVs","sig":')) == "envelope.malformed"


@pytest.mark.parametrize(
    "members", [{"payloadType": 7}, {"payloadType": Ellipsis}, {"payloadType": "x" * 201}, {"signatures": "x"}, {"signatures": [7]}]
)
def test_members_of_another_type_are_malformed(members: dict[str, object]) -> None:
    """Every member has one type."""
    assert code_of(changed(**members)) == "envelope.malformed"


def test_keyid_is_needed() -> None:
    """Without a keyid there is no candidate, and a flipped letter of its name must not go unseen."""
    assert code_of(changed(signatures=[{"sig": "aGVs"}])) == "envelope.malformed"


def test_unknown_members_are_ignored() -> None:
    """DSSE asks readers to ignore what they do not know; a key among it has no effect (tests/unit/trust)."""
    assert envelope.decode(changed(cert="x", jwk={}, x5c=[])) == envelope.decode(GOOD)


@pytest.mark.parametrize("count", [9, 1_000, 100_000])
def test_signature_floods_are_refused_before_any_cryptography(count: int) -> None:
    """More than eight signatures are over the limit."""
    flood = changed(signatures=[{"keyid": "k", "sig": "aGVs"}] * count)
    started = time.process_time()
    assert code_of(flood) == "limit.exceeded"
    assert time.process_time() - started < 2


def test_size_is_checked_first() -> None:
    """One byte over the limit is refused unread."""
    with pytest.raises(FormatError) as caught:
        envelope.decode(b"x" * 101, max_bytes=100)
    assert caught.value.code == "limit.exceeded"


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b'{"payload":1e0}', b"[" * 10_000])
def test_anything_else_is_malformed(data: bytes) -> None:
    """No other error escapes."""
    assert code_of(data) == "envelope.malformed"
