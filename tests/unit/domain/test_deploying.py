# SPDX-License-Identifier: Apache-2.0
"""The pure rules of a deployment: where an action runs, on which machines, and how runs add up."""

from datetime import UTC, datetime

import pytest

from waybill.domain.deploying import Next, after_run, choose_machines, environment_ids, fold_runs, newest_attempts, skip_reason
from waybill.domain.deployments import DeploymentState, RunState, StepRun
from waybill.domain.projects import Action, ActionScopes, StepRef
from waybill.domain.spaces import Environment, Machine, Tenant

NOW = datetime(2026, 3, 2, tzinfo=UTC)
PRODUCTION = Environment(id="env_p", space_id="spc", slug="production", name="Production")
STEP = StepRef(package_id="run-script", version="1.0.0", sha256="0" * 64)


def machine(name: str, *roles: str, environment: str = "env_p", disabled: bool = False) -> Machine:
    """A machine of one environment."""
    return Machine(
        id=f"mch_{name}",
        space_id="spc",
        name=name,
        roles=roles,
        environment_ids=(environment,),
        key_sha256="",
        registered_at=NOW,
        disabled=disabled,
    )


def run(state: RunState, *, action: str = "act_1", attempt: int = 1, position: int = 0) -> StepRun:
    """A run on the one machine."""
    return StepRun(
        id=f"run_{action}_{attempt}",
        space_id="spc",
        deployment_id="dep",
        action_id=action,
        action_name=action,
        position=position,
        machine_id="mch_a",
        attempt=attempt,
        state=state,
        created_at=NOW,
    )


def test_a_scope_that_gets_lost_in_translation_holds_nowhere() -> None:
    """Ids of environments that do not exist here must not widen a scope to everywhere."""
    ids = environment_ids((("env_theirs", "env_p"),), is_imported=True)
    assert ids.applies(("env_theirs", "env_other"), "env_p")
    assert not ids.applies(("env_other",), "env_p")
    assert ids.applies((), "env_p")


def test_an_own_release_needs_no_translation() -> None:
    """Its ids are ours."""
    ids = environment_ids((), is_imported=False)
    assert ids.local(("env_p",)) == ("env_p",)
    assert not ids.applies(("env_q",), "env_p")


@pytest.mark.parametrize(
    ("scopes", "tenant", "reason"),
    [
        (ActionScopes(), None, None),
        (ActionScopes(environments=("env_q",)), None, "not for Production"),
        (ActionScopes(channels=("Beta",)), None, "not for channel Default"),
        (ActionScopes(tenant_tags=("vip",)), None, "not for this tenant"),
        (ActionScopes(tenant_tags=("vip",)), Tenant(id="tnt", space_id="spc", slug="t", name="T", tags=("vip",)), None),
    ],
)
def test_an_action_is_skipped_where_its_scopes_do_not_hold(scopes: ActionScopes, tenant: Tenant | None, reason: str | None) -> None:
    """Each kind of scope is a condition of its own."""
    action = Action(id="act", name="A", step=STEP, scopes=scopes)
    assert skip_reason(action, environment_ids((), is_imported=False), PRODUCTION, tenant, "Default") == reason


def test_roles_choose_every_machine_and_no_role_the_first() -> None:
    """Disabled machines and machines of other environments never run anything."""
    machines = [machine("b", "web"), machine("a", "db"), machine("c", "web", disabled=True), machine("d", "web", environment="env_q")]
    with_role = Action(id="act", name="A", step=STEP, roles=("web",))
    without = Action(id="act", name="A", step=STEP)
    assert [one.name for one in choose_machines(with_role, machines, "env_p")] == ["b"]
    assert [one.name for one in choose_machines(without, machines, "env_p")] == ["a"]
    assert choose_machines(Action(id="act", name="A", step=STEP, roles=("mail",)), machines, "env_p") == ()


def test_only_the_newest_attempt_counts() -> None:
    """A failed attempt that was repeated with success fails nothing."""
    runs = [run(RunState.ERRORED), run(RunState.SUCCEEDED, attempt=2)]
    assert [one.attempt for one in newest_attempts(runs)] == [2]
    assert fold_runs(runs) == (DeploymentState.SUCCEEDED, None)


def test_the_worst_run_decides() -> None:
    """Failed and errored outweigh cancelled, cancelled outweighs unfinished."""
    cancelled = run(RunState.CANCELLED, action="act_2", position=1)
    failed = run(RunState.FAILED, action="act_3", position=2)
    assert fold_runs([run(RunState.RUNNING), cancelled, failed]) == (DeploymentState.FAILED, failed)
    assert fold_runs([run(RunState.RUNNING), cancelled]) == (DeploymentState.CANCELLED, cancelled)
    assert fold_runs([run(RunState.QUEUED)]) == (DeploymentState.RUNNING, None)
    assert fold_runs([run(RunState.SKIPPED)]) == (DeploymentState.SUCCEEDED, None)


@pytest.mark.parametrize(
    ("state", "code", "is_idempotent", "interruptions", "retries", "follows"),
    [
        ("succeeded", None, False, 0, 0, Next.DONE),
        ("errored", "step.interrupted", False, 0, 3, Next.ASK),
        ("errored", "step.interrupted", True, 0, 0, Next.AGAIN),
        ("errored", "step.interrupted", True, 2, 0, Next.AGAIN),
        ("errored", "step.interrupted", True, 3, 5, Next.ASK),
        ("failed", "step.failed", True, 0, 0, Next.FAIL),
        ("failed", "step.failed", True, 0, 1, Next.AGAIN),
        ("errored", "step.errored", False, 0, 1, Next.AGAIN),
        ("cancelled", "step.cancelled", True, 0, 5, Next.FAIL),
    ],
)
def test_what_follows_the_end_of_a_run(
    state: str, code: str | None, is_idempotent: bool, interruptions: int, retries: int, follows: Next
) -> None:
    """Only a repeatable step is made again unattended after an interruption, three times at most, whatever retries it has."""
    found = after_run(state=state, code=code, is_idempotent=is_idempotent, interruptions=interruptions, retries=retries)
    assert found is follows
