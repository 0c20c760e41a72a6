# SPDX-License-Identifier: Apache-2.0
"""How each blob of a bundle crosses, seen from the sender: not at all, as a delta, or whole, with the reason in words (N2, A53).

A base is only what the target has signed that it holds, what went there with the same project, and what is still here: what a target merely
claims to hold of ours is none, since a delta would tell of it. Without an inventory everything crosses whole.
A delta is made once per base, file and set of encoders, and kept for the next target. That it cannot be made costs bytes, nothing else.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from waybill.app import inventories, releases, sealing
from waybill.app.situation import lacking
from waybill.delta import plan as planning
from waybill.delta.plan import Held
from waybill.domain.bundles import Need
from waybill.domain.deltas import Encoder, MadeDelta
from waybill.domain.promotions import Promotion
from waybill.domain.receipts import ReceiptRow
from waybill.domain.releases import Release
from waybill.domain.tasks import Task
from waybill.domain.trusts import Road, Trust
from waybill.errors import UnavailableError, WaybillError
from waybill.formats.layout import delta_key
from waybill.formats.release import ReleaseDoc
from waybill.ports import SITE, Ports, StoredFile, Watch, Work

NOTHING, DELTA, WHOLE = "nothing", "delta", "whole"
MAX_EARLIER = 50
"""Newest promotions of a project to the target whose packages are looked at for a base."""

_MADE_BY = "delta-v1 online"
"""Format and tier: another one makes other deltas of the same files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How one blob crosses. ``how``: ``nothing | delta | whole``; ``delta`` is set once it was made, ``encoders`` are the target's."""

    need: Need
    how: str
    reason: str
    base: Held | None = None
    encoders: tuple[Encoder, ...] = ()
    delta: StoredFile | None = None

    @property
    def bytes_sent(self) -> int:
        """Bytes of content that cross."""
        if self.how == NOTHING:
            return 0
        return self.need.size_bytes if self.delta is None else self.delta.size_bytes

    @property
    def words(self) -> str:
        """The way in one sentence, for logs and pages."""
        if self.base is not None and self.delta is not None:
            base = f"{self.base.package_id} {self.base.version}"
            return f"delta against {base}: {self.delta.size_bytes} bytes instead of {self.need.size_bytes}"
        return f"{self.how}: {self.reason}"

    def as_whole(self, reason: str) -> "Way":
        """The same blob, crossing whole."""
        return replace(self, how=WHOLE, reason=reason, base=None, delta=None)


def plan_bundle(ports: Ports, work: Work, *, trust_id: str, bundle_sha256: str) -> Mapping[str, Way]:
    """The way of every blob of a bundle that this Space sends, by digest; nothing was made yet. Empty for a bundle of no promotion.

    What crossed whole before, because its delta did not serve, crosses whole again.
    """
    promotion = work.of(Promotion).first(delivery_sha256=bundle_sha256, trust_id=trust_id)
    if promotion is None:
        return {}
    planned = plan_promotion(ports, work, promotion)
    refused = _crossed_whole(work, promotion)
    return {
        sha256: way.as_whole("its delta did not serve") if way.how == DELTA and sha256 in refused else way
        for sha256, way in planned.items()
    }


def held_there(ports: Ports, work: Work, promotion: Promotion) -> list[Way]:
    """The blobs of a promotion that its target has signed that it holds."""
    known = inventories.newest(work, promotion.trust_id)
    if known is None:
        return []
    proven = {one.sha256 for one in known.doc.packages}
    doc = releases.read_doc(ports, work, work.of(Release).get(promotion.release_row_id))
    return [_there(need) for need in sealing.blobs_of(doc) if need.sha256 in proven]


def plan_promotion(ports: Ports, work: Work, promotion: Promotion) -> Mapping[str, Way]:
    """As ``plan_bundle``, for a promotion that may not be sealed yet."""
    trust = work.of(Trust).get(promotion.trust_id)
    doc = releases.read_doc(ports, work, work.of(Release).get(promotion.release_row_id))
    needs = sealing.blobs_of(doc)
    reason = _why_whole(work, trust, promotion)
    known = inventories.newest(work, trust.id)
    if known is None or reason is not None:
        words = reason or f"no inventory of {trust.name} is known"
        return {need.sha256: Way(need=need, how=WHOLE, reason=words) for need in needs}
    proven = {one.sha256 for one in known.doc.packages}
    held = _held(ports, work, promotion, proven)
    names = {one.sha256: one for one in _named(doc)}
    return {need.sha256: _way(need, names.get(need.sha256), proven, held, known.encoders) for need in needs}


def settled(ports: Ports, way: Way) -> Way:
    """``way`` as far as it can be gone without making anything: a delta that was not made ahead is none."""
    if way.how != DELTA:
        return way
    with ports.ledger.read(SITE) as work:
        made = work.of(MadeDelta).find(_id_of(way))
    if made is None:
        return way.as_whole("no delta was made ahead")
    return _with(way, made) if _is_here(ports, made) else way.as_whole("its delta is no longer in the store")


def settle(ports: Ports, way: Way, *, watch: Watch) -> Way:
    """``way`` with its delta made, or the way on which it goes instead.

    Raises:
        UnavailableError: transfer.interrupted when cancelled; store.*, ledger.*: may be repeated.
    """
    if way.how != DELTA or way.base is None:
        return way
    with ports.ledger.read(SITE) as work:
        known = work.of(MadeDelta).find(_id_of(way))
    if known is not None and _is_here(ports, known):
        return _with(way, known)
    base = StoredFile(sha256=way.base.sha256, size_bytes=way.base.size_bytes)
    new = StoredFile(sha256=way.need.sha256, size_bytes=way.need.size_bytes)
    try:
        made = ports.deltas.make(base, new, encoders=way.encoders, most_bytes=int(new.size_bytes * planning.WORTH), watch=watch)
    except WaybillError as error:
        if isinstance(error, UnavailableError) and error.code != "delta.tool_failed":
            raise
        return way.as_whole(f"no delta could be made ({error.code})")
    return _with(way, _keep(ports, way, base, made))


def prepare(ports: Ports, *, space_id: str, promotion_id: str, watch: Watch) -> tuple[Way, ...]:
    """Every delta of the promotion is made, so that it lies here when the target asks; returns all ways. Raises as ``settle``."""
    with ports.ledger.read(space_id) as work:
        planned = plan_promotion(ports, work, work.of(Promotion).get(promotion_id))
    return tuple(settle(ports, way, watch=watch) for way in planned.values())


def _way(need: Need, name: Held | None, proven: Collection[str], held: Collection[Held], encoders: tuple[Encoder, ...]) -> Way:
    if need.sha256 in proven:
        return _there(need)
    wanted = name or Held(need.sha256, need.size_bytes)
    found = planning.plan(wanted, tuple(held))
    return Way(need=need, how=found.how, reason=found.reason, base=found.base, encoders=encoders)


def _there(need: Need) -> Way:
    return Way(need=need, how=NOTHING, reason="the target holds it")


def _held(ports: Ports, work: Work, promotion: Promotion, proven: Collection[str]) -> list[Held]:
    """What went to the target with earlier releases of the project, what it has proven to hold of that, and we as well; the newest last."""
    rows = work.of(Promotion).where(newest_first=True, limit=MAX_EARLIER, project_id=promotion.project_id, trust_id=promotion.trust_id)
    sent: dict[str, Held] = {}
    for row in reversed(rows):
        if row.id == promotion.id or row.delivery_sha256 is None:
            continue
        for one in _named(releases.read_doc(ports, work, work.of(Release).get(row.release_row_id))):
            if one.sha256 in proven:
                sent.pop(one.sha256, None)
                sent[one.sha256] = one
    needs = [Need(sha256=one.sha256, size_bytes=one.size_bytes, role="package", name=one.package_id) for one in sent.values()]
    absent = {need.sha256 for need in lacking(work, needs)}
    return [one for one in sent.values() if one.sha256 not in absent]


def _named(doc: ReleaseDoc) -> list[Held]:
    """The packages and step packages of a release with their names."""
    packages = [Held(one.sha256, one.size_bytes, one.package_id, one.version) for one in doc.packages]
    return packages + [Held(one.sha256, one.size_bytes, one.package_id, one.version) for one in doc.step_packages]


def _why_whole(work: Work, trust: Trust, promotion: Promotion) -> str | None:
    """On a carrier nobody can ask again: once a target missed something of a bundle, it gets all of it whole."""
    if trust.road is not Road.CARRIER or promotion.delivery_sha256 is None:
        return None
    missed = work.of(ReceiptRow).first(direction="in", trust_id=trust.id, bundle_sha256=promotion.delivery_sha256, event="missing")
    return None if missed is None else f"{trust.name} missed something of this bundle"


def _crossed_whole(work: Work, promotion: Promotion) -> set[str]:
    listed = work.of(Task).get(promotion.task_id).result.get("packages")
    if not isinstance(listed, dict):
        return set()
    return {sha256 for sha256, entry in listed.items() if isinstance(entry, dict) and entry.get("how") == WHOLE}


def _id_of(way: Way) -> str:
    """From what the delta of ``way`` is made, as the key of its row."""
    base = way.base.sha256 if way.base else ""
    lines = [_MADE_BY, base, way.need.sha256, *sorted(f"{one.name} {one.sha256}" for one in way.encoders)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _keep(ports: Ports, way: Way, base: StoredFile, made: StoredFile) -> MadeDelta:
    row = MadeDelta(
        id=_id_of(way),
        base_sha256=base.sha256,
        new_sha256=way.need.sha256,
        sha256=made.sha256 if planning.is_worth(made.size_bytes, way.need.size_bytes) else None,
        size_bytes=made.size_bytes,
        made_at=ports.clock.now(),
    )
    with ports.ledger.write(SITE) as work:
        known = work.of(MadeDelta).find(row.id)
        if known is None:
            return work.of(MadeDelta).add(row)
        return work.of(MadeDelta).replace(replace(row, revision=known.revision))


def _is_here(ports: Ports, made: MadeDelta) -> bool:
    """False when somebody cleared the store of deltas: they can be made again."""
    return made.sha256 is None or ports.objects.exists(delta_key(made.sha256)) == made.size_bytes


def _with(way: Way, made: MadeDelta) -> Way:
    if made.sha256 is None:
        return way.as_whole(f"its delta would have {made.size_bytes} of {way.need.size_bytes} bytes")
    return replace(way, delta=StoredFile(sha256=made.sha256, size_bytes=made.size_bytes))
