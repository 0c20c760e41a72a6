# SPDX-License-Identifier: Apache-2.0
"""Archives that do not compress: tar, ar, cpio."""

import io
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.delta.test_codecs import mixed
from tests.unit.delta.trees import members, opened, parts, walk
from waybill.delta.limits import Limits

LONG = "/".join(["a-folder-with-a-rather-long-name"] * 9) + "/file.txt"
FILES = {"one.txt": mixed(3000, 1), "d/two.bin": mixed(70_000, 2), LONG: mixed(512, 3), "drei-ü.txt": mixed(100, 4)}


def tar(files: dict[str, bytes] = FILES, style: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar as Python writes it, with a folder and a link among the files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=style) as one:
        folder = tarfile.TarInfo("d")
        folder.type = tarfile.DIRTYPE
        one.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            one.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "x/" * (40 if style == tarfile.USTAR_FORMAT else 100)
        one.addfile(link)
    return out.getvalue()


def header(name: bytes, size: bytes, kind: bytes = b"0", magic: bytes = b"ustar\x0000", rest: bytes = b"") -> bytes:
    """A tar header by hand, with its checksum."""
    block = bytearray(512)
    for at, value in ((0, name), (124, size), (148, b" " * 8), (156, kind), (257, magic), (345, rest)):
        block[at : at + len(value)] = value
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    """Content as a tar holds it."""
    return content + bytes(-len(content) % 512)


def test_tars_of_every_kind() -> None:
    """Long names by pax and by GNU, with those that fit in a header."""
    for style in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert members(tar(style=style)) == FILES
    split = {"p" * 90 + "/" + "n" * 90: mixed(100)}
    assert members(tar(split, tarfile.USTAR_FORMAT)) == split


def test_old_tars_have_no_magic_number() -> None:
    """The checksum is enough."""
    assert members(header(b"old", b"0000000144 ", kind=b"\0", magic=b"") + padded(mixed(100))) == {"old": mixed(100)}


def test_sizes_in_base_256_and_in_pax_headers() -> None:
    """Both are how files beyond 8 GiB are written."""
    large = header(b"large", b"\x80" + (100).to_bytes(11, "big")) + padded(mixed(100))
    assert members(large) == {"large": mixed(100)}
    record = b"12 size=100\n"
    pax = header(b"x", b"%011o" % len(record), b"x") + padded(record) + header(b"large", b"0") + padded(mixed(100))
    assert members(pax + header(b"next", b"62") + padded(mixed(50))) == {"large": mixed(100), "next": mixed(50)}


def test_sparse_files_stay_raw() -> None:
    """Old GNU ones with further blocks of their map, and those told by pax; what follows is found."""
    follows = header(b"next", b"62") + padded(mixed(50))
    sparse = bytearray(header(b"sparse", b"1750", b"S"))
    sparse[482] = 1
    sparse[148:156] = b"%06o\0 " % (sum(sparse) - sum(sparse[148:156]) + 256)
    more = bytearray(512)
    more[504] = 1
    assert members(bytes(sparse) + bytes(more) + bytes(512) + padded(mixed(1000)) + follows) == {"next": mixed(50)}
    record = b"22 GNU.sparse.major=1\n"
    assert members(header(b"x", b"26", b"x") + padded(record) + header(b"s", b"1750") + padded(mixed(1000)) + follows) == {
        "next": mixed(50)
    }


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs the tar program")
@pytest.mark.parametrize("style", ["gnu", "pax", "oldgnu"])
def test_sparse_files_of_the_tar_program(tmp_path: Path, style: str) -> None:
    """A file with eight holes among others."""
    with (tmp_path / "holes").open("wb") as file:
        for at in range(8):
            file.seek(at << 20)
            file.write(mixed(5000, at))
    (tmp_path / "z").write_bytes(mixed(999))
    command = ["tar", "-cSf", "-", f"--format={style}", "holes", "z"]
    data = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, check=True).stdout
    assert members(data) == {"z": mixed(999)}


def test_links_have_no_content_whatever_their_size() -> None:
    """So says every reader of tars."""
    data = header(b"hard", b"1750", b"1") + header(b"next", b"62") + padded(mixed(50))
    assert members(data) == {"next": mixed(50)}


def test_a_tar_is_read_up_to_what_is_no_header() -> None:
    """What came before is known; the rest is raw. A file that is cut is a member as far as it goes."""
    data = tar()
    assert members(data[:-10_000] + b"garbage" * 1000) != {}
    for length in range(512, len(data), 997):
        found = members(data[:length])
        assert all(FILES[name].startswith(content) for name, content in found.items())
    assert parts(data[:511]) is None


@pytest.mark.parametrize(
    "block",
    [header(b"n", b"9" * 11), header(b"n", b"\xff" * 12), header(b"n", b"1 2 3"), bytes(512), b"0" * 512],
)
def test_headers_without_sense(block: bytes) -> None:
    """Numbers that are none, negative ones, zeros."""
    assert opened(block + mixed(2000)).children == ()


def test_hostile_pax_headers() -> None:
    """Records with lengths that lie, huge numbers, a header as long as the file: no error and no loop."""
    for record in (
        b"0 a=\n",
        b"3 a=b\n",
        b"9999999999 path=x\n",
        b"12 path=",
        b"30 size=9999999999999999999999\n",
        b"12 size=-12\n",
        b"5 =x\n",
    ):
        data = header(b"x", b"%011o" % len(record), b"x") + padded(record) + header(b"n", b"144") + padded(mixed(100))
        assert len(members(data)) <= 1
    assert members(header(b"x", b"7" * 11, b"x") + mixed(2000)) == {}
    assert members(header(b"L", b"7" * 11, b"L") + mixed(2000)) == {}


def test_names_are_bounded() -> None:
    """A long one is cut, and all of them together have a bound."""
    name = b"n" * 20_000
    data = header(b"L", b"%011o" % len(name), b"L") + padded(name) + header(b"", b"144") + padded(mixed(100))
    assert [len(one) for one in members(data)] == [Limits().name_bytes]


def test_many_members() -> None:
    """They cost little, and no more pieces are made than allowed."""
    data = b"".join(header(b"%06d" % i, b"62") + padded(mixed(50)) for i in range(3000))
    assert len(members(data)) == 3000
    root = opened(data, replace(Limits(), nodes=1000))
    assert 450 < len(list(walk(root))) <= 500, "each with its headers"
    assert root.children[-1].kind == "raw"


def ar(*files: tuple[bytes, bytes]) -> bytes:
    """An ar of (name field, content)."""
    out = b"!<arch>\n"
    for name, content in files:
        out += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name, 0, 0, 0, b"100644", len(content)) + content + b"\n" * (len(content) & 1)
    return out


def test_ar() -> None:
    """As in Debian packages, odd lengths and names with a slash behind them among them."""
    files = ((b"debian-binary", mixed(33)), (b"control.tar/", mixed(501)), (b"data", mixed(99)))
    assert members(ar(*files)) == {"debian-binary": mixed(33), "control.tar": mixed(501), "data": mixed(99)}


def test_ar_with_long_names() -> None:
    """By the table of GNU and by the prefix of BSD; symbol tables are not members."""
    table = b"a-name-that-is-too-long.o/\nanother-one-that-is.o/\n"
    data = ar(
        (b"/", mixed(64)),
        (b"//", table),
        (b"/0", mixed(100)),
        (b"/27", mixed(200)),
        (b"/999", mixed(50)),
        (b"#1/12", b"bsd-name.o\0\0" + mixed(300)),
    )
    assert members(data) == {"a-name-that-is-too-long.o": mixed(100), "another-one-that-is.o": mixed(200), "bsd-name.o": mixed(300)}


@pytest.mark.parametrize("bad", [ar((b"#1/99", mixed(40))), ar((b"n", mixed(40)))[:-1], ar((b"n", mixed(40))).replace(b"`\n", b"``"), ar()])
def test_ar_with_faults(bad: bytes) -> None:
    """No error, and nothing made up."""
    assert all(content in bad for content in members(bad).values())


def test_ar_sizes_that_are_none() -> None:
    """Signs and letters end the search."""
    for size in (b"-1", b"+5", b"0x10", b"", b"99999999999"):
        data = b"!<arch>\n" + b"%-16s%-12d%-6d%-6d%-8s%-10s`\n" % (b"n", 0, 0, 0, b"100644", size) + mixed(1000)
        assert opened(data).children == ()


def cpio(*files: tuple[bytes, bytes]) -> bytes:
    """A "newc" archive."""
    out = b""
    for name, content in (*files, (b"TRAILER!!!", b"")):
        fields = (1, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
        out += bytes(-len(out) % 4) + content
        out += bytes(-len(out) % 4)
    return out


def test_cpio() -> None:
    """Files by name up to the trailer; a second archive behind it is not looked for."""
    data = cpio((b"etc/one", mixed(333)), (b"empty", b""), (b"two", mixed(70)))
    assert members(data + bytes(100)) == {"etc/one": mixed(333), "two": mixed(70)}
    for length in range(0, len(data), 7):
        opened(data[:length])
