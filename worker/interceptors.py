# SPDX-License-Identifier: Apache-2.0
"""The one place where errors cross from Waybill into the engine: each becomes an ``ApplicationError`` whose type is the code.

A refusal is final; what is outside is retried. A mistake of our own is retried some times, so that a repaired worker
may take it on, and then ends as internal.error instead of running for ever.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import structlog
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from waybill.errors import WaybillError

MAX_MISTAKES: Final = 20


def to_application_error(error: WaybillError) -> ApplicationError:
    """The engine's form of ``error``; ``adapters.temporal.rebuild_error`` is the way back."""
    facts = {
        "kind": type(error).__name__,
        "message": error.message,
        "field": error.field,
        "expected": error.expected,
        "found": error.found,
    }
    return ApplicationError(error.message, facts, type=error.code, non_retryable=not error.retryable)


class ErrorInterceptor(Interceptor):
    """Translates the errors of activities, and of workflows and their update handlers."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the library's name
        """See ``temporalio.worker.Interceptor``."""
        return _Activities(next)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:  # noqa: A002, ARG002 - the library's name
        """See ``temporalio.worker.Interceptor``."""
        return _Workflows


class _Activities(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the library's name
        info = activity.info()
        with structlog.contextvars.bound_contextvars(activity=info.activity_type, workflow_id=info.workflow_id, attempt=info.attempt):
            try:
                return await super().execute_activity(input)
            except WaybillError as error:
                raise to_application_error(error) from error
            except FailureError:
                raise
            except Exception as error:
                structlog.stdlib.get_logger("waybill.worker").error("activity.broke", error=type(error).__name__, exc_info=error)
                raise ApplicationError(
                    f"An error in Waybill itself ({type(error).__name__})",
                    type="internal.error",
                    non_retryable=info.attempt >= MAX_MISTAKES,
                ) from error


class _Workflows(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - the library's name
        with _translated():
            return await super().execute_workflow(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002 - the library's name
        with _translated():
            super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002 - the library's name
        with _translated():
            return await super().handle_update_handler(input)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except WaybillError as error:
        raise to_application_error(error) from error
