# SPDX-License-Identifier: Apache-2.0
"""Deployments: what blocks them, what machines get, and how runs end once."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.unit.app.world import SECRET, World, approve, deploy_all, events, make_world
from waybill.app import admin, deploy, importing, releases, runs, tasks
from waybill.app.access import SYSTEM
from waybill.domain.deployments import Deployment, DeploymentState, RunState, StepRun
from waybill.domain.packages import Blob
from waybill.domain.releases import Release
from waybill.domain.spaces import Machine
from waybill.domain.steps import StepLine, StepOutcome
from waybill.domain.stories import StepDecision
from waybill.domain.tasks import TaskState
from waybill.errors import ConflictError, PolicyError, WaybillError
from waybill.ports import SITE


@pytest.fixture
def world() -> World:
    """Two Spaces; 1.0.0 ran in Test."""
    made = make_world()
    deploy_all(made.source, made.release(), "Test")
    return made


@pytest.fixture
def release(world: World) -> Release:
    """1.0.0 as imported at the target, its template answered."""
    return world.imported(world.promote(world.release()))


def start(world: World, release: Release, environment: str = "Production") -> Deployment:
    """A deployment at the target, running."""
    deployment, _ = deploy.start_deployment(
        world.target.ports, SYSTEM, space_id=world.target.space_id, release=release.id, environment=environment
    )
    deploy.begin(world.target.ports, space_id=world.target.space_id, deployment_id=deployment.id)
    return deployment


def first_run(world: World, deployment: Deployment) -> StepRun:
    """The first run of the first action."""
    plan = deploy.begin(world.target.ports, space_id=world.target.space_id, deployment_id=deployment.id)
    return deploy.open_run(
        world.target.ports,
        space_id=world.target.space_id,
        deployment_id=deployment.id,
        action_id=plan.actions[0].action_id,
        machine_id=plan.actions[0].machine_ids[0],
    )


def refused(world: World, release: Release, environment: str = "Production") -> WaybillError:
    """The error with which the deployment does not start; nothing was stored."""
    with pytest.raises(WaybillError) as caught:
        deploy.start_deployment(world.target.ports, SYSTEM, space_id=world.target.space_id, release=release.id, environment=environment)
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert work.of(Deployment).where(release_row_id=release.id) == []
    return caught.value


def test_a_missing_value_names_variable_environment_and_stops_before_any_step(world: World) -> None:
    """Imported without an answer, the release is ready for nothing (A39)."""
    inbox = world.ready(world.promote(world.release()))
    approve(world.target, inbox)
    release = importing.apply_import(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)
    error = refused(world, release)
    assert (error.code, error.field) == ("variable.missing", "Domain")
    assert "environment Production" in error.message
    blockers = deploy.check_ready(world.target.ports, SYSTEM, space_id=world.target.space_id, release=release.id, environment="Production")
    assert [(one.code, one.subject, one.environment) for one in blockers] == [("variable.missing", "Domain", "Production")]


def test_a_missing_package_blocks(world: World, release: Release) -> None:
    """A blob that has gone is named; nothing runs without it (A9)."""
    with world.target.ports.ledger.write(SITE) as work:
        for blob in work.of(Blob).where():
            if blob.size_bytes == max(one.size_bytes for one in work.of(Blob).where()):
                work.of(Blob).remove(blob)
    assert refused(world, release).code == "package.missing"


def test_no_machine_blocks(world: World, release: Release) -> None:
    """Without a registered machine the deployment is refused before the first step (A82)."""
    admin.disable_machine(world.target.ports, SYSTEM, space_id=world.target.space_id, machine="web-1", if_revision=world.machine.revision)
    assert refused(world, release).code == "machine.none"


def test_the_lifecycle_is_enforced_and_the_phase_named(world: World) -> None:
    """At the source 1.0.2 has not been in Test: the target's phase comes after it; and Test itself is allowed."""
    untested = world.release("1.0.2")
    admin.create_environment(world.source.ports, SYSTEM, space_id=world.source.space_id, name="Elsewhere")
    with pytest.raises(PolicyError) as caught:
        deploy.start_deployment(world.source.ports, SYSTEM, space_id=world.source.space_id, release=untested.id, environment="Elsewhere")
    assert caught.value.code == "lifecycle.forbidden"
    assert deploy.check_ready(world.source.ports, SYSTEM, space_id=world.source.space_id, release=untested.id, environment="Test") == ()


def test_a_blocked_release_is_not_deployed(world: World, release: Release) -> None:
    """P18: blocked here, with the reason shown."""
    releases.block_release(
        world.target.ports, SYSTEM, space_id=world.target.space_id, release=release.id, reason="bad build", if_revision=release.revision
    )
    error = refused(world, release)
    assert (error.code, "bad build" in error.message) == ("deployment.blocked", True)


def test_two_deployments_to_one_place_do_not_run_at_once(world: World, release: Release) -> None:
    """Files of two deployments of one project are never mixed (A90)."""
    start(world, release)
    with pytest.raises(PolicyError) as caught:
        start(world, release)
    assert caught.value.code == "deployment.blocked"


def test_begin_again_gives_the_same_plan_and_one_receipt(world: World, release: Release) -> None:
    """A repeated activity starts nothing twice."""
    deployment = start(world, release)
    one = deploy.begin(world.target.ports, space_id=world.target.space_id, deployment_id=deployment.id)
    other = deploy.begin(world.target.ports, space_id=world.target.space_id, deployment_id=deployment.id)
    assert one == other
    assert [(action.name, action.skip_reason, len(action.machine_ids)) for action in one.actions] == [
        ("Deploy", None, 1),
        ("Smoke", None, 1),
        ("Only in Test", "not for Production", 0),
    ]
    assert events(world.target, "out")[-2:] == ["queued", "started"]


def test_a_foreign_machine_claims_nothing(world: World, release: Release) -> None:
    """A run belongs to one machine; another one of the same Space learns nothing of it."""
    run = first_run(world, start(world, release))
    other, _ = admin.register_machine(
        world.target.ports, SYSTEM, space_id=world.target.space_id, name="web-2", roles=("web",), environments=("Production",)
    )
    with pytest.raises(ConflictError) as caught:
        runs.claim(world.target.ports, other, run_id=run.id)
    assert caught.value.code == "machine.foreign_run"
    with pytest.raises(ConflictError):
        runs.record_outcome(world.target.ports, other, run_id=run.id, outcome=StepOutcome(state=RunState.SUCCEEDED))


def test_a_run_is_claimed_once(world: World, release: Release) -> None:
    """The second claim is refused: a step never runs twice without a person's word."""
    run = first_run(world, start(world, release))
    order = runs.claim(world.target.ports, world.machine, run_id=run.id)
    assert (order.package_id, [one.ref_name for one in order.packages]) == ("run-script", ["app"])
    assert order.variables["Url"] == "https://prod.example"
    assert "Token" not in order.variables
    with pytest.raises(ConflictError) as caught:
        runs.claim(world.target.ports, world.machine, run_id=run.id)
    assert caught.value.code == "deployment.not_waiting"


def test_the_first_outcome_wins(world: World, release: Release) -> None:
    """A late other word changes nothing, and an outcome before the claim is refused."""
    run = first_run(world, start(world, release))
    with pytest.raises(ConflictError):
        runs.record_outcome(world.target.ports, world.machine, run_id=run.id, outcome=StepOutcome(state=RunState.SUCCEEDED))
    runs.claim(world.target.ports, world.machine, run_id=run.id)
    failed = StepOutcome(state=RunState.FAILED, code="step.failed", message=f"no {SECRET} here", outputs={"a": [SECRET]})
    first = runs.record_outcome(world.target.ports, world.machine, run_id=run.id, outcome=failed)
    assert (first.state, SECRET in repr(first)) == (RunState.FAILED, False)
    later = runs.record_outcome(world.target.ports, world.machine, run_id=run.id, outcome=StepOutcome(state=RunState.SUCCEEDED))
    assert later == first
    assert runs.settle(world.target.ports, space_id=world.target.space_id, run_id=run.id) == first


def test_a_machine_that_died_leaves_an_interrupted_run_and_a_question(world: World, release: Release) -> None:
    """Settled as errored: interrupted; the deployment waits; the word retry reaches the story; a further attempt is its own row."""
    ports, space_id = world.target.ports, world.target.space_id
    deployment = start(world, release)
    run = first_run(world, deployment)
    runs.claim(ports, world.machine, run_id=run.id)
    settled = runs.settle(ports, space_id=space_id, run_id=run.id)
    assert (settled.state, settled.code, settled.idempotent) == (RunState.ERRORED, "step.interrupted", False)
    with pytest.raises(ConflictError):
        deploy.decide_step(ports, SYSTEM, space_id=space_id, deployment=deployment.id, run_id=run.id, verdict="retry")
    deploy.wait_for_decision(ports, space_id=space_id, deployment_id=deployment.id, run_id=run.id)
    deploy.decide_step(ports, SYSTEM, space_id=space_id, deployment=deployment.id, run_id=run.id, verdict="retry")
    told = world.target.site.engine.updates[-1]
    assert isinstance(told.argument, StepDecision)
    assert (told.workflow_id, told.argument.verdict) == (f"deploy:{deployment.id}", "retry")
    deploy.resume(ports, space_id=space_id, deployment_id=deployment.id)
    again = deploy.next_attempt(ports, space_id=space_id, run_id=run.id)
    assert again == deploy.next_attempt(ports, space_id=space_id, run_id=run.id)
    assert (again.attempt, again.state) == (2, RunState.QUEUED)
    assert first_run(world, deployment) == again
    assert runs.claim(ports, world.machine, run_id=again.id).attempt == 2
    with pytest.raises(ConflictError):
        deploy.next_attempt(ports, space_id=space_id, run_id=again.id)


def test_lines_are_masked_again_before_they_are_stored(world: World, release: Release) -> None:
    """What a machine sends unmasked is masked here."""
    run = first_run(world, start(world, release))
    runs.claim(world.target.ports, world.machine, run_id=run.id)
    line = StepLine(level="info", message=f"token={SECRET}", occurred_at=datetime(2026, 3, 2, tzinfo=UTC))
    runs.append_log(world.target.ports, world.machine, run_id=run.id, lines=[line])
    deployment = deploy.get_deployment(world.target.ports, SYSTEM, space_id=world.target.space_id, deployment=run.deployment_id)
    stored = tasks.read_log(world.target.ports, SYSTEM, space_id=world.target.space_id, task=deployment.task_id)
    assert stored[-1].message.startswith("token=")
    assert SECRET not in stored[-1].message


def test_an_unresolvable_binding_ends_the_run_with_its_code(world: World, release: Release) -> None:
    """A run whose inputs cannot be resolved is errored with that code, not interrupted."""
    ports, space_id = world.target.ports, world.target.space_id
    deployment = start(world, release)
    plan = deploy.begin(ports, space_id=space_id, deployment_id=deployment.id)
    smoke = plan.actions[1]
    run = deploy.open_run(ports, space_id=space_id, deployment_id=deployment.id, action_id=smoke.action_id, machine_id=smoke.machine_ids[0])
    with pytest.raises(ConflictError) as caught:
        runs.claim(ports, world.machine, run_id=run.id)  # the output of Deploy is not there
    assert caught.value.code == "variable.missing"
    assert runs.settle(ports, space_id=space_id, run_id=run.id).code == "variable.missing"


def test_a_failed_and_a_cancelled_deployment_yield_receipts_too(world: World, release: Release) -> None:
    """Failed and cancelled come home like success does; a second end changes nothing (A85)."""
    ports, space_id = world.target.ports, world.target.space_id
    failed = start(world, release)
    deploy.finish(ports, space_id=space_id, deployment_id=failed.id, state=DeploymentState.FAILED, code="step.failed", message="no")
    deploy.finish(ports, space_id=space_id, deployment_id=failed.id, state=DeploymentState.SUCCEEDED)
    cancelled = start(world, release)
    run = first_run(world, cancelled)
    runs.claim(ports, world.machine, run_id=run.id)
    deploy.finish(ports, space_id=space_id, deployment_id=cancelled.id, state=DeploymentState.CANCELLED, code="step.cancelled")
    assert events(world.target, "out")[3:] == ["queued", "started", "failed", "queued", "started", "cancelled"]
    late = runs.record_outcome(ports, world.machine, run_id=run.id, outcome=StepOutcome(state=RunState.SUCCEEDED))
    assert late.state is RunState.CANCELLED
    row = deploy.get_deployment(ports, SYSTEM, space_id=space_id, deployment=failed.id)
    assert (row.state, row.event_no) == (DeploymentState.FAILED, 3)
    assert tasks.get_task(ports, SYSTEM, space_id=space_id, task=failed.task_id).state is TaskState.FAILED


def test_cancelling_asks_the_story(world: World, release: Release) -> None:
    """The story settles its own deployment; here it is only told."""
    deployment = start(world, release)
    deploy.cancel_deployment(world.target.ports, SYSTEM, space_id=world.target.space_id, deployment=deployment.id)
    assert world.target.site.engine.cancelled == [f"deploy:{deployment.id}"]


def test_a_disabled_machine_is_foreign(world: World, release: Release) -> None:
    """What was disabled after the plan was made gets nothing."""
    run = first_run(world, start(world, release))
    disabled: Machine = replace(world.machine, disabled=True)
    with pytest.raises(ConflictError) as caught:
        runs.claim(world.target.ports, disabled, run_id=run.id)
    assert caught.value.code == "machine.foreign_run"


def test_no_deployment_ends_green_over_a_run_that_did_not_succeed(world: World, release: Release) -> None:
    """Whatever the story believes, the rows of the machines decide: failed, or without a result."""
    ports, space_id = world.target.ports, world.target.space_id
    deployment = start(world, release)
    run = first_run(world, deployment)
    runs.claim(ports, world.machine, run_id=run.id)
    failed = StepOutcome(state=RunState.FAILED, code="step.failed", message="no")
    runs.record_outcome(ports, world.machine, run_id=run.id, outcome=failed)
    ended = deploy.finish(ports, space_id=space_id, deployment_id=deployment.id, state=DeploymentState.SUCCEEDED)
    assert (ended.state, ended.code) == (DeploymentState.FAILED, "step.failed")
    open_one = start(world, release)
    first_run(world, open_one)
    ended = deploy.finish(ports, space_id=space_id, deployment_id=open_one.id, state=DeploymentState.SUCCEEDED)
    assert (ended.state, ended.code) == (DeploymentState.FAILED, "step.no_result")
