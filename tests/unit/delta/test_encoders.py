# SPDX-License-Identifier: Apache-2.0
"""Encoders: what they make decodes to what they got, however it came; who they are is proven; bad corrections are refused."""

import hashlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.delta.streams import made, mixed, view
from tests.vectors import generate
from waybill.delta.codecs import decode
from waybill.delta.encoder_vectors import ENGINE, FRAME, noise, vector
from waybill.delta.encoders import PURE_ENCODERS, Encoder, EncoderId, EncoderSet, FramedEncoder, Sample, identity_of
from waybill.delta.encoding import zstd as zstd_frames
from waybill.delta.encoding.deflate import Zlib, ZlibNg, flushed_before_the_end
from waybill.delta.encoding.writes import GATHERED_MOST, WHOLE, writes
from waybill.delta.encoding.xz import Lzma, Xz
from waybill.delta.encoding.zstd import Zstd
from waybill.delta.io import View
from waybill.errors import FormatError, WaybillError

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = json.loads((Path(generate.__file__).parent / "delta-encoders-v1" / "contents.json").read_bytes())
HEAVY = {f"zstd:{level}:{way}" for level in (20, 21, 22) for way in ("mt", "st")}
"""Their tables alone take hundreds of megabytes."""
EVERYDAY = [one for one in PURE_ENCODERS if one.name not in HEAVY]


def test_the_vectors_are_the_same_everywhere() -> None:
    """The contents by which encoders are known are those of the golden file."""
    found = {}
    for name in dict.fromkeys((*FRAME, *ENGINE)):
        found[name] = {"size": len(vector(name)), "sha256": hashlib.sha256(vector(name)).hexdigest()}
    assert found == GOLDEN


@pytest.mark.parametrize("encoder", EVERYDAY, ids=lambda one: one.name)
def test_every_encoder_makes_what_decodes(encoder: Encoder) -> None:
    """What each encoder makes of little and of much decodes to exactly that, and its own frame is one that it may have made."""
    for plain in (b"", b"x", mixed(90_000)):
        coded = view(made(encoder, plain))
        assert b"".join(decode(encoder.codec, coded, len(plain))) == plain
        if isinstance(encoder, FramedEncoder) and plain:
            assert encoder.frame(view(plain), coded) == b""


@pytest.mark.parametrize(
    "encoder",
    [one for one in EVERYDAY if one.codec in {"deflate", "bzip2"}]
    + [Zstd(3, "mt"), Zstd(3), Zstd(3, "one"), Xz(0, blocks=True), Xz(1), Lzma(0)],
    ids=lambda one: one.name,
)
def test_the_cut_of_the_input_changes_nothing(encoder: Encoder) -> None:
    """Chunks of any size, empty ones among them, give the same stream."""
    plain = mixed(300_000)
    expected = made(encoder, plain)
    for stride in (1_000, 8_192, 65_537):
        assert made(encoder, plain, stride=stride) == expected
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
            made(encoder, b"some text, some text", corrections)


def test_an_encoder_without_corrections_takes_none() -> None:
    """Corrections for zlib are refused."""
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        made(Zlib(6), b"text", b"\x01")


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
    plain = view(mixed(5_000))
    flushed, usual = (view(made(Zlib(6, flushes=flushes), plain.read())) for flushes in (True, False))
    assert flushed_before_the_end(flushed)
    assert not flushed_before_the_end(usual)
    assert Zlib(6).frame(plain, flushed) is None
    assert ZlibNg(6, flushes=True).frame(plain, usual) is None
    assert not flushed_before_the_end(view(b"\x03\x00"))


@pytest.mark.parametrize("level", [6, 1, 5])
def test_a_long_stream_is_told_by_its_first_blocks(level: int) -> None:
    """What another level made is refused without making all of it again; its own is not."""
    plain = view(mixed(1_000_000))
    encoder = ZlibNg(level, WHOLE)
    assert encoder.frame(plain, view(made(encoder, plain.read()))) == b""
    for other in {6, 1, 5} - {level}:
        assert encoder.frame(plain, view(made(ZlibNg(other, WHOLE), plain.read()))) is None


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
    plain = mixed(600_000)
    wanted = zstd_frames.Shape(checksum, len(plain) if sized else None, window)
    encoder = Zstd(3, way)
    corrections = zstd_frames.told(wanted, way)
    if way != "one":
        assert zstd_frames.untold(corrections, way) == wanted
    coded = made(encoder, plain, corrections)
    assert b"".join(decode("zstd", view(coded), len(plain))) == plain
    found = encoder.frame(view(plain), view(coded))
    assert found is not None
    assert made(encoder, plain, found) == coded


def test_zstd_levels_are_told_apart_by_the_first_block() -> None:
    """Of 22 levels few are tried in full."""
    plain = mixed(1_000_000)
    coded = view(made(Zstd(6, "mt"), plain))
    fitting = [one.name for one in zstd_frames.ZSTD_ENCODERS if one.name not in HEAVY and one.frame(view(plain), coded) is not None]
    assert {"zstd:6:mt", "zstd:6:st"} <= set(fitting)
    assert len(fitting) <= 8


def test_a_content_size_that_is_not_true_is_refused() -> None:
    """A frame cannot be made for another size than the content has."""
    for way in ("mt", "st"):
        corrections = zstd_frames.told(zstd_frames.Shape(True, 1_234), way)
        with pytest.raises(WaybillError, match=r"delta\.malformed"):
            made(Zstd(3, way), mixed(300_000), corrections)


def test_broken_zstd_frames_are_nobodys() -> None:
    """However a header is cut or changed, asking for its frame gives an answer."""
    plain = mixed(300_000)
    coded = made(Zstd(3, "one"), plain)
    for length in range(24):
        Zstd(3, "one").frame(view(plain), view(coded[:length]))
    for at in range(16):
        for bits in (0x01, 0x10, 0x80, 0xFF):
            changed = bytearray(coded)
            changed[at] ^= bits
            Zstd(3, "one").frame(view(plain), view(bytes(changed)))
