# SPDX-License-Identifier: Apache-2.0
"""The three sites of the demo, the wires that count what crosses between them, and the web servers of the deployed sites.

Each site has its own directory, processes, Temporal server, database, S3 server, keys, API and workers; they share no file, queue or key.
"""

import contextlib
import functools
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sites.create import ADMINISTRATOR
from sites.demo.command_line import CommandLine
from sites.layout import EmbeddedPorts, SiteLayout
from sites.ports_free import free_ports
from sites.programs import answers
from sites.supervisor import Program, Supervisor
from sites.wire import Wire
from waybill.errors import UnavailableError

COURIER_POLL_SECONDS = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSpec:
    """One site of the demo."""

    key: str
    name: str
    space: str
    environment: str
    outbound: str
    peer_endpoint: bool
    database_url: str | None = None

    @property
    def slug(self) -> str:
        """The Space's slug."""
        return self.space.lower()


BRISBANE = SiteSpec(key="brisbane", name="Brisbane", space="DevTest", environment="Test", outbound="none", peer_endpoint=True)
FRANKFURT = SiteSpec(key="frankfurt", name="Frankfurt", space="Prod", environment="Production", outbound="any", peer_endpoint=True)
VAULT = SiteSpec(key="vault", name="Vault", space="Vault", environment="Production", outbound="none", peer_endpoint=False)
SPECS = (BRISBANE, FRANKFURT, VAULT)


class DemoSite:
    """A running site with its wires, its command line and the directory that its machine deploys to."""

    def __init__(self, spec: SiteSpec, world: "World") -> None:
        self.spec = spec
        self.layout = SiteLayout(world.directory / "sites" / spec.key)
        self.target = world.directory / "targets" / f"{spec.key}-{spec.environment.lower()}"
        self.web_port = world.web_port(spec)
        self.wires: dict[str, Wire] = {}
        self.cli = CommandLine(
            config=world.directory / "cli" / "config.toml",
            profile=spec.key,
            space=spec.slug,
            authority=self.layout.authority,
            echo=world.echo,
        )
        self._stack = contextlib.ExitStack()

    @property
    def ports(self) -> EmbeddedPorts:
        """The site's ports."""
        return EmbeddedPorts.load(self.layout)

    @property
    def url(self) -> str:
        """Where people reach the site."""
        return f"https://127.0.0.1:{self.ports.api}"

    @property
    def web_url(self) -> str:
        """Where the deployed site answers."""
        return f"http://127.0.0.1:{self.web_port}"

    def open_wires(self) -> None:
        """The wires before the site's public addresses, and the web server of what is deployed there."""
        ports = self.ports
        if self.spec.peer_endpoint:
            for name, target, listen in (("api", ports.api, ports.public_api), ("objects", ports.objects, ports.public_objects)):
                self.wires[name] = self._stack.enter_context(Wire("127.0.0.1", target, listen_port=listen))
        self.target.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(serving(self.target, self.web_port))

    def program(self, tools: Path | None) -> Program:
        """The whole site as one process that starts the others."""
        more = [] if tools is None else ["--tools", str(tools.resolve())]
        return Program(
            name=self.spec.key,
            command=[sys.executable, "-m", "sites", "run", str(self.layout.directory), *more],
            log=self.layout.logs / "site.log",
            ready=lambda: answers(f"{self.url}/livez", self.layout.authority),
        )

    def close(self) -> None:
        """The wires and the web server are gone."""
        self._stack.close()

    def wire_bytes(self) -> int:
        """Bytes that peers and this site's own public addresses exchanged so far, both directions."""
        return sum(wire.bytes_there + wire.bytes_back for wire in self.wires.values())


class World:
    """All of the demo under one directory; with other ``specs``, sites for a test."""

    def __init__(
        self,
        directory: Path,
        *,
        tools: Path | None,
        first_port: int | None,
        say: Callable[[str], None],
        specs: Sequence[SiteSpec] = SPECS,
    ) -> None:
        self.directory = directory
        self.say = say
        self.commands: list[str] = []
        self.supervisor = Supervisor(say=say)
        self._tools = tools
        self._specs = specs
        self._file = directory / "world.json"
        self._web = self._known_ports(first_port)
        self.sites = {spec.key: DemoSite(spec, self) for spec in specs}

    @property
    def brisbane(self) -> DemoSite:
        """The source."""
        return self.sites["brisbane"]

    @property
    def frankfurt(self) -> DemoSite:
        """The connected target."""
        return self.sites["frankfurt"]

    @property
    def vault(self) -> DemoSite:
        """The air-gapped target."""
        return self.sites["vault"]

    def web_port(self, spec: SiteSpec) -> int:
        """The port where what is deployed at the site answers."""
        return int(self._web[spec.key]["web"])

    def make(self) -> None:
        """The sites exist on disk, each with its own first administrator and Space."""
        with ThreadPoolExecutor(len(self._specs)) as pool:
            list(pool.map(self._make_site, self._specs))

    def start(self) -> None:
        """All sites run."""
        for site in self.sites.values():
            site.open_wires()
        self.supervisor.start([site.program(self._tools) for site in self.sites.values()])

    def stop(self) -> None:
        """Nothing of the demo runs."""
        self.supervisor.stop()
        for site in self.sites.values():
            site.close()

    def echo(self, profile: str, arguments: Sequence[str]) -> None:
        """A command as a person would type it, shown and kept."""
        line = f"waybill --profile {profile} {' '.join(quoted(argument) for argument in arguments)}"
        self.commands.append(line)
        self.say(f"    $ {line if len(line) <= 150 else line[:147] + '...'}")

    def sign_in(self, site: DemoSite) -> None:
        """A person signs in at the site with its first password."""
        site.cli.sign_in(site.url, username=ADMINISTRATOR, password=site.layout.first_password.read_text().strip())

    def _make_site(self, spec: SiteSpec) -> None:
        layout = SiteLayout(self.directory / "sites" / spec.key)
        if layout.settings.exists():
            return
        ports = {name: port for name, port in self._web[spec.key].items() if name != "web"}
        options = [option for name, port in ports.items() for option in (f"--{name.replace('_', '-')}-port", str(port))]
        reach = "--peer-endpoint" if spec.peer_endpoint else "--no-peer-endpoint"
        command = [sys.executable, "-m", "sites", "create", str(layout.directory), "--name", spec.name, "--space", spec.space, reach]
        command += ["--outbound", spec.outbound, "--poll-seconds", str(COURIER_POLL_SECONDS), *options]
        if spec.database_url is not None:
            command += ["--database-url", spec.database_url]
        made = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False)
        if made.returncode != 0:
            raise UnavailableError("site.unavailable", f"{spec.name} could not be made: {made.stderr.strip()[-500:]}", field=spec.key)

    def _known_ports(self, first_port: int | None) -> dict[str, dict[str, int]]:
        if self._file.exists():
            return dict(json.loads(self._file.read_text()))
        names = [*EmbeddedPorts.__dataclass_fields__, "web"]
        count = len(names) * len(self._specs)
        chosen = iter(list(range(first_port, first_port + count)) if first_port else free_ports(count))
        found = {spec.key: {name: next(chosen) for name in names} for spec in self._specs}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(found, indent=2))
        return found


def quoted(argument: str) -> str:
    """``argument`` as a shell would need it."""
    return argument if argument and all(character.isalnum() or character in "-_./:=@,#{}" for character in argument) else f"'{argument}'"


@contextlib.contextmanager
def serving(directory: Path, port: int) -> Any:
    """The files of ``directory`` answer on the loopback ``port``; it stands for the customer's web server."""
    handler = functools.partial(_Quiet, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: the demo has its own output."""
