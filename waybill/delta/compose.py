# SPDX-License-Identifier: Apache-2.0
"""Where each byte of the content comes from: copied, patched, or from a pool. Fills a draft."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from waybill.delta import blocks
from waybill.delta.blocks import Patch, Tier
from waybill.delta.draft import BlockDraft, Draft, Place, view_of
from waybill.delta.io import View
from waybill.delta.large import stretches
from waybill.delta.match import Host, Index, Leaf
from waybill.delta.model import PATCH, POOL
from waybill.delta.predict import Memo
from waybill.delta.tools import Tools

_PATCH_LEAST: Final = 4096
"""A smaller binary costs less in a pool than as a patch of its own."""
_SHORT: Final = 4096
"""Bytes of a piece that is sought behind the last copy."""
_AROUND: Final = 1 << 20
"""Bytes of the old piece on both sides of a short changed stretch in which it is sought; a longer one is sought as much farther as it is long."""
_TEXT_LEAST: Final = 1 << 20
"""Text from this length on is worth an attempt at alignment: if little of it has changed, that is told in fewer bytes than by a pool."""
_NEAR: Final = 4096
"""Ranges of a prefix with a smaller gap are one range: the gap costs less than its numbers."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the new content. ``name`` is "" for headers and padding."""

    name: str
    view: View


@dataclass(slots=True)
class _Task:
    """Bytes that no old piece has: ``base`` is what they were before, if anything. ``home`` tells where they are in the end."""

    view: View
    base: Place | None
    places: list[Place]
    slot: int

    def settle(self, home: BlockDraft, offset: int) -> None:
        """They are the bytes at ``offset`` of ``home``."""
        self.places[self.slot] = Place(home, offset, self.view.length)


@dataclass(frozen=True, slots=True)
class _Patched:
    """Tasks told by one patch; its payload and its extra bytes wait in scratch."""

    tasks: list[_Task]
    payload: View
    extra: View
    predictor: str


class Composer:
    """Takes the pieces of the content in order, then makes the blocks."""

    def __init__(self, index: Index, draft: Draft, tools: Tools, tier: Tier) -> None:
        self._index, self._draft, self._tools, self._tier = index, draft, tools, tier
        self._last: Place | None = None
        self._tasks: list[_Task] = []
        self._copied: set[int] = set()
        self._scratch = tools.spool()
        self._group = tools.limits.group_bytes
        self.copied_bytes = 0
        self.memo = Memo()

    def add(self, piece: Piece) -> None:
        """Decides for one piece; what is not copied waits for :meth:`finish`."""
        places: list[Place] = []
        self._draft.pieces.append(places)
        if not piece.view.length:
            places.append(Place(self._index.file, 0, 0))
            return
        same = self._index.equal(piece.view, self._continues)
        if same is not None:
            self._copied.add(id(same))
            self._copy(places, Place(same.host, same.offset, same.view.length))
            return
        if (next_ := self._next(piece.view)) is not None:
            self._copy(places, next_)
            return
        before = self._index.counterpart(piece.name, piece.view.length) if piece.name else None
        if piece.view.length > self._group:
            self._large(piece.view, before, places)
        else:
            self._wait(piece.view, Place(before.host, before.offset, before.view.length) if before else None, places)

    def _continues(self, leaf: Leaf) -> bool:
        last = self._last
        return last is not None and last.home is leaf.host and last.offset + last.length == leaf.offset

    def _next(self, view: View) -> Place | None:
        """The place behind the last copy, if a short piece, padding for instance, stands there too: one longer copy costs nothing."""
        last = self._last
        if last is None or view.length > _SHORT or not isinstance(last.home, Host):
            return None
        at = last.offset + last.length
        if at + view.length > last.home.view.length or last.home.view.read_at(at, view.length) != view.read():
            return None
        return Place(last.home, at, view.length)

    def _copy(self, places: list[Place], place: Place) -> None:
        places.append(place)
        self._last = place
        self.copied_bytes += place.length

    def _wait(self, view: View, base: Place | None, places: list[Place]) -> None:
        if base is not None and base.length > self._group:
            base = None
        self._tasks.append(_Task(view, base, places, len(places)))
        places.append(Place(self._index.file, 0, view.length))

    def _large(self, view: View, before: Leaf | None, places: list[Place]) -> None:
        if before is None:
            for at in range(0, view.length, self._group):
                self._wait(view.sub(at, min(self._group, view.length - at)), None, places)
            return
        at = 0
        size = self._group // 2
        for one in stretches(before.view, view, size, lambda done: self._tools.progress("compare", done, view.length)):
            if one.equal:
                self._copy(places, Place(before.host, before.offset + one.old, one.length))
            else:
                margin = min(size // 4, _AROUND + one.length)
                start = max(0, one.old - margin)
                length = min(before.view.length - start, one.length + 2 * margin)
                self._wait(view.sub(at, one.length), Place(before.host, before.offset + start, length) if length > 0 else None, places)
            at += one.length

    def finish(self) -> None:
        """Makes the blocks of everything that was not copied."""
        patched, pooled = self._patches()
        plain = self._blocks(patched, pooled)
        grouped = self._grouped(patched, pooled) if self._tier == "best" else None
        self._settle(min((one for one in (plain, grouped) if one is not None), key=lambda one: one.size))

    def _patches(self) -> tuple[list[_Patched], list[_Task]]:
        """Tasks told by a patch each, and the others."""
        patched: list[_Patched] = []
        pooled = []
        total = sum(task.view.length for task in self._tasks)
        done = 0
        for task in self._tasks:
            made = self._patch(task)
            if made is None:
                pooled.append(task)
            else:
                patched.append(self._kept([task], made))
            done += task.view.length
            self._tools.progress("compare", done, total)
        return patched, pooled

    def _kept(self, tasks: list[_Task], made: Patch) -> _Patched:
        return _Patched(tasks, self._stored(made.payload), self._stored(made.extra), made.predictor)

    def _stored(self, data: bytes) -> View:
        self._scratch.append(data)
        return View(self._scratch, self._scratch.size - len(data), len(data))

    def _patch(self, task: _Task) -> Patch | None:
        if task.base is None or self._tools.aligner is None or min(task.view.length, task.base.length) < _PATCH_LEAST:
            return None
        if not blocks.is_binary(task.view.read_at(0, min(4096, task.view.length))) and task.view.length < _TEXT_LEAST:
            return None
        return blocks.patch(view_of(task.base).read(), task.view.read(), self._tools.aligner, self._tier, self.memo)

    def _grouped(self, patched: list[_Patched], pooled: list[_Task]) -> "_Plan | None":
        """All pieces that were something before, told by one patch against all that they were."""
        group = [task for task in pooled if task.base is not None]
        base = _merged(task.base for task in group if task.base)
        if not group or self._tools.aligner is None or sum(task.view.length for task in group) > self._group or _length(base) > self._group:
            return None
        old = b"".join(view_of(place).read() for place in base)
        made = blocks.patch(old, b"".join(task.view.read() for task in group), self._tools.aligner, self._tier, self.memo)
        if made is None:
            return None
        return self._blocks([*patched, self._kept(group, made)], [task for task in pooled if task.base is None])

    def _blocks(self, patched: list[_Patched], pooled: list[_Task]) -> "_Plan":
        """Pools, in each first the extra bytes of patches, then pieces; and the patches after them."""
        plan = _Plan([], [], 0)
        pool = _Pool([], [], 0)
        pools = [pool]
        for made in patched:
            if pool.size + made.extra.length > self._group:
                pools.append(pool := _Pool([], [], 0))
            pool.patched.append(made)
            pool.size += made.extra.length
        for task in pooled:
            if pool.size + task.view.length > self._group:
                pools.append(pool := _Pool([], [], 0))
            pool.tasks.append(task)
            pool.size += task.view.length
        for one in pools:
            self._pool(one, plan)
        plan.blocks.sort(key=lambda block: block.kind)
        return plan

    def _pool(self, pool: "_Pool", plan: "_Plan") -> None:
        prefix = self._prefix(pool)
        data = b"".join([*(made.extra.read() for made in pool.patched), *(task.view.read() for task in pool.tasks)])
        payload = blocks.pool(b"".join(view_of(place).read() for place in prefix), data, self._tier)
        block = BlockDraft(POOL, len(data), prefix, self._stored(payload))
        if data:
            plan.add(block)
        at = sum(made.extra.length for made in pool.patched)
        plan.settle(pool.tasks, block, at)
        for made in pool.patched:
            base = _merged(task.base for task in made.tasks if task.base)
            size = sum(task.view.length for task in made.tasks)
            patch = BlockDraft(PATCH, size, base, made.payload, block if data else None, made.predictor)
            plan.add(patch)
            plan.settle(made.tasks, patch, 0)

    def _prefix(self, pool: "_Pool") -> list[Place]:
        """What the pool's bytes were before; then old pieces that were not copied; at last, in the background tier, all others, while there is room."""
        if not pool.size:
            return []
        room = self._tools.limits.block_bytes - pool.size - 1024
        room = min(room, 2 * self._group if self._tier == "best" else self._group)
        own = [task.base for task in pool.tasks if task.base] + [task.base for made in pool.patched for task in made.tasks if task.base]
        others = [one for one in self._index.pieces if not one.coded]
        rest = [one for one in others if id(one) not in self._copied]
        chosen = list(own)
        used = _length(_merged(own))
        if used > room:
            return _cut(_merged(own), room)
        for leaf in [*rest, *(others if self._tier == "best" else [])]:
            if used + leaf.view.length <= room:
                chosen.append(Place(leaf.host, leaf.offset, leaf.view.length))
                used += leaf.view.length
        return _cut(_merged(chosen), room)

    def _settle(self, plan: "_Plan") -> None:
        self._draft.blocks.extend(plan.blocks)
        for task, home, offset in plan.settled:
            task.settle(home, offset)


@dataclass(slots=True)
class _Pool:
    patched: list[_Patched]
    tasks: list[_Task]
    size: int


@dataclass(slots=True)
class _Plan:
    blocks: list[BlockDraft]
    settled: list[tuple[_Task, BlockDraft, int]]
    size: int

    def add(self, block: BlockDraft) -> None:
        """One more block."""
        self.blocks.append(block)
        self.size += block.payload.length

    def settle(self, tasks: Iterable[_Task], home: BlockDraft, at: int) -> None:
        """The tasks stand side by side in ``home`` from ``at`` on."""
        for task in tasks:
            self.settled.append((task, home, at))
            at += task.view.length


def _length(places: Sequence[Place]) -> int:
    return sum(place.length for place in places)


def _merged(places: Iterable[Place]) -> list[Place]:
    """The places in the order of their hosts and offsets, those that touch or nearly touch made one."""
    hosts: dict[int, tuple[int, ...]] = {}
    ordered = sorted(places, key=lambda place: (*hosts.setdefault(id(place.home), _path(place.home)), place.offset))
    out: list[Place] = []
    for place in ordered:
        last = out[-1] if out else None
        if last and last.home is place.home and place.offset <= last.offset + last.length + _NEAR:
            out[-1] = Place(last.home, last.offset, max(last.length, place.offset + place.length - last.offset))
        else:
            out.append(place)
    return out


def _path(home: Host | BlockDraft) -> tuple[int, ...]:
    """Where a host begins in the file, the outermost first; padded so that all paths compare."""
    path: list[int] = []
    host: Host | None = home if isinstance(home, Host) else None
    while host is not None:
        path.insert(0, host.offset)
        host = host.parent
    return tuple(path + [-1] * (16 - len(path)))


def _cut(places: list[Place], room: int) -> list[Place]:
    """The places as far as there is room: merging may have added gaps."""
    out = []
    for place in places:
        if place.length > room:
            place = Place(place.home, place.offset, room)
        if place.length:
            out.append(place)
        room -= place.length
    return out
