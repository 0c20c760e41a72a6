# SPDX-License-Identifier: Apache-2.0
"""How the fields of the copied bytes are told: first where every target went, then which fields do not follow.

Writer and reader run the same lines; only the writer knows the truth. Whatever is told wrongly here is put right by the residual.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.numbers import malformed
from waybill.delta.predict.coding import Coder
from waybill.delta.predict.elf import Image
from waybill.delta.predict.fields import FIELDS_FLOOR, FIELDS_SHARE, ITSELF, NOTHING, PAGE, Fields, Flags, Kind, put_words, words_at
from waybill.delta.predict.regions import Regions, new_places, size_class

_REACH: Final = 1 << 59
"""Differences from here on are not told as numbers: two of them must not leave int64."""
_ADRP: Final = (0x9F000000, 0x90000000)


@dataclass(frozen=True, slots=True)
class Copies:
    """Every field that lies whole inside of a copy, once per copy; arrays of the same length.

    ``at``: place in the copied bytes. ``address``: of the field in the old file. ``own``: how far the field moved. ``copy``: class of the copy's size.
    The rest as in Fields.
    """

    at: Array
    kind: Octets
    target: Array
    base: Array
    address: Array
    own: Array
    copy: Octets

    @classmethod
    def of(cls, fields: Fields, records: Array, old: Image, new: Image, sizes: Array) -> "Copies":
        """The copies that ``records`` make of ``fields``."""
        start, end = records[:, 2], records[:, 2] + records[:, 0]
        first = np.searchsorted(fields.at, start, "left")
        count = np.searchsorted(fields.at, end, "left") - first
        most = FIELDS_FLOOR + int(records[:, 0].sum()) // FIELDS_SHARE
        count = np.diff(np.minimum(np.cumsum(count), most), prepend=0)
        record = np.repeat(np.arange(len(records)), count)
        field = np.arange(len(record)) + np.repeat(first - np.cumsum(count) + count, count)
        whole = fields.at[field] + sizes[fields.kind[field]] <= end[record]
        record, field = record[whole], field[whole]
        at = fields.at[field]
        address = old.addresses(at)
        own = new.addresses(at + (new_places(records) - start)[record]) - address
        place = at + (np.cumsum(records[:, 0]) - records[:, 0] - start)[record]
        return cls(
            place,
            fields.kind[field],
            fields.target[field],
            fields.base[field],
            address,
            own,
            size_class(records[:, 0]).astype(np.uint8)[record],
        )


class Model:
    """One run over the fields of one file."""

    def __init__(self, kinds: Sequence[Kind], copies: Copies, regions: Regions, coder: Coder) -> None:
        self._kinds = kinds
        self._copies = copies
        self._regions = regions
        self._coder = coder
        votes = np.array([kind.votes for kind in kinds])[copies.kind]
        self._votes = votes
        self._targets, self._vote_of = np.unique(copies.target[votes], return_inverse=True)
        self._shift, self._trust = regions.shifts(self._targets)
        self._place = np.full(len(votes), -1, np.int64)
        self._place[votes] = self._vote_of
        self._place[~votes] = self._place_of(copies.target[~votes])
        self._count = np.bincount(self._vote_of, minlength=len(self._targets))
        self._missed = np.zeros(len(self._targets), np.bool_)

    def run(self, copied: Octets, truth: Octets | None) -> None:
        """Writes the fields of the new file into ``copied``; ``truth`` is what the new file has there, None for the reader."""
        self._tell_targets(None if truth is None else self._seen(copied, truth))
        for number in range(len(self._kinds)):
            self._tell_fields(number, copied, truth)

    def _tell_targets(self, seen: Array | None) -> None:
        """For every target, whether the alignment is right about it; then how much farther it moved than the target before it."""
        first = np.zeros(len(self._targets), np.int64)
        first[self._vote_of[::-1]] = self._copies.kind[self._votes][::-1]
        context = (first * 5 + self._trust) * 3 + np.minimum(self._count, 3) - 1
        missed = self._coder.flags(context, None if seen is None else (seen != self._shift).astype(np.int64)).astype(np.bool_)
        place = np.flatnonzero(missed)
        before = np.maximum(place - 1, 0)
        steps = None if seen is None else np.where(place > 0, seen[place] - seen[before], seen[place])
        heads = np.diff(place, prepend=-2) > 1
        steps = self._coder.numbers(heads.astype(np.int64), steps)
        self._shift[place] = _chains(steps, heads, np.where(place > 0, self._shift[before], 0))
        self._missed = missed

    def _seen(self, copied: Octets, truth: Octets) -> Array:
        """The shift of every target that most of its fields show in the new file."""
        guess = np.zeros(len(self._votes), np.int64)
        guess[self._votes] = self._shift[self._vote_of]
        shown = guess.copy()
        for number, kind in enumerate(self._kinds):
            mine = np.flatnonzero((self._copies.kind == number) & kind.votes)
            if len(mine):
                shown[mine] = self._shown(kind, mine, guess[mine], copied, truth)
        far = np.abs(shown - guess) >= _REACH
        shown[far] = guess[far]
        return _most(self._vote_of, shown[self._votes], self._shift)

    def _shown(self, kind: Kind, mine: Array, guess: Array, copied: Octets, truth: Octets) -> Array:
        """The shift of the target of each field ``mine``, all of one kind, as the new file shows it; the guess where it shows nothing."""
        copies = self._copies
        at, target = copies.at[mine], copies.target[mine]
        before, after = words_at(copied, at, kind.size), words_at(truth, at, kind.size)
        was, now = kind.values(before), kind.values(after)
        if kind.part == "low":
            page_at = at - (copies.address[mine] - copies.base[mine])
            word = words_at(truth, np.maximum(page_at, 0), 4)
            page = (copies.base[mine] + copies.own[mine] & ~PAGE) + _page_kind(self._kinds).values(word)
            sure = (page_at >= 0) & (word & _ADRP[0] == _ADRP[1])
            near = guess + ((now - target - guess + 2048) & PAGE) - 2048
            shown = np.where(sure, page + now - target, near)
        else:
            change = (np.clip(was, -_REACH, _REACH) - np.clip(now, -_REACH, _REACH)) * (1 if kind.negative else -1)
            shown = change + self._base_shift(copies.base[mine], copies.own[mine], lambda base: self._regions.shifts(base)[0])
        return np.where(kind.opcode(before) == kind.opcode(after), shown, guess)

    def _tell_fields(self, number: int, copied: Octets, truth: Octets | None) -> None:
        """All fields of one kind: follows its target, or stays as it was, or is off by a number."""
        kind, copies = self._kinds[number], self._copies
        mine = np.flatnonzero(copies.kind == number)
        if not len(mine):
            return
        at = copies.at[mine]
        words = words_at(copied, at, kind.size)
        was = kind.values(words)
        place = self._place[mine]
        shift = self._shift_of(copies.target[mine], place)
        told = kind.values(kind.put(words, self._told(kind, mine, was, shift)) & _mask(kind))
        known = place >= 0
        missed = known & self._missed[place] if len(self._missed) else known
        count = np.where(known, self._count[place], 0) if len(self._count) else np.zeros(len(mine), np.int64)
        same = told == was
        context = ((same * 2 + missed) * 2 + (count == 1)) * 4 + copies.copy[mine]
        now: Array | None = None
        wrong: Array | None = None
        stays: Array | None = None
        if truth is not None:
            true = words_at(truth, at, kind.size)
            now = kind.values(true)
            fair = (kind.opcode(true) == kind.opcode(words)) & (np.abs((now >> 1) - (told >> 1)) < _REACH)
            wrong = ((now != told) & fair).astype(np.int64)
        failed = self._coder.flags(context, wrong).astype(np.bool_)
        asked = np.flatnonzero(failed & ~same)
        if now is not None:
            stays = (now == was)[asked].astype(np.int64)
        kept = asked[self._coder.flags(context[asked], stays).astype(np.bool_)]
        failed[kept] = False
        found = told.copy()
        found[kept] = was[kept]
        odd = np.flatnonzero(failed)
        if len(odd):
            self._tell_odd(kind, odd, told, was, found, now)
        put_words(copied, at, kind.size, kind.put(words, found))

    def _tell_odd(self, kind: Kind, odd: Array, told: Array, was: Array, found: Array, now: Array | None) -> None:
        """Writes the values at ``odd`` into ``found``.

        A number says how far each is from what was told; or how far that is from the same of the odd one before; or how much more it changed than
        the field before it did. The writer takes what makes the smallest numbers for this kind.
        """
        way: Array | None = None
        numbers: Array | None = None
        before = np.maximum(odd - 1, 0)
        if now is not None:
            found[odd] = now[odd]
            off, change = now[odd] - told[odd], found - was
            ways = [off // kind.unit, np.diff(off, prepend=0) // kind.unit, (change[odd] - change[before] * (odd > 0)) // kind.unit]
            best = int(np.argmin([np.log2(np.abs(one).astype(np.float64) + 1).sum() for one in ways]))
            way, numbers = np.array([best]), ways[best]
        (chosen,) = self._coder.numbers(np.zeros(1, np.int64), way).tolist()
        if chosen not in (0, 1, 2):
            raise malformed("a kind of fields is told in an unknown way", "0 to 2", chosen)
        steps = self._coder.numbers(np.zeros(len(odd), np.int64), numbers) * kind.unit
        if now is not None:
            return
        if chosen == 2:
            heads = np.diff(odd, prepend=-2) > 1
            found[odd] = was[odd] + _chains(steps, heads, np.where(odd > 0, found[before] - was[before], 0))
        else:
            found[odd] = told[odd] + (np.cumsum(steps) if chosen == 1 else steps)

    def _told(self, kind: Kind, mine: Array, was: Array, shift: Array) -> Array:
        """The values that the fields have if their targets moved by ``shift``."""
        copies = self._copies
        if kind.part == "low":
            return copies.target[mine] + shift & PAGE
        if kind.part == "page":
            return (copies.target[mine] + shift & ~PAGE) - (copies.base[mine] + copies.own[mine] & ~PAGE)
        delta = shift - self._base_shift(copies.base[mine], copies.own[mine], lambda base: self._shift_of(base, self._place_of(base)))
        return was - delta if kind.negative else was + delta

    def _place_of(self, addresses: Array) -> Array:
        """The index of each address among the targets, or -1."""
        if not len(self._targets):
            return np.full(len(addresses), -1, np.int64)
        place = np.minimum(np.searchsorted(self._targets, addresses), len(self._targets) - 1)
        return np.where(self._targets[place] == addresses, place, -1)

    def _shift_of(self, addresses: Array, place: Array) -> Array:
        """How far each address moved; ``place`` is its index among the targets or -1."""
        other = np.flatnonzero(place < 0)
        shift = self._shift[place] if len(self._targets) else np.zeros(len(place), np.int64)
        shift[other] = self._regions.shifts(addresses[other])[0]
        return shift

    @staticmethod
    def _base_shift(base: Array, own: Array, shift_of: Callable[[Array], Array]) -> Array:
        shift = np.where(base == ITSELF, own, 0)
        address = np.flatnonzero((base != NOTHING) & (base != ITSELF))
        shift[address] = shift_of(base[address])
        return shift


def _page_kind(kinds: Sequence[Kind]) -> Kind:
    return next(kind for kind in kinds if kind.part == "page")


def _mask(kind: Kind) -> int:
    return -1 if kind.size == 8 else (1 << 8 * kind.size) - 1


def _most(index: Array, values: Array, favourites: Array) -> Array:
    """For every index the value that it has most often; the favourite wins a tie, then the smallest."""
    contested = np.zeros(len(favourites), np.bool_)
    contested[index[values != favourites[index]]] = True
    chosen = np.flatnonzero(contested[index])  # where all agree nothing needs to be counted
    index, values = index[chosen], values[chosen]
    order = np.lexsort((values, index))
    index, values = index[order], values[order]
    edge = np.flatnonzero((np.diff(index, prepend=-1) != 0) | (np.diff(values, prepend=0) != 0))
    owner, value = index[edge], values[edge]
    weight = 2 * np.diff(edge, append=len(index)) + (value == favourites[owner])
    rank = np.lexsort((-weight, owner))
    best = rank[np.diff(owner[rank], prepend=-1) != 0]
    found = favourites.copy()
    found[owner[best]] = value[best]
    return found


def _chains(steps: Array, heads: Flags, bases: Array) -> Array:
    """Running sums of ``steps``, which begin anew at ``bases`` wherever ``heads`` is true."""
    if not len(steps):
        return steps
    total: Array = np.cumsum(steps)
    head = np.flatnonzero(heads)[np.cumsum(heads) - 1]
    sums: Array = total - (total - steps)[head] + bases[head]
    return sums
