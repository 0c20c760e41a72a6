# SPDX-License-Identifier: Apache-2.0
"""The command line of each process of a site, and how to see that it is ready."""

import json
import os
import shutil
import ssl
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

from sites.layout import EmbeddedPorts, SiteLayout
from sites.ports_free import is_listening
from sites.supervisor import Program
from waybill.errors import NotFoundError

NAMESPACE = "waybill"
STEPS_NAMESPACE = "waybill-steps"


def find_server(name: str, tools: Path | None) -> str:
    """The path of ``temporal`` or ``versitygw``: in ``tools`` first, else on PATH.

    Raises:
        NotFoundError: record.absent, saying how to get it.
    """
    if tools is not None and (tools / name).exists():
        return str((tools / name).resolve())
    if (found := shutil.which(name)) is not None:
        return found
    raise NotFoundError(
        "record.absent", f"{name} is neither on PATH nor in the tools directory; build it with `make tools`, or install it", field=name
    )


def servers(layout: SiteLayout, ports: EmbeddedPorts, *, tools: Path | None) -> list[Program]:
    """The Temporal dev server and the S3 server of one site."""
    return [_engine(layout, ports, tools), _objects(layout, ports, tools)]


def services(layout: SiteLayout, ports: EmbeddedPorts, *, tools: Path | None) -> list[Program]:
    """The API and the workers of one site; the machines come apart, as they are registered. Transfers seek ``waybill-native`` in ``tools`` too."""
    path = os.environ.get("PATH", os.defpath)
    seeking = {} if tools is None else {"PATH": f"{path}{os.pathsep}{tools.resolve()}"}
    return [_api(layout, ports), _worker(layout, "control"), replace(_worker(layout, "transfer"), environment=seeking)]


def machine(layout: SiteLayout, directory: Path) -> Program:
    """A worker that runs steps, for the machine in ``directory``."""
    return Program(
        name=f"machine-{directory.name}",
        command=[sys.executable, "-m", "worker", "--role", "steps", "--settings", str(directory / "machine.toml")],
        log=layout.logs / f"machine-{directory.name}.log",
        ready=lambda: True,
        directory=layout.directory,
    )


def _engine(layout: SiteLayout, ports: EmbeddedPorts, tools: Path | None) -> Program:
    values = [
        "history.maxTotalUpdates=2000",
        "history.transferProcessorMaxPollRPS=2000",
        "history.timerProcessorMaxPollRPS=2000",
        'history.timerProcessorMaxTimeShift="10ms"',
    ]
    command = [
        find_server("temporal", tools), "server", "start-dev", "--ip", "127.0.0.1",
        "--port", str(ports.engine), "--http-port", str(ports.engine_http), "--ui-port", str(ports.engine_ui),
        "--metrics-port", str(ports.engine_metrics), "--db-filename", str((layout.data / "temporal.db").resolve()),
        "--namespace", NAMESPACE, "--namespace", STEPS_NAMESPACE, "--log-level", "error", "--log-format", "json",
        "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal",
        "--ui-codec-endpoint", f"https://127.0.0.1:{ports.api}/codec/{{namespace}}",
    ]  # fmt: skip
    for value in values:
        command += ["--dynamic-config-value", value]
    return Program(
        name="temporal", command=command, log=layout.logs / "temporal.log", ready=lambda: is_listening(ports.engine), directory=layout.data
    )


def _objects(layout: SiteLayout, ports: EmbeddedPorts, tools: Path | None) -> Program:
    credentials = json.loads((layout.secrets / "objects.json").read_text())
    command = [
        find_server("versitygw", tools), "--port", f"127.0.0.1:{ports.objects}", "--quiet", "--keep-alive", "--health", "/healthz",
        "--cert", str((layout.tls / "server.pem").resolve()), "--key", str((layout.tls / "server.key").resolve()),
        "posix", "--sidecar", str((layout.data / "sidecar").resolve()), str((layout.data / "objects").resolve()),
    ]  # fmt: skip
    return Program(
        name="versitygw",
        command=command,
        log=layout.logs / "versitygw.log",
        ready=lambda: is_listening(ports.objects),
        # This server takes its root credential from the environment only; it opens nothing but this site's own packages.
        environment={"ROOT_ACCESS_KEY": credentials["access_key"], "ROOT_SECRET_KEY": credentials["secret_key"]},
        directory=layout.data,
    )


def _api(layout: SiteLayout, ports: EmbeddedPorts) -> Program:
    return Program(
        name="api",
        command=[sys.executable, "-m", "web", "--settings", str(layout.settings)],
        log=layout.logs / "api.log",
        ready=lambda: answers(f"https://127.0.0.1:{ports.api}/livez", layout.authority),
        directory=layout.directory,
    )


def _worker(layout: SiteLayout, role: str) -> Program:
    return Program(
        name=f"worker-{role}",
        command=[sys.executable, "-m", "worker", "--role", role, "--settings", str(layout.settings)],
        log=layout.logs / f"worker-{role}.log",
        ready=lambda: True,  # work waits in its queue until the worker polls
        directory=layout.directory,
    )


def answers(url: str, authority: Path) -> bool:
    """True when ``url`` answers 200 under a certificate of ``authority``."""
    try:
        context = ssl.create_default_context(cafile=str(authority))
        with urllib.request.urlopen(url, timeout=1, context=context) as answer:  # noqa: S310 - the URL is our own loopback API
            return bool(answer.status == 200)
    except OSError:
        return False
