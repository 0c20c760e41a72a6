# SPDX-License-Identifier: Apache-2.0
"""How stories are run: in the sandbox, with our own pure packages passed through, the same for workers and for the replayer."""

from datetime import timedelta
from typing import Final

from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

STICKY: Final = timedelta(seconds=1)
"""How long a story waits for a worker that died with it in its cache; the default of 10 s is how long a crash would be felt."""

GRACE: Final = timedelta(seconds=10)
HEARTBEAT: Final = timedelta(seconds=1)
"""Cancellation reaches an activity with its heartbeat, so heartbeats may not be held back for long."""


def make_runner() -> WorkflowRunner:
    """The sandbox of production."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules("waybill", "activities", "structlog", "cryptography")
    )
