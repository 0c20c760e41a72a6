# SPDX-License-Identifier: Apache-2.0
"""Fewer records for the same new file: a copy from far away stays only when it saves more bits than the record costs.

An aligner counts equal bytes; here bits are counted. Only the sender prunes, so that nothing in a delta depends on these numbers.
"""

from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.predict.regions import new_places

_MISS: Final = 12
"""Bits of a byte that differs inside of a copy, beside the place where it stands."""
_EXTRA: Final = 5
"""Bits of a byte that is not copied."""
_NEAR: Final = 24
_BACK: Final = 28
_FAR: Final = 46
"""Bits of a record: close to where the last one ended, close to where one of the last ended, elsewhere."""
_CLOSE: Final = 300
_MEMORY: Final = 10
_GAP: Final = 512
_BRIDGE: Final = 4096
"""Longer gaps are not looked into: they are extra bytes."""
_RECORDS_MOST: Final = 200_000
_NEVER: Final = 1 << 24


def prune(old: bytes, new: bytes, records: Array, leaps: int) -> Array:
    """Records that make ``new`` of ``old`` as ``records`` do, in all likelihood told with fewer bits.

    Args:
        old, new: the files, or what an aligner should see of them: addresses that can be foretold must not count as different.
        records: int64 of shape (k, 3): copy length, extra length, position in the old file.
        leaps: so many records in a row may be left out at once.
    """
    if not 1 < len(records) <= _RECORDS_MOST:
        return records
    pruning = _Pruning(np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8), records, leaps)
    return pruning.records(pruning.chosen())


class _Pruning:
    """The copies as intervals of the new file, each with the distance of its old bytes from them."""

    def __init__(self, old: Octets, new: Octets, records: Array, leaps: int) -> None:
        self._leaps = leaps
        self._old = old
        self._new = new
        places = new_places(records)
        copies = records[:, 0] > 0
        self._start = places[copies].tolist()
        self._end = (places + records[:, 0])[copies].tolist()
        self._shift = (records[:, 2] - places)[copies].tolist()

    def chosen(self) -> list[int]:
        """The copies of the cheapest chain from the first to the last."""
        count = len(self._start)
        cost, before = [0] * count, [-1] * count
        for this in range(count):
            start, shift = self._start[this], self._shift[this]
            best = _EXTRA * start if not this else _NEVER << 32
            for last in range(this - 1, max(this - 1 - self._leaps, -1), -1):
                if start - self._end[last] > _GAP and last < this - 1:
                    break
                told = cost[last] + self._link(last, shift)
                if told < best:
                    told += self._bridge(last, this)[2]
                    if told < best:
                        best, before[this] = told, last
            miss = self._old[start + shift : self._end[this] + shift] != self._new[start : self._end[this]]
            cost[this] = best + _MISS * int(np.count_nonzero(miss))
        chain, this = [], count - 1
        while this >= 0:
            chain.append(this)
            this = before[this]
        return chain[::-1]

    def records(self, chain: list[int]) -> Array:
        """The chain as records, each gap divided between its neighbours and extra bytes."""
        copies: list[list[int]] = []
        for this in chain:
            copy = [self._start[this], self._end[this], self._shift[this]]
            if copies:
                last = copies[-1]
                last[1], copy[0], _ = self._between(last[1], copy[0], last[2], copy[2])
                if last[2] == copy[2] and last[1] == copy[0]:
                    last[1] = copy[1]
                    continue
            copies.append(copy)
        head = copies[0][0] if copies else len(self._new)
        ends = [copy[0] for copy in copies[1:]] + [len(self._new)]
        found = [(0, head, 0)] if head else []
        found += [(end - start, after - end, start + shift) for (start, end, shift), after in zip(copies, ends, strict=False)]
        return np.array(found, np.int64).reshape(-1, 3)

    def _link(self, last: int, shift: int) -> int:
        if -_CLOSE < shift - self._shift[last] < _CLOSE:
            return _NEAR
        for known in self._shift[max(0, last - _MEMORY) : last]:
            if -_CLOSE < shift - known < _CLOSE:
                return _BACK
        return _FAR

    def _bridge(self, last: int, this: int) -> tuple[int, int, int]:
        return self._between(self._end[last], self._start[this], self._shift[last], self._shift[this])

    def _between(self, start: int, end: int, before: int, after: int) -> tuple[int, int, int]:
        """Where the copy before a gap best ends, where the one after it best starts, and the bits of the gap."""
        size = end - start
        if not 0 < size <= _BRIDGE:
            return start, end, _EXTRA * size
        ahead, behind = np.zeros(size + 1, np.int64), np.zeros(size + 1, np.int64)
        np.cumsum(self._gain(start, end, before), out=ahead[1:])
        behind[:size] = np.cumsum(self._gain(start, end, after)[::-1])[::-1]
        right = int(np.argmin(np.minimum.accumulate(ahead) + behind))
        left = int(np.argmin(ahead[: right + 1]))
        return start + left, start + right, int(ahead[left] + behind[right]) + _EXTRA * size

    def _gain(self, start: int, end: int, shift: int) -> Array:
        """Bits that each byte of the gap costs more as a copy than as an extra byte."""
        if start + shift < 0 or end + shift > len(self._old):
            return np.full(end - start, _NEVER, np.int64)
        differs: Array = (self._old[start + shift : end + shift] != self._new[start:end]).astype(np.int64)
        return differs * _MISS - _EXTRA
