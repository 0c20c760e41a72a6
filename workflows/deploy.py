# SPDX-License-Identifier: Apache-2.0
"""A deployment: the actions of the frozen process in their order, each on its machines in turn.

A step that was interrupted, and may not simply be repeated, waits for a person: retry or fail.
A cancellation ends the step that runs, waits for its end, and settles the deployment as cancelled.
"""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.deployments import DeploymentRef, Deployments, DeployPlan, EndDeployment, OpenedRun, OpenRun, PlannedAction, RunRef
    from activities.step_runs import StepRuns
    from waybill.domain.deploying import Next, after_run
    from waybill.domain.stories import DeployInput, RunEnded, RunStepInput, StepDecision, StoryResult
    from waybill.errors import ConflictError, FormatError
    from workflows import options
    from workflows.telling import TaskRef, ending_of, note, stop_if_cancelled, tell


@workflow.defn(name="DeployRelease")
class DeployRelease:
    """See the module."""

    @workflow.init
    def __init__(self, given: DeployInput) -> None:
        self._given = given
        self._task = TaskRef(space_id=given.space_id, task_id=given.task_id)
        self._deployment = DeploymentRef(space_id=given.space_id, deployment_id=given.deployment_id)
        self._waiting_for: str | None = None
        self._decisions: dict[str, StepDecision] = {}

    @workflow.update
    def decide_step(self, decision: StepDecision) -> str:
        """The verdict that counts for the interrupted run."""
        return self._decisions.setdefault(decision.run_id, decision).verdict

    @decide_step.validator
    def _may_decide(self, decision: StepDecision) -> None:
        if decision.verdict not in {"retry", "fail"}:
            raise FormatError("request.invalid", "A verdict is retry or fail", field="verdict", found=decision.verdict)
        earlier = self._decisions.get(decision.run_id)
        if earlier is not None and earlier.decision_id == decision.decision_id:
            return
        if earlier is not None or decision.run_id != self._waiting_for:
            raise ConflictError("deployment.not_waiting", "That step does not wait for a decision", field="run_id", found=decision.run_id)

    @workflow.run
    async def run(self, _given: DeployInput) -> StoryResult:
        """How the deployment ended."""
        try:
            plan = await workflow.execute_activity_method(
                Deployments.begin, self._deployment, summary="check again and plan", **options.QUICK
            )
            await self._run_actions(plan)
        except BaseException as error:
            ended = await self._end(ending_of(error))
            if ended.state == "cancelled":
                raise
            return ended
        await workflow.wait_condition(workflow.all_handlers_finished)
        return await self._end(StoryResult(state="succeeded", message="Every step succeeded"))

    async def _run_actions(self, plan: DeployPlan) -> None:
        total = len(plan.actions)
        for at, action in enumerate(plan.actions):
            if action.skip_reason is not None:
                await self._open(action, None)
                await note(self._task, f"{action.name} is skipped: {action.skip_reason}")
                continue
            words = f"Step {at + 1} of {total}: {action.name}"
            await tell(self._task, words, state="running", progress_done=at, progress_total=total)
            for machine_id in action.machine_ids:
                await self._run_on(action, machine_id)
        await tell(self._task, "Every step succeeded", progress_done=total, progress_total=total)

    async def _run_on(self, action: PlannedAction, machine_id: str) -> None:
        """The action succeeded on the machine, however many attempts that took."""
        run, retries, interruptions = await self._open(action, machine_id), action.retries, 0
        while True:
            ended = await self._execute(action, machine_id, run)
            stop_if_cancelled()
            match after_run(
                state=ended.state, code=ended.code, is_idempotent=ended.idempotent, interruptions=interruptions, retries=retries
            ):
                case Next.DONE:
                    return
                case Next.FAIL:
                    raise _failure(action, ended)
                case Next.ASK:
                    await self._ask_a_person(action, run, ended)
                case Next.AGAIN:
                    is_interrupted = ended.code == "step.interrupted"
                    interruptions, retries = interruptions + is_interrupted, retries - (not is_interrupted)
                    await note(self._task, f"{action.name} is tried again after {ended.code}", level="warning")
            run = await workflow.execute_activity_method(
                Deployments.next_attempt, self._run_ref(run), summary=f"{action.name}: next attempt", **options.QUICK
            )

    async def _open(self, action: PlannedAction, machine_id: str | None) -> OpenedRun:
        given = OpenRun(
            space_id=self._given.space_id,
            deployment_id=self._given.deployment_id,
            action_id=action.action_id,
            machine_id=machine_id,
        )
        return await workflow.execute_activity_method(Deployments.open_run, given, summary=f"open {action.name}", **options.QUICK)

    async def _execute(self, action: PlannedAction, machine_id: str, run: OpenedRun) -> RunEnded:
        given = RunStepInput(
            space_id=self._given.space_id, run_id=run.run_id, machine_id=machine_id, timeout_seconds=action.timeout_seconds
        )
        return await workflow.execute_activity_method(
            StepRuns.run, given, summary=f"{action.name}, attempt {run.attempt}", **options.STEP_WAIT
        )

    async def _ask_a_person(self, action: PlannedAction, run: OpenedRun, ended: RunEnded) -> None:
        """A person said to retry. Nobody but a person knows what an interrupted step did, unless it is declared repeatable."""
        self._waiting_for = run.run_id
        await workflow.execute_activity_method(
            Deployments.wait_for_decision, self._run_ref(run), summary=f"{action.name} was interrupted", **options.QUICK
        )
        workflow.set_current_details(f"{action.name} was interrupted: waiting for a person to say retry or fail")
        await workflow.wait_condition(lambda: run.run_id in self._decisions)
        self._waiting_for = None
        await workflow.execute_activity_method(Deployments.resume, self._deployment, summary="decided", **options.QUICK)
        if self._decisions[run.run_id].verdict == "fail":
            raise _failure(action, ended)
        workflow.set_current_details(f"{action.name} is tried again")

    def _run_ref(self, run: OpenedRun) -> RunRef:
        return RunRef(space_id=self._given.space_id, deployment_id=self._given.deployment_id, run_id=run.run_id)

    async def _end(self, ended: StoryResult) -> StoryResult:
        """The deployment, its task and its receipt say how it ended."""
        workflow.set_current_details(ended.message or ended.state)
        given = EndDeployment(
            space_id=self._given.space_id,
            deployment_id=self._given.deployment_id,
            state=ended.state,
            code="step.cancelled" if ended.state == "cancelled" else ended.code,
            message=ended.message,
        )
        await workflow.execute_activity_method(Deployments.finish, given, summary=f"deployment {ended.state}", **options.QUICK)
        return ended


def _failure(action: PlannedAction, ended: RunEnded) -> ApplicationError:
    message = f"{action.name}: {ended.message or ended.state}"
    return ApplicationError(message, type=ended.code or "step.failed", non_retryable=True)
