# SPDX-License-Identifier: Apache-2.0
"""What a machine that runs steps may ask: claim its run, send log lines, post the outcome. It proves itself by its own key.

Another machine's run is refused. Secrets are in the answer to a claim and nowhere else; nothing of these bodies is logged.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header
from fastapi.responses import JSONResponse
from pydantic import Field

from api.deps import Context, operation
from api.schemas.base import Json, Request, Shape
from waybill.app import admin, runs
from waybill.domain.spaces import Machine
from waybill.domain.steps import StepLine, order_to_json, outcome_from_json
from waybill.errors import FormatError, PolicyError

router = APIRouter(prefix="/api/v1/machine/runs/{run}", tags=["machine"])
MAX_LINES = 1000
MAX_MESSAGE = 64 * 1024


class LineBody(Request):
    """One line of a step."""

    level: Literal["verbose", "info", "highlight", "wait", "warning", "error"]
    message: str = Field(max_length=MAX_MESSAGE)
    occurred_at: datetime
    stream: Literal["stdout", "stderr"] | None = None


class LinesBody(Request):
    """Lines in order."""

    lines: list[LineBody] = Field(max_length=MAX_LINES)


class LogAnswer(Shape):
    """The number of the last stored line."""

    last_seq: int


class RunAnswer(Shape):
    """How the run stands."""

    id: str
    state: str
    code: str | None


def machine_of(context: Context, authorization: Annotated[str | None, Header()] = None) -> Machine:
    """The machine that holds the bearer key. Raises PolicyError authn.required, authn.invalid."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise PolicyError("authn.required", "a machine sends its key as a bearer token")
    machine = admin.machine_of_token(context.ports, token=token.strip())
    context.key_buckets.take(machine.id, now=context.ports.clock.now())
    return admin.touch_machine(context.ports, machine)


ProvenMachine = Annotated[Machine, Depends(machine_of)]


@router.post("/claim", response_class=JSONResponse, **operation("machine_claim"))
def machine_claim(run: str, machine: ProvenMachine, context: Context) -> JSONResponse:
    """Everything that the machine needs to run one attempt, once."""
    return JSONResponse(order_to_json(runs.claim(context.ports, machine, run_id=run)))


@router.post("/log", response_model=LogAnswer, **operation("machine_log"))
def machine_log(run: str, body: LinesBody, machine: ProvenMachine, context: Context) -> Any:
    """Lines of the step, in order; masked here once more."""
    lines = [StepLine(level=one.level, message=one.message, occurred_at=_aware(one.occurred_at), stream=one.stream) for one in body.lines]
    return LogAnswer(last_seq=runs.append_log(context.ports, machine, run_id=run, lines=lines))


@router.post("/outcome", response_model=RunAnswer, **operation("machine_outcome"))
def machine_outcome(run: str, body: dict[str, Json], machine: ProvenMachine, context: Context) -> Any:
    """How the run ended; the first outcome wins, repeating it is fine."""
    return runs.record_outcome(context.ports, machine, run_id=run, outcome=outcome_from_json(body))


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise FormatError("request.invalid", "a time without its zone", field="occurred_at", expected="RFC 3339 with Z or an offset")
    return moment
