# SPDX-License-Identifier: Apache-2.0
"""Deltas that were tampered with, for the test of a sample (``property/test_delta_corruption``), the long run (``bench.soak_delta``) and the fuzzer.

``corrupted`` spoils one of the subjects of ``delta_subjects``: bytes flipped, cut, moved, doubled or taken from another delta; and, because compression
hides most numbers from blind flips, numbers of the recipe and of patches changed and coded again. ``judge`` applies the outcome and says what became of it.
"""

import random
import resource
import signal
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar, cast

import numpy as np

from tests.delta_subjects import ENCODERS, Subject
from waybill.delta import reader
from waybill.delta.apply import apply
from waybill.delta.encoders import EncoderId
from waybill.delta.io import BytesReader, MemorySpool
from waybill.delta.limits import Limits
from waybill.delta.model import CODECS, PATCH, Block, Opened, Range, Recipe
from waybill.delta.numbers import CHECKSUM, Cursor, checksum, put, put_columns, signed_column
from waybill.delta.numbers import column as coded_column
from waybill.delta.predict.control import put_records, take_records
from waybill.delta.records import COLUMNS, TOLD
from waybill.delta.tools import Tools
from waybill.delta.writer import encode_head, encode_recipe
from waybill.errors import WaybillError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``outcome``: an error code, ``same file`` (the true result came out all the same), ``ACCEPTED``, ``CRASHED …`` or ``HANGS``."""

    outcome: str
    seconds: float
    grown_bytes: int

    @property
    def is_bad(self) -> bool:
        """Whether this must never happen."""
        return not (self.outcome.startswith("delta.") or self.outcome == "same file")


KINDS: Final = (
    "flip",
    "set",
    "cut",
    "longer",
    "remove",
    "double",
    "swap",
    "splice",
    "recipe",
    "recipe",
    "recipe",
    "shape",
    "patch",
    "head",
)
"""The recipe has most rules, so it is spoilt most often."""
_INSIDE: Final = frozenset(("recipe", "shape", "patch", "head"))


def corrupted(number: int, among: Sequence[Subject]) -> tuple[Subject, str, bytes]:
    """The ``number``-th corruption: whose delta, in which way, and the bytes, which are never those of the true delta."""
    chance = random.Random(number)
    while True:
        subject, kind = chance.choice(among), chance.choice(KINDS)
        other = chance.choice(among).delta
        data = _spoilt(chance, kind, subject.delta, other)
        if data is not None and data != subject.delta:
            return subject, kind, data


def spoilt(seed: int, delta: bytes, other: bytes) -> bytes | None:
    """``delta``, or what is left of one, spoilt in one way; None when that way does not apply to it."""
    chance = random.Random(seed)
    if not delta:
        return None
    try:
        return _spoilt(chance, chance.choice(KINDS), delta, other)
    except WaybillError:
        return None


def _checked(data: bytes) -> bytes:
    return data + checksum([data])


def _spoilt(chance: random.Random, kind: str, delta: bytes, other: bytes) -> bytes | None:
    """A quarter of the blind corruptions is left with a wrong checksum; the others reach what lies behind it."""
    if kind in _INSIDE:
        return _spoilt_inside(chance, kind, delta)
    if chance.random() < 0.25:
        return _spoilt_blindly(chance, kind, delta, other)
    return _checked(_spoilt_blindly(chance, kind, delta[:-CHECKSUM] or b"\0", other))


def _spoilt_blindly(chance: random.Random, kind: str, delta: bytes, other: bytes) -> bytes:
    out = bytearray(delta)
    start, end = sorted(chance.randrange(len(out) + 1) for _ in range(2))
    match kind:
        case "flip":
            for _ in range(chance.choice((1, 1, 1, 2, 8, 40))):
                out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
        case "set":
            out[start : min(end, start + 64)] = bytes([chance.choice((0, 1, 127, 128, 255))]) * min(end - start, 64)
        case "cut":
            del out[start:]
        case "longer":
            out += chance.randbytes(chance.choice((1, 10, 1000)))
        case "remove":
            del out[start : min(end, start + chance.choice((1, 8, 1000)))]
        case "double":
            out[start:start] = out[start:end]
        case "swap":
            middle = chance.randrange(start, end + 1)
            out[start:end] = out[middle:end] + out[start:middle]
        case _:
            at = chance.randrange(len(other) + 1)
            out[start:end] = other[at : at + chance.choice((4, 64, end - start))]
    return bytes(out)


def _spoilt_inside(chance: random.Random, kind: str, delta: bytes) -> bytes | None:
    """A delta whose coding is right and whose numbers are not; None when they cannot be written."""
    true = reader.read(BytesReader(delta), Limits())
    recipe, head = true.recipe, true.head
    payloads = [delta[at : at + length] for at, length in true.payloads]
    try:
        if kind == "recipe":
            recipe = _other_number(chance, recipe)
        elif kind == "shape":
            recipe = _other_shape(chance, recipe)
        elif kind == "head":
            field = chance.choice(("base_size", "result_size"))
            head = _with(head, field, _other(chance, getattr(head, field)))
        else:
            recipe, payloads = _other_record(chance, recipe, payloads)
        coded = encode_recipe(recipe)
        size = _other(chance, len(coded)) if kind == "head" and chance.random() < 0.2 else len(coded)
        return _checked(encode_head(head, size) + coded + b"".join(payloads))
    except (ValueError, OverflowError, IndexError, KeyError, struct.error, WaybillError):
        return None


def _with(one: T, field: str, value: object) -> T:
    """A dataclass with another value in one field."""
    made: T = replace(cast(Any, one), **{field: value})
    return made


def _other(chance: random.Random, value: int) -> int:
    """Another number: near, at a border, or anywhere."""
    near = (value - 1, value + 1, value * 2, value ^ (1 << chance.randrange(24)), 0, 1)
    far = (1 << 31, (1 << 32) - 1, 1 << 40, 1 << 56, (1 << 63) - 1, 1 << 63, chance.randrange(1 << 20), chance.randrange(1 << 62))
    return max(0, chance.choice(near if chance.random() < 0.7 else far))


def _other_range(chance: random.Random, one: Range) -> Range:
    field = chance.choice(("source", "offset", "length"))
    value = _other(chance, getattr(one, field))
    if field == "offset" and chance.random() < 0.2:
        value = -1 - value
    return _with(one, field, value)


def _at_random(chance: random.Random, items: Sequence[T], change: Callable[[T], T]) -> tuple[T, ...]:
    place = chance.randrange(len(items))
    return (*items[:place], change(items[place]), *items[place + 1 :])


def _other_number(chance: random.Random, recipe: Recipe) -> Recipe:
    """One number of the recipe is another one."""
    match chance.randrange(6):
        case 0:
            return replace(recipe, opened=_at_random(chance, recipe.opened, lambda one: _other_opened(chance, one)))
        case 1:
            return replace(recipe, blocks=_at_random(chance, recipe.blocks, lambda one: _other_block(chance, one)))
        case 2:
            return replace(recipe, segments=_at_random(chance, recipe.segments, lambda one: _other_range(chance, one)))
        case 3:
            field = chance.choice(("first", "count", "encoder", "corrections"))
            return replace(
                recipe, streams=_at_random(chance, recipe.streams, lambda one: _with(one, field, _other(chance, getattr(one, field))))
            )
        case 4:
            return replace(recipe, corrections=_other(chance, recipe.corrections))
        case _:
            return replace(recipe, encoders=_at_random(chance, recipe.encoders, lambda one: _other_encoder(chance, one)))


def _other_opened(chance: random.Random, one: Opened) -> Opened:
    match chance.randrange(3):
        case 0:
            return replace(one, codec=chance.choice(CODECS))
        case 1:
            return replace(one, size=_other(chance, one.size))
        case _:
            return replace(one, where=_other_range(chance, one.where))


def _other_block(chance: random.Random, one: Block) -> Block:
    field = chance.choice(("kind", "size", "payload", "extra", "base", "predictor"))
    if field == "base":
        return replace(one, base=_at_random(chance, one.base, lambda place: _other_range(chance, place)))
    if field == "predictor":
        return replace(one, predictor=chance.choice(("", "elf-x86-64/1", "elf-aarch64/1", "elf/9")))
    return _with(one, field, _other(chance, getattr(one, field)))


def _other_encoder(chance: random.Random, one: EncoderId) -> EncoderId:
    if chance.random() < 0.5:
        return EncoderId(one.name, bytes(16))
    other = chance.choice(list(ENCODERS))
    return EncoderId(other.name, one.digest)


def _other_shape(chance: random.Random, recipe: Recipe) -> Recipe:
    """Parts are missing, doubled, many times there, or in another order."""
    field = chance.choice(("opened", "blocks", "segments", "streams"))
    items = list(getattr(recipe, field))
    place = chance.randrange(len(items))
    match chance.randrange(5):
        case 0:
            del items[place]
        case 1:
            items.insert(chance.randrange(len(items) + 1), items[place])
        case 2:
            items[place:place] = [items[place]] * (20_000 if chance.random() < 0.02 else chance.choice((3, 100)))
        case 3:
            chance.shuffle(items)
        case _:
            items[place:] = []
    return _with(recipe, field, tuple(items))


def _other_record(chance: random.Random, recipe: Recipe, payloads: list[bytes]) -> tuple[Recipe, list[bytes]]:
    """One number of one patch's records is another one, or what follows the records is spoilt."""
    place = chance.choice([number for number, block in enumerate(recipe.blocks) if block.kind == PATCH])
    cursor = Cursor(payloads[place])
    cursor.number(TOLD, "way")
    columns: list[list[int]] = take_records(cursor, 1 << 20, 1 << 40).T.tolist()
    rest = bytearray(cursor.take(cursor.left, "rest"))
    if rest and chance.random() < 0.5:
        rest[chance.randrange(len(rest))] ^= 1 << chance.randrange(8)
    else:
        which = chance.randrange(3)
        columns[which] = list(_at_random(chance, columns[which], lambda one: _other(chance, one)))
    out = bytearray()
    records = np.array(columns, np.int64).T
    if chance.random() < 0.5:
        put(out, TOLD)
        put_records(out, records)
    else:
        put(out, COLUMNS)
        put(out, _other(chance, len(records)) if chance.random() < 0.1 else len(records))
        seeks = np.diff(records[:, 2], prepend=0) - np.append(np.zeros(1, np.int64), records[:-1, 0])
        put_columns(out, [coded_column(records[:, 0].tolist()), coded_column(records[:, 1].tolist()), signed_column(seeks.tolist())])
    made = bytes(out + rest)
    blocks = tuple(replace(one, payload=len(made)) if number == place else one for number, one in enumerate(recipe.blocks))
    return replace(recipe, blocks=blocks), [made if number == place else one for number, one in enumerate(payloads)]


class _HangsError(Exception):
    """The time is over."""


def judge(subject: Subject, delta: bytes, *, with_tools: Tools, seconds: float) -> Verdict:
    """What becomes of ``delta`` at a receiver who holds the subject's base. Must run in the main thread: a timer ends what hangs."""
    sink = MemorySpool()
    before = _reset_peak()
    started = time.monotonic()
    try:
        with _timer(seconds):
            apply(BytesReader(subject.base), BytesReader(delta), sink, tools=with_tools)
        outcome = "same file" if sink.read_at(0, sink.size) == subject.new else "ACCEPTED"
    except WaybillError as error:
        outcome = error.code
    except _HangsError:
        outcome = "HANGS"
    except Exception as error:
        outcome = f"CRASHED {type(error).__name__}: {error}"[:300]
    return Verdict(outcome, time.monotonic() - started, max(0, _peak() - before))


@contextmanager
def _timer(seconds: float) -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _HangsError

    before = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)  # the timer of a test runner goes on afterwards
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left)


def _reset_peak() -> int:
    """Resident bytes now; the peak is counted from here on, where the kernel can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return _peak()


def _peak() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
