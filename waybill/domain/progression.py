# SPDX-License-Identifier: Apache-2.0
"""Progression: which phase holds a release back (A33), pure over a lifecycle and the members already complete.

A member is complete when a verified success says so: a deployment here, or a receipt ``lifecycle_completed`` from a Remote Space (N8).
A missing receipt is not success.
"""

from collections.abc import Collection
from dataclasses import dataclass

from waybill.domain.lifecycles import Lifecycle, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseProgress:
    """One phase and how far it is: ``done`` of ``needed`` members; ``missing`` are the ids of members that are not complete."""

    phase: Phase
    done: int
    needed: int
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """True when enough members are complete."""
        return self.done >= self.needed


def needed_members(phase: Phase) -> int:
    """How many members must be complete: ``minimum``, or all of them when it is 0."""
    return phase.minimum or len(phase.members)


def progress(lifecycle: Lifecycle, completed: Collection[str]) -> tuple[PhaseProgress, ...]:
    """Every phase in order with its progress. ``completed`` holds member ids."""
    return tuple(
        PhaseProgress(
            phase=phase,
            done=sum(member in completed for member in phase.members),
            needed=needed_members(phase),
            missing=tuple(member for member in phase.members if member not in completed),
        )
        for phase in lifecycle.phases
    )


def first_phase_of(lifecycle: Lifecycle, member: str) -> int | None:
    """The position of the first phase that holds ``member``, or None when no phase does."""
    return next((number for number, phase in enumerate(lifecycle.phases) if member in phase.members), None)


def unmet_phase(lifecycle: Lifecycle, completed: Collection[str], target: str) -> Phase | None:
    """The first mandatory phase before that of ``target`` that is not complete, or None when ``target`` may go ahead.

    Whether ``target`` is in the lifecycle at all is ``first_phase_of``'s to say; for a stranger every mandatory phase counts.
    """
    place = first_phase_of(lifecycle, target)
    for step in progress(lifecycle, completed)[:place]:
        if not step.phase.optional and not step.is_complete:
            return step.phase
    return None


def mandatory_phases_done(lifecycle: Lifecycle, completed: Collection[str]) -> tuple[int, int]:
    """(complete, all) of the phases that are not optional: what ``lifecycle_completed`` receipts count."""
    mandatory = [step for step in progress(lifecycle, completed) if not step.phase.optional]
    return sum(step.is_complete for step in mandatory), len(mandatory)


def is_complete(lifecycle: Lifecycle, completed: Collection[str]) -> bool:
    """True when every mandatory phase is complete; never for a lifecycle without a mandatory phase."""
    done, total = mandatory_phases_done(lifecycle, completed)
    return total > 0 and done == total
