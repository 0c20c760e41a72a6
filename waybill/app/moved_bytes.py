# SPDX-License-Identifier: Apache-2.0
"""What each package of a promotion cost, counted once per digest, whichever way it went.

On a push the sender knows. On a pull the source counts what it granted for reading; on a carrier what it wrote into the file.
What nobody asked for when the bundle is ready on the other side did not have to move.
Content is counted, not protocol; a transfer that is resumed or repeated counts once.
"""

from collections.abc import Iterable
from dataclasses import replace

from waybill.domain.bundles import Need
from waybill.domain.ids import JsonValue
from waybill.domain.promotions import Promotion
from waybill.domain.tasks import Task
from waybill.ports import Work


def note(work: Work, promotion: Promotion, *, sha256: str, how: str, bytes_sent: int, bytes_saved: int) -> Promotion:
    """The promotion with this package counted; the task's result lists it under ``packages``. A digest that was counted is left alone."""
    task = work.of(Task).get(promotion.task_id)
    listed = task.result.get("packages")
    known: dict[str, JsonValue] = dict(listed) if isinstance(listed, dict) else {}
    if sha256 in known:
        return promotion
    known[sha256] = {"how": how, "bytes_sent": bytes_sent, "bytes_saved": bytes_saved}
    work.of(Task).replace(replace(task, result={**task.result, "packages": known}))
    counted = replace(promotion, bytes_sent=promotion.bytes_sent + bytes_sent, bytes_saved=promotion.bytes_saved + bytes_saved)
    return work.of(Promotion).replace(counted)


def note_taken(work: Work, *, trust_id: str, bundle_sha256: str, needs: Iterable[Need]) -> None:
    """These packages of the bundle were granted to the other side, or written for it; a bundle of no promotion counts nowhere."""
    promotion = work.of(Promotion).first(delivery_sha256=bundle_sha256, trust_id=trust_id)
    if promotion is None:
        return
    for need in needs:
        promotion = note(work, promotion, sha256=need.sha256, how="whole", bytes_sent=need.size_bytes, bytes_saved=0)


def with_rest_saved(promotion: Promotion) -> Promotion:
    """The promotion of a bundle that is ready on the other side: what was not sent was there."""
    return replace(promotion, bytes_saved=max(0, promotion.bytes_packages - promotion.bytes_sent))
