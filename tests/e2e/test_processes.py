# SPDX-License-Identifier: Apache-2.0
"""The processes of one site: each says that it could work, each ends when asked, and nothing is left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sites.demo.world import SiteSpec
from tests.e2e.processes import ROLES, group_of_site, process_of, until
from tests.e2e.site import Space, sign_in
from tests.e2e.world import PRODUCTION, running_world

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]

SPEC = SiteSpec(key="lone", name="Hobart", space="Lone", environment=PRODUCTION, outbound="none", peer_endpoint=False)


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Space]:
    """A site for this test alone, with one machine."""
    with running_world(tmp_path.resolve(), [SPEC]) as world:
        demo = world.sites["lone"]
        space = Space(demo, slug="lone", token=sign_in(demo))
        with space.client:
            space.post("/environments", {"name": PRODUCTION})
            space.add_machine("lone-web", environment=PRODUCTION)
            until(lambda: "worker.started" in _log(space, "machine-lone-web"), "the machine's worker works")
            yield space


def _log(space: Space, name: str) -> str:
    path = space.layout.logs / f"{name}.log"
    return path.read_text() if path.exists() else ""


def _check(space: Space, role: str) -> subprocess.CompletedProcess[str]:
    settings = space.layout.machines / "lone-web" / "machine.toml" if role == "steps" else space.layout.settings
    command = [sys.executable, "-m", "worker", "--role", role, "--check", "--settings", str(settings)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=space.layout.directory, check=False)


def test_every_process_answers_a_check_and_ends_when_asked(lone: Space) -> None:
    """`--check` ends with 0 each time; SIGTERM ends each process with 0 and it is started again; even a killed site leaves no orphan."""
    for role in ("control", "control", "control", "transfer", "steps"):
        done = _check(lone, role)
        assert (done.returncode, done.stderr) == (0, ""), role
    names = {"api": "api", "control": "worker-control", "transfer": "worker-transfer", "steps": "machine-lone-web"}
    for role in ROLES:
        pid = until(lambda role=role: process_of(lone.layout, role), f"{role} runs")  # type: ignore[misc]
        os.kill(pid, signal.SIGTERM)
        until(lambda role=role: f"{names[role]} ended with" in _log(lone, "site"), f"{role} ended", seconds=30)  # type: ignore[misc]
        assert f"{names[role]} ended with 0;" in _log(lone, "site"), _log(lone, "site")
        until(lambda role=role, pid=pid: process_of(lone.layout, role) not in {None, pid}, f"{role} runs again")  # type: ignore[misc]
    until(lambda: lone.client.get("/livez"), "the API answers again")
    site = next(pid for pid, command in group_of_site(lone.layout).items() if " sites run " in command)
    assert len(group_of_site(lone.layout)) >= 7, "the site's process, two servers, the API and three workers"
    os.kill(site, signal.SIGKILL)
    until(lambda: not group_of_site(lone.layout), "nothing of the site is left", seconds=30)
