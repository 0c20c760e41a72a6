# SPDX-License-Identifier: Apache-2.0
"""What routes ask for: who is asking, in which Space, from which page of a list, over which revision.

What a caller may do is decided by the use cases; ``Here.require`` only asks the same question earlier.
A Space that the caller does not see answers exactly like one that does not exist.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Path, Query, Request, Response

from api.auth import SignedIn
from api.settings import ApiContext
from waybill.app import access
from waybill.domain.access import Caller, Permission
from waybill.errors import FormatError, NotFoundError
from waybill.ports import Ports

_ENTITY_TAG: Final = re.compile(r'^"(\d{1,15})"$')
MAX_PAGE: Final = 200


def context_of(request: Request) -> ApiContext:
    """What the composition root handed in."""
    context = request.app.state.waybill
    if not isinstance(context, ApiContext):
        raise TypeError("the application was composed without an ApiContext")
    return context


Context = Annotated[ApiContext, Depends(context_of)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The proven caller and what it may be answered from."""

    ports: Ports
    caller: Caller
    signed_in: SignedIn


def asking(request: Request, context: Context) -> Asking:
    """The caller that ``api.auth.Guard`` has proven."""
    signed_in: SignedIn = request.state.signed_in
    return Asking(ports=context.ports, caller=signed_in.caller, signed_in=signed_in)


Site = Annotated[Asking, Depends(asking)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A caller inside one Space."""

    ports: Ports
    caller: Caller
    space_id: str

    def require(self, permission: Permission) -> None:
        """Nothing, when the caller holds the right; for routes that look something up before their use case asks. Raises PolicyError authz.denied."""
        access.require(self.caller, self.space_id, permission)

    def url(self, *parts: str) -> str:
        """The path of something in this Space, by the Space's id."""
        return "/".join((f"/api/v1/spaces/{self.space_id}", *parts))


def in_space(who: Site, space: Annotated[str, Path(description="id, slug or name of the Space", max_length=400)]) -> Here:
    """The caller in the Space that the path names. Raises NotFoundError record.absent, also for a Space that the caller does not see."""
    for row in access.visible_spaces(who.ports, who.caller):
        if space in (row.id, row.slug, row.name):
            return Here(ports=who.ports, caller=who.caller, space_id=row.id)
    raise NotFoundError("record.absent", "there is no such Space", field="space")


InSpace = Annotated[Here, Depends(in_space)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Which page of a list."""

    limit: int
    cursor: str | None


def paging(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="how many items at most")] = 50,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")] = None,
) -> Paging:
    """The page that the query names."""
    return Paging(limit=limit, cursor=cursor)


Pages = Annotated[Paging, Depends(paging)]


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """The answer says where the next page is (RFC 8288), when there is one."""
    if cursor is not None:
        target = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{target.path}?{target.query}>; rel="next"'


def _revision(if_match: str) -> int:
    match = _ENTITY_TAG.match(if_match.strip())
    if match is None:
        raise FormatError(
            "request.malformed", "If-Match is not one strong ETag of this API", field="If-Match", expected='"7"', found=if_match[:60]
        )
    return int(match[1])


def required_revision(if_match: Annotated[str | None, Header(description='the ETag that was read, such as `"7"`')] = None) -> int:
    """The revision in If-Match. Raises FormatError request.precondition_required when there is none, request.malformed when it is no ETag of ours."""
    if if_match is None:
        raise FormatError(
            "request.precondition_required", "say which revision you change", field="If-Match", expected='an ETag such as "7"'
        )
    return _revision(if_match)


def optional_revision(if_match: Annotated[str | None, Header(description="the ETag that was read, when replacing")] = None) -> int | None:
    """The revision in If-Match, or None to create."""
    return None if if_match is None else _revision(if_match)


IfMatch = Annotated[int, Depends(required_revision)]
IfMatchOptional = Annotated[int | None, Depends(optional_revision)]


def tag(response: Response, revision: int) -> None:
    """The answer carries the revision as its ETag."""
    response.headers["ETag"] = f'"{revision}"'


def operation(
    operation_id: str, permission: Permission | None = None, *, status: int = 200, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The decorations of a route: its stable id, the right that its use case asks for, and its status.

    ``x-permission`` is what the documentation shows and what the access tests are generated from.
    """
    extra: dict[str, Any] = {"x-permission": permission.value if permission else None}
    return {"operation_id": operation_id, "status_code": status, "openapi_extra": {**extra, **(more or {})}}
