# SPDX-License-Identifier: Apache-2.0
"""Helper programs of the delta engine: further encoders, and the aligner. Without any of them the engine works, with larger deltas.

``node``: Chromium's zlib, which packs npm packages. ``gzip``: GNU's own deflate, also that of Info-ZIP. ``zstd``: another libzstd than Python's, often
the one that the system's packages are made with. ``waybill-native``: alignment, and deflate streams led by corrections.
Only programs that run and say who they are are offered; what their encoders make is proven as for all others.
"""

import shutil
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np

from adapters.delta_node import NodeDeflate, NodePool
from adapters.delta_samples import TOKENS
from adapters.program_pipe import STALL_SECONDS, Counted, Program, RefusedError, find_program, run_program, tool_failed
from waybill.delta.encoders import PURE_ENCODERS, Encoder, EncoderSet, Sample
from waybill.delta.encoding import zstd as zstd_frames
from waybill.delta.encoding.deflate import flushed_before_the_end
from waybill.delta.encoding.writes import refuse_corrections
from waybill.delta.io import Array, View
from waybill.delta.numbers import malformed

NATIVE_VERSION: Final = b"waybill-native 1"
CORRECTED_MOST: Final = 1 << 28
"""Plain bytes of the longest stream for which corrections are sought: the helper holds it in memory."""
_BUILT_NATIVE: Final = Path(__file__).resolve().parent.parent / ".tools" / "waybill-native"
_GZIP_HEAD: Final = bytes.fromhex("1f8b0800")
_GZIP_HEAD_BYTES: Final = 10
_GZIP_TAIL_BYTES: Final = 8
_LEVELS: Final = (6, 9, 1, 8, 7, 5, 4, 3, 2)
_ZSTD_LEVELS: Final = (19, 3, 22, 9, 1, 20, 6, 10, 12, 15, 17, 18)
_ZSTD_ULTRA: Final = 20
_CANNOT: Final = 3
_BAD_INPUT: Final = 2
_CORRECT_SECONDS_PER_MIB: Final = 4
_ALIGN_SECONDS: Final = 60
_ALIGN_SECONDS_PER_MIB: Final = 4


class DeltaProcesses:
    """The encoders and the aligner of this machine. At the end of the context no helper process runs any more.

    Args:
        native: the helper program; None seeks it beside this installation and on the PATH.
    """

    def __init__(self, *, native: Path | None = None) -> None:
        helper = find_program([native] if native else [_BUILT_NATIVE, _on_path("waybill-native")], "version", NATIVE_VERSION)
        node = find_program([_on_path("node")], "--version", b"v")
        gzip = find_program([_on_path("gzip")], "--version", b"gzip ")
        zstd = find_program([_on_path("zstd")], "--version", b"Zstandard")
        self._pool = NodePool(node.path) if node else None
        further: list[Encoder] = []
        if node and self._pool:
            further += [NodeDeflate(node, level, memory, self._pool) for memory in (8, 9) for level in _LEVELS]
        if gzip:
            further += [GnuGzip(gzip, level) for level in _LEVELS]
        if zstd:
            further += [ZstdProgram(zstd, level) for level in _ZSTD_LEVELS]
        if helper:
            further.append(NativeTokens(helper))
        self.encoders = EncoderSet((*PURE_ENCODERS, *further))
        self.aligner = NativeAligner(helper) if helper else None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends the processes that wait for work."""
        if self._pool:
            self._pool.close()


@dataclass(frozen=True, slots=True)
class GnuGzip:
    """The gzip program, without the header and the trailer of what it writes."""

    program: Program
    level: int
    codec: str = "deflate"

    @property
    def name(self) -> str:
        """``gnu-gzip:LEVEL``."""
        return f"gnu-gzip:{self.level}"

    def frame(self, plain: View, coded: View) -> bytes | None:  # noqa: ARG002 - the port has it
        """Nothing to tell; None for a stream that was flushed before its end."""
        return None if flushed_before_the_end(coded) else b""

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The raw deflate stream of ``plain``; takes no corrections."""
        refuse_corrections(corrections, self.name)
        held = b""
        headed = False
        for data in run_program((self.program.path, "-n", "-c", f"-{self.level}"), Counted(plain)):
            held += data
            if not headed and len(held) >= _GZIP_HEAD_BYTES:
                if not held.startswith(_GZIP_HEAD):
                    break
                held, headed = held[_GZIP_HEAD_BYTES:], True
            if headed and len(held) > _GZIP_TAIL_BYTES:
                yield held[:-_GZIP_TAIL_BYTES]
                held = held[-_GZIP_TAIL_BYTES:]
        if not headed or len(held) < _GZIP_TAIL_BYTES:
            raise tool_failed(self.name, "wrote no gzip stream")


@dataclass(frozen=True, slots=True)
class ZstdProgram:
    """The zstd program: its libzstd may be another one than Python's. The same corrections as ``zstd:LEVEL:mt``."""

    program: Program
    level: int
    codec: str = "zstd"

    @property
    def name(self) -> str:
        """``zstd-program:LEVEL``."""
        return f"zstd-program:{self.level}"

    def frame(self, plain: View, coded: View) -> bytes | None:
        """What the frame says; None when this level writes another header or another first block."""
        shape = zstd_frames.shape_of(coded, self.level)
        if shape is None:
            return None
        if shape.size is None and plain.length > zstd_frames.PROBE and not self._begins(plain, coded, shape):
            return None
        return zstd_frames.told(shape, "mt")

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The zstd frame of ``plain``."""
        shape = zstd_frames.untold(corrections, "mt")
        options = ["-q", "-c", "-T1", f"-{self.level}", "--check" if shape.checksum else "--no-check"]
        if self.level >= _ZSTD_ULTRA:
            options.append("--ultra")
        if shape.window:
            options.append(f"--long={shape.window}")
        if shape.size is not None:
            options.append(f"--stream-size={shape.size}")
        yield from run_program((self.program.path, *options), Counted(plain))

    def _begins(self, plain: View, coded: View, shape: zstd_frames.Shape) -> bool:
        """Whether the first block is as this level makes it."""
        made = b"".join(self.encode(plain.sub(0, zstd_frames.PROBE).chunks(), zstd_frames.told(shape, "mt")))
        return zstd_frames.first_block(made) == zstd_frames.first_block(coded.read_at(0, min(coded.length, zstd_frames.PROBE)))


@dataclass(frozen=True, slots=True)
class NativeTokens:
    """The helper's own deflate: it foretells each token as zlib would choose it, and corrections say where the stream differs."""

    program: Program
    name: str = "tokens:1"
    codec: str = "deflate"

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Streams of many writers."""
        return TOKENS

    def correct(self, plain: View, coded: View) -> bytes | None:
        """Corrections with which ``encode`` makes ``coded``; None when the helper finds none, or the stream is too long for it."""
        if plain.length > CORRECTED_MOST:
            return None
        source = chain([_u64(plain.length)], plain.chunks(), [_u64(coded.length)], coded.chunks())
        seconds = STALL_SECONDS + _CORRECT_SECONDS_PER_MIB * (plain.length >> 20)
        made = run_program((self.program.path, "deflate-correct"), Counted(source), refusals=(_CANNOT, _BAD_INPUT), stall_seconds=seconds)
        try:
            return b"".join(made)
        except RefusedError:
            return None

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The deflate stream that ``corrections`` lead to.

        Raises:
            FormatError: delta.malformed, when they do not fit ``plain``.
        """
        source = Counted(chain([_u64(len(corrections)) + corrections], plain))
        try:
            yield from run_program((self.program.path, "deflate-remake"), source, refusals=(_BAD_INPUT,))
        except RefusedError as error:
            raise malformed("the corrections do not fit their stream") from error


@dataclass(frozen=True, slots=True)
class NativeAligner:
    """The helper's suffix array and scan."""

    program: Program

    def align(self, old: bytes, new: bytes, mode: Literal["fast", "best"]) -> Array:
        """Records of shape (k, 3), as the port has it; checked to lie inside ``old`` and to make exactly as many bytes as ``new`` has.

        Raises:
            UnavailableError: delta.tool_failed, also when it computed for longer than 60 s and 4 s per MiB.
        """
        head = struct.pack("<BQQ", mode == "best", len(old), len(new))
        seconds = _ALIGN_SECONDS + _ALIGN_SECONDS_PER_MIB * ((len(old) + len(new)) >> 20)
        program = run_program((self.program.path, "align"), Counted([head, old, new]), stall_seconds=4 * seconds, cpu_seconds=seconds)
        made = b"".join(program)
        if len(made) % 24:
            raise tool_failed("waybill-native", "wrote half a record")
        records = np.frombuffer(made, "<i8").reshape(-1, 3).astype(np.int64)
        copied, extra, start = records[:, 0], records[:, 1], records[:, 2]
        # each number by itself first: the sums of numbers in range cannot overflow
        if len(records) and (records.min() < 0 or copied.max() > len(old) or extra.max() > len(new) or start.max() > len(old)):
            raise tool_failed("waybill-native", "wrote a record outside of the files")
        if (start + copied > len(old)).any() or int(copied.sum() + extra.sum()) != len(new):
            raise tool_failed("waybill-native", "wrote records that do not make the new file")
        return records


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found).absolute() if found else None
