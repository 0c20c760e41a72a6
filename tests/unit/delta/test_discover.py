# SPDX-License-Identifier: Apache-2.0
"""Finding the encoder of a stream: exact, early out, learned per maker, and within what it may cost."""

import itertools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from waybill.delta.discover import Memory, Remade, discover
from waybill.delta.encoder_vectors import noise, vector
from waybill.delta.encoders import PURE_ENCODERS, Encoder, EncoderSet
from waybill.delta.encoding.deflate import Zlib, ZlibNg
from waybill.delta.encoding.xz import XZ_ENCODERS, Xz
from waybill.delta.io import BytesReader, View, whole
from waybill.errors import UnavailableError

ALL = EncoderSet(PURE_ENCODERS)
DEFLATE = ALL.of_codec("deflate")
TEXT = vector("text") * 4


def _view(data: bytes) -> View:
    return whole(BytesReader(data))


def _made(encoder: Encoder, plain: bytes) -> bytes:
    return b"".join(encoder.encode([plain]))


@dataclass
class Counting:
    """An encoder that makes what ``inner`` makes, and notes how many bytes it got each time."""

    inner: Encoder
    name: str = "counting"
    codec: str = "deflate"
    got: list[int] = field(default_factory=list)

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        self.got.append(0)

        def counted() -> Iterator[bytes]:
            for data in plain:
                self.got[-1] += len(data)
                yield data

        yield from self.inner.encode(counted(), corrections)


@dataclass
class Leading:
    """An encoder that is led to make anything: the corrections are the stream itself, less its last ``spared`` bytes, which it knows."""

    spared: bytes = b""
    name: str = "leading:1"
    codec: str = "deflate"
    asked: int = 0
    broken: bool = False

    def correct(self, plain: View, coded: View) -> bytes | None:
        self.asked += 1
        if self.broken:
            raise UnavailableError("delta.tool_failed", "broken on purpose")
        return coded.read().removesuffix(self.spared)

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        for _ in plain:
            pass
        yield corrections + self.spared


@dataclass
class Breaking:
    """An encoder whose program breaks down."""

    name: str
    codec: str = "deflate"
    asked: int = 0

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        self.asked += 1
        yield from ()
        raise UnavailableError("delta.tool_failed", "broken on purpose")


def _discover(plain: bytes, coded: bytes, encoders: Iterable[Encoder], memory: Memory | None = None, maker: str = "") -> Remade | None:
    return discover(_view(plain), _view(coded), "deflate", maker, tuple(encoders), memory or Memory())


def test_every_encoder_of_the_table_is_found_again() -> None:
    """A stream of each encoder is re-made, by itself or by one that makes the same."""
    for encoder in DEFLATE:
        found = _discover(TEXT, _made(encoder, TEXT), DEFLATE)
        assert found is not None
        assert found.corrections == b""
        assert b"".join(found.encoder.encode([TEXT])) == _made(encoder, TEXT)


def test_other_codecs_are_found_from_their_frames() -> None:
    """xz, zstd, bzip2 and lzma streams are re-made."""
    for name in ("xz:6:mt", "xz:1:st", "xz:3e:mt", "zstd:3:mt", "zstd:19:one", "zstd:9:st", "bzip2:7", "lzma:6"):
        encoder = next(one for one in ALL if one.name == name)
        coded = _made(encoder, TEXT)
        found = discover(_view(TEXT), _view(coded), encoder.codec, "", ALL.of_codec(encoder.codec), Memory())
        assert found is not None, name
        assert b"".join(found.encoder.encode([TEXT], found.corrections)) == coded


def test_what_nothing_makes_is_none() -> None:
    """A stream that differs in its last byte, or goes on, or stops early, is nobody's."""
    coded = _made(Zlib(6), TEXT)
    for wrong in (coded[:-1] + bytes([coded[-1] ^ 1]), coded + b"\0", coded[:-1], b""):
        assert _discover(TEXT, wrong, DEFLATE) is None
    assert _discover(b"", b"\x03\x00", DEFLATE) == Remade(Zlib(6))


def test_an_encoder_is_left_at_its_first_difference() -> None:
    """A wrong level is seen within the first blocks, however long the stream is."""
    plain = TEXT * 8
    wrong = Counting(Zlib(1), "wrong")
    found = _discover(plain, _made(Zlib(7), plain), (wrong, Zlib(7)))
    assert found == Remade(Zlib(7))
    assert wrong.got[0] < 300_000 < len(plain)


def test_the_last_winner_of_a_maker_comes_first() -> None:
    """What re-made the first stream of a maker is the first to be tried on its next one, and on those of makers not seen before."""
    memory = Memory()
    other, right = Counting(Zlib(1), "other"), Counting(Zlib(9), "right")
    for _ in range(3):
        found = _discover(TEXT, _made(Zlib(9), TEXT), (other, right), memory, "zip by=20")
        assert found == Remade(right)
    assert len(other.got) == 1
    assert len(right.got) == 3
    assert _discover(TEXT, _made(Zlib(9), TEXT), (other, right), memory, "gzip os=3") == Remade(right)
    assert len(other.got) == 1


def test_the_words_of_the_maker_guide_the_first_try() -> None:
    """Flags of gzip and zip say the level, and with the system which program it was; strange words mean nothing."""
    some = [
        Counting(Zlib(6), f"{family}:{level}{rest}")
        for level in (6, 9, 1)
        for family, rest in (("zlib", ":8"), ("node", ":8"), ("gnu-gzip", ""))
    ]
    for maker, expected in (
        ("gzip os=255 xfl=2 flags=8", "zlib:9:8"), ("gzip os=255 xfl=2 flags=0", "node:9:8"), ("gzip os=3 xfl=0 flags=0", "node:6:8"),
        ("gzip os=3 xfl=0 flags=8", "gnu-gzip:6"), ("gzip os=3 xfl=4 flags=8", "gnu-gzip:1"),
        ("zip by=20 flags=2 method=8", "zlib:9:8"), ("zip by=20 flags=6 method=8", "zlib:1:8"), ("zip by=788 flags=2056 method=8", "zlib:6:8"),
        ("zip by=999999999999 flags=999999999999", "zlib:6:8"), ("something else", "zlib:6:8"), ("", "zlib:6:8"),
    ):  # fmt: skip
        assert next(Memory().ordered("deflate", maker, 1_000_000, some)).name == expected
    assert next(Memory().ordered("deflate", "gzip os=3 xfl=0 flags=8", 1_000, some)).name == "gnu-gzip:6"
    assert next(Memory().ordered("deflate", "gzip os=255 xfl=2 flags=0", 1_000, some)).name == "zlib:9:8"


def test_helper_programs_are_not_asked_early_for_little() -> None:
    """A short stream is tried with what runs in the process first; a long one soon with the encoders of npm and of gzip."""
    names = [*(one.name for one in DEFLATE), "node:9:8", "gnu-gzip:6"]
    encoders = [Counting(Zlib(6), name) for name in names]
    short = [one.name for one in Memory().ordered("deflate", "", 1_000, encoders)]
    long = [one.name for one in Memory().ordered("deflate", "", 1_000_000, encoders)]
    assert short[-2:] == ["node:9:8", "gnu-gzip:6"]
    assert {"node:9:8", "gnu-gzip:6"} <= set(long[:5])
    assert sorted(short) == sorted(long) == sorted(names)


def test_a_maker_that_never_matched_is_soon_given_up() -> None:
    """After many streams that nobody re-made, a short one is worth few tries; a long one is still worth all."""
    memory, tries = Memory(), []
    strange = noise("strange", 400)
    for _ in range(30):
        counting = [Counting(Zlib(level % 9 + 1), f"c{level}") for level in range(20)]
        assert _discover(strange, b"\x01" + strange, counting, memory, "zip by=788") is None
        tries.append(sum(len(one.got) for one in counting))
    assert tries[:4] == [20] * 4
    assert tries[5] == 8
    assert tries[-1] == 2
    plain = noise("long", 1 << 20)
    counting = [Counting(Zlib(level % 9 + 1), f"c{level}") for level in range(20)]
    assert _discover(plain, b"\x01" + plain, counting, memory, "zip by=788") is None
    assert sum(len(one.got) for one in counting) == 20


def test_failed_attempts_have_a_budget() -> None:
    """When failures have cost what they may, streams stay as they are: nothing is tried any more."""
    memory = Memory()
    counting = Counting(Zlib(6))
    memory.waste(counting, 1 << 30)
    assert _discover(TEXT, _made(Zlib(6), TEXT), (counting,), memory) is None
    assert not counting.got
    memory.see(1 << 30)
    assert _discover(TEXT, _made(Zlib(6), TEXT), (counting,), memory) == Remade(counting)


def test_corrections_come_last() -> None:
    """An encoder that needs corrections is asked only when no exact one makes the stream."""
    coded = _made(Zlib(6), TEXT)
    strange = coded[:-4] + b"\x00\x01\x02\x03"
    leading = Leading(spared=strange[100:])
    assert _discover(TEXT, coded, (leading, *DEFLATE)) == Remade(Zlib(6))
    assert leading.asked == 0
    assert _discover(TEXT, strange, (leading, *DEFLATE)) == Remade(leading, strange[:100])


def test_corrections_must_pay_and_must_be_true() -> None:
    """Corrections as long as the stream are dropped, and so are those that lead elsewhere; short streams get none."""
    strange = b"\x01" + noise("strange", 30_000)
    assert _discover(TEXT, strange, (Leading(),)) is None
    liar = Leading(spared=strange[50:])
    assert _discover(TEXT, strange + b"more", (liar,)) is None
    short = Leading(spared=strange[50:])
    assert _discover(b"short", strange, (short,)) is None
    assert short.asked == 0


def test_corrections_have_a_budget() -> None:
    """A hundred thousand short streams of a strange maker do not start a helper each."""
    memory, strange = Memory(), b"\x01" + noise("strange", 30_000)
    leading = Leading(spared=strange[50:])
    assert _discover(TEXT, strange, (leading,), memory) == Remade(leading, strange[:50])
    memory.correct(leading, 1 << 28)
    assert _discover(TEXT, strange, (leading,), memory) is None
    assert leading.asked == 1


def test_a_win_makes_a_maker_worth_all_again() -> None:
    """Losses count since the last win; a maker whose streams are of two kinds keeps its winners."""
    memory = Memory()
    for _ in range(20):
        memory.lose("deflate", "zip by=20")
    assert memory.attempts("deflate", "zip by=20") == 2
    memory.win("deflate", "zip by=20", "zlib:6:8")
    assert memory.attempts("deflate", "zip by=20") > 100


def test_an_encoder_that_breaks_down_is_not_asked_again() -> None:
    """A helper that fails costs nothing but its turn, and other encoders of the same program are not tried after it."""
    memory = Memory()
    first, second, leading = Breaking("breaking:1"), Breaking("breaking:2"), Leading(broken=True)
    for _ in range(2):
        assert _discover(TEXT, _made(Zlib(7), TEXT), (first, second, Zlib(7)), memory, "a maker") == Remade(Zlib(7))
        assert _discover(TEXT, b"\x01abc", (leading,), memory, "another maker") is None
    assert (first.asked, second.asked, leading.asked) == (1, 0, 1)


def test_writers_that_flush_are_told_by_their_ending() -> None:
    """Streams of such writers are not tried with the others, and the size of their writes is found."""
    made = ZlibNg(6, 8192, flushes=True)
    usual = Counting(Zlib(6), "usual")
    found = _discover(TEXT, _made(made, TEXT), (ZlibNg(6, 65536, flushes=True), made, usual))
    assert found == Remade(made)
    assert not usual.got


def test_a_long_xz_stream_of_another_preset_costs_little() -> None:
    """Presets with the same dictionary are rejected after the first chunk, not after a block of 24 MiB."""
    plain = b"".join(itertools.islice(itertools.cycle((TEXT, noise("xz", 200_000))), 20))
    coded = _made(Xz(5, blocks=True), plain)
    memory = Memory()
    assert discover(_view(plain), _view(coded[:-1] + b"?"), "xz", "", (Xz(6, blocks=True), Xz(6)), memory) is None
    assert not memory.spent
    found = discover(_view(plain[: 1 << 20]), _view(_made(Xz(0, blocks=True), plain[: 1 << 20])), "xz", "", XZ_ENCODERS, memory)
    assert found == Remade(Xz(0, blocks=True))


def test_ten_thousand_short_streams_are_quick() -> None:
    """Each costs little beside its own deflation: no process, no sorting, one encoder."""
    memory = Memory()
    plain = _view(TEXT[:300])
    coded = _view(zlib.compress(TEXT[:300], 6, -15))
    for _ in range(10_000):
        assert discover(plain, coded, "deflate", "zip by=20 flags=0 method=8", DEFLATE, memory) == Remade(Zlib(6))
