# SPDX-License-Identifier: Apache-2.0
"""The pages, mounted beside the JSON routes of the same application: same use cases, same rights, same codes."""

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from web.pages import inbox, sign_in, space, work
from web.rendering import HOME


def create_site(app: FastAPI) -> FastAPI:
    """``app`` (of ``api.app.create_app``) with the pages on it. Static files are public: they hold nothing of a site."""
    for module in (sign_in, space, inbox, work):
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=HOME / "static"), name="static")
    return app
