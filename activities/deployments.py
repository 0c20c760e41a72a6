# SPDX-License-Identifier: Apache-2.0
"""A deployment as its story sees it: the plan, the attempts, the pauses, the end."""

from dataclasses import dataclass

from temporalio import activity

from waybill.app import deploy
from waybill.app.deploy import DeployPlan as DeployPlan
from waybill.app.deploy import PlannedAction as PlannedAction
from waybill.domain.deployments import DeploymentState
from waybill.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRef:
    """One deployment of one Space."""

    space_id: str
    deployment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """An action of a deployment on a machine; no machine for one that is skipped."""

    space_id: str
    deployment_id: str
    action_id: str
    machine_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRef:
    """One run of a deployment."""

    space_id: str
    deployment_id: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRun:
    """One attempt. ``state`` is a ``RunState``: an attempt that was made before may have ended already."""

    run_id: str
    attempt: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDeployment:
    """How a deployment ended; ``state`` is a ``DeploymentState``."""

    space_id: str
    deployment_id: str
    state: str
    code: str | None = None
    message: str | None = None


class Deployments:
    """Deployments of this site."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="deployments.begin", no_thread_cancel_exception=True)
    def begin(self, given: DeploymentRef) -> DeployPlan:
        """The deployment runs and this is its plan, the same when called again."""
        return deploy.begin(self._ports, space_id=given.space_id, deployment_id=given.deployment_id)

    @activity.defn(name="deployments.open_run", no_thread_cancel_exception=True)
    def open_run(self, given: OpenRun) -> OpenedRun:
        """The newest attempt of the action on the machine."""
        run = deploy.open_run(
            self._ports,
            space_id=given.space_id,
            deployment_id=given.deployment_id,
            action_id=given.action_id,
            machine_id=given.machine_id,
        )
        return OpenedRun(run_id=run.id, attempt=run.attempt, state=run.state.value)

    @activity.defn(name="deployments.next_attempt", no_thread_cancel_exception=True)
    def next_attempt(self, given: RunRef) -> OpenedRun:
        """A further attempt after one that did not succeed; again gives the same."""
        run = deploy.next_attempt(self._ports, space_id=given.space_id, run_id=given.run_id)
        return OpenedRun(run_id=run.id, attempt=run.attempt, state=run.state.value)

    @activity.defn(name="deployments.wait_for_decision", no_thread_cancel_exception=True)
    def wait_for_decision(self, given: RunRef) -> None:
        """The deployment shows that it waits for a person's word on this run."""
        deploy.wait_for_decision(self._ports, space_id=given.space_id, deployment_id=given.deployment_id, run_id=given.run_id)

    @activity.defn(name="deployments.resume", no_thread_cancel_exception=True)
    def resume(self, given: DeploymentRef) -> None:
        """A deployment that waited runs again."""
        deploy.resume(self._ports, space_id=given.space_id, deployment_id=given.deployment_id)

    @activity.defn(name="deployments.finish", no_thread_cancel_exception=True)
    def finish(self, given: EndDeployment) -> None:
        """The deployment and its task have ended and the receipt is out."""
        deploy.finish(
            self._ports,
            space_id=given.space_id,
            deployment_id=given.deployment_id,
            state=DeploymentState(given.state),
            code=given.code,
            message=given.message,
        )
