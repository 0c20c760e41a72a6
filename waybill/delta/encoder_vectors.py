# SPDX-License-Identifier: Apache-2.0
"""The fixed contents on which encoders show who they are. All are computed; none is stored.

``noise(seed, n)`` is the first n bytes of SHA-256(seed, 0), SHA-256(seed, 1) …: the seed in ASCII, the counter as 32 bits little endian.

``empty``: no byte.
``one``: the byte 0x77.
``noise``: 73,728 bytes of ``noise("noise")``, which nothing compresses.
``text``: the first 98,304 bytes of words, each followed by a space, every sixteenth one by a line feed instead. There are 1,024 words: word k has
2 + b[8k] mod 7 letters, letter i being number b[8k + 1 + i] mod 16 of ``etaoinshrdlucmfw``, with b = ``noise("words")``. Word n of the text is
number v * v >> 22, v being the n-th 16-bit number, little endian, of ``noise("text")``.
``few``: 40,960 bytes of the three letters ``abc``, byte i being letter number n[i] mod 3 with n = ``noise("few")``: each has many equals before it.
``long``: 4,456,448 bytes, mostly zeros, past every window of deflate and past 4 MiB. Its first 256 pages have 16,384 bytes each: page i is 256 bytes
of text from 256i, 256 bytes of noise from 256i, then zeros. Then come text and noise as above, then zeros.
"""

import hashlib
from functools import cache
from typing import Final

FRAME: Final = ("empty", "one")
"""The vectors that show how an encoder frames."""
ENGINE: Final = ("noise", "text", "few", "long")
"""The vectors that show how it compresses."""
_LETTERS: Final = b"etaoinshrdlucmfw"
_NOISE_BYTES: Final = 73_728
_TEXT_BYTES: Final = 98_304
_FEW_BYTES: Final = 40_960
_LONG_BYTES: Final = 4_456_448
_PAGE: Final = 1 << 14


@cache
def vector(name: str) -> bytes:
    """The vector ``name``, as the module describes it."""
    makers = {
        "empty": bytes,
        "one": lambda: b"\x77",
        "noise": lambda: noise("noise", _NOISE_BYTES),
        "text": _text,
        "few": lambda: bytes(b"abc"[byte % 3] for byte in noise("few", _FEW_BYTES)),
        "long": _long,
    }
    return makers[name]()


def noise(seed: str, length: int) -> bytes:
    """``length`` bytes that look random and are the same everywhere."""
    return b"".join(hashlib.sha256(seed.encode() + i.to_bytes(4, "little")).digest() for i in range(-(-length // 32)))[:length]


def _text() -> bytes:
    b = noise("words", 8 * 1024)
    words = [bytes(_LETTERS[letter & 15] for letter in b[k + 1 : k + 3 + b[k] % 7]) for k in range(0, len(b), 8)]
    numbers = noise("text", _TEXT_BYTES)
    out = bytearray()
    for n in range(_TEXT_BYTES // 3):
        value = numbers[2 * n] | numbers[2 * n + 1] << 8
        out += words[value * value >> 22] + (b"\n" if n % 16 == 15 else b" ")
    return bytes(out[:_TEXT_BYTES])


def _long() -> bytes:
    text, salt = vector("text"), vector("noise")
    pages = [(text[at : at + 256] + salt[at : at + 256]).ljust(_PAGE, b"\0") for at in range(0, 256 * 256, 256)]
    return (b"".join(pages) + text + salt).ljust(_LONG_BYTES, b"\0")
