# SPDX-License-Identifier: Apache-2.0
"""Made ``adapters/delta_samples.py``: ``python -m tests.vectors.token_samples``. What is in it never changes, or ``tokens:1`` is another encoder.

The corrections lead the helper to streams of every kind of writer that it foretells, so that each part of it shows what it does.
"""

import base64
import sys
import textwrap
import zlib
from collections.abc import Iterator
from typing import Final

import zlib_ng.zlib_ng as zlib_ng

from adapters.delta_processes import DeltaProcesses
from tests.vectors.plain_deflate import deflated_plainly
from waybill.delta.encoder_vectors import vector
from waybill.delta.encoders import CorrectingEncoder
from waybill.delta.io import BytesReader, whole

_HEAD: Final = '''# SPDX-License-Identifier: Apache-2.0
"""Corrections with which the helper's deflate shows who it is. Made once by tests/vectors/token_samples.py and never again: a stream of each kind of writer."""

import base64
from typing import Final

from waybill.delta.encoders import Sample

TOKENS: Final[tuple[Sample, ...]] = tuple(
    (name, base64.b64decode(text))
    for name, text in (
'''


def streams(processes: DeltaProcesses) -> Iterator[tuple[str, str, bytes]]:
    """What it is, the vector, and the raw deflate stream."""
    text = vector("text")
    for level in (1, 3, 6, 9):
        engine = zlib.compressobj(level, zlib.DEFLATED, -15)
        yield f"zlib {level}", "text", engine.compress(text) + engine.flush()
        other = zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15)
        yield f"zlib-ng {level}", "text", other.compress(text) + other.flush()
    small = zlib.compressobj(6, zlib.DEFLATED, -12, 5)
    parts = [small.compress(text[at : at + 7001]) + small.flush(zlib.Z_SYNC_FLUSH) for at in range(0, len(text), 7001)]
    yield "flushed often, small window", "text", b"".join(parts) + small.flush()
    for strategy, name in (
        (zlib.Z_FILTERED, "filtered"),
        (zlib.Z_RLE, "runs"),
        (zlib.Z_HUFFMAN_ONLY, "no matches"),
        (zlib.Z_FIXED, "fixed code"),
    ):
        engine = zlib.compressobj(6, zlib.DEFLATED, -15, 8, strategy)
        yield name, "few" if name == "runs" else "text", engine.compress(vector("few" if name == "runs" else "text")) + engine.flush()
    for name in ("node:9:8", "gnu-gzip:6"):
        encoder = next(one for one in processes.encoders if one.name == name)
        yield name, "text", b"".join(encoder.encode([text]))
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    yield "stored", "noise", stored.compress(vector("noise")) + stored.flush()
    for name in ("text", "few"):
        yield "like no writer", name, deflated_plainly(vector(name))


def main() -> None:
    """Prints the module."""
    out = [_HEAD]
    with DeltaProcesses() as processes:
        tokens = next(one for one in processes.encoders if one.name == "tokens:1")
        assert isinstance(tokens, CorrectingEncoder)
        for what, name, coded in streams(processes):
            corrections = tokens.correct(whole(BytesReader(vector(name))), whole(BytesReader(coded)))
            if corrections is None:
                sys.stderr.write(f"{what}: none\n")
                continue
            lines = textwrap.wrap(base64.b64encode(corrections).decode(), 120)
            text = (
                f'"{lines[0]}"' if len(lines) == 1 else "(\n" + "".join(f'                "{line}"\n' for line in lines) + "            )"
            )
            out.append(f'        # {what}\n        ("{name}", {text}),\n')
    out.append("    )\n)\n")
    sys.stdout.write("".join(out))


if __name__ == "__main__":
    main()
