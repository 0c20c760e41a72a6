# SPDX-License-Identifier: Apache-2.0
"""Three whole sites for tests, as processes that ``waybill-site`` makes and runs, with every road between them.

``source`` (Space DevTest, SQLite) calls ``target`` (Space Prod, SQLite): a push.
``edge`` (Space Edge, on PostgreSQL when one is given) calls ``target``: a pull, and the last hop of a relay.
``depot`` is a second Space of edge's site; carrier files go between it and ``source``.
"""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sites.demo.world import SiteSpec, World
from sites.wire import Wire
from tests.e2e.processes import group_of_site, until
from tests.e2e.site import TOOLS, Space, sign_in, trust_each_other

PRODUCTION = "Production"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """The running sites, by what they are to each other."""

    world: World
    source: Space
    target: Space
    edge: Space
    depot: Space
    directory: Path

    def wire(self, space: Space, name: str) -> Wire:
        """The wire that peers' calls to the site's ``api`` or ``objects`` go over."""
        return space.demo.wires[name]

    def fresh(self, name: str) -> Path:
        """An empty directory for one test."""
        path = self.directory / f"{name}-{secrets.token_hex(4)}"
        path.mkdir()
        return path


@contextlib.contextmanager
def running_world(directory: Path, specs: Sequence[SiteSpec]) -> Iterator[World]:
    """The sites run until the block ends; then each was asked to end, and no process of them is left."""
    world = World(directory, tools=TOOLS, first_port=None, say=lambda _text: None, specs=specs)
    world.make()
    try:
        world.start()
        yield world
    finally:
        world.stop()
        for site in world.sites.values():
            until(lambda site=site: not group_of_site(site.layout), f"nothing of {site.spec.name} is left", seconds=20)  # type: ignore[misc]


@contextlib.contextmanager
def running_sites(directory: Path, *, postgres_url: str | None) -> Iterator[Sites]:
    """Three sites that trust each other, with a machine in each Production and the step packages at the sources."""
    specs = [
        _spec("a", "Brisbane", "DevTest"),
        _spec("b", "Frankfurt", "Prod"),
        _spec("c", "Oslo", "Edge", database_url=postgres_url),
    ]
    with running_world(directory, specs) as world, contextlib.ExitStack() as stack:
        spaces = {key: Space(site, slug=site.spec.slug, token=sign_in(site)) for key, site in world.sites.items()}
        edge = spaces["c"]
        edge.client.post("/api/v1/spaces", {"name": "Depot"}, idempotent=True)
        depot = Space(edge.demo, slug="depot", token=edge.client.profile.token)
        for space in (*spaces.values(), depot):
            stack.enter_context(space.client)
        sites = Sites(world=world, source=spaces["a"], target=spaces["b"], edge=edge, depot=depot, directory=directory)
        _furnish(sites)
        yield sites


def small_package(directory: Path, *, size_bytes: int = 20_000) -> Path:
    """A file of random bytes that no other test has."""
    path = directory / "content.bin"
    with path.open("wb") as file:
        for offset in range(0, size_bytes, 1 << 20):
            file.write(secrets.token_bytes(min(1 << 20, size_bytes - offset)))
    return path


def script(name: str, text: str, *, package_id: str | None = None) -> dict[str, Any]:
    """An action that runs ``text`` in bash; with ``package_id`` the release holds that package as well. It is not idempotent."""
    packages = [] if package_id is None else [{"ref_name": "content", "package_id": package_id}]
    inputs = {"syntax": "bash", "script": text}
    step = {"package_id": "run-script", "version": "1"}
    return {"name": name, "step": step, "inputs": inputs, "packages": packages, "roles": ["web"], "timeout_s": 120}


def prepare(
    space: Space, project: str, directory: Path, *, lifecycle: str, actions: Sequence[dict[str, Any]] = (), size_bytes: int = 20_000
) -> tuple[dict[str, Any], Path]:
    """Release 1.0.0 of a new project with one package of its own, and the package's file."""
    package = small_package(directory, size_bytes=size_bytes)
    space.push(package, package_id=project.lower(), version="1.0.0")
    first = script("Begin", f"echo begun >> {directory}/begun", package_id=project.lower())
    space.make_project(project, [first, *actions], lifecycle=lifecycle)
    return space.release(project, "1.0.0"), package


def lines(path: Path) -> list[str]:
    """The lines of a file that steps write; none when it is not there."""
    return path.read_text().splitlines() if path.exists() else []


def _spec(key: str, name: str, space: str, *, database_url: str | None = None) -> SiteSpec:
    return SiteSpec(
        key=key, name=name, space=space, environment=PRODUCTION, outbound="any", peer_endpoint=True, database_url=database_url
    )  # fmt: skip


def _furnish(sites: Sites) -> None:
    trust_each_other(sites.source, sites.target, road_here="call", road_there="answer", relay=True)
    trust_each_other(sites.target, sites.edge, road_here="answer", road_there="call", relay=True)
    trust_each_other(sites.source, sites.depot, road_here="carrier", road_there="carrier", relay=False)
    for space in (sites.source, sites.target, sites.edge, sites.depot):
        space.post("/environments", {"name": PRODUCTION})
        space.post("/lifecycles", {"name": "Live", "phases": [{"name": PRODUCTION, "members": [PRODUCTION]}]})
    onward = [{"name": PRODUCTION, "members": [PRODUCTION]}, {"name": "Edge", "members": ["edge"]}]
    sites.target.post("/lifecycles", {"name": "Live and onward", "phases": onward})
    for space, trusted in ((sites.source, "prod"), (sites.source, "depot"), (sites.target, "edge"), (sites.depot, "devtest")):
        space.post("/lifecycles", {"name": f"To {trusted}", "phases": [{"name": "There", "members": [trusted]}]})
        space.install_steps()
    for space in (sites.target, sites.edge):
        space.add_machine(f"{space.slug}-web", environment=PRODUCTION)
