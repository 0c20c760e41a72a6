# SPDX-License-Identifier: Apache-2.0
"""The encoders of xz streams: the same as the xz program makes, in every shape that it knows."""

import shutil
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.unit.delta.streams import made, mixed, view
from waybill.delta.encoder_vectors import noise
from waybill.delta.encoding.deflate import Zlib
from waybill.delta.encoding.xz import XZ_ENCODERS, Xz
from waybill.delta.encoding.zstd import Zstd
from waybill.errors import WaybillError

XZ = shutil.which("xz")


def _by_xz(plain: bytes, *options: str) -> bytes:
    assert XZ is not None
    return subprocess.run([XZ, "-c", *options], input=plain, stdout=subprocess.PIPE, check=True, env={}).stdout


def _remade(encoder: Xz, plain: bytes, coded: bytes) -> bytes:
    corrections = encoder.frame(view(plain), view(coded))
    assert corrections is not None
    return made(encoder, plain, corrections, stride=77_777)


needs_xz = pytest.mark.skipif(XZ is None, reason="the xz program is not installed")


@needs_xz
@pytest.mark.parametrize("size", [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 12_345])
@pytest.mark.parametrize("kind", ["mixed", "noise"])
def test_blocks_are_those_of_the_threaded_xz(size: int, kind: str) -> None:
    """Sizes around the borders of blocks; noise, which liblzma gives up to compress in full blocks."""
    plain = mixed(size) if kind == "mixed" else noise("xz", size)
    coded = _by_xz(plain, "-0", "-T2")
    assert _remade(Xz(0, blocks=True), plain, coded) == coded


@needs_xz
@pytest.mark.parametrize("check", ["none", "crc32", "crc64", "sha256"])
@pytest.mark.parametrize("threads", ["-T1", "-T2"])
def test_every_check_of_xz(check: str, threads: str) -> None:
    """The check of a stream is read from it and told in the corrections, if it is not the usual one."""
    plain, encoder = mixed(1_200_000), Xz(0, blocks=threads == "-T2")
    coded = _by_xz(plain, "-0", threads, "-C", check)
    assert _remade(encoder, plain, coded) == coded
    assert bool(encoder.frame(view(plain), view(coded))) == (check != "crc64")


@needs_xz
@pytest.mark.parametrize("encoder", XZ_ENCODERS, ids=lambda one: one.name)
def test_every_preset_of_xz(encoder: Xz) -> None:
    """All presets, extreme ones too, in one block and in many."""
    plain = mixed(70_000)
    coded = _by_xz(plain, f"-{encoder.level}{'e' * encoder.extreme}", "-T2" if encoder.blocks else "-T1")
    assert _remade(encoder, plain, coded) == coded


@needs_xz
@pytest.mark.parametrize("block", [65_536, 300_000, 2_000_000])
def test_blocks_of_another_size(block: int) -> None:
    """The block size of a stream is read from its first block."""
    plain = mixed(700_000)
    coded = _by_xz(plain, "-1", "-T2", f"--block-size={block}")
    assert _remade(Xz(1, blocks=True), plain, coded) == coded


@needs_xz
def test_a_preset_is_refused_at_the_first_bytes() -> None:
    """Long streams are told apart by their first chunk: presets with the same dictionary too."""
    plain = mixed(5 << 20)
    coded = view(_by_xz(plain, "-6", "-T2"))
    fitting = [one.name for one in XZ_ENCODERS if one.frame(view(plain), coded) is not None]
    assert "xz:6:mt" in fitting
    assert all(name.endswith(":mt") for name in fitting)
    assert "xz:5:mt" not in fitting


def test_broken_xz_streams_are_nobodys() -> None:
    """However a header is cut or changed, asking for its frame gives an answer."""
    plain = mixed(70_000)
    coded = made(Xz(0, blocks=True), plain)
    for length in range(80):
        for encoder in (Xz(0, blocks=True), Xz(0)):
            encoder.frame(view(plain), view(coded[:length]))
    for at in range(40):
        for bits in (0x01, 0x80, 0xFF):
            changed = bytearray(coded)
            changed[at] ^= bits
            Xz(0, blocks=True).frame(view(plain), view(bytes(changed)))


def test_a_stream_given_up_leaves_no_thread() -> None:
    """The two threads that compress blocks are gone when the stream is closed, in the middle too."""
    before = threading.active_count()
    made = Xz(0, blocks=True).encode(view(mixed(5 << 20)).chunks())
    assert next(iter(made))
    assert next(iter(made))
    del made
    assert threading.active_count() == before


def test_an_error_of_the_source_comes_through() -> None:
    """What the maker of the plain bytes raises is raised, and the threads are gone."""

    def broken() -> Iterator[bytes]:
        yield bytes(1 << 20)
        raise WaybillError("delta.malformed", "broken on purpose")

    before = threading.active_count()
    for encoder in (Xz(0, blocks=True), Xz(0), Zstd(3, "mt"), Zlib(6)):
        with pytest.raises(WaybillError, match="broken on purpose"):
            list(encoder.encode(broken()))
    assert threading.active_count() == before
