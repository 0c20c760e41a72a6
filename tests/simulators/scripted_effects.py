# SPDX-License-Identifier: Apache-2.0
"""The effects of the stories, played from a script: every activity by its name, with the inputs and results of the real ones.

Stories are tested against these on the real engine; the real activities have tests of their own.
A test says what the world answers and looks afterwards at what was asked, in order.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from activities.deployments import DeploymentRef, DeployPlan, EndDeployment, OpenedRun, OpenRun, PlannedAction, RunRef
from activities.inbox import BundleRef, Lacking, Waiting
from activities.messages import Round, TrustRef
from activities.promotions import LookAt, PromotionRef, Sealed, Sent, SetPromotion, WhereItIs
from activities.records import FinishTask, NoteTask, ShowTask
from waybill.domain.bundles import Need
from waybill.domain.stories import CarrierInput, ReplicateInput, ReplicateResult, RunEnded, RunStepInput, VerifyUploadInput

BUNDLE = "b" * 64


def blob(letter: str, size_bytes: int = 1000) -> Need:
    """A blob whose digest is one letter repeated."""
    return Need(sha256=letter * 64, size_bytes=size_bytes, role="package", name=f"App.{letter}.zip")


def action(name: str, *, machines: Sequence[str] = ("mch_1",), retries: int = 0, skip_reason: str | None = None) -> PlannedAction:
    """One action of a plan."""
    return PlannedAction(
        action_id=f"act_{name}",
        name=name,
        position=1,
        machine_ids=() if skip_reason else tuple(machines),
        timeout_seconds=60,
        retries=retries,
        skip_reason=skip_reason,
    )


@dataclass(kw_only=True)
class ScriptedEffects:
    """What the world answers. ``refusals`` are raised once each, by activity name; ``calls`` is what was asked."""

    blobs: tuple[Need, ...] = ()
    where: WhereItIs = field(default_factory=lambda: WhereItIs(road_state="pending", state="sealed"))
    is_withdrawable: bool = True
    held: tuple[str, ...] = ()
    present: set[str] = field(default_factory=set)
    arrives_on_download: bool = True
    deltas: set[str] = field(default_factory=set)
    deltas_serve: bool = True
    rounds: list[Round] = field(default_factory=list)
    plan: tuple[PlannedAction, ...] = ()
    outcomes: list[RunEnded] = field(default_factory=list)
    step_waits_for_cancel: bool = False
    blob_waits_for_cancel: bool = False
    refusals: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)

    def asked(self, name: str) -> list[Any]:
        """The inputs of every call of one activity, in order."""
        return [given for called, given in self.calls if called == name]

    def names(self, *, without: str = "records.") -> list[str]:
        """What was asked, in order."""
        return [called for called, _ in self.calls if not called.startswith(without)]

    def words(self) -> list[str]:
        """What the task showed, in order."""
        return [given.details for given in self.asked("records.show")]

    def control(self) -> list[Callable[..., Any]]:
        """The activities of the control queue."""
        return [
            self.show, self.note, self.finish, self.seal, self.look, self.set_state, self.note_sent, self.note_held, self.withdraw, self.round,
            self.wake_courier, self.needs, self.mark_waiting, self.mark_ready, self.apply_import, self.apply_rejection, self.begin,
            self.open_run, self.next_attempt, self.wait_for_decision, self.resume, self.finish_deployment, self.run_step,
        ]  # fmt: skip

    def transfer(self) -> list[Callable[..., Any]]:
        """The activities of the transfer queue."""
        return [
            self.prepare, self.upload, self.download, self.rebuild, self.abort, self.export, self.import_carrier, self.verify,
        ]  # fmt: skip

    def _called(self, name: str, given: Any) -> None:
        self.calls.append((name, given))
        waiting = self.refusals.get(name)
        if waiting:
            raise waiting.pop(0)

    @activity.defn(name="records.show")
    async def show(self, given: ShowTask) -> None:
        self._called("records.show", given)

    @activity.defn(name="records.note")
    async def note(self, given: NoteTask) -> None:
        self._called("records.note", given)

    @activity.defn(name="records.finish")
    async def finish(self, given: FinishTask) -> None:
        self._called("records.finish", given)

    @activity.defn(name="promotions.seal")
    async def seal(self, given: PromotionRef) -> Sealed:
        self._called("promotions.seal", given)
        return Sealed(bundle_sha256=BUNDLE, document_sha256="d" * 64, blobs=self.blobs, peer_name="Prod")

    @activity.defn(name="promotions.look")
    async def look(self, given: LookAt) -> WhereItIs:
        self._called("promotions.look", given)
        return self.where

    @activity.defn(name="promotions.set_state")
    async def set_state(self, given: SetPromotion) -> None:
        self._called("promotions.set_state", given)

    @activity.defn(name="promotions.note_held")
    async def note_held(self, given: PromotionRef) -> tuple[str, ...]:
        self._called("promotions.note_held", given)
        return self.held

    @activity.defn(name="promotions.note_sent")
    async def note_sent(self, given: Sent) -> None:
        self._called("promotions.note_sent", given)

    @activity.defn(name="promotions.withdraw")
    async def withdraw(self, given: PromotionRef) -> bool:
        self._called("promotions.withdraw", given)
        return self.is_withdrawable

    @activity.defn(name="messages.round")
    async def round(self, given: TrustRef) -> Round:
        self._called("messages.round", given)
        return self.rounds.pop(0) if self.rounds else Round(over=True)

    @activity.defn(name="messages.wake_courier")
    async def wake_courier(self, given: TrustRef) -> None:
        self._called("messages.wake_courier", given)

    @activity.defn(name="inbox.needs")
    async def needs(self, given: BundleRef) -> Lacking:
        self._called("inbox.needs", given)
        lacking = tuple(need for need in self.blobs if need.sha256 not in self.present)
        deltas = tuple(need.sha256 for need in lacking if need.sha256 in self.deltas)
        return Lacking(needs=lacking, bundle_sha256=BUNDLE, peer_name="DevTest", deltas=deltas)

    @activity.defn(name="inbox.mark_waiting")
    async def mark_waiting(self, given: Waiting) -> None:
        self._called("inbox.mark_waiting", given)

    @activity.defn(name="inbox.mark_ready")
    async def mark_ready(self, given: BundleRef) -> None:
        self._called("inbox.mark_ready", given)

    @activity.defn(name="inbox.apply_import")
    async def apply_import(self, given: BundleRef) -> str:
        self._called("inbox.apply_import", given)
        return "rel_1"

    @activity.defn(name="inbox.apply_rejection")
    async def apply_rejection(self, given: BundleRef) -> None:
        self._called("inbox.apply_rejection", given)

    @activity.defn(name="deployments.begin")
    async def begin(self, given: DeploymentRef) -> DeployPlan:
        self._called("deployments.begin", given)
        return DeployPlan(deployment_id=given.deployment_id, actions=self.plan)

    @activity.defn(name="deployments.open_run")
    async def open_run(self, given: OpenRun) -> OpenedRun:
        self._called("deployments.open_run", given)
        return self._opened(f"{given.action_id}_{given.machine_id}")

    @activity.defn(name="deployments.next_attempt")
    async def next_attempt(self, given: RunRef) -> OpenedRun:
        self._called("deployments.next_attempt", given)
        return self._opened(given.run_id.rpartition("_")[0])

    @activity.defn(name="deployments.wait_for_decision")
    async def wait_for_decision(self, given: RunRef) -> None:
        self._called("deployments.wait_for_decision", given)

    @activity.defn(name="deployments.resume")
    async def resume(self, given: DeploymentRef) -> None:
        self._called("deployments.resume", given)

    @activity.defn(name="deployments.finish")
    async def finish_deployment(self, given: EndDeployment) -> None:
        self._called("deployments.finish", given)

    @activity.defn(name="steps.run")
    async def run_step(self, given: RunStepInput) -> RunEnded:
        self._called("steps.run", given)
        if self.step_waits_for_cancel:
            await _until_cancelled()
            return RunEnded(run_id=given.run_id, state="cancelled", code="step.cancelled")
        return self.outcomes.pop(0) if self.outcomes else RunEnded(run_id=given.run_id, state="succeeded")

    @activity.defn(name="runs.settle")
    async def settle(self, given: RunStepInput) -> RunEnded:
        self._called("runs.settle", given)
        return self.outcomes.pop(0)

    @activity.defn(name="execute_step")
    async def execute_step(self, given: RunStepInput) -> str:
        self._called("execute_step", given)
        if self.step_waits_for_cancel:
            await _until_cancelled()
        return "succeeded"

    @activity.defn(name="transfers.prepare")
    async def prepare(self, given: PromotionRef) -> int:
        self._called("transfers.prepare", given)
        return 1

    @activity.defn(name="transfers.rebuild")
    async def rebuild(self, given: ReplicateInput) -> ReplicateResult:
        self._called("transfers.rebuild", given)
        self.deltas.discard(given.sha256)
        if not self.deltas_serve:
            return ReplicateResult(sha256=given.sha256, how="refused", bytes_sent=10, bytes_saved=0)
        self.present.add(given.sha256)
        return ReplicateResult(sha256=given.sha256, how="delta", bytes_sent=10, bytes_saved=given.size_bytes - 10)

    @activity.defn(name="transfers.upload")
    async def upload(self, given: ReplicateInput) -> ReplicateResult:
        self._called("transfers.upload", given)
        return ReplicateResult(sha256=given.sha256, how="whole", bytes_sent=given.size_bytes, bytes_saved=0)

    @activity.defn(name="transfers.download")
    async def download(self, given: ReplicateInput) -> ReplicateResult:
        self._called("transfers.download", given)
        if self.blob_waits_for_cancel:
            await _until_cancelled()
            raise asyncio.CancelledError
        if self.arrives_on_download:
            self.present.add(given.sha256)
        return ReplicateResult(sha256=given.sha256, how="whole", bytes_sent=given.size_bytes, bytes_saved=0)

    @activity.defn(name="transfers.abort")
    async def abort(self, given: ReplicateInput) -> None:
        self._called("transfers.abort", given)

    @activity.defn(name="carriers.export")
    async def export(self, given: CarrierInput) -> str:
        self._called("carriers.export", given)
        return "Carrier file of 10 bytes is ready to be taken along"

    @activity.defn(name="carriers.import")
    async def import_carrier(self, given: CarrierInput) -> str:
        self._called("carriers.import", given)
        return "Carrier file read: 1 messages"

    @activity.defn(name="uploads.verify")
    async def verify(self, given: VerifyUploadInput) -> None:
        self._called("uploads.verify", given)

    def _opened(self, stem: str) -> OpenedRun:
        self.attempts[stem] = self.attempts.get(stem, 0) + 1
        return OpenedRun(run_id=f"{stem}_{self.attempts[stem]}", attempt=self.attempts[stem], state="queued")


async def _until_cancelled() -> None:
    """Returns when the engine asked this activity to stop, as a step does whose process was ended."""
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return
