# SPDX-License-Identifier: Apache-2.0
"""What each role runs: explicit lists, no discovery. Ports go in, a worker that is ready to run comes out.

control   every story of the site, the activities on the ledger, and the settling of step runs in the steps namespace
transfer  the bytes: packages over trusts, uploads, carrier files
steps     one machine's steps; it has no ports at all, only the site's API and a Node host
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from temporalio.client import Client
from temporalio.worker import Worker

from activities.carriers import Carriers
from activities.deployments import Deployments
from activities.inbox import Inbox
from activities.machine import SiteApi, StepExecution, StepHost
from activities.messages import Messages
from activities.promotions import Promotions
from activities.records import Records
from activities.step_runs import RunSettling, StepEngine, StepRuns
from activities.transfers import Transfers
from activities.uploads import Uploads
from waybill.domain.stories import CONTROL_QUEUE, STEP_CONTROL_QUEUE, TRANSFER_QUEUE, machine_queue
from waybill.ports import Ports
from worker.interceptors import ErrorInterceptor
from worker.runner import GRACE, HEARTBEAT, STICKY, make_runner
from workflows.carrier import ExportCarrier, ImportCarrier
from workflows.courier import Courier
from workflows.deploy import DeployRelease
from workflows.import_release import ImportRelease
from workflows.promote import PromoteRelease
from workflows.receive import ReceiveBundle
from workflows.replicate import ReplicatePackage
from workflows.run_step import RunStep
from workflows.verify_upload import VerifyUpload

Action = Callable[..., Any]

STORIES: Final[Sequence[type]] = (
    PromoteRelease,
    ReplicatePackage,
    ReceiveBundle,
    ImportRelease,
    DeployRelease,
    Courier,
    ExportCarrier,
    ImportCarrier,
    VerifyUpload,
)
STEP_STORIES: Final[Sequence[type]] = (RunStep,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much one process takes on. ``threads``: activities at once, each on a thread; ``cached``: stories kept in memory."""

    threads: int = 32
    cached: int = 500


def control_actions(ports: Ports, steps: StepEngine) -> Sequence[Action]:
    """The activities of the control queue."""
    records, promotions, messages = Records(ports), Promotions(ports), Messages(ports)
    inbox, deployments, step_runs = Inbox(ports), Deployments(ports), StepRuns(ports, steps)
    return (
        records.show,
        records.note,
        records.finish,
        promotions.seal,
        promotions.look,
        promotions.set_state,
        promotions.note_sent,
        promotions.note_held,
        promotions.withdraw,
        messages.round,
        messages.wake_courier,
        inbox.needs,
        inbox.mark_waiting,
        inbox.mark_ready,
        inbox.apply_import,
        inbox.apply_rejection,
        deployments.begin,
        deployments.open_run,
        deployments.next_attempt,
        deployments.wait_for_decision,
        deployments.resume,
        deployments.finish,
        step_runs.run,
    )


def transfer_actions(ports: Ports) -> Sequence[Action]:
    """The activities of the transfer queue."""
    transfers, carriers, uploads = Transfers(ports), Carriers(ports), Uploads(ports)
    return (
        transfers.prepare,
        transfers.upload,
        transfers.download,
        transfers.rebuild,
        transfers.abort,
        carriers.export,
        carriers.import_carrier,
        uploads.verify,
    )


def control_worker(client: Client, ports: Ports, steps: StepEngine, *, load: Load | None = None) -> Worker:
    """A worker of the site's namespace that runs its stories."""
    return _worker(client, CONTROL_QUEUE, stories=STORIES, actions=control_actions(ports, steps), load=load or Load())


def step_control_worker(client: Client, ports: Ports, *, load: Load | None = None) -> Worker:
    """A worker of the steps namespace that hands runs to machines and settles them."""
    actions = (RunSettling(ports).settle,)
    return _worker(client, STEP_CONTROL_QUEUE, stories=STEP_STORIES, actions=actions, load=load or Load(threads=8))


def transfer_worker(client: Client, ports: Ports, *, load: Load | None = None) -> Worker:
    """A worker of the site's namespace that moves bytes."""
    return _worker(client, TRANSFER_QUEUE, stories=(), actions=transfer_actions(ports), load=load or Load(threads=16))


def machine_worker(client: Client, *, machine_id: str, api: SiteApi, host: StepHost, load: Load | None = None) -> Worker:
    """A worker of the steps namespace for one machine's queue."""
    actions = (StepExecution(api, host).execute_step,)
    return _worker(client, machine_queue(machine_id), stories=(), actions=actions, load=load or Load(threads=4))


def _worker(client: Client, queue: str, *, stories: Sequence[type], actions: Sequence[Action], load: Load) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=stories,
        activities=actions,
        activity_executor=ThreadPoolExecutor(max_workers=load.threads, thread_name_prefix=queue),
        max_concurrent_activities=load.threads,
        max_cached_workflows=load.cached,
        workflow_runner=make_runner("workflows"),
        interceptors=[ErrorInterceptor()],
        sticky_queue_schedule_to_start_timeout=STICKY,
        graceful_shutdown_timeout=GRACE,
        max_heartbeat_throttle_interval=HEARTBEAT,
        default_heartbeat_throttle_interval=HEARTBEAT,
    )
