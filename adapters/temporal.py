# SPDX-License-Identifier: Apache-2.0
"""The workflow engine: Temporal behind ``waybill.ports.Engine``, and the connections that workers need.

``TemporalEngine`` is called from threads; its client lives on a loop thread of its own.
It answers within seconds when the server is away (engine.unavailable), so that the API starts and answers without it.
Refused: nothing of Temporal's errors escapes; each becomes a ``WaybillError``.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RetryConfig, RPCError, RPCStatusCode, TLSConfig

from adapters.log import get_logger
from adapters.settings import EngineTls
from adapters.timeline import build_rows
from waybill import errors
from waybill.domain.ids import JsonValue
from waybill.domain.stories import CONTROL_QUEUE, STEP_CONTROL_QUEUE, RunEnded, RunStepInput
from waybill.errors import CODES, NotFoundError, UnavailableError, WaybillError
from waybill.ports import TimelineRow

_CALL: Final = timedelta(seconds=5)
_UPDATE: Final = timedelta(seconds=15)
_QUERY: Final = timedelta(seconds=3)
_FAST: Final = RetryConfig(max_elapsed_time_millis=1500, max_retries=3)
_REPEATABLE: Final = frozenset({"Courier"})
"""Stories that may run again under the same id after they ended; for all others the ledger says that they are done."""

T = TypeVar("T")


def tls_config(tls: EngineTls | None) -> TLSConfig | bool:
    """TLS as the settings want it; False on a loopback address without it."""
    if tls is None:
        return False

    def content(path: Path | None) -> bytes | None:
        return None if path is None else path.read_bytes()

    return TLSConfig(
        server_root_ca_cert=content(tls.ca_file),
        client_cert=content(tls.certificate_file),
        client_private_key=content(tls.key_file),
        domain=tls.server_name,
    )


async def connect(
    address: str, *, namespace: str, converter: DataConverter, tls: TLSConfig | bool = False, wait_seconds: float | None = None
) -> Client:
    """A connected client, as soon as the server answers. For workers: a lazy client cannot run one.

    Args:
        wait_seconds: how long to try; None for ever.
    Raises:
        UnavailableError: engine.unavailable, when the time is over.
    """
    loop = asyncio.get_running_loop()
    deadline = None if wait_seconds is None else loop.time() + wait_seconds
    delay, told = 0.1, False
    while True:
        try:
            return await Client.connect(address, namespace=namespace, data_converter=converter, tls=tls)
        except (RuntimeError, RPCError) as error:
            if deadline is not None and loop.time() >= deadline:
                raise UnavailableError("engine.unavailable", f"The Temporal server at {address} does not answer") from error
            if not told:
                get_logger("engine").warning("engine.awaited", address=address, namespace=namespace)
                told = True
        await asyncio.sleep(delay)
        delay = min(delay * 2, 2.0)


class TemporalEngine:
    """``waybill.ports.Engine`` over one namespace. Thread-safe; ``close`` ends its loop thread."""

    def __init__(self, *, address: str, namespace: str, converter: DataConverter, tls: TLSConfig | bool = False) -> None:
        self._address, self._namespace, self._converter, self._tls = address, namespace, converter, tls
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def start(self, *, story: str, workflow_id: str, story_input: Mapping[str, JsonValue], summary: str) -> None:
        """See ``waybill.ports.Engine``."""
        reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE if story in _REPEATABLE else WorkflowIDReusePolicy.REJECT_DUPLICATE

        async def call(client: Client) -> None:
            try:
                await client.start_workflow(
                    story,
                    dict(story_input),
                    id=workflow_id,
                    task_queue=CONTROL_QUEUE,
                    id_reuse_policy=reuse,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    static_summary=summary[:150],
                    rpc_timeout=_CALL,
                )
            except WorkflowAlreadyStartedError:
                return  # it has ended already: what the caller wanted

        self._run(call)

    def signal(self, workflow_id: str, name: str, argument: object) -> bool:
        """See ``waybill.ports.Engine``."""

        async def call(client: Client) -> bool:
            try:
                await client.get_workflow_handle(workflow_id).signal(name, argument, rpc_timeout=_CALL)
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return False
                raise
            return True

        return self._run(call)

    def update(self, workflow_id: str, name: str, argument: object, *, update_id: str) -> str:
        """See ``waybill.ports.Engine``."""

        async def call(client: Client) -> str:
            handle = client.get_workflow_handle(workflow_id)
            try:
                return str(await handle.execute_update(name, argument, id=update_id, result_type=str, rpc_timeout=_UPDATE))
            except WorkflowUpdateFailedError as error:
                raise rebuild_error(error.cause) from error
            except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                raise UnavailableError("engine.unavailable", "No worker took the decision in time") from error
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    raise NotFoundError("record.absent", "No such story runs", found=workflow_id) from error
                raise

        return self._run(call)

    def cancel(self, workflow_id: str) -> bool:
        """See ``waybill.ports.Engine``."""

        async def call(client: Client) -> bool:
            try:
                await client.get_workflow_handle(workflow_id).cancel(rpc_timeout=_CALL)
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return False
                raise
            return True

        return self._run(call)

    def describe(self, workflow_id: str) -> str | None:
        """See ``waybill.ports.Engine``. None also when no worker answers in time: the words are the worker's."""

        async def call(client: Client) -> str | None:
            handle = client.get_workflow_handle(workflow_id)
            try:
                if (await handle.describe(rpc_timeout=_CALL)).status is not WorkflowExecutionStatus.RUNNING:
                    return None
                found = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata, rpc_timeout=_QUERY)
            except RPCError as error:
                if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION}:
                    return None
                raise
            except (WorkflowQueryFailedError, WorkflowQueryRejectedError):
                return None
            return str(found.current_details)

        return self._run(call)

    def timeline(self, workflow_id: str) -> Sequence[TimelineRow]:
        """See ``waybill.ports.Engine``."""

        async def call(client: Client) -> Sequence[TimelineRow]:
            try:
                newest = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=_CALL)
                # The run is pinned: without it, describe and history could speak of two runs.
                handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(workflow_id, run_id=newest.run_id)
                history = await handle.fetch_history(rpc_timeout=_CALL)
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return ()
                raise
            return await build_rows(history.events, newest.raw_description.pending_activities, self._converter)

        return self._run(call)

    def check(self) -> None:
        """See ``waybill.ports.Engine``."""

        async def call(client: Client) -> None:
            await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=_QUERY)

        self._run(call)

    def close(self) -> None:
        """The loop thread has ended; the engine may be used again and then starts a new one."""
        with self._lock:
            loop, self._loop, self._client = self._loop, None, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _run(self, call: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        async def guarded() -> T:
            return await call(await self._connected())

        try:
            return asyncio.run_coroutine_threadsafe(guarded(), self._running_loop()).result()
        except WaybillError:
            raise
        except RPCError as error:
            raise UnavailableError("engine.unavailable", f"The Temporal server answered {error.status.name}") from error
        except RuntimeError as error:  # what a lazy client raises that never reached its server
            raise UnavailableError("engine.unavailable", f"The Temporal server at {self._address} does not answer") from error

    async def _connected(self) -> Client:
        if self._client is None:
            self._client = await Client.connect(
                self._address, namespace=self._namespace, data_converter=self._converter, tls=self._tls, lazy=True, retry_config=_FAST
            )
        return self._client

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        # Made on first use and not in the constructor: a client must be born after a fork.
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=_serve, args=(loop,), name="engine", daemon=True).start()
                self._loop = loop
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


class TemporalSteps:
    """Starts and awaits ``RunStep`` in the steps namespace. Its client belongs to the worker's own loop."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self, story_input: RunStepInput) -> RunEnded | None:
        """How the run ended, after waiting for it; attaches when it runs already. None when its story broke or is no longer known.

        Raises:
            UnavailableError: engine.unavailable.
        """
        try:
            handle: WorkflowHandle[Any, RunEnded] = await self._client.start_workflow(
                "RunStep",
                story_input,
                id=step_workflow_id(story_input.run_id),
                task_queue=STEP_CONTROL_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                result_type=RunEnded,
                rpc_timeout=_CALL,
            )
        except WorkflowAlreadyStartedError:
            handle = self._client.get_workflow_handle(step_workflow_id(story_input.run_id), result_type=RunEnded)
        except RPCError as error:
            raise UnavailableError("engine.unavailable", "The Temporal server does not answer for the steps namespace") from error
        try:
            return await handle.result()
        except WorkflowFailureError:
            return None
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise UnavailableError("engine.unavailable", "The Temporal server does not answer for the steps namespace") from error

    async def cancel(self, run_id: str) -> None:
        """Cancellation of the run is requested, if it runs."""
        try:
            await self._client.get_workflow_handle(step_workflow_id(run_id)).cancel(rpc_timeout=_CALL)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise UnavailableError("engine.unavailable", "The Temporal server does not answer for the steps namespace") from error


def step_workflow_id(run_id: str) -> str:
    """The id of the ``RunStep`` story of a run."""
    return f"step:{run_id}"


def rebuild_error(cause: BaseException) -> WaybillError:
    """The ``WaybillError`` that a worker turned into an ``ApplicationError`` (worker/interceptors.py), with its code and facts."""
    if not isinstance(cause, ApplicationError) or cause.type not in CODES:
        return UnavailableError("engine.unavailable", "The story did not take it")
    facts = cause.details[0] if cause.details and isinstance(cause.details[0], Mapping) else {}
    kind = getattr(errors, str(facts.get("kind", "")), None)
    if not (isinstance(kind, type) and issubclass(kind, WaybillError)):
        kind = UnavailableError if CODES[cause.type].http_status == 503 else errors.PolicyError
    return kind(
        cause.type,
        str(facts.get("message") or cause.message),
        field=facts.get("field"),
        expected=facts.get("expected"),
        found=facts.get("found"),
    )
