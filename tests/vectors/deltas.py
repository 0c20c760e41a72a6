# SPDX-License-Identifier: Apache-2.0
"""Makes tests/vectors/delta-v1/: ``python -m tests.vectors.deltas``. Unlike the other vectors they are not made again by a test: what zstd and LZMA write is
not fixed, only what is read from it. Encoders are those whose output depends on no library: the transforms, and bzip2.
"""

import bz2
import hashlib
import struct
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from tests.delta_subjects import SeedAligner, programs
from tests.vectors.folder import Folder
from waybill.delta import blocks, predict, records
from waybill.delta.encoders import Encoder, EncoderId, identity_of
from waybill.delta.encoding.bzip2 import BZIP2_ENCODERS
from waybill.delta.encoding.transforms import TRANSFORM_ENCODERS
from waybill.delta.io import Array
from waybill.delta.model import PATCH, POOL, Block, Head, Opened, Range, Recipe, Stream
from waybill.delta.numbers import checksum, column_of, put, put_columns, signed_column_of
from waybill.delta.predict.control import put_records
from waybill.delta.predict.elf import AARCH64, X86_64
from waybill.delta.transforms import TRANSFORMS
from waybill.delta.writer import encode, encode_head, encode_recipe

HERE: Final = Path(__file__).parent / "delta-v1"
TEXT: Final = b"".join(b"line %d of a text that both versions have\n" % number for number in range(60))
EMPTY: Final = Recipe((), (), (), (), ())
ENCODERS: Final[tuple[Encoder, ...]] = (*TRANSFORM_ENCODERS, *BZIP2_ENCODERS)
IDS: Final = {one.name: identity_of(one) for one in ENCODERS}
BZ: Final = IDS["bzip2:9"]


def stored(data: bytes) -> bytes:
    """A deflate stream of one stored block."""
    return b"\x01" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data


def made(base: bytes, new: bytes, recipe: Recipe, *payloads: bytes) -> bytes:
    """The delta with the true head."""
    head = Head(hashlib.sha256(base).digest(), len(base), hashlib.sha256(new).digest(), len(new))
    return b"".join(encode(head, recipe, [[one] for one in payloads]))


def folder() -> Folder:
    """All cases."""
    out = Folder()
    _whole(out)
    _patches(out)
    _refused(out)
    return out


def _add(out: Folder, name: str, base: bytes, new: bytes, delta: bytes, why: str, expected: str | None = None) -> None:
    beside = next((file for file, data in out.files.items() if data == base), f"{name}.base")
    out.files[beside] = base
    result = None
    if expected is None:
        result = f"{name}.result"
        out.files[result] = new
    out.add(f"{name}.wbd", delta, expected=expected, why=why, beside=beside, result=result)


def _whole(out: Folder) -> None:
    new = TEXT[100:200] + TEXT[:50]
    _add(
        out,
        "copies",
        TEXT,
        new,
        made(TEXT, new, replace(EMPTY, segments=(Range(0, 100, 100), Range(0, 0, 50)))),
        "ranges of the base, nothing else",
    )
    _add(out, "nothing", TEXT, b"", made(TEXT, b"", EMPTY), "the result is empty")
    pool = TEXT[:500] + b"and something new" + TEXT[500:900]
    for name, prefix, ranges in (("pool-with-prefix", TEXT, (Range(0, 0, len(TEXT)),)), ("pool", b"", ())):
        payload = blocks.pool(prefix, pool, "best")
        recipe = Recipe((), (), (Block(POOL, len(pool), ranges, len(payload)),), (Range(1, 0, len(pool)),), ())
        _add(out, name, TEXT, pool, made(TEXT, pool, recipe, payload), "a pool, zstd with or without old content as prefix")
    inner = stored(TEXT)
    base = b"head" + inner
    new = TEXT[50:100]
    recipe = Recipe((), (Opened("deflate", Range(0, 4, len(inner)), len(TEXT)),), (), (Range(1, 50, 50),), ())
    _add(out, "opened", base, new, made(base, new, recipe), "a source is opened out of the base")
    new = b"[" + bz2.compress(b"(" + bz2.compress(TEXT[:300]) + b")") + b"]"
    fresh = b"[()]"
    recipe = Recipe(
        (BZ,),
        (),
        (Block(POOL, 4, (), len(payload := blocks.pool(b"", fresh, "best"))),),
        (Range(1, 0, 1), Range(1, 1, 1), Range(0, 0, 300), Range(1, 2, 1), Range(1, 3, 1)),
        (Stream(1, 3, 0), Stream(2, 1, 0)),
    )
    _add(out, "nested-streams", TEXT, new, made(TEXT, new, recipe, payload), "a stream inside of a stream")
    for codec, data in (("tar-header", _header(b"a-file", 1)), ("zip-directory", _directory())):
        opened = TRANSFORMS[codec].open(data)
        recipe = Recipe(
            (IDS[f"{codec}:1"],), (Opened(codec, Range(0, 0, len(data)), len(data)),), (), (Range(1, 0, len(data)),), (Stream(0, 1, 0),)
        )
        _add(out, codec, data, data, made(data, data, recipe), "a transform, opened and put in again")
        payload = blocks.pool(b"", opened, "best")
        recipe = replace(recipe, opened=(), blocks=(Block(POOL, len(data), (), len(payload)),))
        _add(out, f"{codec}-new", TEXT, data, made(TEXT, data, recipe, payload), "the opened form travels")


def _header(name: bytes, size: int) -> bytes:
    head = bytearray(512)
    head[: len(name)] = name
    head[100:108], head[124:136], head[136:148] = b"0000644\0", b"%011o\0" % size, b"00000000000\0"
    head[156:157], head[257:265], head[148:156] = b"0", b"ustar\x0000", b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def _directory() -> bytes:
    entry = struct.Struct("<4sHHHHHHIIIHHHHHII")
    rows, offset = b"", 0
    for name, size in ((b"one", 10), (b"two", 20)):
        rows += entry.pack(b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, size, size, len(name), 0, 0, 0, 0, 0, offset) + name
        offset += 30 + len(name) + size
    return rows


def _patched(
    old: bytes, new: bytes, *, predictor: predict.ElfPredictor | None, fast: bool, telling: str = ""
) -> tuple[Recipe, tuple[bytes, ...]]:
    found = SeedAligner().align(old, new, "best")
    payload, extra = records.encode(old, new, found, predictor, fast=fast)
    if telling == "columns":
        rest = payload[len(_told(found)) :]
        payload = _columns(found) + rest
    pool = blocks.pool(b"", extra, "best")
    name = predictor.name if predictor else ""
    return Recipe(
        (),
        (),
        (Block(POOL, len(extra), (), len(pool)), Block(PATCH, len(new), (Range(0, 0, len(old)),), len(payload), 1, name)),
        (Range(2, 0, len(new)),),
        (),
    ), (pool, payload)


def _told(found: Array) -> bytes:
    out = bytearray()
    put(out, records.TOLD)
    put_records(out, found)
    return bytes(out)


def _columns(found: Array) -> bytes:
    out = bytearray()
    put(out, records.COLUMNS)
    put(out, len(found))
    seeks = np.diff(found[:, 2], prepend=0) - np.append(np.zeros(1, np.int64), found[:-1, 0])
    put_columns(out, [column_of(found[:, 0]), column_of(found[:, 1]), signed_column_of(seeks)])
    return bytes(out)


def _patches(out: Folder) -> None:
    new = TEXT[:700] + b"edited" + TEXT[690:1500].replace(b"text", b"tixt") + TEXT[1600:]
    for telling in ("bits", "columns"):
        recipe, payloads = _patched(TEXT, new, predictor=None, fast=False, telling=telling)
        _add(out, f"patch-{telling}", TEXT, new, made(TEXT, new, recipe, *payloads), "a patch whose records are told in this way")
    for machine, predictor in zip((X86_64, AARCH64), predict.PREDICTORS, strict=True):
        old, fresh = programs(machine)
        for fast in (False, True):
            recipe, payloads = _patched(old, fresh, predictor=predictor, fast=fast)
            name = f"{predictor.name.partition('/')[0]}-{'packed' if fast else 'bits'}"
            _add(out, name, old, fresh, made(old, fresh, recipe, *payloads), "a program, its fields told by this coder")


def _refused(out: Folder) -> None:
    new = TEXT[:100]
    good = replace(EMPTY, segments=(Range(0, 0, 100),))
    true = made(TEXT, new, good)

    def add(name: str, delta: bytes, code: str, why: str, base: bytes = TEXT) -> None:
        _add(out, f"{name}_fail", base, b"", delta, why, code)

    def with_recipe(name: str, recipe: Recipe, code: str, why: str) -> None:
        add(name, made(TEXT, new, recipe), code, why)

    def sealed(data: bytes) -> bytes:
        return data + checksum([data])

    add("magic", sealed(b"WBD2" + true[4:-8]), "delta.malformed", "another magic number")
    add("checksum", true[:-1] + bytes([true[-1] ^ 1]), "delta.malformed", "a wrong checksum")
    add("cut", true[:-20], "delta.malformed", "the end is missing")
    add("cut-inside", sealed(true[:-12]), "delta.malformed", "the end is missing, under a right checksum")
    add("longer", sealed(true[:-8] + b"x"), "delta.malformed", "a byte more than the parts have")
    add("base", true, "delta.base_mismatch", "another base of the same size", bytes(len(TEXT)))
    add("base-size", true, "delta.base_mismatch", "a longer base", TEXT + b"x")
    head = Head(hashlib.sha256(TEXT).digest(), len(TEXT), bytes(32), 100)
    coded = encode_recipe(good)
    add("result", sealed(encode_head(head, len(coded)) + coded), "delta.result_mismatch", "another result than announced")
    head = replace(head, result_size=99)
    add("result-size", sealed(encode_head(head, len(coded)) + coded), "delta.output_exceeded", "a longer result than announced")
    with_recipe("range", replace(good, segments=(Range(0, len(TEXT) - 50, 100),)), "delta.malformed", "a range beyond the end of the base")
    with_recipe("source", replace(good, segments=(Range(1, 0, 100),)), "delta.malformed", "a range of a source that does not exist")
    with_recipe(
        "later-source", replace(good, opened=(Opened("deflate", Range(1, 0, 5), 5),)), "delta.malformed", "a source that opens itself"
    )
    five = tuple(Range(0, 10 * number, 10) for number in range(5))
    for name, streams in (
        ("crossing", (Stream(0, 3, 0), Stream(2, 2, 0))),
        ("empty-stream", (Stream(1, 0, 0),)),
        ("too-deep", tuple(Stream(0, 1, 0) for _ in range(5))),
    ):
        with_recipe(name, Recipe((BZ,), (), (), five, streams), "delta.malformed", "streams that are not nested as they should be")
    with_recipe(
        "encoder",
        Recipe((EncoderId("unheard-of:1", bytes(16)),), (), (), five, (Stream(0, 1, 0),)),
        "delta.encoder_unavailable",
        "an unknown encoder",
    )
    with_recipe(
        "encoder-digest",
        Recipe((EncoderId("bzip2:9", bytes(16)),), (), (), five, (Stream(0, 1, 0),)),
        "delta.encoder_unavailable",
        "its digest is another",
    )
    heavy = Recipe((EncoderId("xz:9:st", bytes(16)),), (), (), five, (Stream(0, 2, 0), Stream(0, 1, 0)))
    with_recipe("memory", heavy, "delta.expansion_exceeded", "two encoders of 674 MiB at once")
    bomb = replace(good, opened=(Opened("deflate", Range(0, 0, 10), 1 << 40),))
    with_recipe("bomb", bomb, "delta.expansion_exceeded", "a source that opens to a tebibyte")
    broken = replace(good, opened=(Opened("deflate", Range(0, 0, 10), 5),))
    with_recipe("broken-stream", broken, "delta.malformed", "what is opened is no stream")
    block = Recipe((), (), (Block(PATCH, 5, (Range(0, 0, 5),), 0, 0, "elf-vax/1"),), (Range(1, 0, 5),), ())
    with_recipe("predictor", block, "delta.unsupported", "an unknown predictor")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for path in HERE.iterdir():
        path.unlink()
    for file, content in folder().written().items():
        (HERE / file).write_bytes(content)
