# SPDX-License-Identifier: Apache-2.0
"""Keys and signatures that anybody can forge for."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.unit.trust.test_certificates import box, check_box, check_leaf, check_root, code_of, leaf, root
from waybill.errors import TrustError
from waybill.trust import signatures, weak_keys

ORDER_EIGHT = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    ORDER_EIGHT,
    ORDER_EIGHT[:-2] + "85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
LOW_ORDER_X25519 = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def test_the_library_would_accept_a_universal_forgery() -> None:
    """Why this exists: with the identity point as key, one constant signature fits every message."""
    forged = bytes.fromhex(SMALL_ORDER[0]) + bytes(32)
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(SMALL_ORDER[0]))
    for message in (b"a", b"b", b"anything"):
        key.verify(forged, message)
        assert not signatures.is_valid(bytes.fromhex(SMALL_ORDER[0]), forged, message)


@pytest.mark.parametrize("encoded", SMALL_ORDER)
def test_the_fourteen_encodings_are_refused_for_the_key(encoded: str) -> None:
    """Eight points and six aliases."""
    with pytest.raises(TrustError) as caught:
        weak_keys.check_ed25519_public(bytes.fromhex(encoded))
    assert caught.value.code == "trust.key_weak"


@pytest.mark.parametrize("encoded", SMALL_ORDER)
def test_the_fourteen_encodings_are_refused_for_r(encoded: str) -> None:
    """A signature whose R is of small order is not valid, even when its equation holds."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    assert not signatures.is_valid(key, bytes.fromhex(encoded) + bytes(32), b"message")


def test_a_signature_with_small_order_r_can_hold_and_is_refused() -> None:
    """The owner of a key can make one on purpose (r = 0); the library takes it, we do not."""
    seed = bytes(range(32))
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    digest = hashlib.sha512(seed).digest()
    scalar = (int.from_bytes(digest[:32], "little") & ((1 << 254) - 8)) | (1 << 254)
    order = 2**252 + 27742317777372353535851937790883648493
    r = bytes.fromhex(SMALL_ORDER[0])
    k = int.from_bytes(hashlib.sha512(r + public + b"message").digest(), "little")
    forged = r + (k * scalar % order).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(public).verify(forged, b"message")
    assert not signatures.is_valid(public, forged, b"message")


def test_s_is_below_the_order() -> None:
    """A second form of a signature (S + L) is not valid."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public, good = private.public_key().public_bytes_raw(), private.sign(b"message")
    order = 2**252 + 27742317777372353535851937790883648493
    assert signatures.is_valid(public, good, b"message")
    other = good[:32] + (int.from_bytes(good[32:], "little") + order).to_bytes(32, "little")
    assert not signatures.is_valid(public, other, b"message")


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_signatures_have_one_length(length: int) -> None:
    """Anything but 64 bytes is not a signature."""
    assert not signatures.is_valid(bytes(range(32)), bytes(length), b"message")


@pytest.mark.parametrize("encoded", SMALL_ORDER)
def test_a_certificate_of_a_weak_key_is_refused(encoded: str) -> None:
    """It would verify under itself; it is refused as identity and as leaf."""
    key = bytes.fromhex(encoded)
    forged = bytes.fromhex(SMALL_ORDER[0]) + bytes(32)
    assert code_of(check_root, root(key=key, signature=forged).build()) == "trust.key_weak"
    assert code_of(check_leaf, leaf(key=key).build()) == "trust.key_weak"


@pytest.mark.parametrize("encoded", LOW_ORDER_X25519)
def test_low_order_encryption_keys_are_refused(encoded: str) -> None:
    """A secret sealed to such a key would be open to everybody."""
    assert code_of(check_box, box(key=bytes.fromhex(encoded)).build()) == "trust.key_weak"
    with pytest.raises(TrustError) as caught:
        weak_keys.check_x25519_public(bytes.fromhex(encoded))
    assert caught.value.code == "trust.key_weak"


def test_non_canonical_encryption_keys_are_refused() -> None:
    """Two spellings of one key would have two digests."""
    with pytest.raises(TrustError):
        weak_keys.check_x25519_public((2**255 - 19 + 9).to_bytes(32, "little"))
    with pytest.raises(TrustError):
        weak_keys.check_x25519_public((9 + 2**255).to_bytes(32, "little"))
    assert weak_keys.check_x25519_public((9).to_bytes(32, "little"))
