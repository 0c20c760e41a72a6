# SPDX-License-Identifier: Apache-2.0
"""What the site says about itself. Without a caller: alive, ready, and the meaning of problem codes; nothing else."""

from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel

from api import problems
from api.deps import Context, Site, operation
from api.settings import ApiContext
from waybill.app import access
from waybill.domain.access import Permission
from waybill.errors import CODES, NotFoundError, WaybillError
from waybill.ports import SITE

public = APIRouter(tags=["site"])
router = APIRouter(tags=["site"])


class Health(BaseModel):
    """One word."""

    status: str


class Check(BaseModel):
    """One thing that the site needs, and how long it took to answer."""

    name: str
    ok: bool
    milliseconds: float
    code: str | None = None
    detail: str | None = None


class Readiness(BaseModel):
    """Everything that the site needs."""

    ready: bool
    checks: list[Check]


class Version(BaseModel):
    """Which program this is."""

    name: str
    version: str


def check_all(context: ApiContext) -> list[Check]:
    """The database, the object store and the workflow engine, each asked once."""
    ports = context.ports
    checks = []
    for name, ask in (("ledger", ports.ledger.check), ("objects", ports.objects.check), ("engine", ports.engine.check)):
        started, code, detail = perf_counter(), None, None
        try:
            ask()
        except WaybillError as error:
            code, detail = error.code, error.message
        checks.append(Check(name=name, ok=code is None, milliseconds=round((perf_counter() - started) * 1000, 1), code=code, detail=detail))
    return checks


@public.get("/livez", response_model=Health, **operation("site_alive"))
def livez() -> Health:
    """The process runs; asks nothing else."""
    return Health(status="ok")


@public.get("/readyz", response_model=Health, **operation("site_ready"))
def readyz(context: Context) -> Response:
    """Whether the site can serve: 200 or 503, and no detail, because anybody may ask."""
    ready = all(check.ok for check in check_all(context))
    return JSONResponse({"status": "ok" if ready else "unavailable"}, status_code=200 if ready else 503)


@public.get("/problems", response_class=HTMLResponse, **operation("problems_list"))
def problems_list() -> HTMLResponse:
    """Every problem code, what it means and what to do."""
    return HTMLResponse(problems.page(None))


@public.get("/problems/{code}", response_class=HTMLResponse, **operation("problems_get"))
def problems_get(code: Annotated[str, Path(max_length=100)]) -> HTMLResponse:
    """One problem code."""
    if code not in CODES:
        raise NotFoundError("record.absent", "there is no such problem code", field="code")
    return HTMLResponse(problems.page(code))


@router.get("/version", response_model=Version, **operation("site_version"))
def version(who: Site) -> Version:
    """Which program and which installation this is."""
    return Version(name=who.ports.site.name, version=who.ports.site.version)


@router.get("/api/v1/health", response_model=Readiness, **operation("site_health"))
def health(_who: Site, context: Context) -> Readiness:
    """The same checks as ``/readyz`` with their timing and codes."""
    checks = check_all(context)
    return Readiness(ready=all(check.ok for check in checks), checks=checks)


@router.get("/metrics", response_class=Response, **operation("site_metrics", Permission.SITE_ADMIN))
def metrics(who: Site, context: Context) -> Response:
    """Figures in the Prometheus text format; give the scraper an API key."""
    access.require(who.caller, SITE, Permission.SITE_ADMIN)
    return Response(context.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/v1/openapi.json", response_class=JSONResponse, **operation("site_openapi"))
def openapi(_who: Site, request: Request) -> Any:
    """This document."""
    return JSONResponse(request.app.openapi())
