# SPDX-License-Identifier: Apache-2.0
"""Every story in every way it can go: what it does in which order, what it says while it waits, how it ends."""

from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.messages import Round
from activities.promotions import WhereItIs
from tests.servers import TemporalServer
from tests.simulators.scripted_effects import BUNDLE, action, blob
from tests.workflows import scenarios
from tests.workflows.scenarios import decision, promotion, step_decision
from tests.workflows.stage import Stage, raised_stage, until
from waybill.domain.stories import CourierInput, ImportInput, ReceiptSeen, ReceiveInput, RunEnded, StoryResult
from waybill.errors import UnavailableError

pytestmark = pytest.mark.server


async def result_of(handle: WorkflowHandle[Any, Any]) -> StoryResult:
    """The typed result of a story that ended by itself."""
    found = await handle.result()
    return StoryResult(**found)


async def code_of_refused_update(handle: WorkflowHandle[Any, Any], name: str, argument: object) -> str:
    """The code with which a validator refused."""
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(name, argument)
    cause = refused.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type is not None
    return cause.type


async def took_its_last_signal(handle: WorkflowHandle[Any, Any]) -> bool:
    """True once the story has dealt with the newest signal in its history."""
    newest = 0
    for event in (await handle.fetch_history()).events:
        if event.HasField("workflow_execution_signaled_event_attributes"):
            newest = event.event_id
        elif event.HasField("workflow_task_completed_event_attributes") and newest:
            newest = 0
    return newest == 0


async def test_a_pushed_promotion_runs_to_the_end(stage: Stage) -> None:
    """It seals, wakes the courier, sends each package once, follows the receipts and ends when the lifecycle is completed."""
    result = await result_of(await scenarios.pushed_to_the_end(stage))
    assert result == StoryResult(state="succeeded", message="Lifecycle completed at Prod")
    assert stage.effects.names()[:3] == ["promotions.seal", "messages.wake_courier", "promotions.look"]
    assert sorted(given.sha256[0] for given in stage.effects.asked("transfers.upload")) == ["a", "c"]
    assert sorted(given.bytes_sent for given in stage.effects.asked("promotions.note_sent")) == [1000, 1000]
    assert stage.effects.asked("records.finish")[-1].state == "succeeded"


async def test_what_the_target_holds_is_sent_only_if_it_keeps_waiting(stage: Stage) -> None:
    """A package that the target has signed that it holds is no story; a target that lost it gets it after the first look in vain."""
    result = await result_of(await scenarios.pushed_to_a_target_that_lost_something(stage))
    assert result.state == "succeeded"
    assert [given.sha256[0] for given in stage.effects.asked("transfers.upload")] == ["c", "a"]


async def test_what_the_target_holds_is_not_sent(stage: Stage) -> None:
    """Nothing is sent when everything is there, and no word is said of sending."""
    stage.effects.blobs, stage.effects.held = (blob("a"),), (blob("a").sha256,)
    handle = await stage.start("PromoteRelease", promotion("call"), workflow_id="promote:prm_1")
    await stage.until_said("Delivering to Prod")
    await scenarios.send_receipt(stage, handle, "ready", "ready")
    await stage.until_said("Ready to import; waiting for a decision at Prod")
    await scenarios.send_receipt(stage, handle, "lifecycle_completed", "completed")
    assert (await result_of(handle)).state == "succeeded"
    assert stage.effects.asked("transfers.upload") == []
    assert not any(words.startswith("Sending") for words in stage.effects.words())


async def test_no_package_is_sent_before_the_bundle_arrived(stage: Stage) -> None:
    """The delivery goes first: what the target lacks is known only there."""
    stage.effects.blobs = (blob("a"),)
    handle = await stage.start("PromoteRelease", promotion("call"), workflow_id="promote:first")
    await stage.until_said("Delivering to Prod")
    await stage.until_asked("messages.wake_courier")
    assert stage.effects.asked("transfers.upload") == []
    await handle.terminate()


async def test_a_refusal_of_the_target_ends_the_promotion(stage: Stage) -> None:
    """On a pulling road nothing is called; a refused receipt ends the story with its code."""
    result = await result_of(await scenarios.collected_and_refused(stage))
    assert (result.state, result.code) == ("refused", "bundle.expired")
    assert "messages.wake_courier" not in stage.effects.names()
    assert stage.effects.asked("transfers.upload") == []


async def test_deltas_are_made_before_the_bundle_leaves(stage: Stage) -> None:
    """A target that fetches finds them ready; where nothing is to be prepared, nothing is asked."""
    assert (await result_of(await scenarios.prepared_and_collected(stage))).state == "succeeded"
    assert stage.effects.names()[:2] == ["transfers.prepare", "promotions.seal"]
    stage.effects.calls.clear()
    await scenarios.collected_and_refused(stage)
    assert stage.effects.asked("transfers.prepare") == []


async def test_a_failed_deployment_there_is_not_the_end(stage: Stage) -> None:
    """They may deploy again, so the promotion is followed further."""
    result = await result_of(await scenarios.carried_and_failed_there(stage))
    assert result.state == "succeeded"


async def test_the_same_receipt_twice_is_one(stage: Stage) -> None:
    """A signal that is delivered again makes no second look."""
    stage.effects.where = WhereItIs(road_state="acknowledged", state="imported")
    handle = await stage.start("PromoteRelease", promotion("answer"), workflow_id="promote:twice")
    await handle.signal("receipt", ReceiptSeen(receipt_id="rcp_1", event="imported"))
    await stage.until_said("Imported; waiting for deployments at Prod")
    await handle.signal("receipt", ReceiptSeen(receipt_id="rcp_2", event="started"))
    await stage.until_asked("promotions.look", 3)
    looks = len(stage.effects.asked("promotions.look"))
    await handle.signal("receipt", ReceiptSeen(receipt_id="rcp_1", event="imported"))
    await until(lambda: took_its_last_signal(handle))
    assert len(stage.effects.asked("promotions.look")) == looks
    scheduled = [event for event in (await handle.fetch_history()).events if event.HasField("activity_task_scheduled_event_attributes")]
    assert scheduled[-1].event_id < max(
        event.event_id for event in (await handle.fetch_history()).events if event.HasField("workflow_execution_signaled_event_attributes")
    )
    await handle.terminate()


async def test_a_cancelled_promotion_is_withdrawn(stage: Stage) -> None:
    """Before a road took the bundle, a cancellation takes it back and the story is cancelled."""
    handle = await scenarios.withdrawn_in_time(stage)
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert len(stage.effects.asked("promotions.withdraw")) == 1
    assert stage.effects.asked("records.finish")[-1].message == "Withdrawn before anything left this Space"


async def test_a_cancellation_that_comes_too_late_says_so(stage: Stage) -> None:
    """What has left cannot be taken back: the log warns, and the story only ends its following."""
    handle = await scenarios.cancelled_too_late(stage)
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert [given.level for given in stage.effects.asked("records.note")] == ["warning"]
    assert "had left already" in stage.effects.asked("records.finish")[-1].message


async def test_a_promotion_nobody_heard_of_ends_as_unknown(stage: Stage) -> None:
    """When the follow time is over without a receipt, the promotion's state is unknown and its task failed."""
    result = await result_of(await scenarios.never_heard_of(stage))
    assert (result.state, result.code) == ("failed", "peer.unavailable")
    assert stage.effects.asked("promotions.set_state")[-1].state == "unknown"


async def test_a_bundle_that_cannot_be_sealed_fails_with_its_code(stage: Stage) -> None:
    """A refusal is not retried; promotion and task both carry the code."""
    result = await result_of(await scenarios.sealing_refused(stage))
    assert (result.state, result.code) == ("failed", "package.missing")
    assert len(stage.effects.asked("promotions.seal")) == 1
    assert stage.effects.asked("promotions.set_state")[-1].code == "package.missing"


async def test_lacking_packages_are_fetched_again_after_a_fault(stage: Stage) -> None:
    """A package that could not be had is warned about and asked for again; then the import waits for its decision."""
    result = await result_of(await scenarios.fetched(stage))
    assert result.state == "succeeded"
    assert len(stage.effects.asked("transfers.download")) >= 3
    assert any("package.hash_mismatch" in given.message for given in stage.effects.asked("records.note"))


async def test_awaited_packages_wake_the_story(stage: Stage) -> None:
    """On an answering road nothing is fetched; the signal of an arrived blob makes it look again."""
    assert (await result_of(await scenarios.awaited(stage))).state == "succeeded"
    assert stage.effects.asked("transfers.download") == []
    assert len(stage.effects.asked("inbox.needs")) == 2


async def test_only_what_did_not_come_after_a_while_is_told_as_missing(stage: Stage) -> None:
    """A connected sender is about to bring it: the target complains at the second look; on a carrier, where nobody can ask, at once."""
    assert (await result_of(await scenarios.awaited_in_vain(stage))).state == "succeeded"
    told = [given.tell for given in stage.effects.asked("inbox.mark_waiting")]
    assert (told[0], set(told[1:])) == (False, {True})


async def test_a_carrier_that_lacks_a_package_is_complained_of_at_once(stage: Stage) -> None:
    """Nothing more comes by itself."""
    stage.effects.blobs = (blob("a"),)
    given = ReceiveInput(space_id="spc_1", task_id="tsk_1", inbox_id="ibx_1", trust_id="trs_1", road="carrier")
    handle = await stage.start("ReceiveBundle", given, workflow_id="receive:ibx_1")
    await stage.until_asked("inbox.mark_waiting")
    assert stage.effects.asked("inbox.mark_waiting")[0].tell
    await handle.terminate()


async def test_deltas_that_came_are_used_and_one_that_does_not_serve_is_waited_for_whole(stage: Stage) -> None:
    """Each delta is tried once, by the transfer worker; nothing is fetched, and the story waits on after a refusal."""
    assert (await result_of(await scenarios.rebuilt(stage))).state == "succeeded"
    assert [given.sha256[0] for given in stage.effects.asked("transfers.rebuild")] == ["a", "c"]
    assert {given.direction for given in stage.effects.asked("transfers.rebuild")} == {"rebuild"}
    assert stage.effects.asked("transfers.download") == []
    assert len(stage.effects.asked("inbox.needs")) == 5


async def test_a_cancelled_receive_drops_unfinished_parts(stage: Stage) -> None:
    """The parts of a download that nobody wants any more do not stay in the store."""
    handle = await scenarios.receiving_cancelled(stage)
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert len(stage.effects.asked("transfers.abort")) == 1


async def test_an_approved_import_is_applied_once(stage: Stage) -> None:
    """Approve, and the release is imported."""
    assert (await result_of(await scenarios.approved(stage))).state == "succeeded"
    assert len(stage.effects.asked("inbox.apply_import")) == 1


async def test_a_rejected_import_tells_the_sender(stage: Stage) -> None:
    """Reject, and nothing is imported."""
    assert (await result_of(await scenarios.rejected(stage))).state == "refused"
    assert stage.effects.asked("inbox.apply_import") == []
    assert len(stage.effects.asked("inbox.apply_rejection")) == 1


async def test_a_refused_import_carries_its_code(stage: Stage) -> None:
    """What contradicts the ledger fails with the ledger's code."""
    assert (await result_of(await scenarios.import_refused(stage))).code == "release.conflict"


async def test_decisions_that_do_not_fit_are_refused_before_they_count(stage: Stage) -> None:
    """Another bundle, an unknown verdict and a second decision are refused; the same decision again gets the first answer."""
    stage.effects.refusals["inbox.apply_import"] = []
    given = ImportInput(space_id="spc_1", task_id="tsk_1", inbox_id="ibx_v", bundle_sha256=BUNDLE)
    handle = await stage.start("ImportRelease", given, workflow_id="import:ibx_v")
    assert await code_of_refused_update(handle, "decide", decision(bundle="0" * 64)) == "bundle.changed"
    assert await code_of_refused_update(handle, "decide", decision("perhaps")) == "request.invalid"
    assert stage.effects.asked("inbox.apply_import") == []
    assert await handle.execute_update("decide", decision("approve", number=1)) == "approve"
    assert (await result_of(handle)).state == "succeeded"


async def test_a_second_decision_is_refused_while_the_first_is_applied(stage: Stage) -> None:
    """The first decision wins, and the same one again gets the same answer."""
    stage.effects.refusals["inbox.apply_import"] = [UnavailableError("ledger.unavailable", "away")] * 3
    given = ImportInput(space_id="spc_1", task_id="tsk_1", inbox_id="ibx_w", bundle_sha256=BUNDLE)
    handle = await stage.start("ImportRelease", given, workflow_id="import:ibx_w")
    assert await handle.execute_update("decide", decision("approve", number=1), id="u1") == "approve"
    assert await code_of_refused_update(handle, "decide", decision("reject", number=2)) == "bundle.decided"
    assert await handle.execute_update("decide", decision("approve", number=1), id="u2") == "approve"
    assert (await result_of(handle)).state == "succeeded"


async def test_a_deployment_runs_its_actions_in_order(stage: Stage) -> None:
    """Each machine in turn, a skipped action is noted, a failed one is tried again as often as its retries say."""
    assert (await result_of(await scenarios.deployed(stage))).state == "succeeded"
    runs = [given.run_id for given in stage.effects.asked("steps.run")]
    assert runs == ["act_Install_mch_1_1", "act_Install_mch_2_1", "act_Check_mch_1_1", "act_Check_mch_1_2"]
    assert stage.effects.asked("deployments.finish")[-1].state == "succeeded"
    assert any("skipped" in given.message for given in stage.effects.asked("records.note"))


async def test_a_failed_step_ends_the_deployment(stage: Stage) -> None:
    """The actions after it do not run."""
    result = await result_of(await scenarios.step_failed(stage))
    assert (result.state, result.code) == ("failed", "step.failed")
    assert len(stage.effects.asked("steps.run")) == 1


async def test_an_interrupted_step_waits_for_a_person(stage: Stage) -> None:
    """It is never run again without a decision, whatever retries are configured."""
    assert (await result_of(await scenarios.interrupted_and_retried(stage))).state == "succeeded"
    names = stage.effects.names()
    assert names.index("deployments.wait_for_decision") < names.index("deployments.next_attempt")
    assert len(stage.effects.asked("steps.run")) == 2


async def test_a_person_may_fail_an_interrupted_step(stage: Stage) -> None:
    """Then nothing runs again."""
    result = await result_of(await scenarios.interrupted_and_failed(stage))
    assert (result.state, result.code) == ("failed", "step.interrupted")
    assert len(stage.effects.asked("steps.run")) == 1


async def test_an_interrupted_repeatable_step_needs_nobody(stage: Stage) -> None:
    """An action that is declared idempotent is retried unattended."""
    stage.effects.plan = (action("Install", retries=1),)
    stage.effects.outcomes = [RunEnded(run_id="r", state="errored", code="step.interrupted", idempotent=True)]
    handle = await scenarios.ended(await scenarios.deploying(stage))
    assert (await result_of(handle)).state == "succeeded"
    assert stage.effects.asked("deployments.wait_for_decision") == []


async def test_a_repeatable_step_is_made_again_without_retries_but_not_for_ever(stage: Stage) -> None:
    """Interruptions cost no retries; after the third a person is asked."""
    stage.effects.plan = (action("Install", retries=0),)
    stage.effects.outcomes = [RunEnded(run_id="r", state="errored", code="step.interrupted", idempotent=True)] * 4
    handle = await scenarios.deploying(stage)
    await stage.until_asked("deployments.wait_for_decision")
    assert len(stage.effects.asked("steps.run")) == 4
    await handle.execute_update("decide_step", step_decision("retry", "act_Install_mch_1_4"))
    assert (await result_of(await scenarios.ended(handle))).state == "succeeded"


async def test_a_decision_about_a_step_that_does_not_wait_is_refused(stage: Stage) -> None:
    """The validator names deployment.not_waiting."""
    stage.effects.plan, stage.effects.step_waits_for_cancel = (action("Install"),), True
    handle = await scenarios.deploying(stage)
    await stage.until_asked("steps.run")
    refused = await code_of_refused_update(handle, "decide_step", step_decision("retry", "act_Install_mch_1_1"))
    assert refused == "deployment.not_waiting"
    await handle.cancel()
    await scenarios.ended(handle)


async def test_a_cancelled_deployment_ends_its_step_first(stage: Stage) -> None:
    """The step that runs is stopped and awaited, the next never starts, the deployment is settled as cancelled."""
    handle = await scenarios.deployment_cancelled(stage)
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert len(stage.effects.asked("steps.run")) == 1
    assert stage.effects.asked("deployments.finish")[-1].state == "cancelled"


async def test_a_step_is_handed_to_its_machine_once(stage: Stage) -> None:
    """An activity that breaks is settled from the ledger and never executed a second time."""
    handle = await scenarios.machine_broke(stage)
    assert (await handle.result())["code"] == "step.interrupted"
    assert len(stage.effects.asked("execute_step")) == 1


async def test_a_cancelled_step_is_settled(stage: Stage) -> None:
    """The result is the ledger's word after the machine has stopped."""
    handle = await scenarios.step_cancelled(stage)
    assert (await handle.result())["state"] == "cancelled"


async def test_a_courier_outlives_an_absent_peer(stage: Stage) -> None:
    """A peer that does not answer is no end; a trust that is no longer called is."""
    handle = await scenarios.courier_at_work(stage)
    assert (await result_of(handle)).state == "succeeded"
    assert len(stage.effects.asked("messages.round")) == 4


async def test_a_woken_courier_does_not_wait_for_its_poll(stage: Stage) -> None:
    """With an hour between rounds, a wake-up makes one now."""
    stage.effects.rounds = [Round(), Round(over=True)]
    given = CourierInput(space_id="spc_1", trust_id="trs_w", poll_seconds=3600)
    handle = await stage.start("Courier", given, workflow_id="courier:trs_w")
    await stage.until_asked("messages.round")
    await handle.signal("wake", "outbox")
    assert (await result_of(handle)).state == "succeeded"


async def test_a_mismatched_upload_fails_with_its_code(stage: Stage) -> None:
    """Nothing is registered from other bytes."""
    result = await result_of(await scenarios.mismatched(stage))
    assert (result.state, result.code) == ("failed", "package.hash_mismatch")


async def test_two_promotions_share_one_blob(stage: Stage) -> None:
    """The blob that another story moves is awaited, not moved at the same time."""
    stage.effects.blobs, stage.effects.blob_waits_for_cancel = (blob("a"),), False
    stage.effects.present = set()
    where = WhereItIs(road_state="acknowledged", state="received")
    stage.effects.where = where
    first = await stage.start("PromoteRelease", promotion("call", recheck_seconds=0.05), workflow_id="promote:one")
    second = await stage.start("PromoteRelease", promotion("call", recheck_seconds=0.05), workflow_id="promote:two")
    await stage.until_asked("promotions.note_sent", 2)
    for handle in (first, second):
        await handle.terminate()


@pytest.mark.parametrize("scene", [scenarios.pushed_to_the_end, scenarios.interrupted_and_retried, scenarios.approved])
async def test_stories_survive_a_worker_that_forgets_everything(engine_server: TemporalServer, scene: scenarios.Scene) -> None:
    """With no cache each task replays the whole history, as after every restart of a worker."""
    async with raised_stage(engine_server, cached=0) as forgetful:
        assert (await result_of(await scene(forgetful))).state == "succeeded"
