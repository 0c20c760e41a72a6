# SPDX-License-Identifier: Apache-2.0
"""The inbox: what came, what it would change, the values it needs, and the decision."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from api import queries
from api.deps import Paging
from waybill.app import access, importing, receive
from waybill.app.importing import AnswerInput
from waybill.domain.access import Permission
from waybill.domain.bundles import InboxState
from web.framing import frame
from web.rendering import render
from web.viewing import InView, PageRoute, goto

router = APIRouter(prefix="/spaces/{space}/inbox", route_class=PageRoute, include_in_schema=False)

MAX_ANSWERS = 2000


@router.get("")
def inbox(request: Request, here: InView, cursor: str | None = None) -> Response:
    """Received bundles, newest first."""
    page = queries.inbox_list(here, Paging(limit=50, cursor=cursor), state=None)
    return render(request, "inbox.html", title="Inbox", page=page, **frame(here, "inbox"))


@router.get("/{bundle}")
def bundle(request: Request, here: InView, bundle: str) -> Response:
    """A received bundle as a decision document."""
    row = queries.inbox_rows(here, [receive.get_inbox(here.ports, here.caller, space_id=here.space_id, inbox=bundle)])[0]
    return render(
        request,
        "bundle.html",
        title=f"{row.owner_name}: {row.project_name} {row.release_version}",
        row=row,
        view=queries.preview_of(here, row.id),
        undecided=row.state in (InboxState.READY, InboxState.WAITING_PACKAGES),
        may_decide=access.permits(here.caller, here.space_id, Permission.BUNDLE_DECIDE),
        **frame(here, "inbox"),
    )


@router.post("/{bundle}/answers")
async def answers(request: Request, here: InView, bundle: str) -> Response:
    """The values of the form are kept; empty fields are left as they were."""
    form = await request.form(max_fields=MAX_ANSWERS)
    given = []
    for name, value in form.items():
        variable, _, place = name.partition("|")
        environment, _, tenant = place.partition("|")
        if isinstance(value, str) and value and environment:
            given.append(AnswerInput(variable=variable, environment=environment, tenant=tenant or None, value=value))
    await run_in_threadpool(importing.put_answers, here.ports, here.caller, space_id=here.space_id, inbox=bundle, answers=given)
    return goto(f"/spaces/{here.space_id}/inbox/{bundle}#decision")


@router.post("/{bundle}/decision")
def decide(
    here: InView,
    bundle: str,
    verdict: Annotated[str, Form(max_length=20)],
    bundle_sha256: Annotated[str, Form(max_length=64)],
    preview_sha256: Annotated[str, Form(max_length=64)],
    lifecycle: Annotated[str | None, Form(max_length=400)] = None,
    reason: Annotated[str | None, Form(max_length=20_000)] = None,
) -> Response:
    """A person's word about exactly what the page showed."""
    row = importing.decide(
        here.ports, here.caller, space_id=here.space_id, inbox=bundle, verdict=verdict, bundle_sha256=bundle_sha256,
        preview_sha256=preview_sha256, lifecycle=lifecycle or None, reason=reason or None,
    )  # fmt: skip
    return goto(f"/spaces/{here.space_id}/tasks/{row.import_task_id or row.task_id}")
