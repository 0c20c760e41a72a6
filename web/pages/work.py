# SPDX-License-Identifier: Apache-2.0
"""Tasks with their live log and timeline, deployments, promotions, receipts, trusts and the audit log."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from api import queries
from api.deps import Paging
from waybill.app import access, audit, deploy, identity, promote, receipts, tasks, trusts
from waybill.domain.access import Permission
from waybill.domain.deployments import RunState
from waybill.domain.tasks import FINISHED_TASKS
from web.framing import frame
from web.rendering import render
from web.viewing import InView, PageRoute, goto

router = APIRouter(prefix="/spaces/{space}", route_class=PageRoute, include_in_schema=False)

SHOWN_LINES = 1000


@router.get("/tasks")
def task_list(request: Request, here: InView, cursor: str | None = None) -> Response:
    """Tasks, newest first."""
    page = queries.task_list(here, Paging(limit=50, cursor=cursor), kind=None, state=None, subject_id=None)
    return render(request, "tasks.html", title="Tasks", page=page, **frame(here, "tasks"))


@router.get("/tasks/{task}")
def task(request: Request, here: InView, task: str) -> Response:
    """One task: what it does or waits for, its log live, and what happened in the workflow behind it."""
    row = tasks.get_task(here.ports, here.caller, space_id=here.space_id, task=task)
    lines = tasks.read_log(here.ports, here.caller, space_id=here.space_id, task=row.id, after=0, limit=SHOWN_LINES)
    return render(
        request,
        "task.html",
        title=row.title,
        task=row,
        lines=lines,
        last_seq=lines[-1].seq if lines else 0,
        timeline=tasks.timeline(here.ports, here.caller, space_id=here.space_id, task=row.id),
        ended=row.state in FINISHED_TASKS,
        may_cancel=access.permits(here.caller, here.space_id, Permission.TASK_CANCEL),
        subject=_subject_link(row.kind, row.subject_id),
        **frame(here, "tasks"),
    )


@router.post("/tasks/{task}/cancel")
def cancel(here: InView, task: str) -> Response:
    """Cancellation is requested."""
    row = tasks.cancel(here.ports, here.caller, space_id=here.space_id, task=task)
    return goto(f"/spaces/{here.space_id}/tasks/{row.id}")


@router.get("/deployments/{deployment}")
def deployment(request: Request, here: InView, deployment: str) -> Response:
    """One deployment and the runs of its steps; an interrupted one asks for a decision."""
    view = queries.deployment_content(here, deployment)
    newest = {run.action_id + str(run.machine_id): run.id for run in view.runs}
    asked = [run.id for run in view.runs if run.state == RunState.ERRORED and newest[run.action_id + str(run.machine_id)] == run.id]
    return render(
        request,
        "deployment.html",
        title=f"{view.deployment.project_name} {view.deployment.release_version} to {view.deployment.environment_name}",
        view=view,
        asked=asked if str(view.deployment.state) == "waiting" else [],
        may_decide=access.permits(here.caller, here.space_id, Permission.DEPLOYMENT_START),
        **frame(here, "tasks"),
    )


@router.post("/deployments/{deployment}/steps/{run}/decision")
def decide_step(here: InView, deployment: str, run: str, verdict: Annotated[str, Form(max_length=20)]) -> Response:
    """A person's word on an interrupted step."""
    row = deploy.decide_step(here.ports, here.caller, space_id=here.space_id, deployment=deployment, run_id=run, verdict=verdict)
    return goto(f"/spaces/{here.space_id}/tasks/{row.task_id}")


@router.get("/promotions/{promotion}")
def promotion(request: Request, here: InView, promotion: str) -> Response:
    """One crossing and the receipts that it rests on."""
    row = promote.get_promotion(here.ports, here.caller, space_id=here.space_id, promotion_id=promotion)
    shown = queries.promotion(here, row)
    found = receipts.list_receipts(here.ports, here.caller, space_id=here.space_id, limit=100, promotion_id=row.id)
    title = f"{shown.project_name} {shown.release_version} to {shown.trust_name}"
    return render(request, "promotion.html", title=title, row=shown, receipts=found.items, **frame(here, "tasks"))


@router.get("/receipts")
def receipt_list(request: Request, here: InView, cursor: str | None = None) -> Response:
    """Receipts, newest first, quarantined ones with their reason."""
    page = receipts.list_receipts(here.ports, here.caller, space_id=here.space_id, limit=50, cursor=cursor)
    return render(request, "receipts.html", title="Receipts", page=page, **frame(here, "receipts"))


@router.get("/trusts")
def trust_list(request: Request, here: InView) -> Response:
    """This Space's identity and the Remote Spaces that it knows."""
    return render(
        request,
        "trusts.html",
        title="Trusts",
        own=identity.view_identity(here.ports, here.caller, space_id=here.space_id),
        rows=trusts.list_trusts(here.ports, here.caller, space_id=here.space_id),
        **frame(here, "trusts"),
    )


@router.get("/audit")
def audit_log(request: Request, here: InView, cursor: str | None = None) -> Response:
    """The append-only log, newest first."""
    page = audit.list_audit(here.ports, here.caller, space_id=here.space_id, limit=100, cursor=cursor)
    return render(request, "audit.html", title="Audit", page=page, **frame(here, "audit"))


def _subject_link(kind: str, subject_id: str) -> str | None:
    """The page of what a task is about, below the Space."""
    places = {"promotion": "promotions", "receive": "inbox", "import": "inbox", "deployment": "deployments"}
    return f"{places[kind]}/{subject_id}" if kind in places else None
