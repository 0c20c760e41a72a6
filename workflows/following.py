# SPDX-License-Identifier: Apache-2.0
"""What a promotion's whereabouts mean, in words: pure, so that the story reads as what happens."""

from collections.abc import Sequence
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.promotions import WhereItIs
    from waybill.domain.bundles import Need
    from waybill.domain.promotions import PromotionState
    from waybill.domain.stories import StoryResult

ARRIVED: Final = frozenset(
    {
        PromotionState.RECEIVED.value,
        PromotionState.READY.value,
        PromotionState.IMPORTED.value,
        PromotionState.DEPLOYING.value,
        PromotionState.DEPLOYED.value,
        PromotionState.COMPLETED.value,
        PromotionState.FAILED.value,
    }
)
"""States that only a receipt can bring about."""

_OVER: Final = frozenset({PromotionState.COMPLETED.value, PromotionState.REFUSED.value, PromotionState.CANCELLED.value})


def is_over(where: WhereItIs) -> bool:
    """True when nothing more is to be expected. A failed deployment there is no end: they may deploy again."""
    return where.state in _OVER


def may_have_lost(where: WhereItIs, spared: Sequence[Need]) -> bool:
    """True when the target, which has signed that it holds the packages ``spared``, says no more than that it waits: it may hold them no longer."""
    return bool(spared) and where.state == PromotionState.RECEIVED.value


def result_of(where: WhereItIs, peer_name: str) -> StoryResult:
    """How the story of a promotion ends that is over."""
    if where.state == PromotionState.COMPLETED.value:
        return StoryResult(state="succeeded", message=f"Lifecycle completed at {peer_name}")
    if where.state == PromotionState.REFUSED.value:
        return StoryResult(state="refused", code=where.code, message=where.message or f"{peer_name} refused it")
    return StoryResult(state="cancelled", message=where.message or "Withdrawn")


def waiting_words(road: str, where: WhereItIs, peer_name: str) -> str:
    """For what a sealed bundle waits on its road."""
    if road == "call":
        return f"Delivering to {peer_name}"
    if road == "answer":
        return f"Waiting for {peer_name} to collect it"
    if where.road_state == "pending":
        return f"Waiting to be exported onto a carrier file for {peer_name}"
    return f"On a carrier file; waiting for the first receipt from {peer_name}"


def words_of(where: WhereItIs, road: str, peer_name: str) -> str:
    """For what a promotion waits, by what the last receipt said."""
    match where.state:
        case PromotionState.RECEIVED.value:
            return f"{peer_name} has the bundle and waits for packages"
        case PromotionState.READY.value:
            return f"Ready to import; waiting for a decision at {peer_name}"
        case PromotionState.IMPORTED.value:
            return f"Imported; waiting for deployments at {peer_name}"
        case PromotionState.DEPLOYING.value:
            return f"{peer_name} is deploying it"
        case PromotionState.DEPLOYED.value:
            return f"Deployed at {peer_name}; waiting until its lifecycle is completed"
        case PromotionState.FAILED.value:
            return f"A deployment failed at {peer_name}; waiting for the next one"
        case _:
            return f"Waiting for the first receipt from {peer_name}" if road == "call" else waiting_words(road, where, peer_name)
