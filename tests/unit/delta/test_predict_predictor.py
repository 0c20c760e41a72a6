# SPDX-License-Identifier: Apache-2.0
"""Prediction: both sides find the same bytes, little is sent, and a hostile sender gets a code."""

import random
from contextlib import suppress
from typing import Literal

import numpy as np
import pytest

from tests.unit.delta.predict_programs import build, copied, pair, records_of
from waybill.delta import predict
from waybill.delta.io import Array
from waybill.delta.predict.pruning import prune
from waybill.delta.predict.residual import put_residual
from waybill.errors import FormatError, WaybillError

MACHINES = {62: "elf-x86-64/1", 183: "elf-aarch64/1"}


def _told(predictor: predict.ElfPredictor, old: bytes, records: Array, new: bytes) -> bytes:
    """What the predictor says in bits."""
    return predictor.encode(old, records, new, np.frombuffer(copied(new, records), np.uint8), fast=False)


def _plain(old: bytes, new: bytes, records: Array) -> int:
    """Bytes of the residual without any prediction."""
    out = bytearray()
    before = np.frombuffer(b"".join(old[at : at + length] for length, _, at in records.tolist()), np.uint8)
    put_residual(out, np.frombuffer(copied(new, records), np.uint8) - before, fast=False)
    return len(out)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_copied_bytes_come_back_for_little(machine: int) -> None:
    """Functions were put in and data moved: hundreds of addresses change, and hardly anything is sent for them."""
    old, new, records = pair(machine)
    predictor = predict.by_name(MACHINES[machine])
    assert predictor.applies(old, new)
    coded = _told(predictor, old, records, new)
    assert predictor.decode(old, records, coded).tobytes() == copied(new, records)
    assert len(coded) * 5 < _plain(old, new, records)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_bad_alignment_still_comes_back(machine: int) -> None:
    """Records that copy the wrong places, overlap in the old file and cut fields in two cost bytes, never truth."""
    old, new, _ = pair(machine, 60)
    choice = random.Random(5)
    copies, at = [], 0
    while at < len(new):
        length = min(choice.randrange(1, 3000), len(new) - at)
        copies.append((at, length, choice.randrange(len(old) - length)))
        at += length + choice.randrange(40)
    records = records_of(copies, len(new))
    predictor = predict.by_name(MACHINES[machine])
    assert predictor.decode(old, records, _told(predictor, old, records, new)).tobytes() == copied(new, records)


def test_nothing_copied_is_allowed() -> None:
    """A new file that is all extra bytes has an empty prediction."""
    old, new, _ = pair(62, 20)
    predictor = predict.by_name(MACHINES[62])
    for records in (np.array([[0, len(new), 0]], np.int64), np.zeros((0, 3), np.int64)):
        if len(records):
            assert not len(predictor.decode(old, records, _told(predictor, old, records, new)))


def test_other_files_are_left_alone() -> None:
    """Text, cut programs and programs for another machine are not for this predictor."""
    old, new, _ = pair(62, 20)
    arm = build(183, list(range(20)), 0).data
    x86, aarch64 = predict.PREDICTORS
    assert not x86.applies(b"text", new)
    assert not x86.applies(old, new[:100])
    assert not x86.applies(old, arm)
    assert aarch64.applies(arm, arm)
    assert x86.mask(b"text") == b"text"


@pytest.mark.parametrize("machine", MACHINES)
def test_masks_of_moved_code_are_alike(machine: int) -> None:
    """Functions whose addresses alone changed look the same in both masks."""
    old, new, records = pair(machine)
    predictor = predict.by_name(MACHINES[machine])
    before, after = predictor.mask(old), predictor.mask(new)
    assert (len(before), len(after)) == (len(old), len(new))
    size, _, source = records[1].tolist()
    assert sum(one != two for one, two in zip(old[source : source + size], new[0x1000 : 0x1000 + size], strict=True)) > size // 20
    assert sum(one != two for one, two in zip(before[source : source + size], after[0x1000 : 0x1000 + size], strict=True)) < size // 200


@pytest.mark.parametrize("seed", range(60))
def test_broken_predictions_end_in_a_code(seed: int) -> None:
    """A changed or cut prediction either makes as many bytes or is refused with delta.malformed."""
    machine = [62, 183][seed % 2]
    old, new, records = pair(machine, 40)
    predictor = predict.by_name(MACHINES[machine])
    coded, choice = bytearray(_told(predictor, old, records, new)), random.Random(seed)
    for _ in range(choice.randrange(1, 5)):
        coded[choice.randrange(len(coded))] = choice.randrange(256)
    if seed % 5 == 0:
        del coded[choice.randrange(len(coded)) :]
    with suppress(FormatError):
        assert len(predictor.decode(old, records, bytes(coded))) == len(copied(new, records))


@pytest.mark.parametrize("seed", range(40))
def test_broken_old_files_never_crash(seed: int) -> None:
    """The author of the old package is a stranger too."""
    machine = [62, 183][seed % 2]
    old, new, records = pair(machine, 40)
    data, choice = bytearray(old), random.Random(seed)
    for _ in range(30):
        start, end = choice.choice([(64, 240), (len(data) - 500, len(data)), (0x1000, 0x2000), (0x40000, len(data))])
        data[choice.randrange(start, end)] = choice.choice([0, 1, 127, 128, 255, choice.randrange(256)])
    predictor = predict.by_name(MACHINES[machine])
    if predictor.applies(bytes(data), new):
        assert predictor.decode(bytes(data), records, _told(predictor, bytes(data), records, new)).tobytes() == copied(new, records)


def test_an_old_file_that_is_no_program_is_refused() -> None:
    """The receiver's base is another kind of file than the sender said."""
    old, new, records = pair(62, 20)
    predictor = predict.by_name(MACHINES[62])
    coded = _told(predictor, old, records, new)
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        predictor.decode(bytes(len(old)), records, coded)


def test_an_unknown_predictor_is_refused() -> None:
    """A delta of a later version names one that is not here."""
    with pytest.raises(WaybillError, match=r"delta\.unsupported"):
        predict.by_name("elf-x86-64/99")


class _Fixed:
    def __init__(self, records: Array) -> None:
        self._records = records

    def align(self, old: bytes, new: bytes, mode: Literal["fast", "best"]) -> Array:
        return self._records


def test_far_copies_that_do_not_pay_are_dropped() -> None:
    """A copy of nine bytes from elsewhere, in the middle of a long one, goes; what the records make stays the same file."""
    choice = random.Random(2)
    old = choice.randbytes(5000)
    new = bytearray(old)
    new[2000:2009] = old[4000:4009]
    records = np.array([[2000, 0, 0], [9, 0, 4000], [0, 0, 17], [2991, 0, 2009]], np.int64)
    pruned = prune(old, bytes(new), records, 8)
    assert int(pruned[:, :2].sum()) == len(new)
    assert len(pruned) < len(records)
    long = np.array([[2000, 0, 0], [900, 0, 4000], [2100, 0, 2900]], np.int64)
    kept = prune(old, old[:2000] + old[4000:4900] + old[2900:], long, 8)
    assert kept.tolist() == long.tolist()


def test_align_gives_records_for_the_whole_file() -> None:
    """The records of the aligner, pruned, cover the new file and stay inside of the old one."""
    old, new, records = pair(62)
    found = predict.by_name(MACHINES[62]).align(old, new, _Fixed(records), "best").records
    assert int(found[:, :2].sum()) == len(new)
    assert bool(((found[:, 2] >= 0) & (found[:, 2] + found[:, 0] <= len(old))).all())
