# SPDX-License-Identifier: Apache-2.0
"""Derived numbers come out of archives and go in again."""

import io
import random
import tarfile
import zipfile

import pytest

from waybill.delta.containers.tar import Tar
from waybill.delta.encoding.transforms import Transformed
from waybill.delta.io import BytesReader, whole
from waybill.delta.limits import Limits
from waybill.delta.transforms import (
    NotReversibleError,
    directory_close,
    directory_open,
    headers_close,
    headers_open,
)
from waybill.errors import WaybillError


def _tar(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for number in range(30):
            entry = tarfile.TarInfo("a/" * (number * 6) + f"file-{number}")
            entry.size = number * 777
            entry.mtime = 1_700_000_000 + number
            archive.addfile(entry, io.BytesIO(bytes([number]) * entry.size))
    return out.getvalue()


def _runs(data: bytes) -> list[bytes]:
    """The headers before each file."""
    parts = Tar().parts(whole(BytesReader(data)), Limits()) or ()
    return [data[one.offset : one.offset + one.length] for one in parts if one.codec == "tar-header"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_headers_without_their_checksums_are_made_again(form: int) -> None:
    runs = _runs(_tar(form))
    assert len(runs) == 29, "the file without content has no headers of its own"
    for run in runs:
        opened = headers_open(run)
        assert len(opened) == len(run)
        assert opened != run
        assert headers_close(opened) == run


def test_two_headers_that_differ_in_a_time_differ_nowhere_else_once_opened() -> None:
    one = _runs(_tar(tarfile.GNU_FORMAT))[-1][-512:]
    other = bytearray(one)
    other[136:147] = b"14524340001"
    other[148:156] = b"%06o\0 " % (sum(other) - sum(other[148:156]) + 256)
    opened = [headers_open(data) for data in (one, bytes(other))]
    assert [at for at, (a, b) in enumerate(zip(*opened, strict=True)) if a != b and not 136 <= at < 147] == []


def test_a_checksum_field_that_looks_taken_out_is_refused() -> None:
    data = bytearray(_tar(tarfile.GNU_FORMAT))
    data[148:156] = b"\0" * 7 + b"\x01"
    with pytest.raises(NotReversibleError):
        headers_open(bytes(data))


def test_any_bytes_pass_and_come_back() -> None:
    chance = random.Random(4)
    for _ in range(300):
        data = bytearray(_tar(tarfile.PAX_FORMAT)[: chance.randrange(9000)])
        for _ in range(chance.randrange(6)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            opened = headers_open(bytes(data))
        except NotReversibleError:
            continue
        assert headers_close(opened) == data


def test_more_than_can_be_held_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waybill.delta.encoding.transforms.MOST", 1000)
    with pytest.raises(WaybillError, match="expansion_exceeded"):
        list(Transformed("tar-header").encode([b"x" * 600, b"x" * 600]))


def test_a_zip_directory_says_the_same_when_all_offsets_move() -> None:
    archives = []
    for first in (b"x" * 100, b"x" * 5000):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(zipfile.ZipInfo("first"), first)
            for number in range(40):
                archive.writestr(zipfile.ZipInfo(f"entry-{number}"), b"y" * number)
        data = out.getvalue()
        archives.append(data[data.index(b"PK\x01\x02") :])
    opened = [directory_open(data) for data in archives]
    assert [directory_close(data) for data in opened] == archives
    plain = sum(a != b for a, b in zip(*archives, strict=True))
    assert sum(a != b for a, b in zip(*opened, strict=True)) < plain / 4


def test_any_directory_comes_back() -> None:
    chance = random.Random(5)
    for _ in range(500):
        data = bytearray(b"PK\x01\x02" * 3 + chance.randbytes(400))
        data[:4] = b"PK\x01\x02"
        assert directory_close(directory_open(bytes(data))) == data
