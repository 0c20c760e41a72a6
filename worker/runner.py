# SPDX-License-Identifier: Apache-2.0
"""How stories are run: in the sandbox, with our own pure packages passed through."""

from datetime import timedelta
from typing import Final

from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

STICKY: Final = timedelta(seconds=1)
"""How long a story waits for a worker that died with it in its cache; the default of 10 s is how long a crash would be felt."""

GRACE: Final = timedelta(seconds=10)
HEARTBEAT: Final = timedelta(seconds=1)
"""Cancellation reaches an activity with its heartbeat, so heartbeats may not be held back for long."""


class _Runner(SandboxedWorkflowRunner):
    """Our payloads are converted in the same way whatever they belong to. The sandbox need not be entered to ask, several times for each payload."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        object.__setattr__(instance, "get_serialization_context", _no_context)
        object.__setattr__(instance, "get_external_store_context", _no_store)
        return instance


def _no_context(_command: object) -> None:
    return None


def _no_store(_command: object) -> StorageDriverStoreContext:
    return StorageDriverStoreContext(target=None)


def make_runner(*stories: str) -> WorkflowRunner:
    """The sandbox.

    Args:
        stories: packages of stories that are imported once instead of anew for each run, which costs as much as several steps of a story. Their own calls
            are then not watched: replaying recorded histories without this shows that they call nothing that is forbidden.
    """
    passed = ("waybill", "activities", "structlog", "cryptography", *stories)
    return _Runner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*passed))
