# SPDX-License-Identifier: Apache-2.0
"""Every way in which a story can go, each as one scene on a stage: tests assert on them, and the recorder keeps their histories.

A scene starts a story, plays its part and returns the handle once the story has ended.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHandle

from activities.messages import Round
from activities.promotions import WhereItIs
from tests.simulators.scripted_effects import BUNDLE, action, blob
from tests.workflows.stage import MACHINE, Stage
from waybill.domain.stories import (
    CarrierInput,
    CourierInput,
    DeployInput,
    ImportDecision,
    ImportInput,
    PromoteInput,
    ReceiptSeen,
    ReceiveInput,
    ReplicateInput,
    RunEnded,
    RunStepInput,
    StepDecision,
    VerifyUploadInput,
)
from waybill.errors import ConflictError, UnavailableError

Scene = Callable[[Stage], Awaitable[WorkflowHandle[Any, Any]]]
SPACE, TASK = "spc_1", "tsk_1"


def promotion(road: str, **changed: Any) -> PromoteInput:
    """The input of a promotion whose looks come quickly."""
    return PromoteInput(
        **{
            "space_id": SPACE,
            "task_id": TASK,
            "promotion_id": "prm_1",
            "trust_id": "trs_1",
            "road": road,
            "recheck_seconds": 30.0,
            **changed,
        }
    )


def decision(verdict: str = "approve", *, number: int = 1, bundle: str = BUNDLE) -> ImportDecision:
    """A decision about the scripted bundle."""
    return ImportDecision(decision_id=f"dec_{number}", verdict=verdict, bundle_sha256=bundle, preview_sha256="e" * 64, actor_id="acc_1")


def step_decision(verdict: str, run_id: str, *, number: int = 1) -> StepDecision:
    """A decision about an interrupted run."""
    return StepDecision(decision_id=f"dec_{number}", run_id=run_id, verdict=verdict, actor_id="acc_1")


def replication(direction: str) -> ReplicateInput:
    """One blob on its way."""
    need = blob("a")
    return ReplicateInput(
        space_id=SPACE,
        task_id=TASK,
        trust_id="trs_1",
        direction=direction,
        bundle_sha256=BUNDLE,
        sha256=need.sha256,
        size_bytes=need.size_bytes,
        role=need.role,
        name=need.name,
    )


async def ended(handle: WorkflowHandle[Any, Any]) -> WorkflowHandle[Any, Any]:
    """The handle, once its story has ended in whatever way."""
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()
    return handle


async def send_receipt(stage: Stage, handle: WorkflowHandle[Any, Any], event: str, state: str, **facts: Any) -> None:
    """The ledger shows ``state``, then the story is told of the receipt."""
    stage.effects.where = WhereItIs(road_state="acknowledged", state=state, last_event=event, **facts)
    looks = len(stage.effects.asked("promotions.look"))
    await handle.signal("receipt", ReceiptSeen(receipt_id=f"rcp_{event}_{state}", event=event))
    await stage.until_asked("promotions.look", looks + 1)


async def pushed_to_the_end(stage: Stage) -> WorkflowHandle[Any, Any]:
    """We call: delivered, both packages sent, imported, deployed, lifecycle completed."""
    stage.effects.blobs = (blob("a"), blob("c"))
    handle = await stage.start("PromoteRelease", promotion("call"), workflow_id="promote:prm_1")
    await stage.until_said("Delivering to Prod")
    await send_receipt(stage, handle, "received", "received")
    await stage.until_said("Prod has the bundle and waits for packages")
    await send_receipt(stage, handle, "imported", "imported")
    await stage.until_said("Imported; waiting for deployments at Prod")
    await send_receipt(stage, handle, "lifecycle_completed", "completed")
    return await ended(handle)


async def pushed_to_a_target_that_lost_something(stage: Stage) -> WorkflowHandle[Any, Any]:
    """We call: one package is spared, since the target holds it; it says no more than that it waits, so that one is sent as well."""
    stage.effects.blobs, stage.effects.held = (blob("a"), blob("c")), (blob("a").sha256,)
    handle = await stage.start("PromoteRelease", promotion("call", recheck_seconds=0.5), workflow_id="promote:prm_1")
    await stage.until_said("Delivering to Prod")
    await send_receipt(stage, handle, "received", "received")
    await stage.until_asked("promotions.note_sent", 2)
    await send_receipt(stage, handle, "lifecycle_completed", "completed")
    return await ended(handle)


async def collected_and_refused(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The target calls and refuses the bundle."""
    handle = await stage.start("PromoteRelease", promotion("answer"), workflow_id="promote:prm_1")
    await stage.until_said("Waiting for Prod to collect it")
    await send_receipt(stage, handle, "refused", "refused", code="bundle.expired")
    return await ended(handle)


async def prepared_and_collected(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The target calls and finds the deltas ready: they are made before the bundle leaves."""
    handle = await stage.start("PromoteRelease", promotion("answer", prepare=True), workflow_id="promote:prm_1")
    await stage.until_said("Waiting for Prod to collect it")
    await send_receipt(stage, handle, "lifecycle_completed", "completed")
    return await ended(handle)


async def carried_and_failed_there(stage: Stage) -> WorkflowHandle[Any, Any]:
    """A carrier takes it; a deployment fails there, the next one succeeds and completes."""
    handle = await stage.start("PromoteRelease", promotion("carrier", recheck_seconds=0.05), workflow_id="promote:prm_1")
    await stage.until_said("Waiting to be exported onto a carrier file for Prod")
    stage.effects.where = WhereItIs(road_state="handed_over", state="in_transit")
    await stage.until_said("On a carrier file; waiting for the first receipt from Prod")
    await send_receipt(stage, handle, "failed", "failed")
    stage.effects.where = WhereItIs(road_state="acknowledged", state="failed")
    await stage.until_said("A deployment failed at Prod; waiting for the next one")
    await send_receipt(stage, handle, "lifecycle_completed", "completed")
    return await ended(handle)


async def withdrawn_in_time(stage: Stage) -> WorkflowHandle[Any, Any]:
    """Cancelled while it waits on the outbox."""
    handle = await stage.start("PromoteRelease", promotion("carrier"), workflow_id="promote:prm_1")
    await stage.until_said("Waiting to be exported onto a carrier file for Prod")
    await handle.cancel()
    return await ended(handle)


async def cancelled_too_late(stage: Stage) -> WorkflowHandle[Any, Any]:
    """Cancelled after a road took it."""
    stage.effects.is_withdrawable = False
    stage.effects.where = WhereItIs(road_state="acknowledged", state="imported")
    handle = await stage.start("PromoteRelease", promotion("answer", recheck_seconds=0.05), workflow_id="promote:prm_1")
    await stage.until_said("Imported; waiting for deployments at Prod")
    await handle.cancel()
    return await ended(handle)


async def never_heard_of(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The follow time is over and no receipt came."""
    given = promotion("answer", follow_seconds=0.2, recheck_seconds=0.05)
    return await ended(await stage.start("PromoteRelease", given, workflow_id="promote:prm_1"))


async def sealing_refused(stage: Stage) -> WorkflowHandle[Any, Any]:
    """A package is missing when the bundle is to be sealed."""
    stage.effects.refusals["promotions.seal"] = [ConflictError("package.missing", "Web 1.0.0 is not here")]
    return await ended(await stage.start("PromoteRelease", promotion("call"), workflow_id="promote:prm_1"))


async def fetched(stage: Stage) -> WorkflowHandle[Any, Any]:
    """We call: what is lacking is fetched, one package only at the second try."""
    stage.effects.blobs = (blob("a"), blob("c"))
    stage.effects.refusals["transfers.download"] = [ConflictError("package.hash_mismatch", "other bytes")]
    given = ReceiveInput(space_id=SPACE, task_id=TASK, inbox_id="ibx_1", trust_id="trs_1", road="call", recheck_seconds=0.05)
    return await ended(await stage.start("ReceiveBundle", given, workflow_id="receive:ibx_1"))


async def awaited(stage: Stage) -> WorkflowHandle[Any, Any]:
    """We are called: the packages come by themselves, and the story is told."""
    stage.effects.blobs = (blob("a"),)
    given = ReceiveInput(space_id=SPACE, task_id=TASK, inbox_id="ibx_1", trust_id="trs_1", road="answer")
    handle = await stage.start("ReceiveBundle", given, workflow_id="receive:ibx_1")
    await stage.until_said("Waiting for 1 packages from DevTest")
    stage.effects.present.add(blob("a").sha256)
    await handle.signal("blob_arrived", blob("a").sha256)
    return await ended(handle)


async def awaited_in_vain(stage: Stage) -> WorkflowHandle[Any, Any]:
    """We are called: a package that does not come is told as missing, and comes then."""
    stage.effects.blobs = (blob("a"),)
    given = ReceiveInput(space_id=SPACE, task_id=TASK, inbox_id="ibx_1", trust_id="trs_1", road="answer", recheck_seconds=0.5)
    handle = await stage.start("ReceiveBundle", given, workflow_id="receive:ibx_1")
    await stage.until_asked("inbox.mark_waiting", 2)
    stage.effects.present.add(blob("a").sha256)
    return await ended(handle)


async def rebuilt(stage: Stage) -> WorkflowHandle[Any, Any]:
    """We are called: one package comes as a delta that serves, a second one as a delta that does not, and then whole."""
    stage.effects.blobs, stage.effects.deltas = (blob("a"), blob("c")), {blob("a").sha256}
    given = ReceiveInput(space_id=SPACE, task_id=TASK, inbox_id="ibx_1", trust_id="trs_1", road="answer")
    handle = await stage.start("ReceiveBundle", given, workflow_id="receive:ibx_1")
    await stage.until_said("Waiting for 1 packages from DevTest")
    stage.effects.deltas.add(blob("c").sha256)
    stage.effects.deltas_serve = False
    await handle.signal("blob_arrived", blob("c").sha256)
    await stage.until_asked("transfers.rebuild", 2)
    await stage.until_asked("inbox.needs", 4)
    stage.effects.present.add(blob("c").sha256)
    await handle.signal("blob_arrived", blob("c").sha256)
    return await ended(handle)


async def receiving_cancelled(stage: Stage) -> WorkflowHandle[Any, Any]:
    """Cancelled while a package is on its way: its parts are dropped."""
    stage.effects.blobs, stage.effects.blob_waits_for_cancel = (blob("a"),), True
    given = ReceiveInput(space_id=SPACE, task_id=TASK, inbox_id="ibx_1", trust_id="trs_1", road="call")
    handle = await stage.start("ReceiveBundle", given, workflow_id="receive:ibx_1")
    await stage.until_asked("transfers.download")
    await handle.cancel()
    return await ended(handle)


async def _import(stage: Stage) -> WorkflowHandle[Any, Any]:
    given = ImportInput(space_id=SPACE, task_id=TASK, inbox_id="ibx_1", bundle_sha256=BUNDLE)
    handle = await stage.start("ImportRelease", given, workflow_id="import:ibx_1")
    await stage.until_said("Waiting for a person to approve or reject it")
    return handle


async def approved(stage: Stage) -> WorkflowHandle[Any, Any]:
    """A person approves."""
    handle = await _import(stage)
    await handle.execute_update("decide", decision("approve"), id="dec_1")
    return await ended(handle)


async def rejected(stage: Stage) -> WorkflowHandle[Any, Any]:
    """A person rejects."""
    handle = await _import(stage)
    await handle.execute_update("decide", decision("reject"), id="dec_1")
    return await ended(handle)


async def import_refused(stage: Stage) -> WorkflowHandle[Any, Any]:
    """What was approved contradicts what is here by now."""
    stage.effects.refusals["inbox.apply_import"] = [ConflictError("release.conflict", "other content")]
    return await approved(stage)


async def import_cancelled(stage: Stage) -> WorkflowHandle[Any, Any]:
    """Cancelled while nobody has decided."""
    handle = await _import(stage)
    await handle.cancel()
    return await ended(handle)


async def deploying(stage: Stage) -> WorkflowHandle[Any, Any]:
    given = DeployInput(space_id=SPACE, task_id=TASK, deployment_id="dep_1")
    return await stage.start("DeployRelease", given, workflow_id="deploy:dep_1")


async def deployed(stage: Stage) -> WorkflowHandle[Any, Any]:
    """Three actions: one on two machines, one skipped, one that needs a second attempt."""
    stage.effects.plan = (
        action("Install", machines=("mch_1", "mch_2")),
        action("Notify", skip_reason="not for this environment"),
        action("Check", retries=1),
    )
    ok = RunEnded(run_id="r", state="succeeded")
    stage.effects.outcomes = [ok, ok, RunEnded(run_id="r", state="failed", code="step.failed", message="no"), ok]
    return await ended(await deploying(stage))


async def step_failed(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The first of two actions says no."""
    stage.effects.plan = (action("Install"), action("Check"))
    stage.effects.outcomes = [RunEnded(run_id="r", state="failed", code="step.failed", message="exit code 1")]
    return await ended(await deploying(stage))


async def interrupted_and(stage: Stage, verdict: str) -> WorkflowHandle[Any, Any]:
    """A step that may not simply be repeated was interrupted; a person decides."""
    stage.effects.plan = (action("Install", retries=3),)
    stage.effects.outcomes = [RunEnded(run_id="r", state="errored", code="step.interrupted", message="the machine died")]
    handle = await deploying(stage)
    await stage.until_asked("deployments.wait_for_decision")
    await handle.execute_update("decide_step", step_decision(verdict, "act_Install_mch_1_1"), id="dec_1")
    return await ended(handle)


async def interrupted_and_retried(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The person says retry."""
    return await interrupted_and(stage, "retry")


async def interrupted_and_failed(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The person says fail."""
    return await interrupted_and(stage, "fail")


async def deployment_cancelled(stage: Stage) -> WorkflowHandle[Any, Any]:
    """Cancelled while a step runs."""
    stage.effects.plan, stage.effects.step_waits_for_cancel = (action("Install"), action("Check")), True
    handle = await deploying(stage)
    await stage.until_asked("steps.run")
    await handle.cancel()
    return await ended(handle)


async def step_done(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The machine executes the run; the ledger has its outcome."""
    stage.effects.outcomes = [RunEnded(run_id="run_1", state="succeeded")]
    given = RunStepInput(space_id=SPACE, run_id="run_1", machine_id=MACHINE, timeout_seconds=60)
    return await ended(await stage.start_step(given, workflow_id="step:run_1"))


async def step_cancelled(stage: Stage) -> WorkflowHandle[Any, Any]:
    """Cancelled while the machine executes it."""
    stage.effects.step_waits_for_cancel = True
    stage.effects.outcomes = [RunEnded(run_id="run_1", state="cancelled", code="step.cancelled")]
    given = RunStepInput(space_id=SPACE, run_id="run_1", machine_id=MACHINE, timeout_seconds=60)
    handle = await stage.start_step(given, workflow_id="step:run_1")
    await stage.until_asked("execute_step")
    await handle.cancel()
    return await ended(handle)


async def machine_broke(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The machine's activity ends without an outcome: the run is settled as interrupted and never tried again."""
    stage.effects.refusals["execute_step"] = [UnavailableError("node.unavailable", "no Node here")]
    stage.effects.outcomes = [RunEnded(run_id="run_1", state="errored", code="step.interrupted")]
    given = RunStepInput(space_id=SPACE, run_id="run_1", machine_id=MACHINE, timeout_seconds=60)
    return await ended(await stage.start_step(given, workflow_id="step:run_1"))


async def courier_at_work(stage: Stage) -> WorkflowHandle[Any, Any]:
    """Something to exchange, a peer that is away, a wake-up, and the end of the trust."""
    stage.effects.refusals["messages.round"] = [UnavailableError("peer.unavailable", "no answer")]
    stage.effects.rounds = [Round(sent=1, received=1), Round(), Round(over=True)]
    given = CourierInput(space_id=SPACE, trust_id="trs_1", poll_seconds=0.05)
    handle = await stage.start("Courier", given, workflow_id="courier:trs_1")
    await handle.signal("wake", "outbox")
    return await ended(handle)


async def courier_cancelled(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The trust was retired."""
    stage.effects.rounds = [Round(), Round(), Round()]
    given = CourierInput(space_id=SPACE, trust_id="trs_1", poll_seconds=3600)
    handle = await stage.start("Courier", given, workflow_id="courier:trs_1")
    await stage.until_asked("messages.round")
    await handle.cancel()
    return await ended(handle)


async def exported(stage: Stage) -> WorkflowHandle[Any, Any]:
    """A carrier file is written."""
    given = CarrierInput(space_id=SPACE, task_id=TASK, carrier_id="car_1")
    return await ended(await stage.start("ExportCarrier", given, workflow_id="carrier-export:car_1"))


async def imported(stage: Stage) -> WorkflowHandle[Any, Any]:
    """A carrier file is read."""
    given = CarrierInput(space_id=SPACE, task_id=TASK, carrier_id="car_1")
    return await ended(await stage.start("ImportCarrier", given, workflow_id="carrier-import:car_1"))


async def verified(stage: Stage) -> WorkflowHandle[Any, Any]:
    """An upload is what was announced."""
    given = VerifyUploadInput(space_id=SPACE, task_id=TASK, upload_id="upl_1")
    return await ended(await stage.start("VerifyUpload", given, workflow_id="verify:upl_1"))


async def mismatched(stage: Stage) -> WorkflowHandle[Any, Any]:
    """An upload is not what was announced."""
    stage.effects.refusals["uploads.verify"] = [ConflictError("package.hash_mismatch", "other bytes")]
    return await verified(stage)


async def uploaded(stage: Stage) -> WorkflowHandle[Any, Any]:
    """One blob is sent, at the second try."""
    stage.effects.refusals["transfers.upload"] = [UnavailableError("transfer.interrupted", "broke off")]
    return await ended(await stage.start("ReplicatePackage", replication("upload"), workflow_id="replicate:1"))


async def download_dropped(stage: Stage) -> WorkflowHandle[Any, Any]:
    """One blob is being fetched when nobody wants it any more."""
    stage.effects.blob_waits_for_cancel = True
    handle = await stage.start("ReplicatePackage", replication("download"), workflow_id="replicate:1")
    await stage.until_asked("transfers.download")
    await handle.cancel()
    return await ended(handle)


async def rebuilt_alone(stage: Stage) -> WorkflowHandle[Any, Any]:
    """One blob is made from the delta that lies here, at the second try."""
    stage.effects.refusals["transfers.rebuild"] = [UnavailableError("store.unavailable", "no answer")]
    return await ended(await stage.start("ReplicatePackage", replication("rebuild"), workflow_id="replicate:1"))


SCENES: dict[str, tuple[Scene, ...]] = {
    "PromoteRelease": (
        pushed_to_the_end,
        pushed_to_a_target_that_lost_something,
        collected_and_refused,
        prepared_and_collected,
        carried_and_failed_there,
        withdrawn_in_time,
        cancelled_too_late,
        never_heard_of,
        sealing_refused,
    ),
    "ReceiveBundle": (fetched, awaited, awaited_in_vain, rebuilt, receiving_cancelled),
    "ImportRelease": (approved, rejected, import_refused, import_cancelled),
    "DeployRelease": (deployed, step_failed, interrupted_and_retried, interrupted_and_failed, deployment_cancelled),
    "RunStep": (step_done, step_cancelled, machine_broke),
    "Courier": (courier_at_work, courier_cancelled),
    "ExportCarrier": (exported,),
    "ImportCarrier": (imported,),
    "VerifyUpload": (verified, mismatched),
    "ReplicatePackage": (uploaded, download_dropped, rebuilt_alone),
}
"""Every workflow type, and the scenes whose histories are kept."""
