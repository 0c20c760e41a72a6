# SPDX-License-Identifier: Apache-2.0
"""Runs ``waybill`` in this process, against the real application behind a real TLS socket on the loopback."""

import io
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvicorn

from cli.__main__ import main
from cli.output import choose_format
from cli.session import CURRENT
from tests.api.world import World
from tests.servers import throw_away_tls

_VARIABLES = ("WAYBILL_URL", "WAYBILL_TOKEN_FILE", "WAYBILL_SPACE", "WAYBILL_CA", "WAYBILL_PROFILE", "CI", "XDG_CONFIG_HOME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON that stands on standard output, and nothing else does."""
        return json.loads(self.out)


class _Keyboard(io.StringIO):
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        """True."""
        return True


@dataclass(slots=True, kw_only=True)
class CommandLine:
    """``waybill`` of a person whose configuration is ``config``; ``environment`` is what else is set there."""

    config: Path
    monkeypatch: pytest.MonkeyPatch
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None, keyboard: bool = False) -> Ended:
        """The command has ended; its standard input is no terminal, unless a person sits at the ``keyboard``."""
        out, err = io.StringIO(), io.StringIO()
        with self.monkeypatch.context() as patch:
            for name in _VARIABLES:
                patch.delenv(name, raising=False)
            for name, value in {"WAYBILL_CONFIG": str(self.config), **self.environment, **(environment or {})}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", _Keyboard(stdin) if keyboard else io.StringIO(stdin))
            for name in ("profile", "url", "space", "ca"):
                patch.setattr(CURRENT, name, None)
            choose_format("table")
            try:
                with redirect_stdout(out), redirect_stderr(err):
                    main(arguments)
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ended(code=code, out=out.getvalue(), err=err.getvalue())


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A site in memory at ``url``; ``ca`` is the file of the authority of its TLS."""

    world: World
    url: str
    ca: Path


@contextmanager
def _log_in(file: Path) -> Iterator[None]:
    """The site's log goes to ``file``: it runs in the process whose standard output the command line has."""
    before = structlog.get_config()
    with file.open("a", encoding="utf-8") as log:
        structlog.configure(**{**before, "logger_factory": structlog.PrintLoggerFactory(log)})
        try:
            yield
        finally:
            structlog.configure(**before)


@contextmanager
def serve(world: World, directory: Path) -> Iterator[Served]:
    """The application of ``world`` answers on a free loopback port over TLS."""
    authority, server = throw_away_tls()
    ca = directory / "authority.pem"
    for path, text in (
        (ca, authority.certificate_pem),
        (directory / "server.pem", server.certificate_pem),
        (directory / "server.key", server.key_pem),
    ):
        path.write_text(text)
    with _log_in(directory / "site.log"), socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            world.app,
            ssl_certfile=str(directory / "server.pem"),
            ssl_keyfile=str(directory / "server.key"),
            log_config=None,
            lifespan="off",
        )
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            _await_answer(listening.getsockname()[1], ca)
            yield Served(world=world, url=f"https://127.0.0.1:{listening.getsockname()[1]}", ca=ca)
        finally:
            running.should_exit = True
            thread.join(20)


def _await_answer(port: int, ca: Path) -> None:
    """The server shakes hands."""
    context, deadline = ssl.create_default_context(cafile=str(ca)), time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1"):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
