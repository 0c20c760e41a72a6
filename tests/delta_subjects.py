# SPDX-License-Identifier: Apache-2.0
"""Small true deltas over every part of the format: what ``delta_corruptions`` spoils, and what a receiver here works with."""

import gzip
import io
import itertools
import lzma
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np

from waybill.delta.encoders import PURE_ENCODERS, EncoderSet
from waybill.delta.io import Array, BytesReader, MemorySpool, Spool
from waybill.delta.make import make
from waybill.delta.predict.elf import AARCH64, X86_64
from waybill.delta.tools import Tools

ENCODERS: Final = EncoderSet(PURE_ENCODERS)
_SEED: Final = 16


@dataclass(frozen=True, slots=True)
class Subject:
    """A base, a new file, and the true delta between them."""

    name: str
    base: bytes
    new: bytes
    delta: bytes


class SeedAligner:
    """Alignment by equal seeds of 16 bytes: simple, and good enough to make every kind of record."""

    def align(self, old: bytes, new: bytes, mode: Literal["fast", "best"]) -> Array:
        """See ``waybill.delta.io.Aligner``."""
        known = {old[at : at + _SEED]: at for at in range(0, len(old) - _SEED + 1, _SEED)}
        records: list[tuple[int, int, int]] = []
        at = extra = 0
        while at < len(new):
            found = known.get(new[at : at + _SEED])
            if found is None:
                extra, at = extra + 1, at + 1
                continue
            records.append((0, extra, records[-1][2] + records[-1][0] if records else 0))
            length = _alike(old, new, found, at)
            records.append((length, 0, found))
            extra, at = 0, at + length
        records.append((0, extra, 0))
        return np.array(records, np.int64)


def _alike(old: bytes, new: bytes, start: int, at: int) -> int:
    """How far two places are nearly the same: until half of sixteen bytes differ."""
    length = _SEED
    while start + length + _SEED <= len(old) and at + length + _SEED <= len(new):
        pairs = zip(old[start + length : start + length + _SEED], new[at + length : at + length + _SEED], strict=True)
        if sum(one != other for one, other in pairs) > _SEED // 2:
            break
        length += _SEED
    return length


def tools(spool: Callable[[], Spool] = MemorySpool) -> Tools:
    """What runs in this process alone."""
    return Tools(encoders=ENCODERS, spool=spool, aligner=SeedAligner())


@cache
def subjects() -> tuple[Subject, ...]:
    """Wheel, tgz, deb, programs of both processors and plain text; the same bytes in every run of one version."""
    found = []
    for name, base, new in _files():
        for tier in ("online", "best"):
            sink = MemorySpool()
            make(BytesReader(base), BytesReader(new), sink, tools=tools(), tier="best" if tier == "best" else "online")
            found.append(Subject(f"{name}, {tier}", base, new, sink.read_at(0, sink.size)))
    return tuple(found)


def subject_of(name: str, base: Path, new: Path) -> Subject:
    """A true pair of packages, best tier."""
    old, fresh, sink = base.read_bytes(), new.read_bytes(), MemorySpool()
    make(BytesReader(old), BytesReader(fresh), sink, tools=tools(), tier="best")
    return Subject(name, old, fresh, sink.read_at(0, sink.size))


def _files() -> Iterator[tuple[str, bytes, bytes]]:
    chance = random.Random(4)
    texts = {f"pack/m{number}.py": _text(chance, 3000) for number in range(6)}
    later = {name.replace("m5", "m5b"): _edited(chance, text) if "m1" in name or "m5" in name else text for name, text in texts.items()}
    code, newer = programs(X86_64)
    yield (
        "wheel",
        _zip({**texts, "pack/_x.so": code, "pack/d.json.gz": _gz(texts["pack/m2.py"])}),
        _zip({**later, "pack/_x.so": newer, "pack/d.json.gz": _gz(_edited(chance, texts["pack/m2.py"]))}),
    )
    yield "tgz", gzip.compress(_tar(texts), 9, mtime=0), gzip.compress(_tar(later), 9, mtime=0)
    yield "deb", _deb(_tar(texts)), _deb(_tar(later))
    yield "nested", _zip({"in.tgz": gzip.compress(_tar(texts), 6, mtime=0)}), _zip({"in.tgz": gzip.compress(_tar(later), 6, mtime=0)})
    code, newer = programs(AARCH64)
    yield "aarch64", _tar({"x.so": code}), _tar({"x.so": newer})
    yield "text", texts["pack/m0.py"] * 4, _edited(chance, texts["pack/m0.py"] * 4)


def _text(chance: random.Random, size: int) -> bytes:
    words = [bytes(chance.choices(b"abcdefghij_", k=chance.randrange(2, 9))) for _ in range(80)]
    out = bytearray()
    while len(out) < size:
        out += chance.choice(words) + chance.choice((b" ", b"\n", b"(", b") = "))
    return bytes(out)


def _edited(chance: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(3):
        at = chance.randrange(len(out))
        out[at : at + chance.randrange(20)] = chance.randbytes(chance.randrange(30)).hex().encode()
    return bytes(out)


_FUNCTIONS: Final = 64
_ADDRESS: Final = 0x400000


def programs(machine: int) -> tuple[bytes, bytes]:
    """Two versions of a program that is loaded where it lies: functions full of calls, and a table of their addresses; in the second, one has grown."""
    chance = random.Random(machine)
    bodies = [_body(chance, machine, chance.randrange(4, 10)) for _ in range(_FUNCTIONS)]
    calls = [[chance.randrange(_FUNCTIONS) for _ in range(0, len(body), 24)] for body in bodies]
    later = list(bodies)
    later[20] += _body(chance, machine, 3)
    later[40] = _body(chance, machine, len(later[40]) // 24)
    return _linked(machine, bodies, calls), _linked(machine, later, calls)


def _body(chance: random.Random, machine: int, units: int) -> bytes:
    """Units of 24 bytes, each with room for a call: numbers into a register, so that instructions can be told apart, or noise."""
    if machine == AARCH64:
        return chance.randbytes(24 * units)
    return b"".join(b"\x90" * 10 + b"\x48\xc7\xc0" + chance.randbytes(4) + b"\x48\xc7\xc1" + chance.randbytes(4) for _ in range(units))


def _linked(machine: int, bodies: Sequence[bytes], calls: Sequence[Sequence[int]]) -> bytes:
    starts = list(itertools.accumulate((len(body) for body in bodies), initial=176))
    out = bytearray()
    for start, body, targets in zip(starts, bodies, calls, strict=False):
        code = bytearray(body)
        for at, target in zip(range(0, len(code), 24), targets, strict=False):
            if machine == X86_64:
                code[at : at + 5] = b"\xe8" + struct.pack("<i", starts[target] - (start + at + 5))
            else:
                code[at : at + 4] = struct.pack("<I", 0x94000000 | ((starts[target] - start - at) >> 2) & 0x3FFFFFF)
        out += code
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, _ADDRESS, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    border, table = starts[-1], b"".join(struct.pack("<Q", _ADDRESS + start) for start in starts)
    head += struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, border, border, 4096)
    head += struct.pack("<IIQQQQQQ", 1, 6, border, _ADDRESS + border, _ADDRESS + border, len(table), len(table), 4096)
    return head + bytes(out) + table


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _gz(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def _tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _deb(tar: bytes) -> bytes:
    out = b"!<arch>\n"
    for name, data in (("debian-binary", b"2.0\n"), ("data.tar.xz", lzma.compress(tar, preset=6))):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out
