# SPDX-License-Identifier: Apache-2.0
"""Received bundles: what would an import do, what values does it need, and a person's decision."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import queries
from api.deps import InSpace, Pages, link_next, operation, tag
from api.idempotency import OnceOnly
from api.schemas.base import Listing
from api.schemas.inbox import AnswerShape, AnswersPut, Decision, InboxShape, PreviewShape
from waybill.app import importing, receive
from waybill.app.importing import AnswerInput
from waybill.domain.access import Permission
from waybill.domain.bundles import InboxState

router = APIRouter(prefix="/api/v1/spaces/{space}/inbox", tags=["inbox"])


@router.get("", response_model=Listing[InboxShape], **operation("inbox_list", Permission.SPACE_READ))
def inbox_list(
    here: InSpace, page: Pages, request: Request, response: Response, state: Annotated[InboxState | None, Query()] = None
) -> Any:
    """Received bundles, newest first."""
    rows = queries.inbox_list(here, page, state=state)
    link_next(request, response, rows.next_cursor)
    return rows


@router.get("/{bundle}", response_model=InboxShape, **operation("inbox_get", Permission.SPACE_READ))
def inbox_get(bundle: str, here: InSpace, response: Response) -> Any:
    """One received bundle, by its id or digest."""
    row = receive.get_inbox(here.ports, here.caller, space_id=here.space_id, inbox=bundle)
    tag(response, row.revision)
    return queries.inbox_rows(here, [row])[0]


@router.get("/{bundle}/preview", response_model=PreviewShape, **operation("inbox_preview", Permission.SPACE_READ))
def inbox_preview(bundle: str, here: InSpace, response: Response) -> Any:
    """What an import would do. A decision names the digest of exactly this."""
    view = queries.preview_of(here, bundle)
    response.headers["ETag"] = f'"{view.sha256}"'
    return view


@router.post("/{bundle}/answers", response_model=Listing[AnswerShape], **operation("inbox_answer", Permission.BUNDLE_DECIDE))
def inbox_answer(bundle: str, body: AnswersPut, here: InSpace) -> Any:
    """Values for the templates of the bundle; a secret is sealed at once and never shown again."""
    answers = [AnswerInput(**one.model_dump()) for one in body.answers]
    rows = importing.put_answers(here.ports, here.caller, space_id=here.space_id, inbox=bundle, answers=answers)
    return queries.whole(rows, AnswerShape.model_validate)


@router.post("/{bundle}/decision", response_model=InboxShape, **operation("inbox_decide", Permission.BUNDLE_DECIDE, status=202))
def inbox_decide(bundle: str, body: Decision, here: InSpace, once: OnceOnly) -> Response:
    """Approve or reject exactly the bytes and the preview that were shown."""
    return once(lambda: _decided(here, bundle, body))


def _decided(here: InSpace, bundle: str, body: Decision) -> tuple[InboxShape, str]:
    row = importing.decide(here.ports, here.caller, space_id=here.space_id, inbox=bundle, **body.model_dump())
    return queries.inbox_rows(here, [row])[0], here.url("tasks", row.import_task_id or row.task_id)
