# SPDX-License-Identifier: Apache-2.0
"""Releases and their promotions."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import queries
from api.deps import IfMatch, InSpace, Pages, link_next, operation, tag
from api.idempotency import OnceOnly
from api.schemas.base import Listing
from api.schemas.releases import (
    PromotionShape,
    PromotionStart,
    PromotionStarted,
    ReleaseBlock,
    ReleaseContentShape,
    ReleaseCreate,
    ReleaseDiffShape,
    ReleaseShape,
)
from waybill.app import promote, releases
from waybill.domain.access import Permission

router = APIRouter(prefix="/api/v1/spaces/{space}")

InProject = Annotated[str | None, Query(max_length=400, description="the project, when the release is named by its version")]
Filter = Annotated[str | None, Query(max_length=400)]


@router.get("/releases", tags=["releases"], response_model=Listing[ReleaseShape], **operation("releases_list", Permission.SPACE_READ))
def releases_list(here: InSpace, page: Pages, request: Request, response: Response, project: Filter = None) -> Any:
    """Releases, newest first."""
    rows = queries.release_list(here, page, project=project)
    link_next(request, response, rows.next_cursor)
    return rows


@router.post(
    "/releases", tags=["releases"], response_model=ReleaseShape, **operation("releases_create", Permission.RELEASE_CREATE, status=201)
)
def releases_create(body: ReleaseCreate, here: InSpace, response: Response) -> Any:
    """The project frozen and signed. The same version with the same content gives the first release again."""
    row = releases.create_release(here.ports, here.caller, space_id=here.space_id, **body.model_dump())
    tag(response, row.revision)
    response.headers["Location"] = here.url("releases", row.id)
    return queries.release_rows(here, [row])[0]


@router.get("/releases/diff", tags=["releases"], response_model=ReleaseDiffShape, **operation("releases_diff", Permission.SPACE_READ))
def releases_diff(
    here: InSpace, before: Annotated[str, Query(max_length=400)], after: Annotated[str, Query(max_length=400)], project: InProject = None
) -> Any:
    """What differs between two releases of one project."""
    first, second = queries.release_row(here, before, project), queries.release_row(here, after, project)
    return releases.diff_releases(here.ports, here.caller, space_id=here.space_id, before=first.id, after=second.id)


@router.get(
    "/releases/{release}", tags=["releases"], response_model=ReleaseContentShape, **operation("releases_get", Permission.SPACE_READ)
)
def releases_get(release: str, here: InSpace, response: Response, project: InProject = None) -> Any:
    """What is frozen in a release."""
    content = queries.release_content(here, release, project)
    tag(response, content.release.revision)
    return content


@router.put(
    "/releases/{release}/block", tags=["releases"], response_model=ReleaseShape, **operation("releases_block", Permission.RELEASE_CREATE)
)
def releases_block(
    release: str, body: ReleaseBlock, here: InSpace, if_match: IfMatch, response: Response, project: InProject = None
) -> Any:
    """No new deployment or promotion of the release starts."""
    here.require(Permission.RELEASE_CREATE)
    row = queries.release_row(here, release, project)
    row = releases.block_release(here.ports, here.caller, space_id=here.space_id, release=row.id, reason=body.reason, if_revision=if_match)
    tag(response, row.revision)
    return queries.release_rows(here, [row])[0]


@router.delete(
    "/releases/{release}/block", tags=["releases"], response_model=ReleaseShape, **operation("releases_unblock", Permission.RELEASE_CREATE)
)
def releases_unblock(release: str, here: InSpace, if_match: IfMatch, response: Response, project: InProject = None) -> Any:
    """The release may be deployed and promoted again."""
    here.require(Permission.RELEASE_CREATE)
    row = queries.release_row(here, release, project)
    row = releases.unblock_release(here.ports, here.caller, space_id=here.space_id, release=row.id, if_revision=if_match)
    tag(response, row.revision)
    return queries.release_rows(here, [row])[0]


@router.get(
    "/promotions", tags=["promotions"], response_model=Listing[PromotionShape], **operation("promotions_list", Permission.SPACE_READ)
)
def promotions_list(
    here: InSpace, page: Pages, request: Request, response: Response, project: Filter = None, release: Filter = None
) -> Any:
    """Promotions, newest first."""
    rows = queries.promotion_list(here, page, project=project, release=release)
    link_next(request, response, rows.next_cursor)
    return rows


@router.post(
    "/promotions",
    tags=["promotions"],
    response_model=PromotionStarted,
    **operation("promotions_start", Permission.PROMOTION_START, status=202),
)
def promotions_start(body: PromotionStart, here: InSpace, once: OnceOnly) -> Response:
    """The release on its way to a Remote Space; asked again while it is open, the first promotion."""
    return once(
        lambda: queries.promotion_started(
            here, promote.start_promotion(here.ports, here.caller, space_id=here.space_id, **body.model_dump())
        )
    )


@router.get(
    "/promotions/{promotion}", tags=["promotions"], response_model=PromotionShape, **operation("promotions_get", Permission.SPACE_READ)
)
def promotions_get(promotion: str, here: InSpace, response: Response) -> Any:
    """One promotion, as far as verified receipts tell."""
    row = promote.get_promotion(here.ports, here.caller, space_id=here.space_id, promotion_id=promotion)
    tag(response, row.revision)
    return queries.promotion(here, row)
