# SPDX-License-Identifier: Apache-2.0
"""The certificate profile: one certificate per check, each wrong in one thing only."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.unit.trust import der
from tests.unit.trust.der import Parts
from waybill.errors import TrustError
from waybill.trust import certificates
from waybill.trust.certificates import BUNDLE_ENCRYPTION, BUNDLE_SIGNING, Certificate

ROOT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LEAF_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
BOX_KEY = X25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(3, 35)))
SIGN_PURPOSE = der.purposes(BUNDLE_SIGNING.dotted_string)
BOX_PURPOSE = der.purposes(BUNDLE_ENCRYPTION.dotted_string)
ROOT_EXTENSIONS = [der.constraints(ca=True, path_length=0), der.CERT_SIGN, der.URN]
LEAF_EXTENSIONS = [der.constraints(ca=False), der.DIGITAL_SIGNATURE, der.URN, SIGN_PURPOSE]
BOX_EXTENSIONS = [der.constraints(ca=False), der.KEY_AGREEMENT, der.URN, BOX_PURPOSE]


def root(**changes: Any) -> Parts:
    """A good identity certificate with changes."""
    return replace(
        Parts(key=ROOT_KEY.public_key().public_bytes_raw(), issuer_key=ROOT_KEY, subject="issuer", extensions=ROOT_EXTENSIONS), **changes
    )


def leaf(**changes: Any) -> Parts:
    """A good signing certificate with changes."""
    return replace(Parts(key=LEAF_KEY.public_key().public_bytes_raw(), issuer_key=ROOT_KEY, extensions=LEAF_EXTENSIONS), **changes)


def box(**changes: Any) -> Parts:
    """A good encryption certificate with changes."""
    good = Parts(key=BOX_KEY.public_key().public_bytes_raw(), issuer_key=ROOT_KEY, extensions=BOX_EXTENSIONS, algorithm=der.X25519)
    return replace(good, **changes)


def check_root(data: bytes) -> Certificate:
    """``data`` as identity certificate."""
    return certificates.check_identity(data, space_id=der.SPACE_ID)


ISSUERS = (check_root(root().build()),)


def check_leaf(data: bytes) -> Certificate:
    """``data`` as signing certificate."""
    return certificates.check_leaf(data, role=certificates.SIGNING, space_id=der.SPACE_ID, issuers=ISSUERS)


def check_box(data: bytes) -> Certificate:
    """``data`` as encryption certificate."""
    return certificates.check_leaf(data, role=certificates.ENCRYPTION, space_id=der.SPACE_ID, issuers=ISSUERS)


def code_of(check: Callable[[bytes], Certificate], data: bytes) -> str:
    """The code with which ``data`` is refused."""
    with pytest.raises(TrustError) as caught:
        check(data)
    return caught.value.code


def test_the_hand_made_ones_are_good() -> None:
    """Unchanged, all three pass; so each case below fails for its one change."""
    assert check_root(root().build()).public_key == ROOT_KEY.public_key().public_bytes_raw()
    assert check_leaf(leaf().build()).public_key == LEAF_KEY.public_key().public_bytes_raw()
    assert check_box(box().build()).public_key == BOX_KEY.public_key().public_bytes_raw()


CASES: list[tuple[str, Callable[[bytes], Certificate], Parts]] = [
    ("version 1", check_leaf, leaf(version=0, extensions=[])),
    ("version 2", check_leaf, leaf(version=1)),
    ("signing key of the wrong kind", check_leaf, leaf(algorithm=der.X25519)),
    ("encryption key of the wrong kind", check_box, box(algorithm=der.ED25519)),
    ("identity key of the wrong kind", check_root, root(algorithm=der.X25519)),
    (
        "RSA",
        check_leaf,
        leaf(spki=der.sequence(der.sequence(der.RSA), der.tlv(0x03, b"\0" + der.sequence(der.tlv(2, b"\x01"), der.tlv(2, b"\x03"))))),
    ),
    ("parameters beside the algorithm", check_leaf, leaf(algorithm=der.ED25519 + der.tlv(5, b""))),
    ("signature algorithm of another key", check_leaf, leaf(signature_algorithm=bytes.fromhex("06082a8648ce3d040302"))),
    ("issuer does not chain", check_leaf, leaf(issuer="Issuer")),
    ("issuer and subject differ in the identity", check_root, root(subject="someone")),
    ("signature of another key", check_leaf, leaf(issuer_key=OTHER_KEY)),
    ("signature not valid", check_leaf, leaf(signature=bytes(64))),
    ("identity signed by another key", check_root, root(issuer_key=OTHER_KEY)),
    ("leaf is an authority", check_leaf, leaf(extensions=[der.constraints(ca=True), *LEAF_EXTENSIONS[1:]])),
    ("identity is no authority", check_root, root(extensions=[der.constraints(ca=False), *ROOT_EXTENSIONS[1:]])),
    ("identity without path length", check_root, root(extensions=[der.constraints(ca=True), *ROOT_EXTENSIONS[1:]])),
    ("identity with path length 1", check_root, root(extensions=[der.constraints(ca=True, path_length=1), *ROOT_EXTENSIONS[1:]])),
    (
        "constraints not critical",
        check_root,
        root(extensions=[der.constraints(ca=True, path_length=0, critical=False), *ROOT_EXTENSIONS[1:]]),
    ),
    ("constraints missing", check_leaf, leaf(extensions=LEAF_EXTENSIONS[1:])),
    ("usage not exact", check_leaf, leaf(extensions=[LEAF_EXTENSIONS[0], der.usage(0x84, 2), *LEAF_EXTENSIONS[2:]])),
    ("usage of another role", check_box, box(extensions=[LEAF_EXTENSIONS[0], der.DIGITAL_SIGNATURE, der.URN, BOX_PURPOSE])),
    ("usage not critical", check_leaf, leaf(extensions=[LEAF_EXTENSIONS[0], der.usage(0x80, 7, critical=False), *LEAF_EXTENSIONS[2:]])),
    ("usage missing", check_leaf, leaf(extensions=[LEAF_EXTENSIONS[0], *LEAF_EXTENSIONS[2:]])),
    ("purpose missing", check_leaf, leaf(extensions=LEAF_EXTENSIONS[:3])),
    ("purpose of another role", check_leaf, leaf(extensions=[*LEAF_EXTENSIONS[:3], BOX_PURPOSE])),
    ("two purposes", check_leaf, leaf(extensions=[*LEAF_EXTENSIONS[:3], der.purposes(BUNDLE_SIGNING.dotted_string, "1.3.6.1.5.5.7.3.1")])),
    ("purpose in the identity", check_root, root(extensions=[*ROOT_EXTENSIONS, SIGN_PURPOSE])),
    (
        "another Space",
        check_leaf,
        leaf(extensions=[*LEAF_EXTENSIONS[:2], der.alternative("urn:waybill:space:0198c5f2-0000-7d6e-9a3f-1c2b4d5e6f70"), SIGN_PURPOSE]),
    ),
    (
        "Space in upper case",
        check_leaf,
        leaf(extensions=[*LEAF_EXTENSIONS[:2], der.alternative(f"urn:waybill:space:{der.SPACE}".upper()), SIGN_PURPOSE]),
    ),
    (
        "two names",
        check_leaf,
        leaf(extensions=[*LEAF_EXTENSIONS[:2], der.alternative(f"urn:waybill:space:{der.SPACE}", "https://x"), SIGN_PURPOSE]),
    ),
    ("no name", check_leaf, leaf(extensions=[*LEAF_EXTENSIONS[:2], SIGN_PURPOSE])),
    ("empty subject, name not critical", check_leaf, leaf(subject="")),
    ("serial zero", check_leaf, leaf(serial=b"\x00")),
    ("serial negative", check_leaf, leaf(serial=b"\xff")),
    ("serial of 21 bytes", check_leaf, leaf(serial=b"\x01" + bytes(20))),
    ("ends before it starts", check_leaf, leaf(not_after=der.START - timedelta(days=1))),
    ("leaf for longer than 825 days", check_leaf, leaf(not_after=der.START + timedelta(days=826))),
    ("identity for longer than ten years", check_root, root(not_after=der.START + timedelta(days=4000))),
    ("unknown critical extension", check_leaf, leaf(extensions=[*LEAF_EXTENSIONS, der.UNKNOWN])),
    ("extension twice", check_leaf, leaf(extensions=[*LEAF_EXTENSIONS, der.URN])),
]


@pytest.mark.parametrize(("check", "parts"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_one_wrong_thing_is_refused(check: Callable[[bytes], Certificate], parts: Parts) -> None:
    """Every check of the profile can fail by itself."""
    assert code_of(check, parts.build()) == "trust.certificate_profile"


def test_bytes_around_a_certificate_are_refused() -> None:
    """Trailing data, a cut and junk are no certificate."""
    good = leaf().build()
    for data in (good + b"\0", good[:-1], b"", b"x" * 100, good[1:]):
        assert code_of(check_leaf, data) == "trust.certificate_profile"


def test_a_leaf_under_no_issuer_of_ours_is_refused() -> None:
    """An identity certificate with the same name but another key does not help."""
    impostor = replace(root(), key=OTHER_KEY.public_key().public_bytes_raw(), issuer_key=OTHER_KEY)
    other = (check_root(impostor.build()),)
    with pytest.raises(TrustError) as caught:
        certificates.check_leaf(leaf().build(), role=certificates.SIGNING, space_id=der.SPACE_ID, issuers=other)
    assert caught.value.code == "trust.certificate_profile"


def pem(data: bytes) -> bytes:
    """``data`` as PEM."""
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data).strip() + b"\n-----END CERTIFICATE-----\n"


def test_one_pem_certificate_is_read() -> None:
    """Exactly one, with either line ending."""
    good = leaf().build()
    assert certificates.read_pem(pem(good)) == good
    assert certificates.read_pem(pem(good).replace(b"\n", b"\r\n")) == good


def test_anything_but_one_pem_certificate_is_refused() -> None:
    """Two in one file in either order, text around it, another label, and DER are refused."""
    good, other = pem(leaf().build()), pem(root().build())
    for text in (
        good + other,
        other + good,
        b"text\n" + good,
        good + b"text",
        good.replace(b"CERTIFICATE", b"PUBLIC KEY"),
        leaf().build(),
        b"",
    ):
        with pytest.raises(TrustError) as caught:
            certificates.read_pem(text)
        assert caught.value.code == "trust.certificate_profile"


def test_time_is_checked_with_the_skew_of_clocks() -> None:
    """Valid from 300 seconds before its start until the second before its end."""
    good = check_leaf(leaf().build())
    good.check_time(good.not_before - timedelta(seconds=300))
    good.check_time(good.not_after - timedelta(seconds=1))
    for moment in (good.not_before - timedelta(seconds=301), good.not_after, good.not_after + timedelta(days=1)):
        with pytest.raises(TrustError) as caught:
            good.check_time(moment)
        assert caught.value.code == "trust.key_expired"
