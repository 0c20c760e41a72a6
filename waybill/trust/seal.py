# SPDX-License-Identifier: Apache-2.0
"""Seals one secret for one recipient, and opens it: HPKE base mode, single shot, suite 1.

Everything that a value belongs to is bound into ``info``: moved to another variable, scope, delivery, sender or target it does not open.
The length is hidden in buckets. Every failure to open is the same error with the same text.
This is the only module that may import the library's HPKE. Byte-level description: docs/formats/sealing-v1.md.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from waybill.domain.variables import Scope
from waybill.errors import FormatError, TrustError
from waybill.formats.delivery import DeliveryDoc
from waybill.formats.fields import SCHEMA_MAJOR
from waybill.formats.identity import SUITE_1
from waybill.formats.values import scope_sha256
from waybill.trust.weak_keys import check_x25519_public

SUITES: Final = (SUITE_1,)
"""The suites that this program can use, best first."""

LABEL: Final = b"waybill-hpke-v1\x00"
BUCKETS: Final = (64, 256, 1024, 4096, 16384, 65536)
MAX_VALUE_BYTES: Final = BUCKETS[-1]
_VERSION: Final = b"\x01"
_HEAD: Final = 5
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealContext:
    """All that a sealed value is bound to. Digests are lower-case hex; ``*_key_sha256`` are SPKI digests."""

    suite_id: int
    schema: str
    release_sha256: str
    delivery_id: str
    epoch: int
    seq: int
    sender_space_id: str
    sender_key_sha256: str
    target_space_id: str
    target_enc_key_sha256: str
    variable_id: str
    variable_name: str
    scope_sha256: str

    def info(self) -> bytes:
        """The bytes that HPKE binds: a label, then every field with its length.

        Source: docs/formats/sealing-v1.md, section 3; RFC 9180, section 8.1.
        """
        fields = (
            self.suite_id.to_bytes(2, "big"),
            self.schema.encode(),
            bytes.fromhex(self.release_sha256),
            self.delivery_id.encode(),
            self.epoch.to_bytes(8, "big"),
            self.seq.to_bytes(8, "big"),
            self.sender_space_id.encode(),
            bytes.fromhex(self.sender_key_sha256),
            self.target_space_id.encode(),
            bytes.fromhex(self.target_enc_key_sha256),
            self.variable_id.encode(),
            self.variable_name.encode(),
            bytes.fromhex(self.scope_sha256),
        )
        return LABEL + b"".join(len(one).to_bytes(4, "big") + one for one in fields)


def context_of(delivery: DeliveryDoc, *, variable_id: str, name: str, scope: Scope) -> SealContext:
    """The context of one value of ``delivery``.

    The writer makes the Delivery without its values first, seals with this, and adds the sealed values with ``dataclasses.replace``.
    """
    return SealContext(
        suite_id=delivery.target.suite,
        schema=f"{SCHEMA_MAJOR}.{delivery.minor}",
        release_sha256=delivery.release.sha256,
        delivery_id=delivery.delivery_id,
        epoch=delivery.epoch,
        seq=delivery.seq,
        sender_space_id=delivery.sender.space_id,
        sender_key_sha256=delivery.sender.key_sha256,
        target_space_id=delivery.target.space_id,
        target_enc_key_sha256=delivery.target.enc_key_sha256,
        variable_id=variable_id,
        variable_name=name,
        scope_sha256=scope_sha256(scope),
    )


def choose_suite(theirs: tuple[int, ...], *, minimum: int = SUITE_1) -> int:
    """The first suite of ours that the peer's pinned identity lists too. Raises TrustError suite.not_allowed."""
    for suite in SUITES:
        if suite in theirs and suite >= minimum:
            return suite
    raise TrustError(
        "suite.not_allowed", "No cipher suite is allowed on both sides", expected=f"one of {SUITES} from {minimum}", found=str(theirs)
    )


def seal_value(plaintext: bytes, *, recipient_public: bytes, context: SealContext) -> bytes:
    """``plaintext`` sealed: 32 bytes of encapsulated key, then the ciphertext of its padded form.

    Args:
        plaintext: at most 64 KiB.
        recipient_public: the raw X25519 key of the target's encryption certificate.
        context: of exactly this value.
    Raises:
        FormatError: limit.exceeded, over 64 KiB.
        TrustError: trust.key_weak, when the recipient's key is of low order; suite.not_allowed.
    Source: docs/formats/sealing-v1.md; RFC 9180, section 6.1, base mode.
    """
    if context.suite_id not in SUITES:
        raise TrustError("suite.not_allowed", "The cipher suite is not known", found=context.suite_id)
    public = X25519PublicKey.from_public_bytes(check_x25519_public(recipient_public))
    return _SUITE.encrypt(pad(plaintext), public, context.info())


def open_value(sealed: bytes, *, private_key: bytes, context: SealContext) -> bytes:
    """The plaintext of ``sealed``.

    Args:
        sealed: as in the Delivery.
        private_key: raw X25519.
        context: of exactly this value.
    Raises:
        TrustError: secret.decrypt_failed, for every cause alike.
    """
    try:
        if context.suite_id not in SUITES:
            raise ValueError("unknown suite")
        padded = _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private_key), context.info())
        return unpad(padded)
    except (InvalidTag, ValueError) as error:
        raise TrustError("secret.decrypt_failed", "A sealed value does not open") from error


def pad(plaintext: bytes) -> bytes:
    """A version byte, the length, ``plaintext``, and zeros up to the next bucket. Raises FormatError limit.exceeded."""
    size = len(plaintext)
    bucket = next((one for one in BUCKETS if size <= one), None)
    if bucket is None:
        raise FormatError("limit.exceeded", "A secret is too long", expected=f"at most {MAX_VALUE_BYTES} bytes")
    return _VERSION + size.to_bytes(4, "big") + plaintext + bytes(bucket - size)


def unpad(padded: bytes) -> bytes:
    """The plaintext in ``padded``. Raises ValueError, when it is not exactly what ``pad`` makes."""
    size = int.from_bytes(padded[1:_HEAD], "big")
    plaintext = padded[_HEAD : _HEAD + size]
    if len(padded) < _HEAD or len(plaintext) != size or size > MAX_VALUE_BYTES or pad(plaintext) != padded:
        raise ValueError("not a padded value")
    return plaintext
