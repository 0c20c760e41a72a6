# SPDX-License-Identifier: Apache-2.0
"""Pure rules of a deployment: where an action runs, on which machines, and how the runs of its steps add up.

Nothing here reads a store; the use cases of ``waybill.app.deploy`` hand in what they read.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from waybill.domain.deployments import FINISHED_RUNS, DeploymentState, RunState, StepRun
from waybill.domain.projects import Action
from waybill.domain.spaces import Environment, Machine, Tenant

MAX_UNATTENDED: Final = 3
"""How often an interrupted run of a repeatable step is made again without asking; a machine that dies each time needs a person."""


class Next(StrEnum):
    """What follows the end of a run: it is done, it is made again, a person is asked, or the deployment fails."""

    DONE = "done"
    AGAIN = "again"
    ASK = "ask"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentIds:
    """How the environment ids of a release's owner translate into ours; an own release needs no translation (``mapped`` None)."""

    mapped: Mapping[str, str] | None

    def local(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Our ids for those of ``ids`` that mean an environment here, in order."""
        if self.mapped is None:
            return tuple(ids)
        return tuple(self.mapped[key] for key in ids if key in self.mapped)

    def applies(self, ids: Collection[str], environment_id: str) -> bool:
        """True when a scope of ``ids`` (empty: everywhere) holds in our environment.

        A scope that names only environments unknown here holds nowhere: it must never widen by being lost in translation.
        """
        return not ids or environment_id in self.local(ids)


def environment_ids(environment_map: Sequence[tuple[str, str]], *, is_imported: bool) -> EnvironmentIds:
    """The translation that a release row carries."""
    return EnvironmentIds(mapped=dict(environment_map) if is_imported else None)


def skip_reason(action: Action, ids: EnvironmentIds, environment: Environment, tenant: Tenant | None, channel: str) -> str | None:
    """Why ``action`` does not run in ``environment``, in words, or None when it does."""
    scopes = action.scopes
    if not ids.applies(scopes.environments, environment.id):
        return f"not for {environment.name}"
    if scopes.channels and channel not in scopes.channels:
        return f"not for channel {channel}"
    if scopes.tenant_tags and not (tenant and set(scopes.tenant_tags) & set(tenant.tags)):
        return "not for this tenant"
    return None


def choose_machines(action: Action, machines: Iterable[Machine], environment_id: str) -> tuple[Machine, ...]:
    """The machines that run ``action``, by name: every one with a role of it, or the first of the environment when it names no role."""
    here = sorted(
        (machine for machine in machines if environment_id in machine.environment_ids and not machine.disabled), key=lambda row: row.name
    )
    if not action.roles:
        return tuple(here[:1])
    return tuple(machine for machine in here if set(machine.roles) & set(action.roles))


def newest_attempts(runs: Iterable[StepRun]) -> tuple[StepRun, ...]:
    """The newest attempt of each action on each machine, in the order of the process."""
    newest: dict[tuple[str, str | None], StepRun] = {}
    for run in runs:
        key = (run.action_id, run.machine_id)
        if key not in newest or newest[key].attempt < run.attempt:
            newest[key] = run
    return tuple(sorted(newest.values(), key=lambda run: (run.position, run.machine_id or "")))


def fold_runs(runs: Iterable[StepRun]) -> tuple[DeploymentState, StepRun | None]:
    """What the runs of a deployment add up to, and the run that decided it when it did not succeed.

    Failed and errored outweigh cancelled, cancelled outweighs unfinished, and only finished, successful or skipped runs make a success.
    """
    newest = newest_attempts(runs)
    for states, result in (
        ((RunState.FAILED, RunState.ERRORED), DeploymentState.FAILED),
        ((RunState.CANCELLED,), DeploymentState.CANCELLED),
    ):
        for run in newest:
            if run.state in states:
                return result, run
    if any(run.state not in FINISHED_RUNS for run in newest):
        return DeploymentState.RUNNING, None
    return DeploymentState.SUCCEEDED, None


def after_run(*, state: str, code: str | None, is_idempotent: bool, interruptions: int, retries: int) -> Next:
    """What follows a run that ended so.

    An interrupted run is nobody's verdict: it costs none of the action's retries, and only a step that declares itself idempotent is
    made again without a person's word.

    Args:
        interruptions: how many runs of the action on this machine were interrupted before and made again unattended.
        retries: how many of the action's own retries are left.
    """
    if state == RunState.SUCCEEDED.value:
        return Next.DONE
    if code == "step.interrupted":
        return Next.AGAIN if is_idempotent and interruptions < MAX_UNATTENDED else Next.ASK
    if code == "step.cancelled" or retries == 0:
        return Next.FAIL
    return Next.AGAIN
