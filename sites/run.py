# SPDX-License-Identifier: Apache-2.0
"""Runs one whole site in the foreground: servers first, then services, then the machines as they are added."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from sites.create import prepare
from sites.layout import EmbeddedPorts, SiteLayout
from sites.machines import machine_directories
from sites.programs import machine, servers, services
from sites.supervisor import Supervisor

WATCH_SECONDS = 0.5


class RunningSite:
    """A site whose processes this process started."""

    def __init__(self, layout: SiteLayout, *, tools: Path | None, say: Callable[[str], None]) -> None:
        self.layout = layout
        self.ports = EmbeddedPorts.load(layout)
        self.supervisor = Supervisor(say=say)
        self._tools = tools

    def start(self) -> None:
        """Every process of the site runs and is ready. Raises UnavailableError site.unavailable; what had started is stopped."""
        try:
            self.supervisor.start(servers(self.layout, self.ports, tools=self._tools))
            prepare(self.layout.settings)
            self.supervisor.start(services(self.layout, self.ports, tools=self._tools))
            self._start_machines()
        except BaseException:
            self.supervisor.stop()
            raise

    def watch(self) -> None:
        """Dead processes run again, and machines added since have a worker."""
        self.supervisor.watch()
        self._start_machines()

    def stop(self) -> None:
        """Nothing of the site runs."""
        self.supervisor.stop()

    def _start_machines(self) -> None:
        running = self.supervisor.processes
        wanted = [machine(self.layout, directory) for directory in machine_directories(self.layout)]
        self.supervisor.start([program for program in wanted if program.name not in running])


def run_until_stopped(sites: list[RunningSite]) -> None:
    """The sites are watched until SIGINT or SIGTERM, then stopped, last first."""
    stopping = stop_event()
    try:
        while not stopping.wait(WATCH_SECONDS):
            for site in sites:
                site.watch()
    finally:
        for site in reversed(sites):
            site.stop()


def stop_event() -> threading.Event:
    """An event that SIGINT and SIGTERM set."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return stopping
