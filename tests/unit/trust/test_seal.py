# SPDX-License-Identifier: Apache-2.0
"""Sealed values: they open in their own place, and nowhere else."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tests.vectors import hpke_reference, world
from tests.vectors.world import A, B, C
from waybill.domain.variables import Scope
from waybill.errors import FormatError, TrustError
from waybill.trust import keys, seal
from waybill.trust.seal import SealContext

SENT = world.delivery_doc(world.release_doc())
CONTEXT = seal.context_of(SENT, variable_id=world.VAR_SECRET, name="Password", scope=Scope())
PUBLIC = keys.encryption_public_key(B.material.encryption_certificate)
PRIVATE = B.material.encryption_key


def opened(sealed: bytes, context: SealContext = CONTEXT, private: bytes = PRIVATE) -> bytes:
    """``sealed``, opened."""
    return seal.open_value(sealed, private_key=private, context=context)


def failure(sealed: bytes, context: SealContext = CONTEXT, private: bytes = PRIVATE) -> str:
    """The whole text of the error with which it does not open."""
    with pytest.raises(TrustError) as caught:
        opened(sealed, context, private)
    assert caught.value.code == "secret.decrypt_failed"
    return f"{caught.value} {caught.value.field} {caught.value.found}"


@pytest.mark.parametrize("size", [0, 1, 64, 65, 1100, 65535, 65536])
def test_round_trip(size: int) -> None:
    """Every length up to 64 KiB opens again."""
    plain = bytes(range(256)) * 256
    assert opened(seal.seal_value(plain[:size], recipient_public=PUBLIC, context=CONTEXT)) == plain[:size]


def test_a_second_implementation_agrees() -> None:
    """What a hand-written RFC 9180 seals, the library opens."""
    sealed = hpke_reference.seal(seal.pad(b"value"), recipient=PUBLIC, ephemeral=bytes(range(32)), info=CONTEXT.info())
    assert opened(sealed) == b"value"


def test_two_seals_of_one_value_differ() -> None:
    """Equal secrets cannot be recognised."""
    assert len({seal.seal_value(b"x", recipient_public=PUBLIC, context=CONTEXT) for _ in range(20)}) == 20


OTHERS: dict[str, Any] = {
    "schema": "1.1",
    "release_sha256": world.digest("x"),
    "delivery_id": world.fixed_id("dlv", "x"),
    "epoch": 2,
    "seq": 4,
    "sender_space_id": C.space_id,
    "sender_key_sha256": world.digest("x"),
    "target_space_id": C.space_id,
    "target_enc_key_sha256": world.digest("x"),
    "variable_id": world.VAR_URL,
    "variable_name": "password",
    "scope_sha256": world.digest("x"),
    "suite_id": 2,
}


def test_every_field_of_the_context_is_bound() -> None:
    """Change any one of them and the value does not open."""
    sealed = seal.seal_value(b"secret", recipient_public=PUBLIC, context=CONTEXT)
    assert set(OTHERS) == {one.name for one in fields(SealContext)}
    for name, value in OTHERS.items():
        failure(sealed, replace(CONTEXT, **{name: value}))


def test_moved_to_another_variable_scope_or_delivery() -> None:
    """The three ways of moving a ciphertext that an editor of a bundle has."""
    sealed = seal.seal_value(b"secret", recipient_public=PUBLIC, context=CONTEXT)
    failure(sealed, seal.context_of(SENT, variable_id=world.VAR_URL, name="Password", scope=Scope()))
    failure(sealed, seal.context_of(SENT, variable_id=world.VAR_SECRET, name="Password", scope=Scope(environments=(world.ENV_PROD,))))
    failure(sealed, seal.context_of(replace(SENT, seq=4), variable_id=world.VAR_SECRET, name="Password", scope=Scope()))


def test_fields_cannot_run_into_each_other() -> None:
    """Lengths are bound, so a letter cannot move from one field to its neighbour."""
    left = replace(CONTEXT, variable_id="var_ab", variable_name="c")
    right = replace(CONTEXT, variable_id="var_a", variable_name="bc")
    assert left.info() != right.info()


def test_every_flip_fails_with_the_same_words() -> None:
    """Each flipped byte, a cut, another key and another context are told apart by nobody."""
    sealed = seal.seal_value(b"secret", recipient_public=PUBLIC, context=CONTEXT)
    texts = {failure(sealed[:at] + bytes([sealed[at] ^ 0x80]) + sealed[at + 1 :]) for at in range(len(sealed))}
    texts |= {failure(sealed[:size]) for size in (0, 1, 31, 32, 33, len(sealed) - 1)}
    texts.add(failure(sealed + b"\0"))
    texts.add(failure(sealed, private=A.material.encryption_key))
    texts.add(failure(sealed, replace(CONTEXT, seq=9)))
    texts.add(failure(bytes(len(sealed))))
    assert len(texts) == 1


def test_padding_hides_the_length() -> None:
    """1 to 1100 bytes give at most five sizes."""
    sizes = {len(seal.seal_value(b"x" * size, recipient_public=PUBLIC, context=CONTEXT)) for size in range(1, 1101, 7)}
    assert len(sizes) <= 5


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        b"\x01",
        b"\x02" + seal.pad(b"x")[1:],
        seal.pad(b"x")[:-1],
        seal.pad(b"x") + b"\0",
        seal.pad(b"x")[:-1] + b"\1",
        b"\x01\xff\xff\xff\xff" + bytes(64),
        b"\x01" + (1).to_bytes(4, "big") + b"x" + bytes(255),
    ],
)
def test_wrong_padding_does_not_open(padded: bytes) -> None:
    """Only exactly what the writer makes is opened, with the same error as all else."""
    failure(hpke_reference.seal(padded, recipient=PUBLIC, ephemeral=bytes(range(32)), info=CONTEXT.info()))


def test_over_the_limit() -> None:
    """One byte more than 64 KiB is refused, and the text does not quote it."""
    with pytest.raises(FormatError) as caught:
        seal.seal_value(b"s" * 65537, recipient_public=PUBLIC, context=CONTEXT)
    assert caught.value.code == "limit.exceeded"
    assert "ssss" not in str(caught.value)


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), b"short"])
def test_weak_recipients_are_refused(public: bytes) -> None:
    """Nothing is sealed to a key whose shared secret is known to all."""
    with pytest.raises(TrustError) as caught:
        seal.seal_value(b"x", recipient_public=public, context=CONTEXT)
    assert caught.value.code == "trust.key_weak"


def test_only_the_wrapper_uses_the_library_s_hpke() -> None:
    """One module decides what is bound; nobody seals beside it."""
    root = Path(seal.__file__).parents[2]
    folders = ("waybill", "adapters", "activities", "workflows", "worker", "api", "web", "cli", "sites")
    users = {
        path.relative_to(root).as_posix()
        for folder in folders
        for path in (root / folder).rglob("*.py")
        if "primitives.hpke" in path.read_text()
    }
    assert users == {"waybill/trust/seal.py"}


def test_unknown_suites_seal_nothing() -> None:
    """A suite that this program does not know is refused by the writer."""
    with pytest.raises(TrustError) as caught:
        seal.seal_value(b"x", recipient_public=PUBLIC, context=replace(CONTEXT, suite_id=3))
    assert caught.value.code == "suite.not_allowed"
