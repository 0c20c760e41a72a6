# SPDX-License-Identifier: Apache-2.0
"""xz streams as liblzma makes them, in one block or in many, and streams with the old .lzma header.

liblzma's threaded encoder, which dpkg-deb and ``xz -T2`` use, cuts the content into blocks of equal size and writes into the header of each how long
it is. Python's lzma module has no such encoder, but each block holds what a stream of its own would hold: here the blocks are compressed one by one,
two at a time, and are put together again. The number of threads never changes the bytes.

What a stream may have besides its preset stands in its corrections: none for CRC64 and the usual block size; else one byte with the check
(0 none, 1 CRC32, 4 CRC64, 10 SHA-256), then, for blocks of another size, that size as a varint.
Source: the .xz file format 1.2.1.
"""

import lzma
import threading
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from waybill.delta.encoding.writes import refuse_corrections
from waybill.delta.io import View
from waybill.delta.numbers import Cursor, malformed, put

CODEC: Final = "xz"
_MAGIC: Final = b"\xfd7zXZ\0"
_HEADER: Final = 12
_CHECK_BYTES: Final = {lzma.CHECK_NONE: 0, lzma.CHECK_CRC32: 4, lzma.CHECK_CRC64: 8, lzma.CHECK_SHA256: 32}
_DICTIONARIES: Final = tuple(1 << bits for bits in (18, 20, 21, 22, 22, 23, 23, 24, 25, 26))
"""Bytes of dictionary of each preset."""
_LZMA2: Final = 0x21
_CHUNK: Final = 1 << 16
"""Bytes of an uncompressed LZMA2 chunk, each after three bytes of its own."""
_HEADERS_BOUND: Final = 92
"""What liblzma reserves for the header and the check of a block."""
_BLOCK_LEAST: Final = 1 << 16
_BLOCK_MOST: Final = 3 << 26
_PROBE: Final = 1 << 22
"""Plain bytes after which LZMA2 has certainly made its first chunk."""
_TWO_FIT: Final = 1 << 23
"""With a larger dictionary than this, two encoders at once would need too much memory."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a stream has besides its preset. ``block``: plain bytes per block."""

    check: int
    block: int


@dataclass(frozen=True, slots=True)
class Xz:
    """liblzma's preset ``level``, ``extreme`` or not; ``blocks``: as its threaded encoder, else all in one block without sizes."""

    level: int
    extreme: bool = False
    blocks: bool = False
    codec: str = CODEC

    @property
    def name(self) -> str:
        """``xz:LEVEL[e]:mt`` or ``xz:LEVEL[e]:st``."""
        return f"xz:{self.level}{'e' * self.extreme}:{'mt' if self.blocks else 'st'}"

    @property
    def engine(self) -> "Xz":
        """The same preset in one block: LZMA2 makes the same of it."""
        return Xz(self.level, self.extreme)

    @property
    def preset(self) -> int:
        """The preset as liblzma counts it."""
        return self.level | (lzma.PRESET_EXTREME if self.extreme else 0)

    @property
    def usual_block(self) -> int:
        """Plain bytes per block, when nobody asked for another size."""
        return max(3 * _DICTIONARIES[self.level], 1 << 20)

    def frame(self, plain: View, coded: View) -> bytes | None:
        """Check and block size of ``coded``; None when it has another dictionary or other blocks, or does not begin as this preset would."""
        found = _head_of(coded)
        if found is None or (found.block_size is not None) != self.blocks:
            return None
        if found.dictionary not in (_dictionary_byte(self.level), 0 if self.blocks else None, None):
            return None
        if plain.length > _PROBE and not self._begins(plain, coded.sub(found.payload, coded.length - found.payload)):
            return None
        block = self._block_of(found, plain.length)
        return self._told(_Shape(found.check, block)) if _BLOCK_LEAST <= block <= _BLOCK_MOST else None

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The xz stream of ``plain``.

        Raises:
            FormatError: delta.malformed, for corrections that no stream has.
        """
        shape = self._shape(corrections)
        if self.blocks:
            yield from _encode_blocks(plain, self, shape)
            return
        engine = lzma.LZMACompressor(lzma.FORMAT_XZ, check=shape.check, preset=self.preset)
        yield from _through(engine, plain)

    def _block_of(self, found: "_Head", size: int) -> int:
        """Plain bytes per block. The only block of a stream may be shorter than that, but its header has room for the full size."""
        if found.block_size is None:
            return self.usual_block
        whole = found.block_size >= size and found.block_size <= self.usual_block
        if whole and _HEADER + _reserved_header(self.usual_block) == found.payload:
            return self.usual_block
        return max(found.block_size, _BLOCK_LEAST) if whole else found.block_size

    def _begins(self, plain: View, payload: View) -> bool:
        engine = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": self.preset}])
        for data in plain.sub(0, _PROBE).chunks(1 << 16):
            if made := engine.compress(data):
                return len(made) <= payload.length and payload.read_at(0, len(made)) == made
        return True

    def _told(self, shape: _Shape) -> bytes:
        if shape == _Shape(lzma.CHECK_CRC64, self.usual_block):
            return b""
        out = bytearray([shape.check])
        if shape.block != self.usual_block:
            put(out, shape.block)
        return bytes(out)

    def _shape(self, corrections: bytes) -> _Shape:
        if not corrections:
            return _Shape(lzma.CHECK_CRC64, self.usual_block)
        if corrections[0] not in _CHECK_BYTES:
            raise malformed("an xz stream has an unknown check", sorted(_CHECK_BYTES), corrections[0])
        if len(corrections) == 1:
            return _Shape(corrections[0], self.usual_block)
        cursor = Cursor(corrections[1:])
        block = cursor.number(_BLOCK_MOST, "the block size of an xz stream")
        cursor.end("the block size of an xz stream")
        if not self.blocks or block < _BLOCK_LEAST:
            raise malformed("an xz stream cannot have such blocks", f"at least {_BLOCK_LEAST}", block)
        return _Shape(corrections[0], block)


@dataclass(frozen=True, slots=True)
class Lzma:
    """The old .lzma header, then LZMA of preset ``level`` with an end marker."""

    level: int
    extreme: bool = False
    codec: str = "lzma"

    @property
    def name(self) -> str:
        """``lzma:LEVEL[e]``."""
        return f"lzma:{self.level}{'e' * self.extreme}"

    @property
    def engine(self) -> Xz:
        """The same preset inside of xz."""
        return Xz(self.level, self.extreme)

    def frame(self, plain: View, coded: View) -> bytes | None:  # noqa: ARG002 - the port has it
        """Nothing to tell; None for a stream with another dictionary."""
        return b"" if coded.length > 13 and coded.read_at(1, 4) == _DICTIONARIES[self.level].to_bytes(4, "little") else None

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The .lzma stream of ``plain``; takes no corrections."""
        refuse_corrections(corrections, self.name)
        preset = self.level | (lzma.PRESET_EXTREME if self.extreme else 0)
        yield from _through(lzma.LZMACompressor(lzma.FORMAT_ALONE, preset=preset), plain)


_PRESETS: Final = (*((level, False) for level in (6, 9)), *((level, True) for level in (9, 6)),
                   *((level, extreme) for extreme in (False, True) for level in (0, 1, 2, 3, 4, 5, 7, 8)))  # fmt: skip
XZ_ENCODERS: Final = tuple(Xz(level, extreme, blocks) for level, extreme in _PRESETS for blocks in (True, False))
LZMA_ENCODERS: Final = tuple(Lzma(level, extreme) for level, extreme in _PRESETS)


def _through(engine: lzma.LZMACompressor, plain: Iterable[bytes]) -> Iterator[bytes]:
    for data in plain:
        if made := engine.compress(data):
            yield made
    yield engine.flush()


def _encode_blocks(plain: Iterable[bytes], encoder: Xz, shape: _Shape) -> Iterator[bytes]:
    workers = 2 if _DICTIONARIES[encoder.level] <= _TWO_FIT else 1
    sizes: list[tuple[int, int]] = []
    stop = threading.Event()
    flags = bytes([0, shape.check])
    yield _MAGIC + flags + _crc(flags)
    with ThreadPoolExecutor(workers) as pool:
        try:
            waiting: deque[Future[_Block]] = deque()
            for block in _cut(plain, shape.block):
                waiting.append(pool.submit(_compress, block, encoder.preset, shape, stop))
                if len(waiting) == workers:
                    yield from _kept(waiting.popleft(), sizes)
            while waiting:
                yield from _kept(waiting.popleft(), sizes)
        finally:
            stop.set()
    yield _tail(sizes, flags)


def _cut(plain: Iterable[bytes], size: int) -> Iterator[deque[bytes]]:
    """Blocks of ``size`` plain bytes as they came, the last one shorter and never empty. Not joined: the worker lets go of what it has read."""
    block: deque[bytes] = deque()
    have = 0
    for data in plain:
        start = 0
        while have + len(data) - start >= size:
            block.append(data[start : start + size - have])
            start += len(block[-1])
            yield block
            block, have = deque(), 0
        if start < len(data):
            block.append(data[start:])
            have += len(data) - start
    if have:
        yield block


@dataclass(frozen=True, slots=True)
class _Block:
    """``unpadded`` and ``plain`` are what the index says of it; ``parts`` are its bytes."""

    unpadded: int
    plain: int
    parts: tuple[bytes, ...]


def _kept(block: "Future[_Block]", sizes: list[tuple[int, int]]) -> tuple[bytes, ...]:
    made = block.result()
    sizes.append((made.unpadded, made.plain))
    return made.parts


def _compress(chunks: deque[bytes], preset: int, shape: _Shape, stop: threading.Event) -> _Block:
    """One block; what it makes is of no use once ``stop`` is set."""
    engine = lzma.LZMACompressor(lzma.FORMAT_XZ, check=shape.check, preset=preset)
    made = bytearray()
    size = 0
    while chunks and not stop.is_set():
        data = chunks.popleft()
        size += len(data)
        made += engine.compress(data)
    made += engine.flush()
    header = 4 * (made[_HEADER] + 1)
    dictionary = made[_HEADER + 4]
    index = len(made) - _HEADER - 4 * (int.from_bytes(made[-8:-4], "little") + 1)
    check = bytes(made[index - _CHECK_BYTES[shape.check] : index])
    payload_end = index - len(check)
    unpadded, _ = _number(made, index + 2)
    length = unpadded - header - len(check)
    reserved = _reserved_header(shape.block)
    if reserved + payload_end - _HEADER - header + len(check) > _bound(shape.block):
        return _as_it_is(bytes(made), size, check)
    head = _block_header(length, size, dictionary, reserved)
    payload = bytes(memoryview(made)[_HEADER + header : payload_end])
    return _Block(reserved + length + len(check), size, (head, payload, check))


def _as_it_is(stream: bytes, size: int, check: bytes) -> _Block:
    """A block that LZMA only makes longer: its plain bytes, taken from the ``stream`` that came out too long, in uncompressed chunks."""
    plain = lzma.decompress(stream, lzma.FORMAT_XZ)
    payload = bytearray()
    for at in range(0, size, _CHUNK):
        piece = plain[at : at + _CHUNK]
        payload += bytes([2 if at else 1]) + (len(piece) - 1).to_bytes(2, "big") + piece
    payload.append(0)
    head = _block_header(len(payload), size, 0, 0)
    return _Block(len(head) + len(payload) + len(check), size, (head, bytes(payload) + bytes(-len(payload) % 4), check))


def _bound(block: int) -> int:
    """Room that liblzma gives a block, in bytes: more than that, and the content is kept as it is."""
    longest = block + 3 * -(-block // _CHUNK) + 1
    return _HEADERS_BOUND + longest + -longest % 4


def _reserved_header(block: int) -> int:
    """Bytes of a block's header: room for the largest sizes that it may have to name."""
    return len(_block_header(_bound(block), block, 0, 0))


def _block_header(length: int, size: int, dictionary: int, at_least: int) -> bytes:
    body = bytearray([0, 0xC0])
    put(body, length)
    put(body, size)
    body += bytes([_LZMA2, 1, dictionary])
    body += bytes(max(-len(body) % 4, at_least - 4 - len(body)))
    body[0] = len(body) // 4
    return bytes(body) + _crc(body)


def _tail(sizes: list[tuple[int, int]], flags: bytes) -> bytes:
    """Index and footer."""
    index = bytearray([0])
    put(index, len(sizes))
    for unpadded, plain in sizes:
        put(index, unpadded)
        put(index, plain)
    index += bytes(-len(index) % 4)
    footer = (len(index) // 4).to_bytes(4, "little") + flags
    return bytes(index) + _crc(index) + _crc(footer) + footer + b"YZ"


def _crc(data: bytes | bytearray) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")


def _dictionary_byte(level: int) -> int:
    return 2 * (_DICTIONARIES[level].bit_length() - 1 - 12)


@dataclass(frozen=True, slots=True)
class _Head:
    """The start of an xz stream. ``dictionary`` None: it has no block. ``block_size`` None: its first block does not say how long it is."""

    check: int
    payload: int
    dictionary: int | None = None
    block_size: int | None = None


def _head_of(coded: View) -> _Head | None:
    """What the first headers say; None when it is no xz stream, or one with other filters than LZMA2 alone."""
    data = coded.read_at(0, min(coded.length, 64))
    if len(data) < 32 or not data.startswith(_MAGIC) or data[7] not in _CHECK_BYTES:
        return None
    if data[_HEADER] == 0:
        return _Head(data[7], _HEADER)
    flags, at = data[_HEADER + 1], _HEADER + 2
    block_size = None
    if flags == 0xC0:
        _, at = _number(data, at)
        block_size, at = _number(data, at)
    if flags not in (0, 0xC0) or at + 2 >= len(data) or data[at : at + 2] != bytes([_LZMA2, 1]):
        return None
    payload = _HEADER + 4 * (data[_HEADER] + 1)
    return _Head(data[7], payload, data[at + 2], block_size) if at + 2 < payload <= coded.length else None


def _number(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A number of the xz format at ``at``, and where the next byte stands; 0 for one that is cut off or too long."""
    value = 0
    for place in range(9):
        byte = data[at + place] if at + place < len(data) else 0
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    return 0, at + 9
