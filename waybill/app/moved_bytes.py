# SPDX-License-Identifier: Apache-2.0
"""What each package of a promotion cost, counted once per digest, whichever way it went, and said in the promotion's log.

On a push the sender knows. On a pull the source counts what it granted for reading; on a carrier what it wrote into the file.
What nobody asked for when the bundle is ready on the other side did not have to move.
Content is counted, not protocol; a transfer that is resumed or repeated counts once, a delta that did not serve counts besides the whole file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from waybill.app import tasks
from waybill.app.deltas import DELTA, NOTHING, WHOLE, Way
from waybill.domain.ids import JsonValue
from waybill.domain.promotions import Promotion
from waybill.domain.tasks import Task
from waybill.ports import Ports, Work

_DEARER = (NOTHING, DELTA, WHOLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one blob of a promotion cost. ``how``: ``nothing | delta | whole``; ``words`` say it in one sentence."""

    sha256: str
    name: str
    how: str
    bytes_sent: int
    bytes_saved: int
    words: str

    @staticmethod
    def of(way: Way) -> "Cost":
        """The cost of a blob that goes this way."""
        saved = way.need.size_bytes - way.bytes_sent
        return Cost(sha256=way.need.sha256, name=way.need.name, how=way.how, bytes_sent=way.bytes_sent, bytes_saved=saved, words=way.words)


def note(ports: Ports, work: Work, promotion: Promotion, cost: Cost) -> Promotion:
    """The promotion with this blob counted; the task's result lists it under ``packages``, its log says it.

    A digest that was counted is left alone, but for one that costs more after all: its delta did not serve, or the target did not hold it.
    """
    task = work.of(Task).get(promotion.task_id)
    known = packages_of(task)
    before = known.get(cost.sha256)
    spent = 0
    if before is not None:
        if _DEARER.index(cost.how) <= _DEARER.index(str(before["how"])):
            return promotion
        spent = _number(before, "bytes_sent")
        promotion = replace(promotion, bytes_saved=promotion.bytes_saved - _number(before, "bytes_saved"))
    entry: dict[str, JsonValue] = {
        "name": cost.name,
        "how": cost.how,
        "bytes_sent": spent + cost.bytes_sent,
        "bytes_saved": cost.bytes_saved,
        "words": cost.words,
    }
    listed: dict[str, JsonValue] = {**known, cost.sha256: entry}
    work.of(Task).replace(replace(task, result={**task.result, "packages": listed}))
    tasks.tell(ports, work, task.id, "info", f"{cost.name}: {cost.words}")
    counted = replace(promotion, bytes_sent=promotion.bytes_sent + cost.bytes_sent, bytes_saved=promotion.bytes_saved + cost.bytes_saved)
    if promotion.bytes_packages:  # a receipt may have counted the rest as saved before the sender knew what this one cost
        counted = replace(counted, bytes_saved=min(counted.bytes_saved, with_rest_saved(counted).bytes_saved))
    return work.of(Promotion).replace(counted)


def note_taken(ports: Ports, work: Work, *, trust_id: str, bundle_sha256: str, ways: Iterable[Way]) -> None:
    """These blobs of the bundle were granted to the other side, or written for it; a bundle of no promotion counts nowhere."""
    promotion = work.of(Promotion).first(delivery_sha256=bundle_sha256, trust_id=trust_id)
    if promotion is None:
        return
    for way in ways:
        promotion = note(ports, work, promotion, Cost.of(way))


def packages_of(task: Task) -> dict[str, dict[str, JsonValue]]:
    """What was counted on the task of a promotion so far, by digest."""
    listed = task.result.get("packages")
    return {key: entry for key, entry in listed.items() if isinstance(entry, dict)} if isinstance(listed, dict) else {}


def with_rest_saved(promotion: Promotion) -> Promotion:
    """The promotion of a bundle that is ready on the other side: what was not sent was there."""
    return replace(promotion, bytes_saved=max(0, promotion.bytes_packages - promotion.bytes_sent))


def _number(entry: dict[str, JsonValue], name: str) -> int:
    found = entry.get(name)
    return found if isinstance(found, int) else 0
