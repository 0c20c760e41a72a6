# SPDX-License-Identifier: Apache-2.0
"""The composition root of the API: ports and settings in, an ASGI application out.

Every error leaves as a problem document, every request has a trace id, and the unknown get 401 before anything is read.
Nothing is read from the environment; ``from_settings`` reads the one settings file.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api import openapi, problems
from api.auth import Guard
from api.limits import BodyLimit, TokenBuckets
from api.metrics import Metrics
from api.routes import (
    accounts,
    codec,
    deployments,
    inbox,
    lifecycles,
    machine,
    packages,
    peer,
    projects,
    records,
    releases,
    session,
    site,
    spaces,
    tasks,
    trusts,
)
from api.settings import ApiContext, ApiSettings, PayloadCodec
from api.trace import Trace
from waybill.errors import WaybillError
from waybill.ports import Ports

_ROUTERS = (
    site.public, site.router, session.public, session.router, accounts.router, spaces.router, lifecycles.router, projects.router,
    packages.router, releases.router, inbox.router, deployments.router, trusts.router, records.router, tasks.router, machine.router,
)  # fmt: skip


def bare_app(*, version: str, peer_endpoint: bool = True) -> FastAPI:
    """The routes, the error shapes and the OpenAPI document, with nothing behind them yet."""
    app = FastAPI(
        title="Waybill",
        version=version,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        telemetry={"tracing": False, "metrics": False},
    )
    for router in (*_ROUTERS, peer.router, codec.router) if peer_endpoint else (*_ROUTERS, codec.router):
        app.include_router(router)
    app.add_exception_handler(WaybillError, problems.on_waybill_error)
    app.add_exception_handler(RequestValidationError, problems.on_invalid_request)
    app.add_exception_handler(HTTPException, problems.on_http_exception)
    openapi.install(app)
    return app


def create_app(ports: Ports, settings: ApiSettings | None = None, *, codecs: Mapping[str, PayloadCodec] | None = None) -> FastAPI:
    """The application. ``app.state.waybill`` is its ``ApiContext``; the pages mount themselves beside the routes.

    Args:
        codecs: payload codec by Temporal namespace, for the codec server.
    """
    context = _context(ports, settings or ApiSettings(), codecs or {})
    app = bare_app(version=ports.site.version, peer_endpoint=context.settings.peer_endpoint)
    app.state.waybill = context
    app.add_middleware(Guard, context=context)
    app.add_middleware(BodyLimit)
    app.add_middleware(Trace, counter=context.metrics)
    return app


def _context(ports: Ports, settings: ApiSettings, codecs: Mapping[str, PayloadCodec]) -> ApiContext:
    return ApiContext(
        ports=ports,
        settings=settings,
        metrics=Metrics(ports.ledger),
        login_buckets=TokenBuckets(capacity=settings.login_attempts, per_second=settings.login_refill_per_second),
        key_buckets=TokenBuckets(capacity=settings.key_burst, per_second=settings.key_refill_per_second),
        codecs=codecs,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An application over real adapters, and where it listens. ``close`` it when the server has ended."""

    app: FastAPI
    host: str
    port: int
    certificate_file: Path | None
    key_file: Path | None
    close: Callable[[], None]


def from_settings(path: Path) -> Served:
    """The application of the site whose settings file this is; logging is set up, nothing is connected yet.

    Raises:
        FormatError: settings.invalid, naming the setting and what to do.
    """
    # The adapters are imported here, so that tests and the OpenAPI document need no database, S3 or Temporal library.
    from adapters import log
    from adapters.codec import KeyRingCodec, read_key_ring
    from adapters.ports import compose
    from adapters.settings import load_settings

    settings = load_settings(path)
    log.configure(role="api", site=settings.name, level=settings.log_level)
    composition = compose(settings)
    engine, keys = settings.engine, settings.keys
    codecs = {
        engine.namespace: KeyRingCodec(read_key_ring(keys.codec_ring), namespace=engine.namespace),
        engine.steps_namespace: KeyRingCodec(read_key_ring(keys.steps_codec_ring), namespace=engine.steps_namespace),
    }
    own = ApiSettings(
        public_origins=() if settings.api.public_url is None else (settings.api.public_url,),
        secure_cookies=settings.api.certificate_file is not None or (settings.api.public_url or "").startswith("https://"),
        peer_endpoint=settings.api.public_url is not None,
        temporal_ui_origin=settings.api.temporal_ui_origin,
    )
    host, _, port = settings.api.bind.rpartition(":")
    return Served(
        app=create_app(composition.ports, own, codecs=codecs),
        host=host.strip("[]"),
        port=int(port),
        certificate_file=settings.api.certificate_file,
        key_file=settings.api.key_file,
        close=composition.close,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """As many threads as the database has connections for; the default would let forty requests wait for five."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = app.state.waybill.settings.threads
    yield
