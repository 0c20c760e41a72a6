# SPDX-License-Identifier: Apache-2.0
"""Derived numbers come out of archives and go in again."""

import io
import random
import tarfile
import zipfile

import pytest

from waybill.delta.transforms import NotReversibleError, directory_close, directory_open, tar_close, tar_open


def _tar(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for number in range(30):
            entry = tarfile.TarInfo("a/" * (number * 6) + f"file-{number}")
            entry.size = number * 777
            entry.mtime = 1_700_000_000 + number
            archive.addfile(entry, io.BytesIO(bytes([number]) * entry.size))
    return out.getvalue()


def _chunked(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("size", [1, 511, 512, 513, 1 << 18])
def test_a_tar_without_its_checksums_is_made_again(form: int, size: int) -> None:
    data = _tar(tarfile.GNU_FORMAT)[:5120] if form == tarfile.USTAR_FORMAT else _tar(form)
    opened = b"".join(tar_open(_chunked(data, size)))
    assert len(opened) == len(data)
    assert opened != data
    assert b"".join(tar_close(_chunked(opened, size))) == data


def test_two_tars_that_differ_in_a_time_differ_nowhere_else_once_opened() -> None:
    one = _tar(tarfile.GNU_FORMAT)
    other = bytearray(one)
    other[136:147] = b"14524340001"
    other[148:156] = b"%06o\0 " % (sum(other[:512]) - sum(other[148:156]) + 256)
    opened = [b"".join(tar_open([data])) for data in (one, bytes(other))]
    assert [at for at, (a, b) in enumerate(zip(*opened, strict=True)) if a != b and not 136 <= at < 147] == []


def test_a_checksum_field_that_looks_taken_out_is_refused() -> None:
    data = bytearray(_tar(tarfile.GNU_FORMAT))
    data[148:156] = b"\0" * 7 + b"\x01"
    with pytest.raises(NotReversibleError):
        list(tar_open([bytes(data)]))


def test_any_bytes_pass_and_come_back() -> None:
    chance = random.Random(4)
    for _ in range(300):
        data = bytearray(_tar(tarfile.PAX_FORMAT)[: chance.randrange(9000)])
        for _ in range(chance.randrange(6)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            opened = b"".join(tar_open([bytes(data)]))
        except NotReversibleError:
            continue
        assert b"".join(tar_close([opened])) == data


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
