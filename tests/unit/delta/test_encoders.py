# SPDX-License-Identifier: Apache-2.0
"""Encoders: what they make decodes to what they got, however it came; who they are is proven; bad corrections are refused."""

import hashlib
import itertools
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.vectors import generate
from waybill.delta.codecs import decode
from waybill.delta.encoder_vectors import ENGINE, FRAME, noise, vector
from waybill.delta.encoders import PURE_ENCODERS, Encoder, EncoderId, EncoderSet, FramedEncoder, Sample, identity_of
from waybill.delta.encoding import zstd as zstd_frames
from waybill.delta.encoding.deflate import Zlib, ZlibNg, flushed_before_the_end
from waybill.delta.encoding.writes import GATHERED_MOST, WHOLE, writes
from waybill.delta.encoding.xz import XZ_ENCODERS, Lzma, Xz
from waybill.delta.encoding.zstd import Zstd
from waybill.delta.io import BytesReader, View, whole
from waybill.errors import FormatError, WaybillError

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = json.loads((Path(generate.__file__).parent / "delta-encoders-v1" / "contents.json").read_bytes())
HEAVY = {f"zstd:{level}:{way}" for level in (20, 21, 22) for way in ("mt", "st")}
"""Their tables alone take hundreds of megabytes."""
EVERYDAY = [one for one in PURE_ENCODERS if one.name not in HEAVY]


def _view(data: bytes) -> View:
    return whole(BytesReader(data))


def _made(encoder: Encoder, plain: bytes, corrections: bytes = b"", stride: int = 1 << 18) -> bytes:
    return b"".join(encoder.encode(_view(plain).chunks(stride), corrections))


def _mixed(size: int) -> bytes:
    """Text, zeros and noise in turns."""
    parts = (vector("text")[:30_000], bytes(20_000), noise("mixed", 9_000))
    return b"".join(itertools.islice(itertools.cycle(parts), size // 50_000 * 3 + 3))[:size]


def test_the_vectors_are_the_same_everywhere() -> None:
    """The contents by which encoders are known are those of the golden file."""
    found = {}
    for name in dict.fromkeys((*FRAME, *ENGINE)):
        found[name] = {"size": len(vector(name)), "sha256": hashlib.sha256(vector(name)).hexdigest()}
    assert found == GOLDEN


@pytest.mark.parametrize("encoder", EVERYDAY, ids=lambda one: one.name)
def test_every_encoder_makes_what_decodes(encoder: Encoder) -> None:
    """What each encoder makes of little and of much decodes to exactly that, and its own frame is one that it may have made."""
    for plain in (b"", b"x", _mixed(90_000)):
        coded = _view(_made(encoder, plain))
        assert b"".join(decode(encoder.codec, coded, len(plain))) == plain
        if isinstance(encoder, FramedEncoder) and plain:
            assert encoder.frame(_view(plain), coded) == b""


@pytest.mark.parametrize(
    "encoder",
    [one for one in EVERYDAY if one.codec in {"deflate", "bzip2"}]
    + [Zstd(3, "mt"), Zstd(3), Zstd(3, "one"), Xz(0, blocks=True), Xz(1), Lzma(0)],
    ids=lambda one: one.name,
)
def test_the_cut_of_the_input_changes_nothing(encoder: Encoder) -> None:
    """Chunks of any size, empty ones among them, give the same stream."""
    plain = _mixed(300_000)
    expected = _made(encoder, plain)
    for stride in (1_000, 8_192, 65_537):
        assert _made(encoder, plain, stride=stride) == expected
    assert b"".join(encoder.encode([b"", plain[:5], b"", plain[5:], b""])) == expected


@pytest.mark.parametrize("encoder", EVERYDAY, ids=lambda one: one.name)
def test_corrections_that_nobody_said_are_refused(encoder: Encoder) -> None:
    """Whatever a stranger puts in the place of corrections ends in a refusal or in a stream, never in another error."""
    for corrections in (
        b"\x00",
        b"\xff",
        b"\x04\x00",
        b"\x05\x09\xff\xff",
        b"\x02",
        b"\x02\x07",
        b"\x0a\x80\x80",
        b"\x07\x1c\x01",
        bytes(40),
    ):
        with suppress(FormatError):
            _made(encoder, b"some text, some text", corrections)


def test_an_encoder_without_corrections_takes_none() -> None:
    """Corrections for zlib are refused."""
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        _made(Zlib(6), b"text", b"\x01")


# identity


def test_an_identity_is_the_same_in_another_process() -> None:
    """Two processes of one machine find the same digests."""
    names = ["zlib:6:8", "zlib-ng:6:8:8192:sync", "xz:0:mt", "zstd:3:one", "bzip2:9"]
    code = (
        "from waybill.delta.encoders import *; found = EncoderSet(PURE_ENCODERS)\n"
        f"print([identity_of(one).digest.hex() for one in found if one.name in {names!r}])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True, env={})
    here = [identity_of(one).digest.hex() for one in EncoderSet(PURE_ENCODERS) if one.name in names]
    assert ended.stdout.strip() == repr(here)
    assert all(len(digest) == 32 for digest in here)


def test_encoders_that_make_other_bytes_are_others() -> None:
    """Levels, memory levels, flushing, codecs and write sizes tell in the digest."""
    some = [Zlib(level) for level in range(1, 10)] + [Zlib(6, 9), Zlib(6, flushes=True)]
    others: list[Encoder] = [
        ZlibNg(6),
        ZlibNg(6, 8192),
        ZlibNg(9),
        Xz(0),
        Xz(1),
        Xz(0, True),
        Xz(0, blocks=True),
        Lzma(0),
        Zstd(3),
        Zstd(3, "one"),
    ]
    ids = [identity_of(one) for one in (*some, *others)]
    assert len({one.digest for one in ids}) == len(ids)


def test_a_changed_library_changes_the_identity() -> None:
    """The same name over other bytes has another digest: that is what the digest is for."""

    class Skewed(Zlib):
        def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
            return Zlib(5).encode(plain, corrections)

    assert identity_of(Skewed(6)).name == identity_of(Zlib(6)).name
    assert identity_of(Skewed(6)).digest != identity_of(Zlib(6)).digest


def test_a_correcting_encoder_is_known_by_its_samples() -> None:
    """The identity of an encoder with corrections covers these, and what it makes with them."""

    class Echo:
        name = "echo:1"
        codec = "deflate"
        samples: tuple[Sample, ...] = (("text", b"one"), ("few", b"two"))
        ending = b""

        def correct(self, plain: View, coded: View) -> bytes | None:
            return coded.read()

        def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
            yield hashlib.sha256(b"".join(plain)).digest() + corrections + self.ending

    class Fewer(Echo):
        samples = Echo.samples[:1]

    class Other(Echo):
        samples = (*Echo.samples[:1], ("few", b"three"))

    class Skewed(Echo):
        ending = b"!"

    digests = {identity_of(one).digest for one in (Echo(), Fewer(), Other(), Skewed())}
    assert len(digests) == 4


# sets


def test_a_set_finds_by_codec_and_by_identity() -> None:
    """An encoder is found by its name only if its digest is the same."""
    some = EncoderSet((Zlib(6), Zlib(9), Xz(0)))
    assert [one.name for one in some.of_codec("deflate")] == ["zlib:6:8", "zlib:9:8"]
    assert some.of_codec("brotli") == ()
    assert some.by_id(identity_of(Zlib(9))) == Zlib(9)
    for wanted in (EncoderId("zlib:9:8", bytes(16)), EncoderId("node:9:8", bytes(16))):
        with pytest.raises(WaybillError, match=r"delta\.encoder_unavailable"):
            some.by_id(wanted)
    with pytest.raises(ValueError, match="zlib:6:8"):
        EncoderSet((Zlib(6), Zlib(6)))


def test_only_what_the_receiver_has_shown_is_used() -> None:
    """An encoder with the right name and another digest is left out, and one that was not shown too."""
    shown = [identity_of(Zlib(6)), EncoderId("zlib:9:8", bytes(16)), EncoderId("zlib:77:8", bytes(16))]
    assert [one.name for one in EncoderSet((Zlib(6), Zlib(9), Zlib(1))).among(shown)] == ["zlib:6:8"]
    assert EncoderSet((Zlib(6), Zlib(9))).ids() == (identity_of(Zlib(6)), identity_of(Zlib(9)))


def test_names_are_short_and_unique() -> None:
    """Every name fits into a delta."""
    names = [one.name for one in PURE_ENCODERS]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and len(name) <= 64 for name in names)


# writes and deflate


def test_writes_have_one_size() -> None:
    """Pieces are exactly as long as asked for, the last one shorter and never empty."""
    data = noise("writes", 1_000)
    cuts = [data[:1], data[1:1], data[1:700], data[700:]]
    for size in (1, 7, 100, 333, 1_000, 5_000):
        pieces = list(writes(cuts, size))
        assert b"".join(pieces) == data
        assert {len(one) for one in pieces[:-1]} <= {size}
        assert 0 < len(pieces[-1]) <= size
    assert list(writes(cuts, WHOLE)) == [data]
    assert list(writes([], 5)) == list(writes([b""], WHOLE)) == []


def test_more_than_fits_is_not_gathered() -> None:
    """An encoder that wants all at once refuses content beyond its bound instead of filling the memory."""
    chunk = bytes(1 << 24)
    with pytest.raises(WaybillError, match=r"delta\.expansion_exceeded"):
        list(writes(itertools.repeat(chunk, GATHERED_MOST // len(chunk) + 1), WHOLE))


def test_a_flush_before_the_end_shows() -> None:
    """Only encoders that flush are tried on streams that were flushed, only the others on others."""
    plain = _view(_mixed(5_000))
    flushed, usual = (_view(_made(Zlib(6, flushes=flushes), plain.read())) for flushes in (True, False))
    assert flushed_before_the_end(flushed)
    assert not flushed_before_the_end(usual)
    assert Zlib(6).frame(plain, flushed) is None
    assert ZlibNg(6, flushes=True).frame(plain, usual) is None
    assert not flushed_before_the_end(_view(b"\x03\x00"))


# xz

XZ = shutil.which("xz")


def _by_xz(plain: bytes, *options: str) -> bytes:
    assert XZ is not None
    return subprocess.run([XZ, "-c", *options], input=plain, stdout=subprocess.PIPE, check=True, env={}).stdout


def _remade(encoder: Xz, plain: bytes, coded: bytes) -> bytes:
    corrections = encoder.frame(_view(plain), _view(coded))
    assert corrections is not None
    return _made(encoder, plain, corrections, stride=77_777)


needs_xz = pytest.mark.skipif(XZ is None, reason="the xz program is not installed")


@needs_xz
@pytest.mark.parametrize("size", [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 12_345])
@pytest.mark.parametrize("kind", ["mixed", "noise"])
def test_blocks_are_those_of_the_threaded_xz(size: int, kind: str) -> None:
    """Sizes around the borders of blocks; noise, which liblzma gives up to compress in full blocks."""
    plain = _mixed(size) if kind == "mixed" else noise("xz", size)
    coded = _by_xz(plain, "-0", "-T2")
    assert _remade(Xz(0, blocks=True), plain, coded) == coded


@needs_xz
@pytest.mark.parametrize("check", ["none", "crc32", "crc64", "sha256"])
@pytest.mark.parametrize("threads", ["-T1", "-T2"])
def test_every_check_of_xz(check: str, threads: str) -> None:
    """The check of a stream is read from it and told in the corrections, if it is not the usual one."""
    plain, encoder = _mixed(1_200_000), Xz(0, blocks=threads == "-T2")
    coded = _by_xz(plain, "-0", threads, "-C", check)
    assert _remade(encoder, plain, coded) == coded
    assert bool(encoder.frame(_view(plain), _view(coded))) == (check != "crc64")


@needs_xz
@pytest.mark.parametrize("encoder", XZ_ENCODERS, ids=lambda one: one.name)
def test_every_preset_of_xz(encoder: Xz) -> None:
    """All presets, extreme ones too, in one block and in many."""
    plain = _mixed(70_000)
    coded = _by_xz(plain, f"-{encoder.level}{'e' * encoder.extreme}", "-T2" if encoder.blocks else "-T1")
    assert _remade(encoder, plain, coded) == coded


@needs_xz
@pytest.mark.parametrize("block", [65_536, 300_000, 2_000_000])
def test_blocks_of_another_size(block: int) -> None:
    """The block size of a stream is read from its first block."""
    plain = _mixed(700_000)
    coded = _by_xz(plain, "-1", "-T2", f"--block-size={block}")
    assert _remade(Xz(1, blocks=True), plain, coded) == coded


@needs_xz
def test_a_preset_is_refused_at_the_first_bytes() -> None:
    """Long streams are told apart by their first chunk: presets with the same dictionary too."""
    plain = _mixed(5 << 20)
    coded = _view(_by_xz(plain, "-6", "-T2"))
    fitting = [one.name for one in XZ_ENCODERS if one.frame(_view(plain), coded) is not None]
    assert "xz:6:mt" in fitting
    assert all(name.endswith(":mt") for name in fitting)
    assert "xz:5:mt" not in fitting


def test_broken_xz_streams_are_nobodys() -> None:
    """However a header is cut or changed, asking for its frame gives an answer."""
    plain = _mixed(70_000)
    coded = _made(Xz(0, blocks=True), plain)
    for length in range(80):
        for encoder in (Xz(0, blocks=True), Xz(0)):
            encoder.frame(_view(plain), _view(coded[:length]))
    for at in range(40):
        for bits in (0x01, 0x80, 0xFF):
            changed = bytearray(coded)
            changed[at] ^= bits
            Xz(0, blocks=True).frame(_view(plain), _view(bytes(changed)))


def test_a_stream_given_up_leaves_no_thread() -> None:
    """The two threads that compress blocks are gone when the stream is closed, in the middle too."""
    before = threading.active_count()
    made = Xz(0, blocks=True).encode(_view(_mixed(5 << 20)).chunks())
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


# zstd


@pytest.mark.parametrize("way", ["mt", "st", "one"])
@pytest.mark.parametrize(
    "shape", [(True, False, 0), (False, True, 0), (True, True, 0), (False, False, 0), (True, False, 24), (True, False, 27)]
)
def test_zstd_frames_are_told_by_their_header(way: zstd_frames.Way, shape: tuple[bool, bool, int]) -> None:
    """Checksum, content size and long-distance matching go into corrections and come back from the frame."""
    checksum, sized, window = shape
    if way == "one" and not sized:
        return
    plain = _mixed(600_000)
    wanted = zstd_frames.Shape(checksum, len(plain) if sized else None, window)
    encoder = Zstd(3, way)
    corrections = zstd_frames.told(wanted, way)
    if way != "one":
        assert zstd_frames.untold(corrections, way) == wanted
    coded = _made(encoder, plain, corrections)
    assert b"".join(decode("zstd", _view(coded), len(plain))) == plain
    found = encoder.frame(_view(plain), _view(coded))
    assert found is not None
    assert _made(encoder, plain, found) == coded


def test_zstd_levels_are_told_apart_by_the_first_block() -> None:
    """Of 22 levels few are tried in full."""
    plain = _mixed(1_000_000)
    coded = _view(_made(Zstd(6, "mt"), plain))
    fitting = [one.name for one in zstd_frames.ZSTD_ENCODERS if one.name not in HEAVY and one.frame(_view(plain), coded) is not None]
    assert {"zstd:6:mt", "zstd:6:st"} <= set(fitting)
    assert len(fitting) <= 8


def test_a_content_size_that_is_not_true_is_refused() -> None:
    """A frame cannot be made for another size than the content has."""
    for way in ("mt", "st"):
        corrections = zstd_frames.told(zstd_frames.Shape(True, 1_234), way)
        with pytest.raises(WaybillError, match=r"delta\.malformed"):
            _made(Zstd(3, way), _mixed(300_000), corrections)


def test_broken_zstd_frames_are_nobodys() -> None:
    """However a header is cut or changed, asking for its frame gives an answer."""
    plain = _mixed(300_000)
    coded = _made(Zstd(3, "one"), plain)
    for length in range(24):
        Zstd(3, "one").frame(_view(plain), _view(coded[:length]))
    for at in range(16):
        for bits in (0x01, 0x10, 0x80, 0xFF):
            changed = bytearray(coded)
            changed[at] ^= bits
            Zstd(3, "one").frame(_view(plain), _view(bytes(changed)))
