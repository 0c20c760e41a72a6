# SPDX-License-Identifier: Apache-2.0
"""Base64 that one sequence of bytes can be written in only one way per alphabet.

Refuses what the standard library lets pass: white space, missing padding, non-zero trailing bits, both alphabets in one text.
"""

import base64
import binascii

from waybill.errors import FormatError


def encode(data: bytes) -> str:
    """``data`` in the standard alphabet, padded."""
    return base64.b64encode(data).decode("ascii")


def decode(text: str, *, code: str, field: str) -> bytes:
    """The bytes that ``text`` stands for, in the standard or the URL alphabet, padded.

    Args:
        text: no white space.
        code: the error code to raise.
        field: the member that holds ``text``, for the error.
    Raises:
        FormatError: ``code``, when ``text`` is anything but the one encoding of some bytes.
    Source: RFC 4648, sections 3.5 and 12; DSSE 1.0.2 envelope, which allows either alphabet.
    """
    url = "-" in text or "_" in text
    try:
        raw = text.encode("ascii")
        data = base64.urlsafe_b64decode(raw) if url else base64.b64decode(raw, validate=True)
    except (ValueError, binascii.Error) as error:
        raise FormatError(code, f"{field} is not base64", field=field) from error
    again = base64.urlsafe_b64encode(data) if url else base64.b64encode(data)
    if again != raw:
        raise FormatError(code, f"{field} is not the one base64 form of its bytes", field=field)
    return data
