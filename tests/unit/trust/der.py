# SPDX-License-Identifier: Apache-2.0
"""Certificates written by hand, so that tests can make the ones that the library refuses to build."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = bytes.fromhex("06032b6570")
X25519 = bytes.fromhex("06032b656e")
RSA = bytes.fromhex("06092a864886f70d0101010500")
SPACE = uuid.UUID(hex="0198c5f2a4b87d6e9a3f1c2b4d5e6f70")
SPACE_ID = f"spc_{SPACE.hex}"
START = datetime(2026, 1, 1, tzinfo=UTC)


def tlv(tag: int, content: bytes) -> bytes:
    """One DER value."""
    size = len(content)
    length = (
        bytes([size]) if size < 128 else (lambda raw: bytes([0x80 | len(raw)]) + raw)(size.to_bytes((size.bit_length() + 7) // 8, "big"))
    )
    return bytes([tag]) + length + content


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE."""
    return tlv(0x30, b"".join(parts))


def oid(text: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    numbers = [int(part) for part in text.split(".")]
    out = b""
    for number in (numbers[0] * 40 + numbers[1], *numbers[2:]):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | (number & 0x7F))
        out += bytes(reversed(groups))
    return tlv(0x06, out)


def name(text: str) -> bytes:
    """A Name with one common name; empty for ``""``."""
    return sequence(*([tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0C, text.encode())))] if text else []))


def time(moment: datetime) -> bytes:
    """A UTCTime, or a GeneralizedTime from 2050 on."""
    return (
        tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode()) if moment.year < 2050 else tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())
    )


def extension(identifier: str, value: bytes, *, critical: bool) -> bytes:
    """One extension."""
    return sequence(oid(identifier), tlv(0x01, b"\xff") if critical else b"", tlv(0x04, value))


def constraints(*, ca: bool, path_length: int | None = None, critical: bool = True) -> bytes:
    """basicConstraints."""
    content = (tlv(0x01, b"\xff") if ca else b"") + (tlv(0x02, bytes([path_length])) if path_length is not None else b"")
    return extension("2.5.29.19", sequence(content), critical=critical)


def usage(bits: int, unused: int, *, critical: bool = True) -> bytes:
    """keyUsage from one byte of bits."""
    return extension("2.5.29.15", tlv(0x03, bytes([unused, bits])), critical=critical)


CERT_SIGN = usage(0x04, 2)
DIGITAL_SIGNATURE = usage(0x80, 7)
KEY_AGREEMENT = usage(0x08, 3)


def alternative(*urls: str, critical: bool = False) -> bytes:
    """subjectAltName with URIs."""
    return extension("2.5.29.17", sequence(*[tlv(0x86, url.encode()) for url in urls]), critical=critical)


def purposes(*identifiers: str) -> bytes:
    """extendedKeyUsage."""
    return extension("2.5.29.37", sequence(*[oid(one) for one in identifiers]), critical=False)


URN = alternative(f"urn:waybill:space:{SPACE}")
UNKNOWN = extension("1.2.3.4", b"\x05\x00", critical=True)


@dataclass
class Parts:
    """Everything in a certificate; change one thing to break one check."""

    key: bytes
    issuer_key: Ed25519PrivateKey
    extensions: list[bytes] = field(default_factory=list)
    subject: str = "subject"
    issuer: str = "issuer"
    version: int = 2
    serial: bytes = b"\x07"
    algorithm: bytes = ED25519
    signature_algorithm: bytes = ED25519
    not_before: datetime = START
    not_after: datetime = START + timedelta(days=300)
    signature: bytes | None = None
    spki: bytes | None = None

    def build(self) -> bytes:
        """The certificate in DER, signed."""
        spki = self.spki or sequence(sequence(self.algorithm), tlv(0x03, b"\0" + self.key))
        algorithm = sequence(self.signature_algorithm)
        tbs = sequence(
            tlv(0xA0, tlv(0x02, bytes([self.version]))) if self.version else b"",
            tlv(0x02, self.serial),
            algorithm,
            name(self.issuer),
            sequence(time(self.not_before), time(self.not_after)),
            name(self.subject),
            spki,
            tlv(0xA3, sequence(*self.extensions)) if self.extensions else b"",
        )
        signature = self.signature if self.signature is not None else self.issuer_key.sign(tbs)
        return sequence(tbs, algorithm, tlv(0x03, b"\0" + signature))
